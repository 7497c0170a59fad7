package journal

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/books"
)

// What a state directory holds that was written before there was one engine: version 1 of the checkpoint, in two kinds.
// It is taken over once, at the first start.

// olderCheckpoint is either kind: of the queues behind a configuration, or of the files of `collect --dir`.
type olderCheckpoint struct {
	Low        uint64                   `json:"low"`
	Drained    uint64                   `json:"drained"`
	Queues     map[string]olderQueue    `json:"queues"`
	Categories map[string]olderCategory `json:"categories"`
}

// olderQueue is how far one queue got.
type olderQueue struct {
	Name     string       `json:"name"`     // of the category, or of the block whose categories share the queue
	Shared   bool         `json:"shared"`   // by all categories of a block, or of those that write one file
	Patterns []string     `json:"patterns"` // of a shared one
	Through  uint64       `json:"through"`
	Past     *floors      `json:"past"`
	Done     bool         `json:"done"`
	Files    store.States `json:"files"`
}

// olderCategory is how far the files of one category got.
type olderCategory struct {
	Born    uint64          `json:"born"` // entries below are in OverflowCategory
	Through uint64          `json:"through"`
	State   json.RawMessage `json:"state"` // of a rotate.Series
}

// floors say for each category of a queue where those of its entries begin that the queue is to have.
type floors struct {
	Base     uint64            `json:"base"`
	Names    map[string]uint64 `json:"names,omitempty"`
	Prefixes map[string]uint64 `json:"prefixes,omitempty"`
}

// of is the floor of a category: by its name, else by its prefix, else the rest's.
func (f *floors) of(category string) uint64 {
	if at, known := f.Names[category]; known {
		return at
	}
	lowest, found := uint64(0), false
	for prefix, at := range f.Prefixes {
		if strings.HasPrefix(category, prefix) && (!found || at < lowest) {
			lowest, found = at, true
		}
	}
	if found {
		return lowest
	}
	return f.Base
}

// adopt makes c what an older checkpoint says.
func (c *checkpoint) adopt(o *olderCheckpoint) {
	c.Low, c.Drained, c.Read = o.Low, o.Drained, o.Drained
	names, patterns := []string(nil), []string(nil)
	for key, q := range o.Queues {
		p := position{Category: q.Name, Through: q.Through, Files: q.Files, Floors: q.Past}
		switch {
		case q.Name == store.OverflowCategory || q.Name == store.UnsafeCategory:
			p.Patterns = []string{Default}
		case q.Shared:
			p.Category, p.Patterns = "", q.Patterns
			if len(p.Patterns) == 0 {
				p.Patterns = []string{Default}
			}
			patterns = append(patterns, p.Patterns...)
		default:
			names = append(names, q.Name)
		}
		if q.Done {
			p.Through = max(p.Through, o.Drained)
		}
		c.Outlets[key] = p
	}
	slices.SortFunc(patterns, func(a, b string) int { return len(b) - len(a) })
	for _, p := range append(patterns, names...) {
		c.Patterns.Add(p)
	}
	c.Patterns.Add(Default)
	c.older, c.strays = o.Categories, o.Categories != nil
}

// takeovers says whose the books of a `collect --dir` from before there were outlets are now; nil if there are none.
func (c *checkpoint) takeovers(locate func(category string) (key, path string)) func(category string) books.Takeover {
	if c.older == nil || locate == nil {
		return nil
	}
	older, drained := c.older, c.Drained
	return func(category string) books.Takeover {
		key, path := locate(category)
		t := books.Takeover{Outlet: key, Dir: filepath.Dir(path), Through: drained} // of one that is complete, or was not known yet
		if o, known := older[category]; known {
			t.Through = o.Through
		}
		var s rotate.State
		if json.Unmarshal(older[category].State, &s) == nil && s.Open != nil {
			t.Open = s.Open.File
		}
		return t
	}
}

// place gives the positions of the files of `collect --dir` to the outlets that now have their categories; see
// Routes.Locate.
func (c *checkpoint) place(locate func(category string) (key, path string)) {
	if locate == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.older)) {
		o := c.older[name]
		p := position{Category: name, Through: max(o.Through, o.Born)}
		if beyond := c.older[store.OverflowCategory]; o.Through <= o.Born && beyond.Through < o.Born {
			p.Through = beyond.Through // what was kept as one too many and is not written yet
		}
		if name == store.OverflowCategory || name == store.UnsafeCategory {
			p.Patterns = []string{Default}
		}
		if key, at := locate(name); key != "" {
			p.Files, p.Booked = store.States{at: o.State}, o.Through
			c.Outlets[key] = p
		}
	}
	c.older = nil
}
