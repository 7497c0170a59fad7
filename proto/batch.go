// Package proto holds the words of the Scribe protocol.
package proto

import "encoding/binary"

// EntryOverhead is what the canonical encoding adds to the bytes of category and message.
const EntryOverhead = 15

// Batch is a run of entries as contiguous bytes: the canonical Thrift encoding of each LogEntry, back to back,
//
//	0b 0001 i32 len category   0b 0002 i32 len message   00
//
// so that wire, memory and spool share one form. The zero value is an empty batch. Not safe for concurrent use.
type Batch struct {
	data  []byte // canonical, checked on the way in
	count int
	spans []Span
}

// Span says that the next Count entries of a Log call are numbers First … of a stream.
type Span struct {
	Stream [16]byte
	First  int64
	Count  int32
}

// Append adds one entry; category and message are copied.
func (b *Batch) Append(category, message []byte) {
	b.data = AppendEntry(b.data, category, message)
	b.count++
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
	b.data = append(b.data, o.data...)
	b.count += o.count
	b.spans = append(b.spans, o.spans...)
}

// AppendSpan says that the next s.Count entries that have no span yet are numbered; the spans of a batch follow its entries in order.
func (b *Batch) AppendSpan(s Span) { b.spans = append(b.spans, s) }

// SetEntries makes b the count entries of data, which must be canonical (see CheckEntries) and is aliased, not copied.
func (b *Batch) SetEntries(data []byte, count int) {
	b.data, b.count, b.spans = data, count, b.spans[:0]
}

// Entries returns the canonical bytes, valid until the batch is changed.
func (b *Batch) Entries() []byte { return b.data }

// Spans returns the spans, valid until the batch is changed.
func (b *Batch) Spans() []Span { return b.spans }

// Count is the number of entries.
func (b *Batch) Count() int { return b.count }

// Size is the number of canonical bytes.
func (b *Batch) Size() int { return len(b.data) }

// Reset empties b and keeps its memory.
func (b *Batch) Reset() { b.data, b.count, b.spans = b.data[:0], 0, b.spans[:0] }

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
