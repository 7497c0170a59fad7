package journal

import (
	"bytes"
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
	checkpointVersion = 2
)

// checkpoint is what is known for certain about the destinations (format: docs/format.md).
type checkpoint struct {
	Version  int                 `json:"version"`
	Low      uint64              `json:"low"`     // the journal is still needed from this offset on
	Drained  uint64              `json:"drained"` // no run has read entries from this offset on
	Read     uint64              `json:"read"`    // this run has read the journal up to here
	Patterns Patterns            `json:"patterns"`
	Outlets  map[string]position `json:"outlets"` // by key
	Past     past                `json:"past,omitempty"`
	Home     string              `json:"home"` // the parent of the state directory when the checkpoint was saved

	older map[string]olderCategory // from a checkpoint of version 1, until their outlets are known
	// Open files of unlisted categories belong to Inkwell: an early `collect --dir` began files without recording them.
	strays bool
}

// loadCheckpoint reads the checkpoint in dir; without one it returns an empty checkpoint and found is false.
func loadCheckpoint(dir *faultfs.Dir, log *slog.Logger) (c *checkpoint, found bool, err error) {
	var text json.RawMessage
	file := store.StateFile{Dir: dir, Name: checkpointName, Log: log}
	if found, err = file.Load(&text); err != nil {
		return nil, false, fmt.Errorf("read checkpoint in %s: %w", dir.Path(), err)
	}
	c = &checkpoint{Version: checkpointVersion, Outlets: make(map[string]position)}
	if !found {
		return c, false, nil
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, false, fmt.Errorf("read checkpoint in %s: %w", dir.Path(), err)
	}
	switch head.Version {
	case 1:
		var o olderCheckpoint
		if err = json.Unmarshal(text, &o); err == nil {
			c.adopt(&o)
		}
	case checkpointVersion:
		err = json.Unmarshal(text, c)
	default:
		err = fmt.Errorf("it is of version %d, this program reads versions 1 and %d (use the program that wrote it, "+
			"or another state directory)",
			head.Version, checkpointVersion)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read checkpoint in %s: %w", dir.Path(), err)
	}
	if c.Outlets == nil { // "outlets":null sets the map to nil
		c.Outlets = make(map[string]position)
	}
	return c, true, nil
}

// save replaces the checkpoint in dir, durably.
func (c *checkpoint) save(dir *faultfs.Dir) error {
	return store.StateFile{Dir: dir, Name: checkpointName}.Save(c)
}

// end returns the highest journal offset that c mentions: the journal must have been at least that long.
func (c *checkpoint) end() uint64 {
	end := max(c.Low, c.Drained, c.Read)
	for _, p := range c.Outlets {
		end = max(end, p.Through)
	}
	for _, o := range c.older {
		end = max(end, o.Through)
	}
	for _, f := range c.Past {
		end = max(end, f.End)
	}
	return end
}

// skipAcked raises all offsets to acked: below it, the journal does not hold entries any more.
func (c *checkpoint) skipAcked(acked uint64) {
	c.Low, c.Drained, c.Read = max(c.Low, acked), max(c.Drained, acked), max(c.Read, acked)
	for key, p := range c.Outlets {
		p.Through = max(p.Through, acked)
		c.Outlets[key] = p
	}
	for name, o := range c.older {
		o.Through = max(o.Through, acked)
		c.older[name] = o
	}
	c.Past = c.Past.without(c.Low)
}

// history returns what the next run has to know about this run and the earlier ones. An outlet may have delivered
// entries beyond Read, because the checkpoint is taken while the reader goes on; the range of this run therefore ends
// at c.end().
func (c *checkpoint) history() past {
	return c.Past.without(c.Low).with(formerRun{Read: c.Read, End: c.end(), Patterns: c.Patterns, Outlets: c.Outlets})
}

// start returns the journal offset from which on an outlet of the next run may have entries to deliver. p is the
// history of that run.
func (c *checkpoint) start(p past) uint64 {
	if len(p) > 0 {
		return c.Low
	}
	return c.Drained
}

// equal reports whether c and n have the same content.
func (c *checkpoint) equal(n *checkpoint) bool {
	return c.Low == n.Low && c.Drained == n.Drained && c.Read == n.Read && c.Patterns.equal(&n.Patterns) &&
		slices.EqualFunc(c.Past, n.Past, func(a, b formerRun) bool { return a.End == b.End }) &&
		maps.EqualFunc(c.Outlets, n.Outlets, position.equal)
}

func (p position) equal(o position) bool {
	return p.Category == o.Category && p.Through == o.Through && p.Booked == o.Booked &&
		slices.Equal(p.Patterns, o.Patterns) &&
		maps.EqualFunc(p.Files, o.Files, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
}

// states returns the states of the files of all outlets.
func (c *checkpoint) states() store.States {
	all := make(store.States)
	for _, p := range c.Outlets {
		maps.Copy(all, p.Files)
	}
	return all
}
