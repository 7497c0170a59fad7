package proto

import (
	"bytes"
	"encoding/binary"
	"math"
)

// EntryOverhead is what the canonical encoding adds to the bytes of category and message.
const EntryOverhead = 15

// Batch is a run of entries as contiguous bytes: the canonical Thrift encoding of each LogEntry, back to back,
//
//	0b 0001 i32 len category   0b 0002 i32 len message   00
//
// so that wire, memory and spool share one form. The zero value is an empty batch. Not safe for concurrent use.
type Batch struct {
	data    []byte // canonical, checked on the way in
	count   int
	spans   []Span
	aliased bool   // data is somebody else's
	memory  []byte // b's own, while data is not
	runs    []run
	blind   bool // runs are not known
}

// Run is a stretch of entries of one category.
type Run struct {
	Category []byte // aliases the batch
	Count    int
	Bytes    int64 // of the messages
}

// run is a Run whose category is the n bytes at data[at:].
type run struct {
	at, n, count int
	bytes        int64
}

// Span says that the next Count entries of a Log call are numbers First … of a stream. A stream of zero bytes is none: those entries
// have no numbers.
type Span struct {
	Stream [16]byte
	First  int64
	Count  int32
}

// Append adds one entry; category and message are copied.
func (b *Batch) Append(category, message []byte) {
	b.own()
	at := len(b.data)
	b.data = AppendEntry(b.data, category, message)
	b.count++
	if !b.blind {
		b.runs = appendRun(b.runs, b.data, run{at: at + categoryAt, n: len(category), count: 1, bytes: int64(len(message))})
	}
}

// categoryAt is where the category stands in an entry.
const categoryAt = 7

// appendRun adds r to runs, to the last of them if it is of the same category.
func appendRun(runs []run, data []byte, r run) []run {
	if k := len(runs) - 1; k >= 0 {
		if last := &runs[k]; last.n == r.n && bytes.Equal(data[last.at:last.at+last.n], data[r.at:r.at+r.n]) {
			last.count += r.count
			last.bytes += r.bytes
			return runs
		}
	}
	return append(runs, r)
}

// AppendRuns appends the runs of b, in order, to dst. They are valid until the batch is changed.
func (b *Batch) AppendRuns(dst []Run) []Run {
	if b.blind {
		b.runs = b.runs[:0]
		start := 0
		for c := b.Cursor(); c.Next(); start = c.end {
			b.runs = appendRun(b.runs, b.data, run{at: start + categoryAt, n: len(c.category), count: 1, bytes: int64(len(c.message))})
		}
		b.blind = false
	}
	for _, r := range b.runs {
		dst = append(dst, Run{Category: b.data[r.at : r.at+r.n : r.at+r.n], Count: r.count, Bytes: r.bytes})
	}
	return dst
}

// AppendEntry appends the canonical encoding of one entry to dst.
func AppendEntry(dst, category, message []byte) []byte {
	dst = append(dst, 0x0b, 0, 1)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(category)))
	dst = append(dst, category...)
	dst = append(dst, 0x0b, 0, 2)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(message)))
	dst = append(dst, message...)
	return append(dst, 0)
}

// AppendBatch adds the entries and spans of o, copying them.
func (b *Batch) AppendBatch(o *Batch) {
	b.own()
	b.spans = o.AppendSpans(b.spans, b.count)
	b.blind = b.blind || o.blind
	at := len(b.data)
	b.data = append(b.data, o.data...)
	if !b.blind {
		for _, r := range o.runs {
			r.at += at
			b.runs = appendRun(b.runs, b.data, r)
		}
	}
	b.count += o.count
}

// AppendSpan says that the next s.Count entries that have no span yet are numbered; the spans of a batch follow its entries in order.
func (b *Batch) AppendSpan(s Span) { b.spans = append(b.spans, s) }

// AppendSpans appends b's spans to dst, the spans of a call in which before entries stand before b's.
func (b *Batch) AppendSpans(dst []Span, before int) []Span {
	if len(b.spans) == 0 {
		return dst
	}
	for i := range dst {
		before -= int(dst[i].Count)
	}
	if before > 0 {
		dst = append(dst, Span{Count: int32(before)})
	}
	if k := len(dst) - 1; k >= 0 && dst[k].joins(b.spans[0]) {
		dst[k].Count += b.spans[0].Count
		return append(dst, b.spans[1:]...)
	}
	return append(dst, b.spans...)
}

// checkSpans says whether the spans are about entries that are there.
func (b *Batch) checkSpans() error {
	sum := 0
	for i := range b.spans {
		sum += int(b.spans[i].Count)
	}
	if sum > b.count {
		return malformed("spans of %d entries, %d are there", sum, b.count)
	}
	return nil
}

// SetEntries makes b the count entries of data, without spans. The bytes must be canonical (CheckEntries is for those that may not be)
// and are aliased, not copied: b is valid as long as they are, and never writes to them.
func (b *Batch) SetEntries(data []byte, count int) {
	b.alias(data, count)
	b.spans, b.runs, b.blind = b.spans[:0], b.runs[:0], true
}

// CheckEntries is SetEntries for bytes that may be anything: it leaves b empty and says why if they are not canonical.
func (b *Batch) CheckEntries(data []byte) error {
	b.Reset()
	end, count := scan(data, math.MaxInt, &b.runs)
	if end != len(data) {
		b.runs = b.runs[:0]
		return notCanonical(data, end, count)
	}
	b.alias(data, count)
	return nil
}

// alias makes b the count entries of data.
func (b *Batch) alias(data []byte, count int) {
	if !b.aliased {
		b.memory = b.data[:0]
	}
	b.data, b.count, b.aliased = data, count, true
}

// own makes the entries b's own bytes, which it may append to.
func (b *Batch) own() {
	if b.aliased {
		b.data, b.memory, b.aliased = append(b.memory[:0], b.data...), nil, false
	}
}

// Entries returns the canonical bytes, valid until the batch is changed.
func (b *Batch) Entries() []byte { return b.data }

// Spans returns the spans, valid until the batch is changed.
func (b *Batch) Spans() []Span { return b.spans }

// Count is the number of entries.
func (b *Batch) Count() int { return b.count }

// Size is the number of canonical bytes.
func (b *Batch) Size() int { return len(b.data) }

// Reset empties b and keeps its own memory.
func (b *Batch) Reset() {
	if b.aliased {
		b.data, b.memory, b.aliased = b.memory, nil, false
	}
	b.data, b.count, b.spans = b.data[:0], 0, b.spans[:0]
	b.runs, b.blind = b.runs[:0], false
}

// Cursor walks the entries of canonical bytes.
type Cursor struct {
	data              []byte
	end               int
	category, message []byte
}

// Cursor returns a cursor before the first entry; it is valid until the batch is changed.
func (b *Batch) Cursor() Cursor { return Cursor{data: b.data} }

// Next moves to the next entry and says whether there is one. The bytes must be canonical: a Batch never holds others.
func (c *Cursor) Next() bool {
	if c.end >= len(c.data) {
		return false
	}
	p := c.data[c.end:]
	n := int(binary.BigEndian.Uint32(p[3:7]))
	c.category = p[7 : 7+n : 7+n]
	p = p[7+n:]
	m := int(binary.BigEndian.Uint32(p[3:7]))
	c.message = p[7 : 7+m : 7+m]
	c.end += n + m + EntryOverhead
	return true
}

// Category is the current entry's category; it aliases the batch.
func (c *Cursor) Category() []byte { return c.category }

// Message is the current entry's message; it aliases the batch.
func (c *Cursor) Message() []byte { return c.message }

// End is the offset just behind the current entry in the batch's canonical bytes.
func (c *Cursor) End() int { return c.end }
