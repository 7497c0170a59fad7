package forwarder

import (
	"slices"
	"time"

	"inkwell/forwarder/packed"
)

// stranger applies rule 4: it decides on an arrival that is no known generation.
func (d *decision) stranger(a *arrival) {
	w := d.undecided(a)
	trail := a.home
	if trail == nil {
		trail = a.base
	}
	switch {
	case trail == nil:
	case a.err != nil, d.held[trail], d.held[a.base]:
		d.unreadable(a, w)
	case a.neverRead:
		d.do(action{verb: expect, arrival: a, trail: trail})
	case a.isPacked():
		d.compressed(a, w)
	case a.kind != packed.None, d.isCopy(a):
		d.do(action{verb: pass, arrival: a, trail: trail})
	case d.mayBeCopy(a, w):
		d.do(action{verb: wait, arrival: a})
	case a.home != nil || w.owed:
		d.do(action{verb: follow, arrival: a, trail: trail})
	default:
		d.do(action{verb: d.missed(a, w), arrival: a, trail: trail})
	}
}

// undecided returns what earlier scans have noted of a.
func (d *decision) undecided(a *arrival) *undecided {
	if w := d.waiting[a.stat.id]; w != nil {
		return w
	}
	return &undecided{since: d.now}
}

// unreadable decides on an arrival that cannot be opened, or not yet. If it were to be read now, it is read as soon as
// that is possible, however late.
func (d *decision) unreadable(a *arrival, w *undecided) {
	v := wait
	if a.home == nil && (w.owed || d.missed(a, w) == follow) {
		v = owe
	}
	d.do(action{verb: v, arrival: a})
}

// isCopy says whether a is a copy of a known generation. If an input wants its name, and nothing was rotated or
// truncated, only many equal bytes prove that. Otherwise a file that is longer than the little that was read of g may
// be a later generation which begins with the same banner.
func (d *decision) isCopy(a *arrival) bool {
	return slices.ContainsFunc(a.holds, func(g *generation) bool {
		enough := g.offset >= nearby
		if a.home == nil {
			enough = g.offset >= certain || g.offset == a.size() || a.part == g
		}
		return a.isRotationOf(g) && enough
	}) || a.home == nil && a.part != nil && d.now.Sub(a.stat.mtime) > d.window
}

// mayBeCopy says whether a may be a copy that is still being made, or one whose original was not truncated yet.
func (d *decision) mayBeCopy(a *arrival, w *undecided) bool {
	if a.home == nil {
		return a.part != nil
	}
	like := a.part != nil || slices.ContainsFunc(a.holds, a.isRotationOf)
	age := d.now.Sub(w.since)
	return !d.once && (like && age < min(d.window, copyPatience) || d.isBlank(a) && age < d.linger)
}

// isBlank says whether a is empty and is at a path that showed another file until a moment ago: an editor may be about
// to write the content of the old file into it.
func (d *decision) isBlank(a *arrival) bool {
	return a.stat.size == 0 && a.home.changed.After(d.listed) && slices.ContainsFunc(d.known, func(g *generation) bool {
		return a.isAt(g) && g.fd >= 0 && !g.retired
	})
}

// copyPatience is how long a file that an input wants may be taken for a copy before its original is truncated.
const copyPatience = 2 * time.Second

// missed decides on a file that no input wants, but that has the name of a rotated file of its base: was it rotated
// without having been read?
func (d *decision) missed(a *arrival, w *undecided) verb {
	t, age := a.base, d.now.Sub(w.since)
	switch {
	case t.fresh && (d.first || a.stat.mtime.Before(d.listed.Add(-clockTick))):
		return pass // it was there before the path was first seen
	case d.tookOver(a), a.far && !a.isPacked() && !d.isLater(a):
		return pass
	case d.now.Sub(t.changed) < d.window && (a.stat.size > 0 || age >= d.linger):
		return follow
	case age >= d.window && t.changed.Before(w.since):
		return pass
	}
	return wait
}

// isLater says whether a was written after the previous scan, or after a generation that was rotated. Other files in a
// directory below may be old ones. Example: the forwarder has read app.log.1 to its end and is not running while the
// next file is written and moved to old/app.log.2.
func (d *decision) isLater(a *arrival) bool {
	if !d.listed.IsZero() && a.stat.mtime.After(d.listed.Add(-clockTick)) {
		return true
	}
	return slices.ContainsFunc(d.arrivals, func(b *arrival) bool {
		g := d.is[b]
		if g == nil || b.isAt(g) {
			g = d.copies[b]
		}
		return g != nil && g.trail == a.base && !a.stat.mtime.Before(b.stat.mtime)
	})
}

// tookOver says whether a took the name of a finished generation without a rotation: somebody edited the rotated file.
func (d *decision) tookOver(a *arrival) bool {
	return a.base.changed.Before(d.listed) && slices.ContainsFunc(d.known, func(g *generation) bool {
		return g.trail == a.base && g.name == a.path && d.at[g] == nil && (g.fd < 0 || g.stat.gone)
	})
}

// clockTick is how far the time stamps of files can lag behind the clock.
const clockTick = 20 * time.Millisecond
