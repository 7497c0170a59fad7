package store

import (
	"time"

	"inkwell/proto"
	"inkwell/store/manifest"
	"inkwell/store/stream"
)

// numbers walks along the spans of a record's entries.
type numbers struct {
	spans []proto.Span
	used  int32 // entries of spans[0] that were passed
	seq   uint64
}

// begin is at the first entry of b.
func (n *numbers) begin(b *proto.Batch) {
	n.spans, n.used = b.Spans(), 0
	n.seq++
}

// next moves to the next entry. Two entries of the same seq are neighbours in one span, or have no numbers.
func (n *numbers) next() (seq uint64, id stream.ID, number int64) {
	for len(n.spans) > 0 && n.used == n.spans[0].Count {
		n.spans, n.used = n.spans[1:], 0
		n.seq++
	}
	if len(n.spans) == 0 || !n.spans[0].Numbered() {
		n.used++
		return 0, stream.ID{}, 0
	}
	s := &n.spans[0]
	number = s.First + int64(n.used)
	n.used++
	return n.seq, s.Stream, number
}

// note says that the bytes behind size in the chunk are the entry of that number.
func (k *chunk) note(size int, seq uint64, id stream.ID, number int64) {
	bytes := int64(len(k.data) - size)
	if l := len(k.spans) - 1; l >= 0 && k.seq == seq {
		if s := &k.spans[l]; seq == 0 || s.End() == number {
			s.Count++
			s.Bytes += bytes
			return
		}
	}
	k.seq = seq
	k.spans = manifest.AddSpan(k.spans, manifest.Span{Hour: k.born.Unix() / 3600, Stream: id, First: number, Count: 1, Bytes: bytes})
}

// hour is the hour of t as manifests count them.
func hour(t time.Time) time.Time { return time.Unix(t.Unix()/3600*3600, 0).UTC() }
