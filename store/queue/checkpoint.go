package queue

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"

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
	Name     string       `json:"name"`               // of the category, or of the block whose categories share the queue
	Shared   bool         `json:"shared,omitempty"`   // by all categories of a block, or of those that write one file
	Patterns []string     `json:"patterns,omitempty"` // of a shared one: which categories these are
	Through  uint64       `json:"through"`            // the store has everything below
	Past     *floors      `json:"past,omitempty"`     // above, the store is to have what lies above these; nil: everything
	Done     bool         `json:"done,omitempty"`     // it was closed in good order: the place only tells others what they need not take over
	Files    store.States `json:"files,omitempty"`    // by path: how they stood then
}

func (p place) equal(o place) bool {
	samePast := p.Past == o.Past || p.Past != nil && o.Past != nil && p.Past.equal(*o.Past)
	return samePast && p.Name == o.Name && p.Shared == o.Shared && p.Done == o.Done && slices.Equal(p.Patterns, o.Patterns) && p.Through == o.Through &&
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
		_, highest := p.own().bounds()
		end = max(end, highest)
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

// files is how the files of a queue stood; for one that is not listed, those of all that are: it may have taken over a file.
func (c *checkpoint) files(key string) store.States {
	if p, known := c.Queues[key]; known && !p.Done {
		return p.Files
	}
	all := make(store.States)
	for _, p := range c.Queues {
		maps.Copy(all, p.Files)
	}
	return all
}
