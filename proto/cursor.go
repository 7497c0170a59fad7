package proto

import (
	"encoding/binary"
	"iter"
)

// Place is a position between two entries of a batch, with the totals of what precedes it. The zero value is the
// position before the first entry. It is valid until the batch is changed.
type Place struct {
	Bytes   int // of the canonical encoding
	Entries int
	span    int   // the span that the next entry is in, if used is below its count
	used    int32 // entries of that span before the place
}

// pass advances the place by n entries; the caller counts their bytes.
func (p *Place) pass(spans []Span, n int) {
	p.Entries += n
	for ; p.span < len(spans); p.span, p.used = p.span+1, 0 {
		left := int(spans[p.span].Count - p.used)
		if n < left {
			p.used += int32(n)
			return
		}
		n -= left
	}
}

// spansFrom returns the spans of count entries from a place on. Entries after the last span of b have none.
func (b *Batch) spansFrom(p Place, count int) iter.Seq[Span] {
	return func(yield func(Span) bool) {
		used := p.used
		for i := p.span; i < len(b.spans) && count > 0; i, used = i+1, 0 {
			s := b.spans[i]
			if s.Numbered() {
				s.First += int64(used)
			}
			s.Count = int32(min(count, int(s.Count-used)))
			if s.Count > 0 && !yield(s) {
				return
			}
			count -= int(s.Count)
		}
	}
}

// Cursor iterates over the entries of a batch and their numbers.
type Cursor struct {
	category, message []byte
	data              []byte
	spans             []Span
	start             int // of the current entry
	at                Place
}

// Cursor returns a cursor before the first entry; it is valid until the batch is changed.
func (b *Batch) Cursor() Cursor { return Cursor{data: b.data, spans: b.spans} }

// CursorAt returns a cursor before the entry at p, a place in b.
func (b *Batch) CursorAt(p Place) Cursor { return Cursor{data: b.data, spans: b.spans, at: p} }

// Next moves to the next entry and reports whether there is one. The bytes must be canonical, as those of a Batch
// always are.
func (c *Cursor) Next() bool {
	if c.at.Bytes >= len(c.data) {
		return false
	}
	p := c.data[c.at.Bytes:]
	n := int(binary.BigEndian.Uint32(p[3:7]))
	c.category = p[7 : 7+n : 7+n]
	p = p[7+n:]
	m := int(binary.BigEndian.Uint32(p[3:7]))
	c.message = p[7 : 7+m : 7+m]
	c.start = c.at.Bytes
	c.at.Bytes += n + m + EntryOverhead
	c.at.Entries++
	if c.at.span < len(c.spans) {
		c.count()
	}
	return true
}

// count advances the spans by one entry.
func (c *Cursor) count() {
	for c.at.used == c.spans[c.at.span].Count {
		c.at.span, c.at.used = c.at.span+1, 0
		if c.at.span == len(c.spans) {
			return
		}
	}
	c.at.used++
}

// Category returns the current entry's category; it aliases the batch.
func (c *Cursor) Category() []byte { return c.category }

// Message returns the current entry's message; it aliases the batch.
func (c *Cursor) Message() []byte { return c.message }

// Number returns a span for the current entry alone: its stream and its number. For an entry without a number that is
// the zero Span with a Count of 1.
func (c *Cursor) Number() Span {
	s := Span{Count: 1}
	if c.at.span < len(c.spans) {
		if of := &c.spans[c.at.span]; of.Numbered() {
			s.Stream, s.First = of.Stream, of.First+int64(c.at.used)-1
		}
	}
	return s
}

// AppendFrom appends a message with the category and the number of c's current entry; both are copied.
func (b *Batch) AppendFrom(c *Cursor, message []byte) {
	if s := c.Number(); s.Numbered() {
		b.joinSpan(s)
	}
	b.Append(c.category, message)
}

// Before returns the place before the current entry.
func (c *Cursor) Before() Place {
	p := c.at
	p.Bytes, p.Entries = c.start, p.Entries-1
	if p.span < len(c.spans) {
		p.used--
	}
	return p
}

// Place returns the place after the current entry.
func (c *Cursor) Place() Place { return c.at }

// End returns the offset of the first byte after the current entry in the batch's canonical bytes.
func (c *Cursor) End() int { return c.at.Bytes }
