package store

import (
	"time"

	"inkwell/proto"
	"inkwell/store/manifest"
	"inkwell/store/stream"
)

// numbers walks along the numbers of a record's entries.
type numbers struct {
	last proto.Span // of the entry before
	seq  uint64
}

// next moves to the entry that cur is at. Two entries of the same seq are neighbours in one stream, or have no numbers.
func (n *numbers) next(cur *proto.Cursor) (seq uint64, id stream.ID, number int64) {
	s := cur.Number()
	if !s.Numbered() {
		n.last = s
		return 0, stream.ID{}, 0
	}
	if s.Stream != n.last.Stream || s.First != n.last.First+1 {
		n.seq++
	}
	n.last = s
	return n.seq, s.Stream, s.First
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
