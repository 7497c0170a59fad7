package forwarder

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"time"
)

// assignment tells a volume about a directory.
type assignment struct {
	dir     string
	sources []*source     // the inputs that want files of it; none = no pattern matches it any more
	known   []*generation // known from the positions
	first   bool          // at least one of the sources found it at the start
	release bool          // it is on another file system now: give its generations back
}

// assign gives each directory to the volume of its file system, and returns how many volumes it started.
func (f *follower) assign(ctx context.Context) (started int) {
	now, first := f.wanted()
	f.mounts.read()
	mail := make(map[*volume][]assignment)
	var fresh []*volume
	f.mu.Lock()
	for _, dir := range slices.Sorted(maps.Keys(now)) {
		v := f.assigned[dir]
		switch {
		case v == nil:
			name := f.volumeName(f.mounts.find(dir).id)
			if v = f.volumes[name]; v == nil {
				v = newVolume(f, name)
				f.volumes[name], fresh = v, append(fresh, v)
			}
			f.assigned[dir] = v
			mail[v] = append(mail[v], assignment{dir: dir, sources: now[dir], known: f.loaded[dir], first: first[dir]})
			delete(f.loaded, dir)
		case v.name != f.volumeName(f.mounts.find(dir).id):
			// the next call assigns it to the other volume
			mail[v] = append(mail[v], assignment{dir: dir, release: true})
		case !slices.Equal(now[dir], f.before[dir]):
			mail[v] = append(mail[v], assignment{dir: dir, sources: now[dir], first: first[dir]})
		}
	}
	for dir := range f.before {
		if v := f.assigned[dir]; v != nil && now[dir] == nil {
			mail[v] = append(mail[v], assignment{dir: dir})
		}
	}
	f.mu.Unlock()
	f.before = now
	for v, list := range mail {
		v.post(list)
	}
	for _, v := range fresh {
		if len(f.volumes) > 1 { // each volume fills one shipment, and one more is being sent
			f.ship.free <- new(shipment)
		}
		go func() { f.failed <- v.run(ctx) }()
	}
	return len(fresh)
}

// volumeName returns the name of the volume for a file system: its own, or when there are too many, that of the one it
// shares.
func (f *follower) volumeName(mount string) string {
	if f.volumes[mount] != nil || len(f.volumes) < volumesMax {
		return mount
	}
	return slices.Min(slices.Collect(maps.Keys(f.volumes)))
}

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
