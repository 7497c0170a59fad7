package forwarder

import (
	"bytes"
	"slices"

	"inkwell/forwarder/packed"
)

// arrival is a file that a scan of a directory found, with everything that decide needs to know about it. It is valid
// for that scan only.
type arrival struct {
	path   string
	stat   stat
	source *source // the input that wants files of this name; nil = none does

	// The trails to which the file may belong by its name; each may be nil. Examples for the trail of app.log:
	home *trail // the file has the name itself: app.log
	base *trail // the name is that of a rotated file: app.log.1, app.log.2.gz
	own  *trail // the file had the name before it was compressed: app.log.gz

	known     *generation // the generation with the same device and inode; nil = none
	err       error       // why the file cannot be opened
	far       bool        // it is in a directory below that of its base
	neverRead bool        // it is a compressed file that was never read, and whose name without suffix an input wants

	kind        packed.Kind // the kind of compression
	hasOriginal bool        // the uncompressed file still exists next to it, so that it is being compressed
	unpacked    progress    // whether its content is known; if it is, …
	content     int64       // … this is the length of the content that can be read, and …
	damage      error       // … why it cannot be read further; nil = it is complete

	// The result of comparing its content with that of generations:

	unchanged bool          // its stat is still that of known
	holds     []*generation // those whose checkpoint matches: it has the bytes that were read of them
	begins    []*generation // those whose head matches, but not their tail
	// older has generations of which only an earlier checkpoint matches: a power cut may have taken the rest of the
	// file.
	older map[*generation]checkpoint
	whole []*generation // deleted ones whose whole content it begins with, if there is enough of that to be certain
	part  *generation   // an open one whose beginning it is, as a copy that is being made; nil = none
}

// progress says whether the content of a compressed file is known.
type progress byte

const (
	closed   progress = iota // no: it was not decompressed
	underway                 // not yet: it is being decompressed, or is still being written
	opened                   // yes: it was decompressed
)

// isAt says whether the arrival is at the path to which g belongs.
func (a *arrival) isAt(g *generation) bool { return a.path == g.path }

// isRotationOf says whether the arrival has the name of a rotated file of the path to which g belongs, such as
// app.log.1, or of that path with a suffix of compression, such as app.log.gz.
func (a *arrival) isRotationOf(g *generation) bool {
	return a.base != nil && a.base == g.trail || a.own != nil && a.own == g.trail
}

func (a *arrival) has(g *generation) bool { return slices.Contains(a.holds, g) }

// isRatherOther says whether the generation that has the inode of the arrival, and of which nothing was read, is
// another file: the arrival holds what was read of a generation that is gone. Example: app.log was empty when the
// forwarder was killed, and was deleted since; a copy of the file before it, app.log.1, got its inode.
func (a *arrival) isRatherOther() bool {
	return a.known.fd < 0 && !a.known.begun() && slices.ContainsFunc(a.holds, func(g *generation) bool {
		return g != a.known && g.offset >= certain
	})
}

// like returns the generations of which the arrival could be a copy.
func (a *arrival) like() []*generation {
	if a.part == nil {
		return a.holds
	}
	return append(slices.Clip(a.holds), a.part)
}

// examine compares the contents of the arrival with each candidate, and notes which of them it could be.
func (a *arrival) examine(candidates []*generation) {
	a.holds, a.begins, a.older, a.whole, a.part = nil, nil, nil, nil, nil
	a.unpacked = closed
	fd, l, err := openFile(a.path)
	if err == nil {
		defer closeQuietly(fd)
	}
	if err == nil && l.id != a.stat.id {
		err = errMoved
	}
	if a.err = err; err != nil {
		return
	}
	a.stat = l
	head := make([]byte, printMax)
	n, err := readAt(fd, head, 0)
	if a.err = err; err != nil {
		return
	}
	if a.kind = packed.Detect(head[:n]); a.kind == packed.None && isCompressedName(a.path) {
		a.kind = packed.Other // or nothing was written to it yet
	}
	e := examination{arrival: a, fd: fd, head: head[:n]}
	for _, g := range candidates {
		if a.err = e.compare(g); a.err != nil {
			return
		}
	}
}

// examination is an arrival whose file is open.
type examination struct {
	*arrival
	fd   int
	head []byte // the first bytes of the file
}

func (e *examination) compare(g *generation) error {
	if e.isPacked() && g.phase != ignored {
		return nil // its content is compared: see unpacking
	}
	if size := e.continues(g); size > 0 {
		e.holds = append(e.holds, g)
		if size >= certain {
			e.whole = append(e.whole, g)
		}
		return nil
	}
	begins := g.head.n <= len(e.head) && printOf(e.head[:g.head.n]) == g.head
	// The head can be known before anything was acknowledged, because it is saved before the first call.
	if begins && g.offset <= e.stat.size && (g.begun() || g == e.known) {
		ok, err := g.tail.isAt(e.fd, g.offset-int64(g.tail.n))
		if err != nil {
			return err
		}
		if ok {
			e.holds = append(e.holds, g)
			return nil
		}
	}
	if begins {
		e.begins = append(e.begins, g)
	}
	if len(g.past) > 0 {
		old, err := g.past.find(e.fd, e.stat)
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

// continues returns the size of g if g is an open file that was deleted before much of it was read, and the arrival
// begins with its whole content; otherwise 0. A program that replaces a log by a new file, such as an editor, copies
// the old content into the new file first.
func (e *examination) continues(g *generation) int64 {
	if g.fd < 0 || g.content != nil || !g.stat.gone || g.rewritten || g.offset >= certain || g == e.known {
		return 0
	}
	was, err := statFile(g.fd)
	if err != nil || was.size < max(g.offset, 1) || was.size > e.stat.size || !sameBytes(e.fd, g.fd, was.size) {
		return 0
	}
	return was.size
}

// comparePart finds out whether the arrival is the beginning of the file at the path of g, as a copy is while it is
// being made. A file that was created before that one cannot be its copy.
func (e *examination) comparePart(g *generation) error {
	if g.fd < 0 && !g.parked || g.content != nil || g.rewritten || g == e.known || e.stat.size == 0 ||
		g.trail == nil || g.trail.replaced(g) && !e.isAt(g) ||
		!e.stat.born.IsZero() && e.stat.born.Before(g.stat.born) {
		return nil
	}
	fd, done := g.descriptor()
	defer done()
	now, err := statFile(fd)
	if err != nil || now.size < e.stat.size {
		return nil // the next poll finds out
	}
	if sameBytes(e.fd, fd, e.stat.size) {
		e.part = g
	}
	return nil
}

// sameBytes compares the first bytes of two files, and the last ones before size.
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
