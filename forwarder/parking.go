package forwarder

import (
	"cmp"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A parked file is followed without a descriptor, because others need it more. It was read to its end and is looked at
// by stat, or it is due: it has changed, or was never opened, and is opened as soon as there is a descriptor.
//
//	open ──(quiet for longest, another needs its descriptor)──► parked ──(stat shows a change)──► due ──► open
//	                         new files, without a free descriptor ──────────────────────────────►┘
//
// When a file is opened again its contents are compared as after a restart. If they are other ones, or the path shows
// another file, a scan of its directory decides.
type parking struct {
	files  []*generation // that are parked, and some that are not any more …
	count  int           // … and how many are
	due    []*generation // files that wait for a descriptor, the first one for longest …
	since  time.Time     // … since when there have been some; zero = there are none
	next   int           // the index in files from which stat goes on …
	at     time.Time     // … and when …
	cost   time.Duration // … and how long this round has taken so far
	quiet  []*generation // open files that can be parked, those that were quiet for longest last …
	chosen time.Time     // … and when they were chosen
}

const (
	// statShare is how many times longer than stat on all parked files takes there is a pause.
	statShare = 100
	// statBatch is how many parked files are looked at before other files are read.
	statBatch = 2000
	// openBatch is the same for files that are opened again.
	openBatch = 500
)

// park closes the file that was quiet for longest, and says whether there was one.
func (v *volume) park() bool {
	p := &v.parking
	if len(p.quiet) == 0 && time.Since(p.chosen) >= v.timing.poll/2 {
		p.chosen = time.Now()
		for _, list := range [][]*generation{v.open, v.opened} {
			for _, g := range list {
				if g.isQuiet() {
					p.quiet = append(p.quiet, g)
				}
			}
		}
		slices.SortFunc(p.quiet, func(a, b *generation) int {
			return cmp.Or(b.grewAt.Compare(a.grewAt), cmp.Compare(a.name, b.name))
		})
	}
	for len(p.quiet) > 0 {
		g := p.quiet[len(p.quiet)-1]
		p.quiet = p.quiet[:len(p.quiet)-1]
		if g.isQuiet() && v.parkFile(g) {
			return true
		}
	}
	return false
}

// isQuiet says whether an open file can be parked: it was read to its end, and no other file of its path waits.
func (g *generation) isQuiet() bool {
	return g.fd >= 0 && !g.retired && !g.reading && !g.rewritten && g.content == nil && g.failed.IsZero() &&
		g.until == 0 && g.held == 0 && g.stat.size == g.end() && len(g.trail.gens) == 1 && !g.trail.replaced(g)
}

func (v *volume) parkFile(g *generation) bool {
	v.at(&g.name)
	l, err := statx(g.fd, "", unix.AT_EMPTY_PATH)
	if err != nil || l.size != g.end() || l.gone {
		g.pollAt = time.Time{} // it has grown meanwhile, or was deleted
		return false
	}
	g.close(v.log)
	v.keepParked(g, l)
	return true
}

// keepParked notes that g is followed without a descriptor. l is how it was when it was read last.
func (v *volume) keepParked(g *generation, l stat) {
	g.stat = l
	if !g.parked {
		g.parked = true
		v.parking.files = append(v.parking.files, g)
		v.parking.count++
	}
	v.tellFull(g.trail.dir.path)
}

// makeDue has g opened as soon as there is a descriptor. It may be parked or not.
func (v *volume) makeDue(g *generation, l stat) {
	v.keepParked(g, l)
	p := &v.parking
	if !g.due {
		g.due = true
		if len(p.due) == 0 {
			p.since = time.Now()
		}
		p.due = append(p.due, g)
	}
}

// followLater begins to read a new file when there is a descriptor for it.
func (v *volume) followLater(d *directory, g *generation, a *arrival) {
	v.adopt(d, g, a)
	d.known = append(d.known, g)
	g.trail.insert(g)
	v.makeDue(g, a.stat)
	v.found(g)
	if !g.atEnd { // then its position is known when it is opened
		v.note(g)
	}
}

// resumeLater goes on reading a generation when there is a descriptor for it.
func (v *volume) resumeLater(d *directory, g *generation, a *arrival) {
	g.name, g.past, g.seen, g.lostAt = a.path, nil, true, time.Time{}
	v.adopt(d, g, a)
	if !slices.Contains(g.trail.gens, g) {
		g.trail.insert(g)
	}
	v.found(g)
	if a.stat.size == g.offset && a.isAt(g) {
		v.keepParked(g, a.stat)
		return
	}
	v.makeDue(g, a.stat)
}

// unpark notes that g has a descriptor again, or is not followed any more.
func (v *volume) unpark(g *generation) {
	if g.parked {
		g.parked, g.due = false, false
		v.parking.count--
	}
}

// leaveParking has a scan of the directory of g decide on it.
func (v *volume) leaveParking(g *generation) {
	v.unpark(g)
	g.trail.remove(g)
	g.stat.changed = time.Time{} // so that it counts as changed
	if len(g.trail.gens) > 0 {
		g.trail.gens[0].pollAt = time.Time{}
	}
	v.askDirectory(g)
}

// lookAtParked finds out which parked files have changed.
func (v *volume) lookAtParked(now time.Time) {
	p := &v.parking
	if p.count == 0 || now.Before(p.at) {
		return
	}
	if p.next == 0 {
		p.files = slices.DeleteFunc(p.files, func(g *generation) bool { return !g.parked })
		p.cost = 0
	}
	start := time.Now()
	end := min(p.next+statBatch, len(p.files))
	for _, g := range p.files[p.next:end] {
		v.lookAtParkedFile(g)
	}
	p.next, p.cost = end, p.cost+time.Since(start)
	if p.next >= len(p.files) {
		p.next, p.at = 0, now.Add(min(max(v.pollMax, statShare*p.cost), maxRescan))
	} else {
		v.soon = true
	}
}

func (v *volume) lookAtParkedFile(g *generation) {
	if !g.parked || g.due {
		return
	}
	v.at(&g.name)
	l, err := statPath(g.name)
	switch {
	case err != nil || l.id != g.id:
		v.leaveParking(g)
	case !l.same(g.stat), len(g.trail.gens) > 1, g.trail.replaced(g): // a rotated file has to be finished
		v.makeDue(g, g.stat)
	}
}

// missesParked says whether a scan has found that a parked file was replaced or rewritten. That may have happened after
// the directory was listed, so that what it became is not in the list: the scan has to be repeated. From now on these
// files count as closed ones, as after a restart.
func (v *volume) missesParked(d *directory, list []*arrival) (misses bool) {
	if v.parking.count == 0 {
		return false
	}
	of := make(map[*generation]*arrival, len(list))
	for _, a := range list {
		of[a.known] = a
	}
	for _, g := range d.known {
		if a := of[g]; g.parked && (a == nil || a.err == nil && !a.unchanged && !a.has(g)) {
			v.leaveParking(g)
			misses = true
		}
	}
	return misses
}

// openDue opens files that wait for a descriptor.
func (v *volume) openDue() {
	p := &v.parking
	done := 0
	for done < len(p.due) && done < openBatch {
		g := p.due[done]
		if g.due && (!v.hasRoom() || !v.reopen(g)) {
			break
		}
		done++
	}
	p.due = slices.Delete(p.due, 0, done)
	if len(p.due) == 0 {
		p.since = time.Time{}
	} else if done > 0 {
		v.soon = true
	}
	v.lend()
}

// lend parks files when those of other file systems wait for descriptors.
func (v *volume) lend() {
	others := v.follower.due.Load() - int64(len(v.parking.due))
	for others > 0 && v.held.Load() >= int64(v.limit) && v.evict() {
		others--
	}
}

// reopen opens a parked file. It is false if that has to wait.
func (v *volume) reopen(g *generation) bool {
	was := g.stat
	v.at(&g.name)
	err := g.openRaw(&arrival{path: g.name, stat: stat{id: g.id}})
	if isOutOfDescriptors(err) {
		return false
	}
	same := false
	if err == nil {
		same, err = g.checkpoint().isIn(g.fd, g.stat)
	}
	if err != nil || !same {
		g.close(v.log)
		g.trail.changed = time.Now() // as when an open file was rewritten: see suspect
		v.leaveParking(g)
		return true
	}
	if g.atEnd {
		size := g.stat.size
		g.stat.size = was.size
		if err := g.seekEnd(); err != nil {
			g.close(v.log)
			v.leaveParking(g)
			return true
		}
		g.atEnd, g.stat.size = false, size
	}
	v.pollSoon(g)
	v.note(g)
	return true
}

// descriptor returns the descriptor of a file that is open, or one for the moment if it is parked. If that fails, or
// its path shows another file now, the descriptor is of no use: calls with it fail.
func (g *generation) descriptor() (fd int, done func()) {
	if !g.parked {
		return g.fd, func() {}
	}
	fd, l, err := openFile(g.name)
	if err != nil {
		return -1, func() {}
	}
	if l.id != g.id {
		closeQuietly(fd)
		return -1, func() {}
	}
	return fd, func() { closeQuietly(fd) }
}

// tellFull logs once that there are more files than descriptors.
func (v *volume) tellFull(dir string) {
	if !v.full {
		v.full = true
		v.log.Warn("no descriptors are left; files that are quiet are closed, and opened again when they grow. "+
			"Raise the limit (ulimit -n), so that this is noticed sooner", "dir", dir, "limit", v.limit)
	}
}
