package forwarder

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// rescan looks for new files and for rotations: in all directories when that is due, otherwise in those for which there
// was an event.
func (v *volume) rescan(now time.Time) {
	all := !now.Before(v.scanAt)
	if !all && !v.hinted {
		return
	}
	v.hinted = false
	for _, d := range v.dirs {
		switch {
		case d.gone && len(d.known) == 0:
			v.drop(d)
		case d.urgent:
			v.scan(d, now)
		case d.hinted && now.Sub(d.listed) < max(hintPause, hintRescan*d.cost):
			v.hinted = true // later
		case d.hinted || all && d.due(now):
			v.scan(d, now)
		}
	}
	if all {
		v.scanAt = now.Add(min(max(v.timing.rescan, slowRescan*time.Since(now)), maxRescan))
		v.started = true
		if v.full && !v.starved() && v.parking.count == 0 {
			v.full = false
			v.log.Info("file descriptors are available again")
		}
	}
}

// scan lists d, decides on what it finds, and applies the decisions.
func (v *volume) scan(d *directory, now time.Time) {
	v.at(&d.path)
	d.hinted, d.urgent, d.again, d.starved = false, false, false, false
	before, refused := d.failed, d.refused
	d.failed, d.refused = nil, 0
	l, err := statPath(d.path)
	var names []dirEntry
	if err == nil {
		v.watch.add(d.path) // before it is listed, so that nothing is missed in between
		names, err = d.names()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotDirectory) {
		d.again = true
		d.fail(d.path, err)
		for path := range before { // they still cannot be read
			d.fail(path, before[path])
		}
		d.listed, d.refused = now, refused
		v.tellFailed(d, before)
		return
	}
	list := v.listWanted(d, names)
	d.notePaths(list, now)
	list = append(list, v.listRotated(d, names, now)...)
	list = v.listBelow(d, names, list, now)
	list = v.examine(d, list)
	if v.missesParked(d, list) {
		d.failed, d.refused = before, refused
		v.scan(d, time.Now())
		return
	}
	actions := decide(v.viewOf(d), list, now)
	d.mtime, d.listed = l.mtime, now
	for _, t := range d.trails {
		t.held = false
	}
	for _, x := range actions {
		v.apply(d, x)
	}
	d.first = false
	for _, t := range d.trails {
		t.fresh = false
	}
	d.learnBelow()
	v.prune(d, list, now)
	v.tellFailed(d, before)
	v.categories.refused.Add(int64(d.refused - refused))
	d.cost = time.Since(now)
}

func (v *volume) viewOf(d *directory) *view {
	return &view{known: d.known, waiting: d.waiting, first: d.first, listed: d.listed,
		once: v.once, window: v.window, linger: v.linger}
}

// examine collects what decide needs to know of the files. A file with several names is listed once, under the first of
// them.
func (v *volume) examine(d *directory, list []*arrival) []*arrival {
	seen := make(map[identity]bool, len(list))
	list = slices.DeleteFunc(list, func(a *arrival) bool {
		again := seen[a.stat.id]
		seen[a.stat.id] = true
		return again
	})
	for _, a := range list {
		a.known = v.known[a.stat.id]
		if a.home != nil {
			a.base = d.base(filepath.Base(a.path))
		}
	}
	for _, g := range d.known {
		if g.fd < 0 {
			continue
		}
		if l, err := statFile(g.fd); err == nil {
			g.stat.gone, g.stat.changed = l.gone, l.changed
		}
	}
	for !v.examineAll(d, list) {
	}
	for _, a := range list {
		if a.known != nil && a.isRatherOther() {
			a.holds = slices.DeleteFunc(a.holds, func(g *generation) bool { return g == a.known })
			a.known = nil
		}
	}
	return list
}

// examineAll compares the contents of the files. It is false if it found that an open file was rewritten: then it must
// be called again, because that changes the result for the others.
func (v *volume) examineAll(d *directory, list []*arrival) bool {
	compare := slices.ContainsFunc(d.known, func(g *generation) bool { return g.rewritten })
	for _, a := range list {
		g := a.known
		if g != nil && g.fd >= 0 && !g.rewritten {
			continue
		}
		a.unchanged = g != nil && !g.rewritten && g.stat.same(a.stat)
		if a.unchanged && !compare {
			continue
		}
		v.at(&a.path)
		a.examine(d.candidates(a))
		like := a.like()
		if a.isPacked() {
			if v.lookInside(d, a); a.unpacked == opened {
				like = d.candidates(a)
			}
		}
		for _, o := range like {
			if o != g && o.fd >= 0 && !o.rewritten && !o.isWhole() {
				o.wasRewritten()
				return false
			}
		}
	}
	return true
}

// isWhole says whether an open file still holds what was read of it, as far as that can be told.
func (g *generation) isWhole() bool {
	if g.content != nil {
		return true
	}
	l, err := statFile(g.fd)
	if err != nil {
		return true
	}
	same, err := g.checkpoint().isIn(g.fd, l)
	return same || err != nil
}

// candidates returns the generations that a could be, or of which it could be a copy.
func (d *directory) candidates(a *arrival) (list []*generation) {
	for _, g := range d.known {
		if g.left {
			continue
		}
		if g.trail == a.home || g.trail == a.base || a.isRotationOf(g) || g == a.known || a.home == nil &&
			a.base == nil {
			list = append(list, g)
		}
	}
	if a.known != nil && !slices.Contains(list, a.known) {
		list = append(list, a.known)
	}
	return list
}

// prune forgets files that have been gone for long enough.
func (v *volume) prune(d *directory, list []*arrival, now time.Time) {
	seen := make(map[identity]bool, len(list))
	for _, a := range list {
		seen[a.stat.id] = true
	}
	for id := range d.waiting {
		if !seen[id] {
			delete(d.waiting, id)
		}
	}
	v.pruneUnpackings(d, seen)
	used := make(map[*trail]bool)
	d.known = slices.DeleteFunc(d.known, func(g *generation) bool {
		if g.fd >= 0 || seen[g.id] && v.known[g.id] == g {
			g.lostAt = time.Time{}
			used[g.trail] = true
			return false
		}
		if g.lostAt.IsZero() {
			g.lostAt = now
			d.again = d.again || g.phase == active
		}
		keep := v.forget
		if !g.seen {
			keep = max(keep, forgetUnseen)
		}
		if now.Sub(g.lostAt) < keep || len(d.unpackings) > 0 {
			used[g.trail] = true
			return false
		}
		v.forgetFile(g)
		return true
	})
	for name, t := range d.trails {
		if !used[t] && !t.present && now.Sub(t.changed) >= v.forget {
			v.end(d, name)
		}
	}
	v.pruneBeside(d)
}

// forgetUnseen is how long the position of a file is kept that was never found since the start: its file system may be
// mounted late.
const forgetUnseen = 24 * time.Hour

func (v *volume) forgetFile(g *generation) {
	if v.known[g.id] == g {
		delete(v.known, g.id)
	}
	v.dropPosition(g)
}

// forgetCopy forgets that a, which is g now, was passed over as a copy of g.
func (v *volume) forgetCopy(d *directory, g *generation, a *arrival) {
	if o := a.known; o != nil && o != g && o.phase == ignored {
		d.known = slices.DeleteFunc(d.known, func(k *generation) bool { return k == o })
		v.dropPosition(o)
	}
}

// tellFailed logs what cannot be read any more, and what can be read again.
func (v *volume) tellFailed(d *directory, before map[string]error) {
	v.count.unreadable.Add(int64(len(d.failed) - len(before)))
	for path, err := range d.failed {
		if before[path] == nil {
			v.log.Warn("cannot be read; it is tried again", "file", path, "err", err)
		}
	}
	for path := range before {
		if d.failed[path] == nil {
			v.log.Info("can be read again, or is gone", "file", path)
		}
	}
}

// unreadable notes that something could not be opened. If it was deleted or replaced, the directory is listed again
// instead.
func (v *volume) unreadable(d *directory, path string, err error) {
	d.again = true
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errMoved) {
		d.hinted, v.hinted = true, true
		return
	}
	d.fail(path, err)
}

// fail notes that something cannot be read.
func (d *directory) fail(path string, err error) {
	if d.failed == nil {
		d.failed = make(map[string]error)
	}
	d.failed[path] = err
}

func (v *volume) sayOnce(path, msg string, args ...any) {
	if len(v.said) > 10_000 {
		clear(v.said)
	}
	if !v.said[path] {
		v.said[path] = true
		v.log.Info(msg, append([]any{"file", path}, args...)...)
	}
}

// hintFile has a file polled now.
func (v *volume) hintFile(path string) {
	d := v.dirs[filepath.Dir(path)]
	if d == nil {
		return
	}
	if t := d.trails[filepath.Base(path)]; t != nil && len(t.gens) > 0 {
		t.gens[0].pollAt = time.Time{}
		if t.gens[0].parked {
			v.lookAtParkedFile(t.gens[0])
		}
	}
}

// hintDir has a directory listed soon.
func (v *volume) hintDir(path string) {
	for _, d := range []*directory{v.dirs[path], v.beside[path]} {
		if d != nil {
			d.hinted, v.hinted = true, true
		}
	}
}
