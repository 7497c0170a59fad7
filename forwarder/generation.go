package forwarder

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/forwarder/lines"
	"inkwell/forwarder/packed"
	"inkwell/store/stream"
)

// generation is one of the files that a path has named, one after the other: app.log after a rotation is another
// generation than before. It is recognized by its contents; its identity and names only help to find it. Only the
// goroutine of its volume uses it.
type generation struct {
	position
	source *source // nil = no input wants it any more
	trail  *trail  // nil in the same case
	name   string  // the path at which it was last seen
	fd     int     // -1 = not open

	content *packed.File   // the content of a compressed file, to which all offsets refer; nil = it is not compressed
	length  int64          // of the content
	scanned int64          // bytes after offset that were read and contain no complete message …
	held    int64          // … and how many of them are complete lines, of a message that may continue
	code    lines.Encoding // Auto = not known yet
	reading bool           // it is in the volume's ready list
	broken  bool           // the last entry was a piece of a line that continues
	named   bool           // the source of its stream was registered
	padded  bool           // only NULs follow end(): no content yet

	stat      stat          // as of the last poll or scan
	grewAt    time.Time     // when it was last seen to have grown
	pollAt    time.Time     // when to look next
	every     time.Duration // between looks
	retired   bool          // its trail has finished it, but the descriptor stays open for late writes
	asked     bool          // its directory was looked at before the first byte was read
	left      bool          // another file took over its position: only late writes to this one are read
	rewritten bool          // the bytes before the position are not those that were read: decide says what to do
	seen      bool          // it was found at least once since the forwarder was started
	lostAt    time.Time     // since when it has not been found; zero = it is found
	lost      bool          // it was reported as lost
	polled    bool          // it is in the volume's list of open files
	parked    bool          // it is followed without a descriptor …
	due       bool          // … and waits for one
	atEnd     bool          // it is to be read from its end, and was not opened yet
	behind    time.Time     // since when it has had unread content; zero = it has none
	failed    time.Time     // since when reading has failed; zero = it works

	past history // older checkpoints, until the file is opened; nil = no reboot since the position was written

	shipment uint64 // the seq of the last shipment that has its position …
	slot     int    // … and its index there
}

// end is the offset up to which the file was read.
func (g *generation) end() int64 { return g.offset + g.scanned }

// begun says whether anything was read of the file, so that its contents can identify it.
func (g *generation) begun() bool { return g.offset > 0 || g.head.n > 0 }

// quietSince is when the file was last written to, as far as can be known.
func (g *generation) quietSince(now time.Time) time.Time {
	if g.stat.mtime.After(now) { // the clock was set back, or is another machine's
		return g.grewAt
	}
	return g.stat.mtime
}

// open opens the file that a scan found, to read its content: of a compressed file that is the decompressed one.
func (g *generation) open(a *arrival) error {
	if err := g.openRaw(a); err != nil || !a.isPacked() {
		return err
	}
	g.content, g.length = packed.New(descriptor(g.fd), a.kind, g.stat.size), a.content
	g.stat.size = g.length
	return nil
}

// openRaw opens the file that a scan found, to read its bytes as they are, even if they are compressed.
func (g *generation) openRaw(a *arrival) error {
	fd, now, err := openFile(a.path)
	if err != nil {
		return err
	}
	if now.id != a.stat.id {
		return joinClose(errMoved, fd)
	}
	g.fd, g.name, g.stat = fd, a.path, now
	g.scanned, g.held, g.code, g.lostAt, g.seen, g.padded = 0, 0, lines.Auto, time.Time{}, true, false
	return nil
}

// readAt reads from the content of an open file. Fewer bytes without an error mean that it ends there. The error may be
// packed.ErrLater.
func (g *generation) readAt(p []byte, off int64) (int, error) {
	if g.content == nil {
		return readAt(g.fd, p, off)
	}
	return g.content.ReadAt(p[:max(min(int64(len(p)), g.length-off), 0)], off)
}

// statOpen returns the stat of an open file, with the size of its content.
func (g *generation) statOpen() (stat, error) {
	l, err := statFile(g.fd)
	if g.content != nil {
		l.size = g.length
	}
	return l, err
}

// goTo sets the position to a checkpoint that matches the file.
func (g *generation) goTo(p checkpoint) {
	g.offset, g.head, g.tail = p.offset, p.head, p.tail
	g.ahead, g.until, g.scanned, g.held, g.code, g.broken = 0, 0, 0, 0, lines.Auto, false
}

// restart sets the position to the start of the file, under a new stream.
func (g *generation) restart() {
	g.goTo(checkpoint{})
	g.stream, g.number = stream.ID{}, 0
	g.phase, g.past, g.rewritten, g.padded = active, nil, false, false
}

// seek moves the position to an offset without reading what is before it.
func (g *generation) seek(off int64) error {
	c, err := g.checkpointAt(off)
	if err == nil {
		g.goTo(c)
	}
	return err
}

// checkpointAt returns the checkpoint of an open file at an offset.
func (g *generation) checkpointAt(off int64) (checkpoint, error) {
	head := make([]byte, min(off, printMax))
	if _, err := readAt(g.fd, head, 0); err != nil {
		return checkpoint{}, err
	}
	tail := make([]byte, len(head))
	if _, err := readAt(g.fd, tail, off-int64(len(tail))); err != nil {
		return checkpoint{}, err
	}
	return checkpoint{offset: off, head: printOf(head), tail: printOf(tail)}, nil
}

// seekEnd moves the position past the last newline of the file.
func (g *generation) seekEnd() error {
	code, err := g.encoding()
	if err != nil {
		return err
	}
	size := g.stat.size
	buf := make([]byte, min(size, chunkSize))
	n, err := readAt(g.fd, buf, size-int64(len(buf)))
	if err != nil {
		return err
	}
	last := code.LastNewline(buf[:n], size-int64(len(buf)))
	end := size - int64(len(buf)) + int64(last)
	if last == 0 && size > int64(len(buf)) {
		end = size // within a very long line: only the rest of that line is read
	}
	return g.seek(end)
}

// encoding finds out the encoding of the file.
func (g *generation) encoding() (lines.Encoding, error) {
	if g.code != lines.Auto {
		return g.code, nil
	}
	var head [4]byte
	n, err := g.readAt(head[:], 0)
	if err != nil {
		return lines.Auto, err
	}
	code := g.trail.decoder.Encoding(head[:n])
	if n == len(head) {
		g.code = code
	}
	return code, nil
}

func (g *generation) close(log *slog.Logger) {
	if g.fd < 0 {
		return
	}
	if g.content != nil {
		g.content.Close()
		g.content = nil
	}
	if err := unix.Close(g.fd); err != nil {
		log.Warn("cannot close a file that was read", "file", g.name, "err", err)
	}
	g.fd = -1
}

// trail is the generations of one path in the order in which they are read: the first is being read, the others wait
// until it is finished.
type trail struct {
	path   string
	dir    *directory
	source *source

	category []byte
	received *atomic.Int64
	decoder  *lines.Decoder // shared by the files of an input in a volume
	prefix   []byte         // of its messages

	gens    []*generation
	live    identity  // what path names now …
	present bool      // … if it exists
	changed time.Time // when that changed
	fresh   bool      // the path was not known before the current scan

	recovered bool // a compressed file that had not been seen before is or was read
	held      bool // no other file is begun until the content of a compressed one is known: see unpack
}

// replaced says whether the path of the trail does not name g any more.
func (t *trail) replaced(g *generation) bool { return !t.present || t.live != g.id }

// insert puts g into the order. The file that path names comes last. The one that is being read stays first, unless
// path names it. The others are sorted by age.
func (t *trail) insert(g *generation) {
	at := len(t.gens)
	for at > 0 && t.before(g, at-1) {
		at--
	}
	t.gens = slices.Insert(t.gens, at, g)
}

// insertBefore puts c directly before g.
func (t *trail) insertBefore(c, g *generation) {
	at := slices.Index(t.gens, g)
	t.gens = slices.Insert(t.gens, max(at, 0), c)
}

func (t *trail) remove(g *generation) {
	t.gens = slices.DeleteFunc(t.gens, func(o *generation) bool { return o == g })
}

// before says whether g is to be read before the generation at i.
func (t *trail) before(g *generation, i int) bool {
	o := t.gens[i]
	switch {
	case !t.replaced(g):
		return false
	case !t.replaced(o):
		return true
	case i == 0 && o.offset > 0: // it is being read
		return false
	}
	if l, err := statFile(o.fd); err == nil { // it may have been written to since it was opened
		o.stat.mtime = l.mtime
	}
	return compareAge(g.name, g.stat.mtime, o.name, o.stat.mtime) < 0
}
