package forwarder

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"inkwell/store/stream"
)

// The entries of a generation are numbered by their place in it, so that what is read again after a crash has the numbers it had. Its
// stream is drawn at random when the first of them is taken, and is durable, with the position, before that is sent. A file that is
// written anew gets another one, and so does one that is read with another limit of lines, because lines would be split elsewhere.

// newStream draws a stream; its last bytes say at which length lines are split.
func newStream(maxLine int) (id stream.ID) {
	rand.Read(id[:])
	binary.BigEndian.PutUint32(id[12:], uint32(maxLine))
	return id
}

// isFor says whether the stream goes on when lines are split at maxLine.
func isFor(id stream.ID, maxLine int) bool {
	return binary.BigEndian.Uint32(id[12:]) == uint32(maxLine)
}

// number gives the entries that were taken last their numbers; the position of g is where it was before.
func (v *volume) number(g *generation, data []byte, c cut) {
	if longest := v.longest(g.source); g.stream == (stream.ID{}) || !isFor(g.stream, longest) {
		g.stream, g.number = newStream(longest), 0
		born := g.position
		born.state = active
		v.cur.born = append(v.cur.born, born)
	}
	if !c.rest {
		v.cur.batch.Number(g.stream, g.number, c.entries)
		g.number += int64(c.entries)
		return
	}
	// A line without an end may get one: after a crash it would be read as another entry, whose number must not be taken.
	h := sha256.New()
	h.Write(g.stream[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(g.offset)))
	h.Write(data)
	v.cur.batch.Number(stream.ID(h.Sum(nil)[:16]), 0, 1)
}
