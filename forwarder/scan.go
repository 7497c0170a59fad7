package forwarder

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// arrival is a file found in a directory.
type arrival struct {
	path   string
	look   look
	source *source // nil = no input wants that name
	trail  *trail  // whose generation it is or could be
	gen    *generation
	live   bool // an input wants it, and it is what its trail's path shows
	other  bool // what was taken over of gen is not in it
}

// clockTick is how far the time stamps of files can be behind the clock.
const clockTick = 20 * time.Millisecond

// scan lists d and takes notice of what is new in it.
func (f *follower) scan(d *directory, now time.Time) {
	d.hinted, d.again, d.starved = false, false, false
	l, err := statPath(d.path)
	var names []entry
	if err == nil {
		names, err = d.names()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		if !d.failing {
			d.failing = true
			f.count.unreadable.Add(1)
			f.log.Warn("cannot look into a directory; it is tried again", "dir", d.path, "err", err)
		}
		d.listed, d.again = now, true
		return
	}
	if d.failing {
		d.failing = false
		f.log.Info("directory can be read again", "dir", d.path)
	}
	if err == nil {
		f.watch.add(d.path)
	}
	since := d.listed.Add(-clockTick)
	d.mtime, d.listed = l.mtime, now
	list := f.listWanted(d, names)
	f.meetPaths(d, list, now)
	list = append(list, f.listSiblings(d, names)...)
	f.meet(d, list, since)
	f.prune(d, list, now)
	d.cost = time.Since(now)
}

// listWanted looks at the files that an input wants.
func (f *follower) listWanted(d *directory, names []entry) (list []*arrival) {
	clear(d.links)
	for _, e := range names {
		s, other := d.match(e.name)
		if s == nil {
			continue
		}
		path := filepath.Join(d.path, e.name)
		if isCompressedName(e.name) {
			f.sayOnce(path, "compressed file is passed over")
			continue
		}
		if other != nil && string(s.category) != string(other.category) {
			f.sayOnce(path, "file is wanted by two inputs; the first has it", "category", string(s.category), "not", string(other.category))
		}
		l, err := statPath(path)
		if e.link {
			d.links[e.name] = l.id
		}
		switch {
		case err != nil && !(e.link && errors.Is(err, fs.ErrNotExist)):
			f.unreadable(d, path, err)
		case l.regular:
			list = append(list, &arrival{path: path, look: l, source: s})
		}
	}
	return list
}

// listSiblings looks at the files no input wants that could be rotated files of those that are followed.
func (f *follower) listSiblings(d *directory, names []entry) (list []*arrival) {
	missing := f.misses(d)
	for _, e := range names {
		if e.link || isCompressedName(e.name) {
			continue
		}
		t := d.base(e.name)
		if t == nil && !missing {
			continue
		}
		if s, _ := d.match(e.name); s != nil {
			continue
		}
		path := filepath.Join(d.path, e.name)
		l, err := lstatPath(path)
		switch {
		case err != nil:
			f.unreadable(d, path, err)
		case l.regular:
			list = append(list, &arrival{path: path, look: l, trail: t})
		}
	}
	return list
}

// misses says whether a file of d is to be read whose name is not known.
func (f *follower) misses(d *directory) bool {
	for _, g := range f.known {
		if g.fd < 0 && g.state == active && g.trail != nil && g.trail.dir == d {
			return true
		}
	}
	return false
}

// meetPaths finds out what each path shows now, and makes trails for new ones.
func (f *follower) meetPaths(d *directory, list []*arrival, now time.Time) {
	type view struct {
		live  identity
		there bool
	}
	before := make(map[*trail]view, len(d.trails))
	for _, t := range d.trails {
		before[t] = view{t.live, t.there}
		t.there, t.fresh = false, false
	}
	for _, a := range list {
		name := filepath.Base(a.path)
		t := d.trails[name]
		if t == nil {
			if g := f.known[a.look.id]; g != nil && g.trail != nil && g.state != ignored && f.still(g, a) {
				continue // a rotated file of another trail, whose name an input wants
			}
			t = &trail{path: a.path, dir: d, source: a.source, fresh: true}
			d.trails[name] = t
		}
		t.live, t.there = a.look.id, true
	}
	for _, a := range list {
		a.trail = d.base(filepath.Base(a.path))
		if t := d.trails[filepath.Base(a.path)]; t != nil && t.live == a.look.id {
			a.live = true
		}
	}
	for _, t := range d.trails {
		if v, ok := before[t]; !ok || v != (view{t.live, t.there}) {
			t.changed = now
		}
	}
}

// still says whether a is the file that g was: the system gives the numbers of deleted files to new ones.
func (f *follower) still(g *generation, a *arrival) bool {
	if g.fd >= 0 || g.look.size == a.look.size && g.look.mtime.Equal(a.look.mtime) {
		return true
	}
	fd, l, err := openFile(a.path)
	if err != nil || l.id != g.id {
		return err == nil || !errors.Is(err, fs.ErrNotExist)
	}
	defer closeQuietly(fd)
	if same, err := g.isIn(fd, l); same || err != nil {
		return true
	}
	old, err := g.past.find(fd, l)
	return old.offset > 0 || err != nil
}

// meet takes what is new in the list, the oldest generation first.
func (f *follower) meet(d *directory, list []*arrival, since time.Time) {
	var known, unknown []*arrival
	seen := make(map[identity]bool, len(list))
	for _, a := range list {
		if seen[a.look.id] {
			continue // another name of the same file
		}
		seen[a.look.id] = true
		switch g := f.known[a.look.id]; {
		case g == nil || !f.revisit(g, a):
			unknown = append(unknown, a)
		case a.gen != nil:
			known = append(known, a)
		}
	}
	// Those that were being read come first: they are the oldest, and what they lack says which of the others are their copies.
	slices.SortStableFunc(known, byAge)
	for _, a := range known {
		f.enter(a)
	}
	unknown = slices.DeleteFunc(unknown, func(a *arrival) bool { return f.known[a.look.id] != nil || !f.wanted(d, a, since) })
	slices.SortStableFunc(unknown, byAge)
	for _, a := range unknown {
		if f.begin(d, a) {
			f.enter(a)
		}
	}
	for id := range d.undecided {
		if !seen[id] || f.known[id] != nil {
			delete(d.undecided, id)
		}
	}
}

// revisit handles a file whose identity is known. It is false if the file is another one with the same identity. a.gen is set if it
// is to be read on.
func (f *follower) revisit(g *generation, a *arrival) bool {
	g.lostAt = time.Time{}
	if g.compressed && f.still(g, a) {
		return true
	}
	own := a.live && g.trail != nil && g.trail.path == a.path
	if g.fd >= 0 {
		g.name = a.path
		if own && g.retired && !f.once { // it is back
			g.retired = false
			f.retired--
			g.trail.insert(g)
		}
		return true
	}
	if g.look.size == a.look.size && g.look.mtime.Equal(a.look.mtime) && !(own && g.state != active) {
		return true
	}
	if !f.room() {
		f.again(a)
		return true
	}
	same, err := g.open(a.path, a.look)
	switch {
	case err != nil:
		f.cannotOpen(a, err)
		return true
	case !same && !own && !g.fallBack(f.log):
		g.close(f.log)
		f.forgetOld(g)
		return false
	case g.state == ignored && !a.live, g.state == finished && !own && g.look.size == g.offset, g.source == nil && !a.live:
		g.close(f.log)
		return true
	}
	a.gen, a.other = g, !same && own
	return true
}

// forgetOld drops what is known of a file that is no more, because another has its identity.
func (f *follower) forgetOld(g *generation) {
	if g.state == active && g.trail != nil {
		f.count.lost.Add(1)
		f.log.Warn("a file that was being read is gone; what was not read of it is lost", "path", g.path, "offset", g.offset)
	}
	delete(f.known, g.id)
}

// begin opens a file that is new and says whether it is to be read.
func (f *follower) begin(d *directory, a *arrival) bool {
	if !f.room() {
		f.again(a)
		return false
	}
	t := a.trail
	if a.live {
		t = d.trails[filepath.Base(a.path)]
	}
	g := &generation{fd: -1, source: t.source, trail: t}
	g.position = position{id: a.look.id, state: active, category: string(t.source.category), path: t.path}
	if _, err := g.open(a.path, a.look); err != nil {
		f.cannotOpen(a, err)
		return false
	}
	if g.head, g.compressed = g.magic(); g.compressed {
		if a.source != nil {
			f.sayOnce(a.path, "compressed file is passed over")
		}
		g.close(f.log)
		g.state = ignored
		f.known[g.id] = g
		return false
	}
	if (f.fromEnd || t.source.fromEnd) && !f.started && t.fresh && a.live {
		if err := g.seekEnd(); err != nil {
			f.cannotOpen(a, joinClose(err, g.fd))
			return false
		}
	}
	if !a.live {
		f.count.recovered.Add(1)
		f.log.Info("a rotated file that was not seen before is read", "file", a.path, "path", t.path)
	}
	a.gen = g
	return true
}

// enter puts an open file into its trail, or among the retired ones if that is done with it.
func (f *follower) enter(a *arrival) {
	g := a.gen
	if g.trail == nil || a.live && g.trail.path != a.path && g.state == ignored {
		g.trail = g.trailAt(a, f)
		g.source, g.path = g.trail.source, g.trail.path
		g.category = string(g.source.category)
	}
	f.adopt(g)
	if g.state == finished && !(a.live && g.trail.path == a.path) {
		g.retired = true
		f.retired++
	} else {
		g.state = active
		g.trail.insert(g)
	}
	f.note(g)
	if a.other {
		f.truncated(g)
	}
	delete(f.failed, a.path)
}

func (g *generation) trailAt(a *arrival, f *follower) *trail {
	if a.live {
		return f.dirs[filepath.Dir(a.path)].trails[filepath.Base(a.path)]
	}
	return a.trail
}

// room says whether another descriptor may be opened.
func (f *follower) room() bool {
	return len(f.open)+len(f.opened) < f.limit || f.evict()
}

// again makes a file that could not be opened for want of descriptors be tried again.
func (f *follower) again(a *arrival) {
	f.dirs[filepath.Dir(a.path)].again = true
	f.dirs[filepath.Dir(a.path)].starved = true
	f.count.noRoom.Add(1)
	if !f.full {
		f.full = true
		f.log.Warn("no descriptors are left; some files wait to be read. Raise the limit (ulimit -n)", "file", a.path, "limit", f.limit)
	}
}

func (f *follower) cannotOpen(a *arrival, err error) {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		f.again(a)
		return
	}
	f.unreadable(f.dirs[filepath.Dir(a.path)], a.path, err)
}

// unreadable makes a file that could not be opened be tried again, and says so once.
func (f *follower) unreadable(d *directory, path string, err error) {
	d.again = true
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errMoved) {
		d.hinted, f.hinted = true, true
		return
	}
	if !f.failed[path] {
		f.failed[path] = true
		f.count.unreadable.Add(1)
		f.log.Warn("cannot read a file; it is tried again", "file", path, "err", err)
	}
}

func (f *follower) sayOnce(path, msg string, args ...any) {
	if len(f.said) > 10_000 {
		clear(f.said)
	}
	if !f.said[path] {
		f.said[path] = true
		f.log.Info(msg, append([]any{"file", path}, args...)...)
	}
}
