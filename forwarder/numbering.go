package forwarder

import (
	"crypto/rand"
	"encoding/binary"

	"inkwell/forwarder/lines"
	"inkwell/store/stream"
)

// The entries of a generation are numbered by their place in it, so that what is read again after a crash has the
// numbers it had. Its stream is drawn at random when the first of them is taken, and is durable, with the position,
// before that is sent. A file that is written anew gets another one, and so does one whose bytes come to other
// messages now, because an option is another one, or that goes into another category, in which no number may be
// missing.

// newStream draws a stream; its last bytes are the fingerprint of what decides how bytes become messages.
func newStream(options uint32) (id stream.ID) {
	rand.Read(id[:])
	binary.BigEndian.PutUint32(id[12:], options)
	return id
}

// isFor says whether the stream goes on with these options.
func isFor(id stream.ID, options uint32) bool {
	return binary.BigEndian.Uint32(id[12:]) == options
}

// number gives the entries that were taken last their numbers; the position of g is where it was before.
func (v *volume) number(g *generation, code lines.Encoding, entries int) {
	options := g.trail.decoder.Fingerprint(code)
	if g.stream == (stream.ID{}) || !isFor(g.stream, options) || g.category != string(g.trail.category) {
		g.stream, g.number, g.category = newStream(options), 0, string(g.trail.category)
		born := g.position
		born.phase = active
		v.cur.born = append(v.cur.born, born)
		g.named = false
	}
	if !g.named {
		v.origin.names.Tell(g.stream, v.origin.source(g.trail.path))
		g.named = true
	}
	if entries > 0 {
		v.cur.batch.Number(g.stream, g.number, entries)
		g.number += int64(entries)
	}
}
