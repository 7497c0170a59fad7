package series

import (
	"slices"

	"inkwell/proto"
	"inkwell/store"
)

const (
	manySpans = 1 << 13 // since the last Mark; from then on the next one is urgent
	maxSpans  = 1 << 15 // of one file; above that they are joined and lose their order
)

// recorder records, as spans, which entries follow each other in a file.
type recorder struct {
	own   func(stream [16]byte) bool // entries of these streams are recorded without their numbers; may be nil
	hour  int64
	spans store.Spans
}

// note adds the entry at the cursor, which takes so many bytes in the file.
func (r *recorder) note(c *proto.Cursor, bytes int) {
	n := c.Number()
	if n.Numbered() && r.own != nil && r.own(n.Stream) {
		n = proto.Span{}
	}
	last := r.spans.Last()
	if last != nil && last.Stream == n.Stream && last.Hour == r.hour && (!n.Numbered() || last.End() == n.First) &&
		last.Category == string(c.Category()) {
		last.Count++
		last.Bytes += int64(bytes)
		return
	}
	r.spans.Add(store.Span{Category: string(c.Category()), Hour: r.hour, Stream: n.Stream, First: n.First, Count: 1,
		Bytes: int64(bytes)})
}

// contents records what was added to the files of a series since its last Mark.
type contents struct {
	dir   string
	files []*added
	spans int    // number of spans of all files
	open  string // final name of the file that was open at the last Mark …
	end   int64  // … and the length of its content then
}

// added is what was added to one file.
type added struct {
	store.Added
	spans store.Spans
}

// wrote records that spans were written to a file at an offset of its content; at is the time in Unix seconds.
func (c *contents) wrote(file string, start int64, spans []store.Span, at int64) {
	if len(spans) == 0 {
		return
	}
	k := len(c.files) - 1
	if k < 0 || c.files[k].File != file {
		c.files = append(c.files, &added{Added: store.Added{Dir: c.dir, File: file, Start: start, First: at}})
		k++
	}
	a := c.files[k]
	a.Last = at
	before := a.spans.Len()
	for _, s := range spans {
		a.spans.Add(s)
	}
	if a.spans.Len() > maxSpans {
		a.Unordered = a.spans.Join() || a.Unordered
	}
	c.spans += a.spans.Len() - before
}

// many reports whether there are so many spans that the next Mark should come soon.
func (c *contents) many() bool { return c.spans >= manySpans }

// mark adds to m what was added to the files. file is the open one, "" if there is none, and end the length of its
// content.
func (c *contents) mark(m *store.Marks, file string, end int64) {
	if c.open != "" && c.open != file && !slices.ContainsFunc(c.files,
		func(a *added) bool { return a.File == c.open }) {
		m.Added = append(m.Added, store.Added{Dir: c.dir, File: c.open, Start: c.end})
	}
	for _, a := range c.files {
		a.Spans, a.Open = a.spans.List(), a.File == file && file != ""
		m.Added = append(m.Added, a.Added)
	}
	c.files, c.spans, c.open, c.end = nil, 0, file, end
}
