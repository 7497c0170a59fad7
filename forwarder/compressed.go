package forwarder

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"inkwell/forwarder/packed"
)

// A compressed file is a new file with an identity of its own: only its content tells which log it was. Finding that
// out means to decompress it. That is done only if
//
//   - a file that was not read to its end cannot be found: the compressed file may contain the rest, or
//   - it appeared when something was rotated: it may be a generation that was missed between two scans.
//
// Nothing is decided for the path until the content is known. Then the rules are those for other files, with one
// difference: a compressed file that is older than what was read last is not read from its start. All other compressed
// files are passed over without being decompressed, and are recognized by their compressed bytes from then on.

// unpack decides which compressed arrivals have to be decompressed, and holds the trails whose decisions wait for that.
func (d *decision) unpack(arrivals []*arrival) {
	for _, a := range arrivals {
		if !a.isPacked() || a.err != nil || a.unpacked == opened || d.is[a] != nil || a.base == nil {
			continue
		}
		if a.hasOriginal && !d.lacks(a) { // the directory changes when the compression has ended
			d.settle(a)
			continue
		}
		missed := d.missed(a, d.undecided(a)) == follow
		if !missed && !d.lacks(a) && a.unpacked != underway {
			continue
		}
		if missed {
			d.do(action{verb: owe, arrival: a})
		}
		if a.unpacked == closed {
			d.do(action{verb: unpack, arrival: a})
		} else if !missed {
			d.do(action{verb: wait, arrival: a})
		}
		d.settle(a)
		if d.held == nil {
			d.held = make(map[*trail]bool)
		}
		d.held[a.base] = true
		if a.own != nil {
			d.held[a.own] = true
		}
	}
	for i, x := range d.actions { // what is not open yet may be later than what the compressed file holds
		if x.verb == resume && x.gen.fd < 0 && d.held[x.gen.trail] {
			d.actions[i] = action{verb: wait, arrival: x.arrival}
		}
	}
}

// lacks says whether a may be, by its name, a generation that was not read to its end and that no arrival is known to
// be, as far as that can be said without decompressing anything.
func (d *decision) lacks(a *arrival) bool {
	return slices.ContainsFunc(d.known, func(g *generation) bool {
		return a.isRotationOf(g) && (g.rewritten || g.fd < 0 && g.phase == active && !g.lost && d.at[g] == nil)
	})
}

// compressed applies rule 4 to a compressed arrival.
func (d *decision) compressed(a *arrival, w *undecided) {
	v := d.missed(a, w)
	switch {
	case a.part != nil && a.part.phase == active: // the open file is read; after a restart this one would be needed
		v = wait
	case a.part != nil, d.isCopy(a), a.unpacked == opened && (a.content == 0 || d.isOld(a)):
		v = pass
	case a.unpacked != opened && v == follow:
		v = wait
	case w.owed:
		v = follow
	}
	if v == follow {
		if d.followed == nil {
			d.followed = make(map[*trail]bool)
		}
		d.followed[a.base] = true
	}
	d.do(action{verb: v, arrival: a, trail: a.base})
}

// isOld says whether a compressed file is older than what was read last: all rotated files of its path that were read
// were written to after it, or the path still names the file that was read last.
func (d *decision) isOld(a *arrival) bool {
	found := false
	for _, b := range d.arrivals {
		g := d.is[b]
		if g == nil {
			g = b.part
		}
		if g == nil {
			g = d.copies[b]
		}
		switch {
		case b == a || g == nil || !a.isRotationOf(g) || g.phase == ignored:
		case b.isAt(g) && g == d.is[b]:
			found = found || g.begun() && !g.rewritten
		case !a.stat.mtime.Before(b.stat.mtime.Truncate(time.Second)): // bzip2 keeps the time of a file in seconds
			return false
		default:
			found = true
		}
	}
	return found
}

// isPacked says whether the arrival is compressed and no input wants it as it is.
func (a *arrival) isPacked() bool { return a.kind != packed.None && a.home == nil }

// passedOver returns the generation whose compressed bytes the arrival has, because it was passed over earlier; nil =
// none.
func (a *arrival) passedOver() (found *generation) {
	if !a.isPacked() || a.unpacked != closed {
		return nil
	}
	for _, g := range a.holds {
		if g.phase == ignored && g.offset == a.stat.size && (found == nil || g.id == a.stat.id) {
			found = g
		}
	}
	return found
}

// size returns the size of the content, if that is known, and else that of the file.
func (a *arrival) size() int64 {
	if a.unpacked == opened {
		return a.content
	}
	return a.stat.size
}

// findNeverRead finds out whether a is a compressed file that was never read, although an input wants the name that it
// had before it was compressed. Example: the pattern is app-*.log, and app-2026-11-28.log was both begun and compressed
// while the forwarder was not running. Then its trail is created.
//
// A file counts as never read if it was written after the last run ended and there is no position of its path. Older
// archives are left alone.
func (v *volume) findNeverRead(d *directory, a *arrival) {
	plain, is := uncompressedName(filepath.Base(a.path))
	if !is || !d.first || v.followedUntil.IsZero() || a.hasOriginal || d.trails[plain] != nil {
		return
	}
	s, _ := d.match(plain)
	if s == nil || v.fromEnd || s.fromEnd {
		return
	}
	followed := v.followedUntil
	if strings.HasSuffix(a.path, ".bz2") { // it keeps the time of a file in seconds
		followed = followed.Truncate(time.Second)
	}
	l, err := lstatPath(a.path)
	if err != nil || !l.regular || l.mtime.Before(followed) {
		return
	}
	a.base = v.trail(d, plain, s)
	a.neverRead = a.base != nil
}

// expect notes that a file which was never read is to be read from its start. The note is its position, so that it
// survives when the forwarder is killed.
func (v *volume) expect(d *directory, x action) {
	a, t := x.arrival, x.trail
	g := &generation{fd: -1, source: t.source, trail: t, name: a.path} // without a stat, as after a restart
	g.position = position{id: a.stat.id, phase: active, category: string(t.category), path: t.path}
	v.adopt(d, g, a)
	d.known = append(d.known, g)
	v.note(g)
	v.log.Info("a compressed file that was made while nobody followed is read", "file", a.path, "path", t.path)
	d.urgent, v.hinted = true, true
}
