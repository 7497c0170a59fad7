package forwarder

import (
	"errors"
	"io"
	"time"

	"inkwell/forwarder/packed"
	"inkwell/store/stream"
)

// unpacking decompresses a compressed file once, to learn the size of its content and whether that contains the bytes
// that were read of generations. It is done in steps, between which the volume reads other files, and only for files on
// which decide could not decide otherwise (see the beginning of compressed.go).
type unpacking struct {
	dir   *directory
	path  string
	stat  stat // when it was begun
	kind  packed.Kind
	fd    int // -1 = not open
	file  *packed.File
	marks map[checkpoint]bool // the checkpoints that are looked for, and whether each was found
	head  []byte              // the first bytes of the content
	last  []byte              // the last ones before size, as many as a fingerprint covers
	size  int64               // bytes of the content so far
	done  bool
	err   error // why the content could not be read to its end; nil = it was
}

// unpackTime is how long a volume works on compressed files before it looks at the others again.
const unpackTime = 30 * time.Millisecond

// unpack begins to decompress an arrival.
func (v *volume) unpack(d *directory, a *arrival) {
	if d.unpackings[a.stat.id] != nil {
		return
	}
	u := &unpacking{dir: d, path: a.path, stat: a.stat, kind: a.kind, fd: -1, marks: make(map[checkpoint]bool)}
	for _, g := range d.candidates(a) {
		u.lookFor(g)
	}
	if d.unpackings == nil {
		d.unpackings = make(map[identity]*unpacking)
	}
	d.unpackings[a.stat.id] = u
	v.unpackings = append(v.unpackings, u)
	v.soon = true
}

// lookFor adds the mark of g. It returns false if the content has been read too far to find it, so that it has to be
// read again from its start.
func (u *unpacking) lookFor(g *generation) bool {
	c, ok := g.mark()
	if _, known := u.marks[c]; known || !ok {
		return true
	}
	u.marks[c] = false
	return !u.done && u.size == 0 || u.done && c.offset > u.size
}

// mark returns the checkpoint that the content of a compressed file must match if that file is g, or has replaced it.
// For a closed file it is the position: what was read of it. For an open file that was deleted it is the end of the
// file, however much was read, because a program that replaces a log by a new file copies the whole old content first.
// Any other open file still has a name, so that no compressed file can be it: ok is false.
func (g *generation) mark() (c checkpoint, ok bool) {
	switch {
	case g.fd < 0 || g.rewritten:
		return g.checkpoint(), g.begun()
	case !g.stat.gone || g.content != nil:
		return checkpoint{}, false
	}
	l, err := statFile(g.fd)
	if err == nil {
		c, err = g.checkpointAt(l.size)
	}
	return c, err == nil && c.offset > 0
}

// unpackSome works on the first of the files.
func (v *volume) unpackSome() {
	for start := time.Now(); len(v.unpackings) > 0 && time.Since(start) < unpackTime; {
		u := v.unpackings[0]
		v.at(&u.path)
		if u.done || u.step(v.buf) {
			u.close()
			u.dir.urgent, v.hinted = true, true
			v.unpackings = v.unpackings[1:]
		}
	}
	v.soon = v.soon || len(v.unpackings) > 0
}

// step reads a part of the content, and says whether there is no more.
func (u *unpacking) step(buf []byte) (done bool) {
	if u.fd < 0 {
		fd, l, err := openFile(u.path)
		if err == nil && l.id != u.stat.id {
			err = joinClose(errMoved, fd)
		}
		if err != nil { // the next scan begins again
			delete(u.dir.unpackings, u.stat.id)
			u.done = true
			return true
		}
		u.fd, u.file = fd, packed.New(descriptor(fd), u.kind, l.size)
	}
	n, err := u.file.ReadAt(buf, u.size)
	if errors.Is(err, packed.ErrLater) {
		return false
	}
	u.take(buf[:n])
	u.done, u.err = err != nil || n < len(buf), err
	return u.done
}

// take looks for the marks that end in data, the next part of the content.
func (u *unpacking) take(data []byte) {
	if len(u.head) < printMax {
		u.head = append(u.head, data[:min(len(data), printMax-len(u.head))]...)
	}
	known := append(u.last, data...)
	from := u.size - int64(len(u.last))
	u.size += int64(len(data))
	for c := range u.marks {
		if c.offset < from+int64(c.tail.n) || c.offset > u.size || c.head.n > len(u.head) {
			continue
		}
		at := int(c.offset - from)
		if printOf(known[at-c.tail.n:at]) == c.tail && printOf(u.head[:c.head.n]) == c.head {
			u.marks[c] = true
		}
	}
	u.last = append([]byte(nil), known[len(known)-min(len(known), printMax):]...)
}

// isBeginningOf says whether the content is the beginning of the open file g, or all of it.
func (u *unpacking) isBeginningOf(g *generation) bool {
	fd, done := g.descriptor()
	defer done()
	l, err := statFile(fd)
	if err != nil || g.content != nil || u.size == 0 || l.size < u.size {
		return false
	}
	for off, want := range map[int64][]byte{0: u.head, u.size - int64(len(u.last)): u.last} {
		got := make([]byte, len(want))
		if n, err := readAt(fd, got, off); err != nil || n < len(got) || printOf(got) != printOf(want) {
			return false
		}
	}
	return true
}

// close releases everything but the result.
func (u *unpacking) close() {
	if u.fd >= 0 {
		u.file.Close()
		closeQuietly(u.fd)
	}
	u.fd, u.file = -1, nil
}

// lookInside records in a compressed arrival what unpacking has found out about its content.
func (v *volume) lookInside(d *directory, a *arrival) {
	u := d.unpackings[a.stat.id]
	if u == nil {
		return
	}
	if u.stat.size != a.stat.size || !u.stat.mtime.Equal(a.stat.mtime) { // it is being written
		u.done = true
		delete(d.unpackings, a.stat.id)
		return
	}
	candidates := d.candidates(a)
	again := false
	for _, g := range candidates {
		again = !u.lookFor(g) || again
	}
	switch {
	case again && u.done:
		u.size, u.head, u.last, u.done = 0, nil, nil, false
		v.unpackings = append(v.unpackings, u)
		fallthrough
	case !u.done, errors.Is(u.err, packed.ErrCut) && !v.once && time.Since(a.stat.changed) < v.window:
		a.unpacked = underway
		return
	}
	a.unpacked, a.content, a.damage = opened, u.size, u.err
	for _, g := range candidates {
		switch {
		case (g.fd >= 0 || g.parked) && !g.rewritten && u.isBeginningOf(g):
			a.part = g
		case g == a.known && g.trail == a.own && g.phase == active && !g.begun(): // see expect
			a.holds = append(a.holds, g)
		default:
			if c, ok := g.mark(); ok && u.marks[c] {
				a.holds = append(a.holds, g)
				if g.fd >= 0 && !g.rewritten {
					a.whole = append(a.whole, g)
				}
			}
		}
	}
}

// pruneUnpackings forgets the results for files that are gone or were decided on.
func (v *volume) pruneUnpackings(d *directory, seen map[identity]bool) {
	for id, u := range d.unpackings {
		if !seen[id] || d.waiting[id] == nil {
			u.done = true // if it is under way, the next step ends it
			delete(d.unpackings, id)
		}
	}
}

// passOver records that an open file is not to be read any further. The position of a compressed file becomes that of
// its compressed bytes, so that it is recognized by them after a restart and is not decompressed again.
func (v *volume) passOver(g *generation) {
	if g.content != nil {
		g.content.Close()
		g.content = nil
		l, err := statFile(g.fd)
		if err == nil {
			err = g.seek(l.size)
		}
		if err != nil { // its position stays that of its content
			v.log.Warn("cannot note that a compressed file was read to its end", "file", g.name, "err", err)
			return
		}
		g.stat, g.stream, g.number = l, stream.ID{}, 0
	}
	g.phase = ignored
	v.note(g)
	v.cur.close()
}

// tellDamage logs and counts that a compressed file that is needed cannot be read to its end.
func (v *volume) tellDamage(a *arrival) {
	if a.damage != nil {
		v.count.lost.Add(1)
		v.log.Warn("compressed file is damaged; only what is before the damage is read",
			"file", a.path, "bytes", a.content, "err", a.damage)
	}
}

// compressedText is logged for a compressed file that a pattern matches.
const compressedText = "compressed file is passed over, unless it holds something that was not read before"

// descriptor reads an open file.
type descriptor int

// ReadAt implements io.ReaderAt.
func (fd descriptor) ReadAt(p []byte, off int64) (int, error) {
	n, err := readAt(int(fd), p, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}
