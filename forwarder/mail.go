package forwarder

import (
	"path/filepath"
	"slices"
	"time"
)

// post sends assignments to the volume. The follower calls it.
func (v *volume) post(list []assignment) {
	v.mu.Lock()
	v.mail = append(v.mail, list...)
	v.mu.Unlock()
	signal(v.wake)
}

// takeMail carries out the assignments: it takes directories over, and gives others up.
func (v *volume) takeMail(now time.Time) {
	v.mu.Lock()
	mail := v.mail
	v.mail = nil
	v.mu.Unlock()
	for _, m := range mail {
		d := v.dirs[m.dir]
		switch {
		case m.release && d != nil:
			v.release(d)
		case m.release:
		case len(m.sources) == 0 && d != nil:
			d.gone = true
		case len(m.sources) > 0:
			if d == nil {
				d = newDirectory(m.dir)
				v.dirs[m.dir] = d
			}
			d.gone, d.first = false, d.first || m.first
			d.want(m.sources)
			v.restore(d, m.known, now)
			d.hinted, v.hinted, v.scanAt = true, true, now
		}
	}
}

// restore makes the trails of the generations that are known from the positions.
func (v *volume) restore(d *directory, known []*generation, now time.Time) {
	for _, g := range known {
		name := filepath.Base(g.path)
		var t *trail
		s, _ := d.match(name)
		if s != nil {
			t = v.trail(d, name, s)
		}
		if t == nil {
			d.foreign = append(d.foreign, g) // not followed any more; its position is kept
			continue
		}
		t.fresh, t.changed = false, now
		g.trail, g.source = t, s
		d.known = append(d.known, g)
		if o := v.known[g.id]; o == nil || o.fd < 0 && !o.seen {
			v.known[g.id] = g
		}
	}
}

// release gives the positions of d back to the follower, for the volume that gets the directory next.
func (v *volume) release(d *directory) {
	var known []*generation
	for _, g := range append(d.known, d.foreign...) {
		if v.known[g.id] == g {
			delete(v.known, g.id)
		}
		if g.fd >= 0 {
			v.readWorks(g)
			g.close(v.log)
		}
		if g.retired {
			g.retired = false
			v.retired--
		}
		v.unpark(g)
		known = append(known, &generation{position: g.position, past: g.past, fd: -1, name: g.path})
	}
	v.pruneUnpackings(d, nil)
	v.ready = slices.DeleteFunc(v.ready, func(g *generation) bool { return g.fd < 0 })
	v.leave(d)
	v.giveBack(d.path, known)
}

// leave forgets a directory and takes it out of the counts.
func (v *volume) leave(d *directory) {
	for name := range d.trails {
		v.end(d, name)
	}
	v.tellFailed(&directory{}, d.failed)
	v.categories.refused.Add(int64(-d.refused))
	d.tellMatched(nil)
	for path := range d.beside {
		delete(v.beside, path)
	}
	delete(v.dirs, d.path)
}

// giveBack has a directory assigned to a volume again.
func (f *follower) giveBack(dir string, known []*generation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(known) > 0 {
		f.loaded[dir] = append(f.loaded[dir], known...)
	}
	delete(f.assigned, dir)
	f.returned.Store(true)
}

// drop forgets a directory that no pattern leads to and of which no file is known any more.
func (v *volume) drop(d *directory) {
	v.watch.remove(d.path)
	v.leave(d)
	v.giveBack(d.path, d.foreign)
}
