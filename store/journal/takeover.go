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

// This file converts checkpoints of version 1, of which there are two kinds, for queues and for `collect --dir`. The
// conversion takes place once, at the first start of this version.

// olderCheckpoint is a checkpoint of version 1, of either kind: with the queues of a configuration, or with the
// categories of `collect --dir`.
type olderCheckpoint struct {
	Low        uint64                   `json:"low"`
	Drained    uint64                   `json:"drained"`
	Queues     map[string]olderQueue    `json:"queues"`
	Categories map[string]olderCategory `json:"categories"`
}

// olderQueue is the position of one queue.
type olderQueue struct {
	Name     string       `json:"name"`     // the category, or the block whose categories share the queue
	Shared   bool         `json:"shared"`   // by all categories of a block, or by categories that write to one file
	Patterns []string     `json:"patterns"` // of a shared queue
	Through  uint64       `json:"through"`
	Past     *floors      `json:"past"`
	Done     bool         `json:"done"`
	Files    store.States `json:"files"`
}

// olderCategory is the position of the files of one category.
type olderCategory struct {
	Born    uint64          `json:"born"` // entries of the category below this offset are in OverflowCategory
	Through uint64          `json:"through"`
	State   json.RawMessage `json:"state"` // of a rotate.Series
}

// floors say, for each category of a queue, from which offset on the queue takes its entries.
type floors struct {
	Base     uint64            `json:"base"`
	Names    map[string]uint64 `json:"names,omitempty"`
	Prefixes map[string]uint64 `json:"prefixes,omitempty"`
}

// floor returns the floor of a category: by its name, else by its prefix, else Base.
func (f *floors) floor(category string) uint64 {
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

// adopt converts an older checkpoint into c.
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

// takeovers returns a function that says which outlet takes over the books of a category of an early `collect --dir`;
// nil if there are none.
func (c *checkpoint) takeovers(locate func(category string) (key, path string)) func(category string) books.Takeover {
	if c.older == nil || locate == nil {
		return nil
	}
	older, drained := c.older, c.Drained
	return func(category string) books.Takeover {
		key, path := locate(category)
		// drained: for a category that is complete or was unknown
		t := books.Takeover{Outlet: key, Dir: filepath.Dir(path), Through: drained}
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

// assignOlder gives the positions of the files of an early `collect --dir` to the outlets that have their categories
// now; see Routes.Locate.
func (c *checkpoint) assignOlder(locate func(category string) (key, path string)) {
	if locate == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.older)) {
		o := c.older[name]
		p := position{Category: name, Through: max(o.Through, o.Born)}
		if beyond := c.older[store.OverflowCategory]; o.Through <= o.Born && beyond.Through < o.Born {
			p.Through = beyond.Through // the category has entries in OverflowCategory that are not written yet
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
