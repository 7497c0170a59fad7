package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"

	"inkwell/internal/faultfs"
	"inkwell/store"
)

const (
	checkpointName    = "checkpoint"
	checkpointVersion = 1
)

// checkpoint is what is known for certain about the stores (format: docs/format.md).
type checkpoint struct {
	Version int              `json:"version"`
	Low     uint64           `json:"low"`     // the journal is needed from here
	Drained uint64           `json:"drained"` // what lies below and is in no queue listed here is done
	Queues  map[string]place `json:"queues"`  // by key
	Files   store.Marks      `json:"files"`   // by path
}

// place is how far one queue got.
type place struct {
	Name    string `json:"name"`             // of the category, or of the block whose categories share the queue
	Shared  bool   `json:"shared,omitempty"` // by all categories of a block
	Through uint64 `json:"through"`          // the store has everything below
}

// loadCheckpoint reads the checkpoint in dir, the empty one where there is none.
func loadCheckpoint(dir *faultfs.Dir) (*checkpoint, error) {
	c := &checkpoint{Version: checkpointVersion}
	data, err := dir.ReadFile(checkpointName)
	path := filepath.Join(dir.Path(), checkpointName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, nil
	case err != nil:
		return nil, fmt.Errorf("read checkpoint %s: %w", path, err)
	}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("read checkpoint %s: %w (restore it, or move it away: everything in the journal is then delivered again)", path, err)
	}
	if c.Version != checkpointVersion {
		return nil, fmt.Errorf("read checkpoint %s: it is of version %d, this program reads version %d (use the program that wrote it, or another state directory)",
			path, c.Version, checkpointVersion)
	}
	return c, nil
}

// save replaces the checkpoint in dir, atomically and durably.
func (c *checkpoint) save(dir *faultfs.Dir) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return dir.WriteFile(checkpointName, append(data, '\n'))
}

// fit bounds every offset by those of the journal and says whether any was behind its end.
func (c *checkpoint) fit(acked, end uint64) (lost bool) {
	clamp := func(off uint64) uint64 {
		lost = lost || off > end
		return min(max(off, acked), end)
	}
	c.Low, c.Drained = clamp(c.Low), clamp(c.Drained)
	for key, p := range c.Queues {
		p.Through = clamp(p.Through)
		c.Queues[key] = p
	}
	return lost
}

// equal says whether n says nothing new.
func (c *checkpoint) equal(n *checkpoint) bool {
	return c.Low == n.Low && maps.Equal(c.Queues, n.Queues) &&
		maps.EqualFunc(c.Files, n.Files, func(a, b json.RawMessage) bool { return string(a) == string(b) })
}

// start is where a queue that takes the categories of a name, and was not listed, has to begin to read: where queues of that name
// that are gone had come to, or those that were shared by many names.
func (c *checkpoint) start(name string, claimed map[string]bool) uint64 {
	from := c.Drained
	for key, p := range c.Queues {
		if !claimed[key] && (p.Name == name || p.Shared) {
			from = min(from, p.Through)
		}
	}
	return from
}

// done is the offset below which the stores of a category, when it had its own, have everything: for a queue that takes it over
// together with others.
func (c *checkpoint) done(category string) uint64 {
	through, known := c.Drained, false
	for _, p := range c.Queues {
		if p.Shared {
			return 0
		}
		if p.Name == category {
			through, known = min(through, p.Through), true
		}
	}
	if !known {
		return c.Drained
	}
	return through
}
