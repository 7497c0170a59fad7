package queue

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"

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
}

// place is how far one queue got.
type place struct {
	Name    string      `json:"name"`             // of the category, or of the block whose categories share the queue
	Shared  bool        `json:"shared,omitempty"` // by all categories of a block
	Through uint64      `json:"through"`          // the store has everything below
	Files   store.Marks `json:"files,omitempty"`  // by path: how they stood then
}

func (p place) equal(o place) bool {
	return p.Name == o.Name && p.Shared == o.Shared && p.Through == o.Through &&
		maps.EqualFunc(p.Files, o.Files, func(a, b json.RawMessage) bool { return string(a) == string(b) })
}

// loadCheckpoint reads the checkpoint in dir, the empty one where there is none.
func loadCheckpoint(dir *faultfs.Dir, log *slog.Logger) (*checkpoint, error) {
	c := &checkpoint{Version: checkpointVersion}
	if _, err := (store.StateFile{Dir: dir, Name: checkpointName, Log: log}).Load(c); err != nil {
		return nil, fmt.Errorf("read checkpoint in %s: %w", dir.Path(), err)
	}
	if c.Version != checkpointVersion {
		return nil, fmt.Errorf("read checkpoint in %s: it is of version %d, this program reads version %d (use the program that wrote it, or another state directory)",
			dir.Path(), c.Version, checkpointVersion)
	}
	return c, nil
}

// save replaces the checkpoint in dir, durably.
func (c *checkpoint) save(dir *faultfs.Dir) error {
	return store.StateFile{Dir: dir, Name: checkpointName}.Save(c)
}

// end is the offset behind everything that c says of the journal.
func (c *checkpoint) end() uint64 {
	end := max(c.Low, c.Drained)
	for _, p := range c.Queues {
		end = max(end, p.Through)
	}
	return end
}

// begin leaves what the journal has been acknowledged to hold no more.
func (c *checkpoint) begin(acked uint64) {
	c.Low, c.Drained = max(c.Low, acked), max(c.Drained, acked)
	for key, p := range c.Queues {
		p.Through = max(p.Through, acked)
		c.Queues[key] = p
	}
}

// equal says whether n says nothing new.
func (c *checkpoint) equal(n *checkpoint) bool {
	return c.Low == n.Low && c.Drained == n.Drained && maps.EqualFunc(c.Queues, n.Queues, place.equal)
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

// leaves says whether a queue is listed where one for a name would begin in its place, should it not be listed itself.
func (c *checkpoint) leaves(name string) bool {
	for _, p := range c.Queues {
		if p.Name == name || p.Shared {
			return true
		}
	}
	return false
}

// files is how the files of a queue stood; for one of which that is not known, those of all others: it may have taken over a file.
func (c *checkpoint) files(key string) store.Marks {
	if p := c.Queues[key]; len(p.Files) > 0 {
		return p.Files
	}
	all := make(store.Marks)
	for _, p := range c.Queues {
		maps.Copy(all, p.Files)
	}
	return all
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
