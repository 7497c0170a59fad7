package proto

import (
	"encoding/binary"
	"math"
)

// EntryOverhead is the number of bytes that the canonical encoding needs in addition to category and message.
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
	namings []byte // the sources that came with a call, encoded; aliases its frame
	report  []byte // of the sender, likewise
	asks    bool   // the sender asks how the collector is
	covered int    // entries that the spans are about
	aliased bool   // data is somebody else's
	memory  []byte // b's own, while data is not
	runs    []run
	blind   bool // runs are not known
}

// Span numbers the next Count entries of a Log call: they are the entries First, First+1, … of a stream. The zero
// stream means that these entries have no numbers.
type Span struct {
	Stream [16]byte
	First  int64
	Count  int32
}

// Append adds one entry; category and message are copied.
func (b *Batch) Append(category, message []byte) { b.AppendPrefixed(category, nil, message) }

// AppendPrefixed adds one entry whose message is prefix and message; all are copied.
func (b *Batch) AppendPrefixed(category, prefix, message []byte) {
	b.own()
	at := len(b.data)
	b.data = appendEntry(b.data, category, prefix, message)
	b.count++
	if !b.blind {
		b.runs = appendRun(b.runs, b.data, run{at: at + categoryAt, n: len(category), count: 1,
			bytes: int64(len(prefix) + len(message))})
	}
}

// AppendEntry appends the canonical encoding of one entry to dst.
func AppendEntry(dst, category, message []byte) []byte {
	return appendEntry(dst, category, nil, message)
}

func appendEntry(dst, category, prefix, message []byte) []byte {
	dst = append(dst, 0x0b, 0, 1)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(category)))
	dst = append(dst, category...)
	dst = append(dst, 0x0b, 0, 2)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(prefix)+len(message)))
	dst = append(append(dst, prefix...), message...)
	return append(dst, 0)
}

// AppendBatch adds copies of the entries and spans of o.
func (b *Batch) AppendBatch(o *Batch) {
	b.own()
	for _, s := range o.spans {
		b.joinSpan(s)
	}
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

// AppendSpan numbers the next s.Count entries that have no span yet. The spans of a batch are in the order of its
// entries.
func (b *Batch) AppendSpan(s Span) {
	b.covered += int(s.Count)
	b.spans = append(b.spans, s)
}

// joinSpan adds a span for entries that are about to be appended to b. It extends the last span if the numbers
// continue. Entries of b that have no span yet get one without numbers first.
func (b *Batch) joinSpan(s Span) {
	if free := b.count - b.covered; free > 0 {
		b.AppendSpan(Span{Count: int32(free)})
	}
	if k := len(b.spans) - 1; k >= 0 && b.spans[k].joins(s) {
		b.spans[k].Count += s.Count
		b.covered += int(s.Count)
		return
	}
	b.AppendSpan(s)
}

// AppendSpans appends b's spans to dst, for a call in which before other entries precede those of b.
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

// checkSpans verifies that the spans do not cover more entries than there are.
func (b *Batch) checkSpans() error {
	if b.covered > b.count {
		return malformed("spans of %d entries, %d are there", b.covered, b.count)
	}
	return nil
}

// SetEntries makes b the count entries of data, without spans. The bytes must be canonical; CheckEntries is for bytes
// that may not be. They are aliased, not copied: b is valid as long as they are, and never writes to them.
func (b *Batch) SetEntries(data []byte, count int) {
	b.alias(data, count)
	b.spans, b.covered, b.runs, b.blind = b.spans[:0], 0, b.runs[:0], true
	b.namings, b.report, b.asks = nil, nil, false
}

// CheckEntries is SetEntries for untrusted bytes. If they are not canonical it returns the reason and leaves b empty.
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

// own copies the entries to memory of b's own, to which it may append.
func (b *Batch) own() {
	if b.aliased {
		b.data, b.memory, b.aliased = append(b.memory[:0], b.data...), nil, false
	}
}

// Entries returns the canonical bytes, valid until the batch is changed.
func (b *Batch) Entries() []byte { return b.data }

// Spans returns the spans, valid until the batch is changed.
func (b *Batch) Spans() []Span { return b.spans }

// Report returns what the sender reported about itself with the call, nil if nothing. It aliases the call's frame.
func (b *Batch) Report() []byte { return b.report }

// Asks says that the sender of the call can go elsewhere, and asks how the collector is: see Reply.
func (b *Batch) Asks() bool { return b.asks }

// Count returns the number of entries.
func (b *Batch) Count() int { return b.count }

// Size returns the number of canonical bytes.
func (b *Batch) Size() int { return len(b.data) }

// Reserve makes room for canonical bytes: at least for n more than there are, and if the memory of b is too small for
// that, for total bytes altogether. Memory that was reserved and is not used costs next to nothing, unlike what append
// does when it makes room in small steps.
func (b *Batch) Reserve(n, total int) {
	b.own()
	if cap(b.data)-len(b.data) >= n {
		return
	}
	b.data = append(make([]byte, 0, max(total, len(b.data)+n)), b.data...)
}

// Reset empties b and keeps its own memory for reuse.
func (b *Batch) Reset() {
	if b.aliased {
		b.data, b.memory, b.aliased = b.memory, nil, false
	}
	b.data, b.count, b.spans, b.covered = b.data[:0], 0, b.spans[:0], 0
	b.runs, b.blind, b.namings, b.report, b.asks = b.runs[:0], false, nil, nil, false
}
