package forwarder

import (
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/store/stream"
)

// generation is one file on disk, known by its identity through all its names. Only the follower's goroutine touches it.
type generation struct {
	position
	source *source // nil = no input has it any more
	trail  *trail  // nil likewise
	name   string  // full path where it was last seen
	fd     int     // -1 = not open

	scanned int64 // bytes behind offset that hold no newline
	reading bool  // it is in the follower's ready list
	broken  bool  // the last entry was a piece of a line that goes on

	look       look          // as of the last poll or scan
	grewAt     time.Time     // when it was last seen to have grown
	pollAt     time.Time     // when to look next
	every      time.Duration // between looks
	retired    bool          // its trail is done with it, but the descriptor is kept for late bytes
	lostAt     time.Time     // since when no directory shows it; zero = it is seen
	compressed bool          // it is not a file of lines, and not in the positions
	failing    bool          // the last read failed, and that was logged

	past  past  // older places, until the file was opened; nil = the machine was not started since position was written
	older place // the newest of them that the file holds while it does not hold what position says; zero = the beginning

	parcel uint64 // the parcel that has its position …
	slot   int    // … and where
}

// end is how far the file was looked through.
func (g *generation) end() int64 { return g.offset + g.scanned }

// quietSince is when the last byte was written, as far as can be known.
func (g *generation) quietSince(now time.Time) time.Time {
	if g.look.mtime.After(now) { // a clock that was set back, or another machine's
		return g.grewAt
	}
	return g.look.mtime
}

// open opens the file at path, if it is still the one that l describes, and checks that what was taken over of it is still there.
// same is false when it holds something else now; then older says what it does hold.
func (g *generation) open(path string, l look) (same bool, err error) {
	fd, now, err := openFile(path)
	if err != nil {
		return false, err
	}
	if now.id != l.id {
		return false, joinClose(errMoved, fd)
	}
	same, err = g.isIn(fd, now)
	if err == nil && !same {
		g.older, err = g.past.find(fd, now)
	}
	if err != nil {
		return false, joinClose(err, fd)
	}
	g.past = nil
	g.fd, g.name, g.look = fd, path, now
	g.scanned, g.lostAt = 0, time.Time{}
	return same, nil
}

// isIn says whether the file holds what was taken over of g.
func (g *generation) isIn(fd int, l look) (bool, error) { return g.place().isIn(fd, l) }

// fallBack moves the position back to the place that the file still holds. It is false if that is the beginning.
func (g *generation) fallBack(log *slog.Logger) bool {
	old := g.older
	if old.offset == 0 {
		return false
	}
	log.Info("file lost its end when the machine stopped; it is read on from an older position", "file", g.name, "offset", g.offset, "older", old.offset)
	g.older = place{}
	g.offset, g.head, g.tail = old.offset, old.head, old.tail
	g.scanned, g.broken = 0, false
	return true
}

// restart makes everything before the file's first byte be forgotten.
func (g *generation) restart() {
	g.offset, g.stream, g.number, g.scanned, g.broken = 0, stream.ID{}, 0, 0, false
	g.head, g.tail, g.older = fingerprint{}, fingerprint{}, place{}
	g.state = active
}

// seek sets the offset without reading what is before.
func (g *generation) seek(off int64) error {
	head := make([]byte, min(off, printMax))
	if _, err := readAt(g.fd, head, 0); err != nil {
		return err
	}
	tail := make([]byte, len(head))
	if _, err := readAt(g.fd, tail, off-int64(len(tail))); err != nil {
		return err
	}
	g.head, g.tail, g.offset, g.scanned = printOf(head), printOf(tail), off, 0
	return nil
}

func (g *generation) close(log *slog.Logger) {
	if g.fd < 0 {
		return
	}
	if err := unix.Close(g.fd); err != nil {
		log.Warn("cannot close a file that was read", "file", g.name, "err", err)
	}
	g.fd = -1
}

// trail is the generations of one path, in the order in which they are read: the first is being read, the others wait for it to be
// finished.
type trail struct {
	path    string
	dir     *directory
	source  *source
	gens    []*generation
	live    identity  // what stands at path …
	there   bool      // … if anything does
	changed time.Time // when that changed
	fresh   bool      // path was not known before the scan that is going on
}

// replaced says whether g is no longer what its path shows.
func (t *trail) replaced(g *generation) bool { return !t.there || t.live != g.id }

// insert puts g into the order: what path shows comes last, the one that is being read stays first unless that is it, and the others
// are sorted by age.
func (t *trail) insert(g *generation) {
	at := len(t.gens)
	for at > 0 && t.before(g, at-1) {
		at--
	}
	t.gens = slices.Insert(t.gens, at, g)
}

// before says whether g is to be read before the generation at i.
func (t *trail) before(g *generation, i int) bool {
	o := t.gens[i]
	switch {
	case !t.replaced(g):
		return false
	case !t.replaced(o):
		return true
	case i == 0:
		return false
	}
	if l, err := statFile(o.fd); err == nil { // it may have been written to since it was opened
		o.look.mtime = l.mtime
	}
	return compareAge(g.name, g.look.mtime, o.name, o.look.mtime) < 0
}
