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

// Reserve is room on the disk of a state directory that only a checkpoint may take: when the journal has filled the disk, a checkpoint
// is what lets it shrink.
type Reserve struct {
	Dir *faultfs.Dir
	Log *slog.Logger
}

// Keep makes the reserve where it is missing; on a full disk that is tried again at the next checkpoint.
func (r Reserve) Keep() {
	_, err := r.Dir.Lstat(reserveName)
	if errors.Is(err, fs.ErrNotExist) {
		err = r.Dir.WriteFile(reserveName, make([]byte, reserveBytes))
	}
	if err != nil {
		r.Log.Debug("no reserve for checkpoints on a full disk", "state", r.Dir.Path(), "error", err)
	}
}

// Save saves a checkpoint, on a full disk in the room of the reserve. quiet runs what it is given while nobody writes to the journal,
// who would take that room.
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
