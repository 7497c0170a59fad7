package forwarder

import (
	"bytes"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// likeness is how a file compares with another one.
type likeness int

const (
	different likeness = iota
	partOf             // a copy that may be still growing
	copyOf
)

// wanted decides on a file that is not known: whether it is read, or remembered as one that is not, or looked at again later.
func (f *follower) wanted(d *directory, a *arrival, since time.Time) bool {
	if a.live && a.trail == nil {
		return true
	}
	t := a.trail // the trail whose rotated file it could be
	if t == nil {
		return false
	}
	if !a.live && t.fresh && (!f.started || a.look.mtime.Before(since)) {
		f.ignore(d, a)
		return false
	}
	switch f.compare(t, a) {
	case copyOf:
		f.ignore(d, a)
		return false
	case partOf:
		d.again = true
		return false
	}
	if a.live {
		return true
	}
	if f.known[a.look.id] != nil { // comparing found a truncation, and this to be the copy
		return false
	}
	first, waiting := d.undecided[a.look.id]
	if !waiting {
		first = d.listed
		d.undecided[a.look.id] = first
	}
	age := d.listed.Sub(first)
	switch {
	case d.listed.Sub(t.changed) < f.window && (a.look.size > 0 || age >= f.linger):
		return true
	case age >= f.window && t.changed.Before(first):
		f.ignore(d, a)
	default:
		d.again = true
	}
	return false
}

// ignore remembers a file as one that is not to be read.
func (f *follower) ignore(d *directory, a *arrival) {
	t := a.trail
	g := &generation{fd: -1, source: t.source, trail: t, name: a.path, look: a.look}
	g.position = position{id: a.look.id, state: ignored, category: string(t.source.category), path: t.path}
	if _, err := g.open(a.path, a.look); err != nil {
		f.cannotOpen(a, err)
		return
	}
	defer g.close(f.log)
	if err := g.seek(g.look.size); err != nil {
		f.cannotOpen(a, err)
		return
	}
	f.known[g.id] = g
	f.note(g)
	f.cur.close()
}

// compare says whether a is a copy of the file that t's path shows.
func (f *follower) compare(t *trail, a *arrival) likeness {
	if a.look.size == 0 {
		return different
	}
	fd, l, err := openFile(a.path)
	if err != nil {
		return different // whoever wants it will find out
	}
	defer closeQuietly(fd)
	best := different
	for _, g := range slices.Concat(f.open, f.opened) {
		if g.trail != t || g.fd < 0 || g.id == a.look.id || t.replaced(g) { // who copies, copies what the path shows
			continue
		}
		now, err := statFile(g.fd)
		same := false
		if err == nil {
			same, err = g.isIn(g.fd, now)
		}
		if err != nil {
			continue
		}
		if !same { // it may have grown past the offset again
			f.truncated(g)
			if k := f.known[a.look.id]; k != nil {
				return different
			}
			continue
		}
		if l.size > now.size || bornBefore(fd, g.fd) || !sameBytes(fd, g.fd, l.size) {
			continue
		}
		if l.size >= g.offset || time.Since(l.mtime) > f.window {
			return copyOf
		}
		best = partOf
	}
	return best
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

// findCopy looks for a file that holds what g held before it was truncated. If it holds more than was read, it comes back open, with
// g's position; else closed and ignored. nil = there is none.
func (f *follower) findCopy(g *generation) *generation {
	if g.offset == 0 {
		return nil
	}
	d := g.trail.dir
	names, err := d.names()
	if err != nil {
		return nil
	}
	var best *generation
	for _, e := range names {
		path := filepath.Join(d.path, e.name)
		if e.link || isCompressedName(e.name) || path == g.path || !isBase(g.trail, e.name) {
			continue
		}
		c := f.tryCopy(g, path)
		if c == nil {
			continue
		}
		if best != nil && !c.look.mtime.After(best.look.mtime) {
			c.close(f.log)
			continue
		}
		if best != nil {
			best.close(f.log)
		}
		best = c
	}
	if best == nil {
		return nil
	}
	if best.look.size == best.offset {
		best.close(f.log)
		best.state = ignored
	}
	f.known[best.id] = best
	delete(d.undecided, best.id)
	return best
}

func isBase(t *trail, name string) (is bool) {
	bases(name, func(base string) bool {
		is = base == filepath.Base(t.path)
		return !is
	})
	return is
}

// tryCopy opens path as a copy of g, if it is one.
func (f *follower) tryCopy(g *generation, path string) *generation {
	l, err := lstatPath(path)
	if err != nil || !l.regular || l.size < g.offset || l.id == g.id {
		return nil
	}
	if k := f.known[l.id]; k != nil && k.state == active {
		return nil
	}
	c := &generation{position: g.position, fd: -1, source: g.source, trail: g.trail}
	c.id, c.state = l.id, active
	same, err := c.open(path, l)
	if err != nil {
		return nil
	}
	if !same || bornBefore(c.fd, g.fd) {
		c.close(f.log)
		return nil
	}
	return c
}

// prune forgets files that are gone for good.
func (f *follower) prune(d *directory, list []*arrival, now time.Time) {
	seen := make(map[identity]bool, len(list))
	for _, a := range list {
		seen[a.look.id] = true
	}
	for id, g := range f.known {
		if g.fd >= 0 || seen[id] || g.trail == nil || g.trail.dir != d {
			continue
		}
		switch {
		case g.lostAt.IsZero():
			g.lostAt = now
		case now.Sub(g.lostAt) >= f.forget:
			delete(f.known, id)
			g.state = removed
			f.note(g)
		}
	}
	used := make(map[*trail]bool)
	for _, g := range f.known {
		used[g.trail] = true
	}
	for name, t := range d.trails {
		if !used[t] && !t.there && now.Sub(t.changed) >= f.forget {
			delete(d.trails, name)
		}
	}
}

// magic says whether the file is compressed, and the fingerprint of the bytes that say so.
func (g *generation) magic() (fingerprint, bool) {
	head := make([]byte, 8)
	n, err := readAt(g.fd, head, 0)
	if err != nil || !hasMagic(head[:n]) {
		return fingerprint{}, false
	}
	return printOf(head[:n]), true
}

// seekEnd moves behind the file's last newline.
func (g *generation) seekEnd() error {
	size := g.look.size
	buf := make([]byte, min(size, chunkSize))
	n, err := readAt(g.fd, buf, size-int64(len(buf)))
	if err != nil {
		return err
	}
	end := size - int64(len(buf)) + int64(bytes.LastIndexByte(buf[:n], '\n')) + 1
	if bytes.LastIndexByte(buf[:n], '\n') < 0 && size > int64(len(buf)) {
		end = size // a very long line: its rest will do
	}
	return g.seek(end)
}

func closeQuietly(fd int) { _ = unix.Close(fd) } // nothing was written to it
