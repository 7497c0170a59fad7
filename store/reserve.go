package store

import (
	"errors"
	"fmt"
	"io/fs"
)

// reserve is room on the state directory's disk that only a checkpoint may take: when the journal has filled the disk, a checkpoint is
// what lets it shrink.
const (
	reserveName  = "reserve"
	reserveBytes = 1 << 20
)

// keepReserve makes the reserve where it is missing; on a full disk that is tried again at the next checkpoint.
func (f *Files) keepReserve() {
	_, err := f.state.Lstat(reserveName)
	if errors.Is(err, fs.ErrNotExist) {
		err = f.state.WriteFile(reserveName, make([]byte, reserveBytes))
	}
	if err != nil {
		f.log.Debug("no reserve for checkpoints on a full disk", "state", f.o.StateDir, "error", err)
	}
}

// spendReserve saves c in the room that the reserve takes. Appends wait meanwhile, or they would take it.
func (f *Files) spendReserve(c *checkpoint) error {
	f.closeMu.Lock()
	defer f.closeMu.Unlock()
	f.pending.Wait()
	if err := f.state.Remove(reserveName); err != nil {
		return fmt.Errorf("make room for a checkpoint: %w", err)
	}
	return c.save(f.state)
}
