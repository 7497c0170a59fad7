package proto

import "math"

// A record is how a batch is kept on disk: its canonical entries, and behind them its spans, if it has any, as field 2 of the
// arguments of a Log call has them. An entry begins with another byte than that field, so that the end of the entries is where the
// first byte says it.

// AppendRecordTail appends what stands behind b's entries in a record; nothing for a batch without spans.
func (b *Batch) AppendRecordTail(dst []byte) []byte {
	if len(b.spans) == 0 {
		return dst
	}
	return appendSpanList(dst, b.spans)
}

// SetRecord makes b what a record holds. The bytes may be anything: the error, which wraps ErrMalformed, says why they are no record,
// and b is empty then. Otherwise b aliases them, and is valid as long as they are.
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
	for s := range o.spansFrom(from, b.count) {
		b.AppendSpan(s)
	}
}

// Place is where so many entries, of so many bytes, stand before in b.
func (b *Batch) Place(entries, bytes int) Place {
	p := Place{Bytes: bytes}
	p.pass(b.spans, entries)
	return p
}

// Numbered says whether the span's entries have numbers.
func (s *Span) Numbered() bool { return s.Stream != [16]byte{} }

// joins says whether the entries of next follow those of s in the same stream.
func (s *Span) joins(next Span) bool {
	sum := int64(s.Count) + int64(next.Count)
	return s.Stream == next.Stream && sum <= math.MaxInt32 && (!s.Numbered() || s.First+int64(s.Count) == next.First)
}

// ClearSpans takes the numbers from b's entries.
func (b *Batch) ClearSpans() { b.spans, b.covered = b.spans[:0], 0 }

// Number gives the last count entries of b the numbers first … of a stream; the span before grows if they follow it. The entries
// before them that have no span have no numbers.
func (b *Batch) Number(stream [16]byte, first int64, count int) {
	b.count -= count
	b.joinSpan(Span{Stream: stream, First: first, Count: int32(count)})
	b.count += count
}
