package audit

import (
	"inkwell/store"
	"inkwell/store/stream"
)

// Copies finds entries that are in several files when the files are read one after the other. The zero value has read
// none. Not safe for concurrent use.
type Copies struct{ met map[key]*stream.Ranges }

// Stretch is a span of a file, and the indexes, from 0, of those of its entries that were in earlier files.
type Stretch struct {
	store.Span
	Met stream.Ranges
}

// All reports whether every entry of the span was in earlier files.
func (s *Stretch) All() bool { return s.Count > 0 && s.Met.Count() == s.Count }

// File returns the stretches of the next file, in order.
func (c *Copies) File(spans []store.Span) []Stretch {
	if c.met == nil {
		c.met = make(map[key]*stream.Ranges)
	}
	list := make([]Stretch, len(spans))
	for i, s := range spans {
		list[i].Span = s
		if !s.Numbered() || kept(s.Category) { // see Audit.copies
			continue
		}
		k := key{s.Category, s.Stream}
		met := c.met[k]
		if met == nil {
			met = new(stream.Ranges)
			c.met[k] = met
		}
		for _, r := range overlap(*met, s.First, s.End()) {
			list[i].Met = append(list[i].Met, stream.Range{First: r.First - s.First, End: r.End - s.First})
		}
		met.Add(s.First, s.End())
	}
	return list
}
