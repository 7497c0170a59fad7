package proto

import (
	"encoding/binary"
	"iter"
)

// Place is a place between two entries of a batch, and what stands before it. The zero value is before the first entry.
// It is valid until the batch is changed.
type Place struct {
	Bytes   int // of the canonical encoding
	Entries int
	span    int   // the span that the next entry is in, if used is below its count
	used    int32 // entries of that span before the place
}

// pass moves over n entries whose bytes are counted elsewhere.
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

// spansFrom are the spans of count entries from a place on. Entries behind the last span of b have none.
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

// Cursor walks the entries of a batch, and their numbers.
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

// Next moves to the next entry and says whether there is one. The bytes must be canonical: a Batch never holds others.
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

// count passes one entry in the spans.
func (c *Cursor) count() {
	for c.at.used == c.spans[c.at.span].Count {
		c.at.span, c.at.used = c.at.span+1, 0
		if c.at.span == len(c.spans) {
			return
		}
	}
	c.at.used++
}

// Category is the current entry's category; it aliases the batch.
func (c *Cursor) Category() []byte { return c.category }

// Message is the current entry's message; it aliases the batch.
func (c *Cursor) Message() []byte { return c.message }

// Number is the span of the current entry alone: its stream and its number. One without a number has the zero Span with
// a Count of 1.
func (c *Cursor) Number() Span {
	s := Span{Count: 1}
	if c.at.span < len(c.spans) {
		if of := &c.spans[c.at.span]; of.Numbered() {
			s.Stream, s.First = of.Stream, of.First+int64(c.at.used)-1
		}
	}
	return s
}

// AppendFrom adds a message in the category of the entry that c is at, and with its number, copying it.
func (b *Batch) AppendFrom(c *Cursor, message []byte) {
	if s := c.Number(); s.Numbered() {
		b.joinSpan(s)
	}
	b.Append(c.category, message)
}

// Before is the place before the current entry.
func (c *Cursor) Before() Place {
	p := c.at
	p.Bytes, p.Entries = c.start, p.Entries-1
	if p.span < len(c.spans) {
		p.used--
	}
	return p
}

// Place is the place behind the current entry.
func (c *Cursor) Place() Place { return c.at }

// End is the offset just behind the current entry in the batch's canonical bytes.
func (c *Cursor) End() int { return c.at.Bytes }
