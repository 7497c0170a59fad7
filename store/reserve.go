package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"syscall"

	"inkwell/internal/faultfs"
)

const (
	reserveName  = "reserve"
	reserveBytes = 1 << 20
)

// Reserve is disk space in a state directory that only a checkpoint may use. When the journal has filled the disk, the
// journal can only shrink after a checkpoint, and that needs space.
type Reserve struct {
	Dir *faultfs.Dir
	Log *slog.Logger
}

// Keep creates the reserve if it is missing. On a full disk this fails and is retried at the next checkpoint.
func (r Reserve) Keep() {
	_, err := r.Dir.Lstat(reserveName)
	if errors.Is(err, fs.ErrNotExist) {
		err = r.Dir.WriteFile(reserveName, make([]byte, reserveBytes))
	}
	if err != nil {
		r.Log.Debug("no reserve for checkpoints on a full disk", "state", r.Dir.Path(), "error", err)
	}
}

// Save saves a checkpoint with save. If the disk is full, it gives up the reserve and tries again. quiet calls its
// argument while nothing is written to the journal, which would otherwise take the freed space.
func (r Reserve) Save(save func() error, quiet func(func() error) error) error {
	err := save()
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return quiet(func() error {
		if err := r.Dir.Remove(reserveName); err != nil {
			return fmt.Errorf("make room for a checkpoint: %w", err)
		}
		return save()
	})
}
