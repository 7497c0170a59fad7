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
	Low      uint64              `json:"low"`     // the journal is needed from here
	Drained  uint64              `json:"drained"` // entries from here on have not been read by any run
	Read     uint64              `json:"read"`    // how far this run has read
	Patterns Patterns            `json:"patterns"`
	Outlets  map[string]position `json:"outlets"` // by key
	Past     past                `json:"past,omitempty"`
	Home     string              `json:"home"` // the directory in which the state directory was

	older  map[string]olderCategory // of version 1, until their outlets are known
	strays bool                     // open files of categories that are not listed are ours: `collect --dir` of before began them unannounced
}

// loadCheckpoint reads the checkpoint in dir, the empty one where there is none.
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
		err = fmt.Errorf("it is of version %d, this program reads versions 1 and %d (use the program that wrote it, or another state directory)",
			head.Version, checkpointVersion)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read checkpoint in %s: %w", dir.Path(), err)
	}
	if c.Outlets == nil { // "outlets":null takes the map away
		c.Outlets = make(map[string]position)
	}
	return c, true, nil
}

// save replaces the checkpoint in dir, durably.
func (c *checkpoint) save(dir *faultfs.Dir) error {
	return store.StateFile{Dir: dir, Name: checkpointName}.Save(c)
}

// end is the offset behind everything that c says of the journal.
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

// begin leaves out what the journal has been acknowledged to hold no more.
func (c *checkpoint) begin(acked uint64) {
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

// history is what the next run has to know of this one and those before. Some outlets may have got further than the
// reader had when the checkpoint was made: what they took is the run's, too.
func (c *checkpoint) history() past {
	p := c.Past.without(c.Low)
	if f, lacks := (formerRun{Read: c.Read, End: c.end(), Patterns: c.Patterns, Outlets: c.Outlets}).left(); lacks {
		p = append(slices.Clip(p), f)
	}
	return p
}

// start is where in the journal the entries begin that an outlet of the next run, which has this past, may have to
// deliver.
func (c *checkpoint) start(p past) uint64 {
	if len(p) > 0 {
		return c.Low
	}
	return c.Drained
}

// equal says whether n says nothing new.
func (c *checkpoint) equal(n *checkpoint) bool {
	return c.Low == n.Low && c.Drained == n.Drained && c.Read == n.Read && len(c.Past) == len(n.Past) && c.Patterns.equal(&n.Patterns) &&
		maps.EqualFunc(c.Outlets, n.Outlets, position.equal)
}

func (p position) equal(o position) bool {
	return p.Category == o.Category && p.Through == o.Through && p.Booked == o.Booked && slices.Equal(p.Patterns, o.Patterns) &&
		maps.EqualFunc(p.Files, o.Files, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
}

// states are how all files stood.
func (c *checkpoint) states() store.States {
	all := make(store.States)
	for _, p := range c.Outlets {
		maps.Copy(all, p.Files)
	}
	return all
}
