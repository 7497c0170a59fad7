package forwarder

import (
	"path/filepath"
	"slices"
	"time"
)

// post tells the volume about directories.
func (v *volume) post(list []assignment) {
	v.mu.Lock()
	v.mail = append(v.mail, list...)
	v.mu.Unlock()
	signal(v.wake)
}

// takeMail takes over directories, and gives up others.
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
				d.first = m.first
				v.dirs[m.dir] = d
			}
			d.gone, d.literals, d.patterns = false, make(map[string]*source), nil
			for _, s := range m.sources {
				d.add(s)
			}
			v.restore(d, m.known, now)
			v.scanAt = now
		}
	}
}

// restore makes the trails that the positions know of.
func (v *volume) restore(d *directory, known []*generation, now time.Time) {
	for _, g := range known {
		name := filepath.Base(g.path)
		s, _ := d.match(name)
		if s == nil {
			d.foreign = append(d.foreign, g) // followed no more; its position is kept
			continue
		}
		t := d.trail(name, s)
		t.fresh, t.changed = false, now
		g.trail, g.source = t, s
		d.known = append(d.known, g)
		if o := v.known[g.id]; o == nil || o.fd < 0 && !o.seen {
			v.known[g.id] = g
		}
	}
}

// release gives back what is known of d.
func (v *volume) release(d *directory) {
	for _, g := range d.known {
		g.close(v.log)
		if g.retired {
			g.retired = false
			v.retired--
		}
		if v.known[g.id] == g {
			delete(v.known, g.id)
		}
		g.trail, g.reading, g.seen = nil, false, false
	}
	v.ready = slices.DeleteFunc(v.ready, func(g *generation) bool { return g.fd < 0 })
	v.tellFailed(&directory{}, d.failed)
	delete(v.dirs, d.path)
	v.giveBack(d.path, append(d.known, d.foreign...))
}

// giveBack has a directory be assigned anew.
func (f *follower) giveBack(dir string, known []*generation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded[dir] = append(f.loaded[dir], known...)
	delete(f.assigned, dir)
}

// drop forgets a directory of which nothing is known any more.
func (v *volume) drop(d *directory) {
	v.tellFailed(&directory{}, d.failed)
	v.watch.remove(d.path)
	delete(v.dirs, d.path)
	v.giveBack(d.path, d.foreign)
}
