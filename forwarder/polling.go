package forwarder

import (
	"time"
)

// poll looks at the files whose turn it is and says when the next turn is.
func (f *follower) poll(now time.Time) (next time.Time) {
	f.open, f.opened = append(f.open, f.opened...), f.opened[:0]
	next = now.Add(f.pollMax)
	kept := 0
	for _, g := range f.open {
		if g.fd >= 0 && !g.reading && !g.pollAt.After(now) {
			f.lookAt(g, now)
		}
		if g.fd < 0 {
			continue
		}
		if !g.reading && g.pollAt.Before(next) {
			next = g.pollAt
		}
		f.open[kept] = g
		kept++
	}
	clear(f.open[kept:])
	f.open = f.open[:kept]
	f.count.files.Store(int64(kept - f.retired))
	return next
}

// lookAt finds out what happened to a file since the last look.
func (f *follower) lookAt(g *generation, now time.Time) {
	l, err := statFile(g.fd)
	if err != nil {
		f.readFailed(g, err)
		return
	}
	if l.size != g.look.size {
		g.grewAt, g.every = now, f.timing.poll
	} else {
		g.every = min(2*g.every, f.pollMax)
	}
	g.look, g.pollAt = l, now.Add(g.every)
	if !g.retired && g.trail.gens[0] != g {
		return // it waits
	}
	switch {
	case l.size < g.end():
		f.truncated(g)
	case l.size > g.end():
		f.makeReady(g)
	default:
		f.settle(g, now)
	}
}

// settle does what is to be done with a file that was read to its end.
func (f *follower) settle(g *generation, now time.Time) {
	quiet := now.Sub(g.quietSince(now))
	switch {
	case g.retired:
		f.settleRetired(g, now, quiet)
	case f.once:
		if g.scanned == 0 || f.takeRest(g) {
			f.finish(g)
		}
	case len(g.trail.gens) > 1 || g.trail.replaced(g):
		if quiet >= f.linger {
			f.finish(g)
			return
		}
		g.every = f.timing.poll
		g.pollAt = now.Add(g.every)
	}
}

// finish lets the next generation be read. The descriptor stays open for late bytes.
func (f *follower) finish(g *generation) {
	t := g.trail
	if t.replaced(g) {
		if g.scanned == 0 {
			g.state = finished
		}
		f.note(g)
	}
	t.gens = t.gens[1:]
	g.retired = true
	f.retired++
	if len(t.gens) > 0 {
		t.gens[0].pollAt = time.Time{}
		f.soon = true
	}
	if f.retired > retiredMax {
		f.evict()
	}
}

// settleRetired gives the last line its newline when its end did not come, and closes the descriptor when it was kept long enough.
func (f *follower) settleRetired(g *generation, now time.Time, quiet time.Duration) {
	if g.scanned > 0 {
		if quiet < f.partial || !f.takeRest(g) {
			return
		}
	}
	if g.state == active && g.trail.replaced(g) {
		g.state = finished
		f.note(g)
	}
	keep := f.keepOld
	if g.look.gone {
		keep = f.keepGone
	}
	if quiet >= keep {
		f.shut(g)
	}
}

// evict closes the retired file that was quiet for longest. It says whether there was one.
func (f *follower) evict() bool {
	now := time.Now()
	var oldest *generation
	for _, list := range [][]*generation{f.open, f.opened} {
		for _, g := range list {
			if g.fd < 0 || !g.retired || g.reading || g.look.size > g.end() {
				continue
			}
			if oldest == nil || g.quietSince(now).Before(oldest.quietSince(now)) {
				oldest = g
			}
		}
	}
	if oldest == nil || oldest.scanned > 0 && !f.takeRest(oldest) {
		return false
	}
	if oldest.trail.replaced(oldest) {
		oldest.state = finished
		f.note(oldest)
	}
	f.shut(oldest)
	return true
}

// shut closes the descriptor of a retired file.
func (f *follower) shut(g *generation) {
	g.close(f.log)
	g.retired = false
	f.retired--
}

// truncated begins anew with a file that became shorter, or whose bytes before the offset are not what they were. What was not read
// before is taken from the copy, if there is one (copytruncate). A file that lost its end in a power cut goes on where it still is what
// it was.
func (f *follower) truncated(g *generation) {
	c := f.findCopy(g)
	if c == nil && g.fallBack(f.log) {
		f.note(g)
		return
	}
	f.count.truncated.Add(1)
	f.log.Info("file was truncated; it is read from its start", "file", g.name, "offset", g.offset, "copy", copyName(c))
	g.restart()
	f.note(g)
	f.cur.close()
	now := time.Now()
	g.grewAt, g.pollAt, g.every = now, now, f.timing.poll
	if c == nil {
		return
	}
	f.note(c)
	if c.fd < 0 {
		return // it has nothing that was not read
	}
	f.count.recovered.Add(1)
	f.adopt(c)
	if g.retired {
		c.retired = true
		f.retired++
		return
	}
	t := g.trail
	at := 0
	for at < len(t.gens) && t.gens[at] != g {
		at++
	}
	t.gens = append(t.gens[:at:at], append([]*generation{c}, t.gens[at:]...)...)
}

func copyName(c *generation) string {
	if c == nil {
		return "none"
	}
	return c.name
}

// adopt makes a generation that was opened known and polled.
func (f *follower) adopt(g *generation) {
	f.known[g.id] = g
	g.pollAt, g.every = time.Time{}, f.timing.poll
	g.grewAt = time.Now()
	f.soon = true
	f.opened = append(f.opened, g)
}
