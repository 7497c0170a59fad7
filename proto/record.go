package proto

import "math"

// A record is the form of a batch on disk: its canonical entries, followed by its spans, if it has any, encoded like
// field 2 of the arguments of a Log call. An entry and that field begin with different bytes, so that a reader finds
// the end of the entries without a count.

// AppendRecordTail appends the part of a record after b's entries, which is empty for a batch without spans.
func (b *Batch) AppendRecordTail(dst []byte) []byte {
	if len(b.spans) == 0 {
		return dst
	}
	return appendSpanList(dst, b.spans)
}

// SetRecord makes b the batch of a record. The bytes may be anything: if they are no record, the error, which wraps
// ErrMalformed, says why, and b is empty. Otherwise b aliases them and is valid as long as they are.
func (b *Batch) SetRecord(data []byte) error {
	b.Reset()
	end, count := scan(data, math.MaxInt, &b.runs)
	entries, tail := data[:end:end], data[end:]
	if len(tail) > 0 {
		d := decoder{tail}
		typ, id, err := d.field()
		if err != nil || typ != typeList || id != 2 {
			b.runs = b.runs[:0]
			return notCanonical(data, end, count)
		}
		b.count = count
		if err = d.spans(b); err == nil {
			err = b.checkSpans()
		}
		if err == nil && len(d.data) > 0 {
			err = malformed("%d bytes behind the spans of a record", len(d.data))
		}
		if err != nil {
			b.Reset()
			return err
		}
	}
	b.alias(entries, count)
	return nil
}

// SetPart makes b the entries of o between two places, with their numbers. b aliases o.
func (b *Batch) SetPart(o *Batch, from, to Place) {
	b.SetEntries(o.data[from.Bytes:to.Bytes:to.Bytes], to.Entries-from.Entries)
	if b.count == o.count { // the usual case
		b.runs, b.blind = append(b.runs, o.runs...), o.blind
	}
	for s := range o.spansFrom(from, b.count) {
		b.AppendSpan(s)
	}
}

// Place returns the place after the first entries of b, of which the number and the bytes are given.
func (b *Batch) Place(entries, bytes int) Place {
	p := Place{Bytes: bytes}
	p.pass(b.spans, entries)
	return p
}

// Numbered reports whether the span's entries have numbers.
func (s *Span) Numbered() bool { return s.Stream != [16]byte{} }

// joins reports whether the entries of next directly follow those of s in the same stream.
func (s *Span) joins(next Span) bool {
	sum := int64(s.Count) + int64(next.Count)
	return s.Stream == next.Stream && sum <= math.MaxInt32 && (!s.Numbered() || s.First+int64(s.Count) == next.First)
}

// ClearSpans removes the numbers of b's entries.
func (b *Batch) ClearSpans() { b.spans, b.covered = b.spans[:0], 0 }

// Number gives the last count entries of b the numbers first, first+1, … of a stream. The last span is extended if the
// numbers continue it. Earlier entries that have no span count as not numbered.
func (b *Batch) Number(stream [16]byte, first int64, count int) {
	b.count -= count
	b.joinSpan(Span{Stream: stream, First: first, Count: int32(count)})
	b.count += count
}
