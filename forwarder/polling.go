package forwarder

import (
	"errors"
	"time"
)

// poll looks at the open files that are due, and returns when the next one is.
func (v *volume) poll(now time.Time) (next time.Time) {
	v.open = append(v.open, v.opened...)
	clear(v.opened) // do not keep closed files in memory
	v.opened = v.opened[:0]
	next = now.Add(v.pollMax)
	kept := 0
	for _, g := range v.open {
		if g.fd >= 0 && !g.reading && !g.rewritten && !g.pollAt.After(now) {
			v.lookAt(g, now)
		}
		if g.fd < 0 {
			g.polled = false
			continue
		}
		if !g.reading && !g.rewritten && g.pollAt.Before(next) {
			next = g.pollAt
		}
		v.open[kept] = g
		kept++
	}
	clear(v.open[kept:])
	v.open = v.open[:kept]
	v.tellCounts()
	return next
}

// lookAt finds out what happened to an open file since the last look.
func (v *volume) lookAt(g *generation, now time.Time) {
	v.at(&g.name)
	l, err := g.statOpen()
	if err != nil {
		v.readFailed(g, err)
		return
	}
	l.born = g.stat.born
	shrank := l.size < g.stat.size && !g.begun() // nothing was read of it yet, so its size is all there is to compare
	grew := l.size != g.stat.size
	touched := !grew && !l.mtime.Equal(g.stat.mtime) // it may have been written anew with as many bytes
	if grew {
		g.grewAt, g.every = now, v.timing.poll
	} else {
		g.every = min(2*g.every, v.pollMax)
	}
	g.stat, g.pollAt = l, now.Add(g.every)
	if g.behind.IsZero() && l.size > g.end() {
		g.behind = now
	}
	switch {
	case shrank:
		v.suspect(g)
		return
	case !g.retired && g.trail.gens[0] != g:
		return // it waits for an older file of its path
	}
	switch {
	case l.size < g.end(), touched && g.content == nil && l.size == g.end() && !g.isWhole():
		v.suspect(g)
	case l.size > g.end() && !(g.padded && !grew && v.isPadded(g)):
		v.makeReady(g)
	default:
		v.readWorks(g)
		v.settle(g, now)
	}
}

// settle handles a file that was read to its end.
func (v *volume) settle(g *generation, now time.Time) {
	quiet := now.Sub(g.quietSince(now))
	if g.held > 0 {
		v.settleHeld(g, now, quiet)
	}
	switch {
	case g.retired:
		v.settleRetired(g, quiet)
	case v.once:
		if g.scanned == 0 || v.takeRest(g) {
			v.finish(g)
		}
	case len(g.trail.gens) > 1 || g.trail.replaced(g):
		if quiet >= v.linger {
			if g.content == nil || g.scanned == 0 || v.takeRest(g) { // nothing is added to a compressed file
				v.finish(g)
			}
			return
		}
		g.every = v.timing.poll
		g.pollAt = now.Add(g.every)
	}
}

// settleHeld takes the last message of a file once nothing was added to it for long enough. That message could have
// continued: a stack trace may still grow.
func (v *volume) settleHeld(g *generation, now time.Time, quiet time.Duration) {
	wait := g.trail.decoder.Wait()
	if quiet >= wait && v.endAt(g, g.offset+g.held) {
		return
	}
	if at := now.Add(max(wait-quiet, v.timing.poll)); at.Before(g.pollAt) {
		g.pollAt = at
	}
}

// finish ends a generation, so that the next one of its path is read. The descriptor stays open for late writes.
func (v *volume) finish(g *generation) {
	t := g.trail
	if t.replaced(g) {
		if g.scanned == 0 {
			g.phase = finished
		}
		v.note(g)
		v.log.Info("file was rotated and is read to its end", "path", t.path, "file", g.name, "offset", g.offset)
	}
	t.gens = t.gens[1:]
	g.retired = true
	v.retired++
	if len(t.gens) > 0 {
		t.gens[0].pollAt = time.Time{}
		v.soon = true
	}
	if v.retired > retiredMax {
		v.evict()
	}
}

// settleRetired completes the last line of a rotated file with a newline when none came for a while, and closes the
// descriptor once it was kept for long enough.
func (v *volume) settleRetired(g *generation, quiet time.Duration) {
	if g.scanned > 0 {
		if quiet < v.partial || !v.takeRest(g) {
			return
		}
	}
	if g.phase == active && g.trail.replaced(g) {
		g.phase = finished
		v.note(g)
	}
	keep := v.keepOld
	if g.content != nil {
		v.passOver(g)
		v.shut(g)
		return
	}
	if g.stat.gone {
		keep = v.keepGone
	}
	if quiet >= keep {
		v.shut(g)
	}
}

// suspect marks a file as rewritten whose size is below the position, or whose bytes before the position have changed.
// The next scan of the directory decides what happened.
func (v *volume) suspect(g *generation) {
	if g.content != nil {
		v.readFailed(g, errChanged)
		return
	}
	g.wasRewritten()
	v.askDirectory(g)
}

// wasRewritten notes that the bytes before the position are not those that were read. As after a rotation, other files
// of the trail may be missed generations.
func (g *generation) wasRewritten() {
	g.rewritten = true
	g.trail.changed = time.Now()
}

var errChanged = errors.New("the compressed file has other content than before")

// askDirectory has the directory of g looked at now.
func (v *volume) askDirectory(g *generation) {
	g.trail.dir.urgent = true
	v.hinted, v.soon = true, true
}
