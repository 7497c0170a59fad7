package forwarder

import (
	"crypto/rand"
	"encoding/binary"

	"inkwell/forwarder/lines"
	"inkwell/store/stream"
)

// The entries of a generation are numbered in their order in the file, so that what is read again after a crash gets
// the same numbers as before. The stream of the numbers gets a random ID when the first entry is taken; the ID is saved
// with the position before that entry is sent.
//
// A file gets a new stream when the same number would otherwise mean another entry: when it was rewritten, when an
// option has changed that decides how its bytes become messages, or when it goes to another category, because the
// numbers of a category must have no gaps.

// newStream returns a random ID whose last four bytes are the fingerprint of the options that decide how bytes become
// messages.
func newStream(options uint32) (id stream.ID) {
	rand.Read(id[:])
	binary.BigEndian.PutUint32(id[12:], options)
	return id
}

// isFor says whether the stream was made with these options, so that it can be continued.
func isFor(id stream.ID, options uint32) bool {
	return binary.BigEndian.Uint32(id[12:]) == options
}

// number numbers the entries that were appended last. The position of g must still be the one before them.
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
