package store

import (
	"fmt"
	"log/slog"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
)

const (
	checkpointName    = "checkpoint"
	checkpointVersion = 1
)

// checkpoint is what Files knows for certain about its files (format: docs/format.md).
type checkpoint struct {
	Version    int             `json:"version"`
	Low        uint64          `json:"low"`     // the journal is needed from here
	Drained    uint64          `json:"drained"` // every entry below belongs to a category listed, or to one that is complete
	Categories map[string]mark `json:"categories"`
}

// mark says how far one category got.
type mark struct {
	Born    uint64       `json:"born"`    // entries below belonged to OverflowCategory
	Through uint64       `json:"through"` // the files hold all the category's entries below
	State   rotate.State `json:"state"`
}

// loadCheckpoint reads the checkpoint in dir; where there is none (found is false) it is the empty one.
func loadCheckpoint(dir *faultfs.Dir, log *slog.Logger) (c *checkpoint, found bool, err error) {
	c = &checkpoint{Version: checkpointVersion, Categories: make(map[string]mark)}
	if found, err = (StateFile{dir, checkpointName, log}).Load(c); err != nil {
		return nil, false, fmt.Errorf("read checkpoint in %s: %w", dir.Path(), err)
	}
	if c.Version != checkpointVersion {
		return nil, false, fmt.Errorf("read checkpoint in %s: it is of version %d, this program reads version %d (use the program that wrote it, or another state directory)",
			dir.Path(), c.Version, checkpointVersion)
	}
	if c.Categories == nil { // "categories":null takes the map away
		c.Categories = make(map[string]mark)
	}
	return c, found, nil
}

// save replaces the checkpoint in dir, durably.
func (c *checkpoint) save(dir *faultfs.Dir) error {
	return StateFile{Dir: dir, Name: checkpointName}.Save(c)
}

// end is the offset behind everything that c says of the journal.
func (c *checkpoint) end() uint64 {
	end := max(c.Low, c.Drained)
	for _, m := range c.Categories {
		end = max(end, m.Through, m.Born)
	}
	return end
}
