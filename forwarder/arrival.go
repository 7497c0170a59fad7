package forwarder

import (
	"bytes"
	"slices"
)

// arrival is a file that a look at a directory found, and all that decide has to know of it. It is valid for that look.
type arrival struct {
	path   string
	look   look
	source *source     // of the input that wants the name; nil = none does
	home   *trail      // of that name; nil = no input wants it
	base   *trail      // whose rotated file it could be, by its name; nil = nobody's
	known  *generation // that has its device and inode; nil = none
	err    error       // it cannot be opened
	packed bool        // it is compressed
	far    bool        // it stands in a directory below

	unchanged bool                       // nothing was done to it since the last look at known
	holds     []*generation              // those whose place it holds: it has the bytes that were read of them
	begins    []*generation              // those whose head it has, but not their tail
	older     map[*generation]checkpoint // those of which it holds an older place, where a power cut may have taken the rest
	part      *generation                // an open one of whose contents it has the beginning: a copy that is being made
}

// isAt says whether the arrival stands at the path whose generation g is.
func (a *arrival) isAt(g *generation) bool { return a.path == g.path }

func (a *arrival) has(g *generation) bool { return slices.Contains(a.holds, g) }

// magics are how the compressed files that a rotation leaves begin.
var magics = [][]byte{
	{0x1f, 0x8b, 0x08}, {0x28, 0xb5, 0x2f, 0xfd}, []byte("BZh"), {0xfd, '7', 'z', 'X', 'Z', 0},
	{0x04, 0x22, 0x4d, 0x18},
}

func hasMagic(head []byte) bool {
	for _, m := range magics {
		if bytes.HasPrefix(head, m) {
			return true
		}
	}
	return false
}

// like are the generations that it could be a copy of.
func (a *arrival) like() []*generation {
	if a.part == nil {
		return a.holds
	}
	return append(slices.Clip(a.holds), a.part)
}

// examine finds out which of the candidates the arrival could be, by what it holds.
func (a *arrival) examine(candidates []*generation) {
	a.holds, a.begins, a.older, a.part = nil, nil, nil, nil
	fd, l, err := openFile(a.path)
	if err == nil {
		defer closeQuietly(fd)
	}
	if err == nil && l.id != a.look.id {
		err = errMoved
	}
	if a.err = err; err != nil {
		return
	}
	a.look = l
	head := make([]byte, printMax)
	n, err := readAt(fd, head, 0)
	if a.err = err; err != nil {
		return
	}
	a.packed = hasMagic(head[:n])
	e := examination{arrival: a, fd: fd, head: head[:n]}
	for _, g := range candidates {
		if a.err = e.compare(g); a.err != nil {
			return
		}
	}
}

// examination is an arrival that is open.
type examination struct {
	*arrival
	fd   int
	head []byte // of the file
}

func (e *examination) compare(g *generation) error {
	begins := g.head.n <= len(e.head) && printOf(e.head[:g.head.n]) == g.head
	// Of a generation of which nothing was acknowledged yet, the head may be known: it was noted before the first call.
	if begins && g.offset <= e.look.size && (g.begun() || g == e.known) {
		ok, err := g.tail.isAt(e.fd, g.offset-int64(g.tail.n))
		if err != nil {
			return err
		}
		if ok {
			e.holds = append(e.holds, g)
			return nil
		}
	}
	if e.continues(g) {
		e.holds = append(e.holds, g)
		return nil
	}
	if begins {
		e.begins = append(e.begins, g)
	}
	if len(g.past) > 0 {
		old, err := g.past.find(e.fd, e.look)
		if err != nil {
			return err
		}
		if old.offset > 0 {
			if e.older == nil {
				e.older = make(map[*generation]checkpoint)
			}
			e.older[g] = old
		}
	}
	return e.comparePart(g)
}

// continues says whether the arrival begins with all that is in an open file of which nothing was read yet, and which
// was deleted: who puts another file in the place of a log copies it first.
func (e *examination) continues(g *generation) bool {
	if g.fd < 0 || !g.look.gone || g.begun() || g == e.known {
		return false
	}
	was, err := statFile(g.fd)
	return err == nil && was.size > 0 && was.size <= e.look.size && sameBytes(e.fd, g.fd, was.size)
}

// comparePart finds out whether the arrival is the beginning of what the path of g shows. Who copies, copies that, and
// a copy is not made before its original.
func (e *examination) comparePart(g *generation) error {
	if g.fd < 0 || g.rewritten || g == e.known || e.look.size == 0 ||
		g.trail == nil || g.trail.replaced(g) && !e.isAt(g) ||
		!e.look.born.IsZero() && e.look.born.Before(g.look.born) {
		return nil
	}
	now, err := statFile(g.fd)
	if err != nil || now.size < e.look.size {
		return nil // polling will tell
	}
	if sameBytes(e.fd, g.fd, e.look.size) {
		e.part = g
	}
	return nil
}

// sameBytes compares the first and the last bytes before size of two files.
func sameBytes(a, b int, size int64) bool {
	n := min(size, printMax)
	x, y := make([]byte, n), make([]byte, n)
	for _, off := range []int64{0, size - n} {
		xn, xerr := readAt(a, x, off)
		yn, yerr := readAt(b, y, off)
		if xerr != nil || yerr != nil || xn != yn || !bytes.Equal(x, y) {
			return false
		}
	}
	return true
}
