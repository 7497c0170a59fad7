package forwarder

import (
	"time"

	"inkwell/forwarder/packed"
	"inkwell/store/stream"
)

// apply carries out one decided action.
func (v *volume) apply(d *directory, x action) {
	var err error
	switch x.verb {
	case follow:
		err = v.follow(d, x)
	case resume:
		err = v.resume(d, x.gen, x.arrival)
	case restart:
		err = v.restart(x.gen, x.arrival)
	case inherit:
		err = v.inherit(d, x.gen, x.arrival)
	case fallBack:
		err = v.fallBack(d, x)
	case finish:
		err = v.finishChanged(x.gen, x.arrival)
	case pass:
		err = v.pass(d, x)
	case wait, owe:
		v.postpone(d, x.arrival, x.verb == owe)
	case expect:
		v.expect(d, x)
	case unpack:
		v.unpack(d, x.arrival)
		v.postpone(d, x.arrival, false)
	case lose:
		v.lose(x.gen, "no file holds what was read of it any more")
	}
	switch {
	case err != nil && x.arrival != nil:
		v.cannotOpen(d, x.arrival, err)
	case err != nil:
		v.readFailed(x.gen, err)
	}
}

// postpone keeps an arrival that was not decided on until the next scan of its directory.
func (v *volume) postpone(d *directory, a *arrival, owed bool) {
	w := d.waiting[a.stat.id]
	if w == nil {
		w = &undecided{since: d.listed}
		if d.waiting == nil {
			d.waiting = make(map[identity]*undecided)
		}
		d.waiting[a.stat.id] = w
	}
	w.owed = w.owed || owed
	if a.isPacked() && a.unpacked != opened {
		a.base.held = true
		if a.own != nil {
			a.own.held = true
		}
	}
	d.again = true
	if a.err != nil && (a.home != nil || a.known != nil || w.owed) {
		v.cannotOpen(d, a, a.err)
	}
}

// adopt records that g is the file that a scan found as a: its identity becomes that of a.
func (v *volume) adopt(d *directory, g *generation, a *arrival) {
	if v.known[g.id] == g && g.id != a.stat.id {
		delete(v.known, g.id)
	}
	g.id = a.stat.id
	v.known[g.id] = g
	delete(d.waiting, g.id)
}

// pollSoon schedules a generation that was just opened to be polled at once.
func (v *volume) pollSoon(g *generation) {
	v.unpark(g)
	g.pollAt, g.every = time.Time{}, v.timing.poll
	g.grewAt = time.Now()
	v.soon = true
	if !g.polled {
		g.polled = true
		v.opened = append(v.opened, g)
	}
}

// follow begins to read a file that was not known before.
func (v *volume) follow(d *directory, x action) error {
	a, t := x.arrival, x.trail
	g := &generation{fd: -1, source: t.source, trail: t, name: a.path, stat: a.stat}
	g.position = position{id: a.stat.id, phase: active, category: string(t.category), path: t.path}
	g.atEnd = (v.fromEnd || t.source.fromEnd) && d.first && t.fresh && a.home == t
	room := v.hasRoom()
	if !room && !a.isPacked() {
		v.followLater(d, g, a)
		return nil
	}
	if !room {
		v.again(d)
		return nil
	}
	if err := g.open(a); err != nil {
		return err
	}
	v.tellDamage(a)
	if g.atEnd {
		if err := g.seekEnd(); err != nil {
			return joinClose(err, g.fd)
		}
		g.atEnd = false
	}
	switch {
	case a.home != t:
		v.count.recovered.Add(1)
		t.recovered = t.recovered || a.isPacked()
		v.log.Info("a rotated file that was not seen before is read", "file", a.path, "path", t.path)
	case v.started && !v.once: // files found at the start are logged as a number only
		v.log.Info("new file is followed", "file", a.path, "category", string(t.category))
	}
	v.adopt(d, g, a)
	d.known = append(d.known, g)
	t.insert(g)
	v.pollSoon(g)
	v.found(g)
	v.note(g)
	return nil
}

// resume goes on reading a generation in the file that the arrival shows, which may be another one on disk.
func (v *volume) resume(d *directory, g *generation, a *arrival) error {
	if g.fd >= 0 && g.id == a.stat.id {
		v.renamed(g, a)
		return nil
	}
	if !v.hasRoom() {
		if g.id == a.stat.id && !a.isPacked() && g.phase == active {
			v.resumeLater(d, g, a)
		} else {
			v.again(d)
		}
		return nil
	}
	old := *g
	if err := g.open(a); err != nil {
		return err
	}
	v.tellDamage(a)
	if g.id != a.stat.id {
		if a.isPacked() {
			v.count.recovered.Add(1)
		}
		v.log.Info("file was replaced by one that begins with what was read; reading continues",
			"file", a.path, "offset", g.offset)
		if v.known[g.id] == g {
			delete(v.known, g.id)
		}
		v.dropPosition(&old)
		if old.fd >= 0 {
			v.leaveBehind(d, &old)
		}
	}
	g.past = nil
	v.adopt(d, g, a)
	v.forgetCopy(d, g, a)
	// a new file may have the old number, and its stream would be saved in the place of this position
	if v.enter(g, a); old.id != g.id {
		v.cur.close()
	}
	return nil
}

// leaveBehind keeps the file that g was read from open after another file took its place, because a daemon may still
// write to the old one.
func (v *volume) leaveBehind(d *directory, o *generation) {
	o.stream, o.number, o.phase = stream.ID{}, 0, finished
	l, err := statFile(o.fd)
	if err == nil && o.content == nil {
		err = o.seek(l.size)
	}
	if err != nil || o.content != nil { // it is of no use any more
		o.close(v.log)
		return
	}
	o.reading, o.polled, o.shipment, o.left = false, false, 0, true
	v.pollSoon(o)
	if !o.retired {
		o.retired = true
		v.retired++
	}
	d.known = append(d.known, o)
	v.known[o.id] = o
}

// renamed notes the new name of an open file. If the file is back at its own path, it is read again as the current one.
func (v *volume) renamed(g *generation, a *arrival) {
	g.name, g.seen, g.lostAt = a.path, true, time.Time{}
	if a.isAt(g) && g.retired && !v.once {
		g.retired = false
		v.retired--
		g.phase = active
		g.trail.insert(g)
	}
}

// enter inserts an open file into its trail, or keeps it among the retired files if its trail has finished it.
func (v *volume) enter(g *generation, a *arrival) {
	if g.phase == ignored && a.home != nil {
		v.dropPosition(g)
		g.trail, g.source, g.path, g.category = a.home, a.home.source, a.home.path, string(a.home.category)
	}
	inTrail := false
	for _, o := range g.trail.gens {
		inTrail = inTrail || o == g
	}
	switch {
	case inTrail:
	case g.phase == finished && !a.isAt(g):
		if !g.retired {
			g.retired = true
			v.retired++
		}
	default:
		g.phase = active
		g.trail.insert(g)
	}
	v.pollSoon(g)
	v.found(g)
	v.note(g)
}

// restart reads a file that was truncated or rewritten from its start.
func (v *volume) restart(g *generation, a *arrival) error {
	v.count.truncated.Add(1)
	v.log.Info("file was truncated or overwritten; it is read from its start", "file", a.path, "offset", g.offset)
	if g.fd < 0 {
		if err := g.open(a); err != nil {
			return err
		}
		g.restart()
		v.enter(g, a)
	} else {
		g.restart()
		now := time.Now()
		g.grewAt, g.pollAt, g.every = now, now, v.timing.poll
		v.soon = true
		v.note(g)
	}
	v.cur.close()
	return nil
}

// inherit reads, from a copy, what had not been read of a file before that file was truncated (logrotate's
// copytruncate).
func (v *volume) inherit(d *directory, g *generation, a *arrival) error {
	c := a.known
	if c == nil || c.trail != g.trail || c.phase == active { // another file had its number
		c = &generation{fd: -1}
		d.known = append(d.known, c)
	}
	past, was := g.position, c.position
	c.position, c.source, c.trail = past, g.source, g.trail
	c.id, c.phase = a.stat.id, active
	if was.path != "" && was.key() != c.key() {
		v.dropPosition(&generation{position: was})
	}
	v.adopt(d, c, a)
	if c.fd < 0 {
		if err := c.open(a); err != nil {
			return err
		}
	}
	v.tellDamage(a)
	v.log.Info("the rest of a file that was truncated is read from its copy",
		"file", a.path, "path", g.path, "offset", c.offset)
	if c.stat.size == c.offset {
		v.passOver(c)
		c.close(v.log)
		return nil
	}
	v.count.recovered.Add(1)
	v.note(c)
	v.cur.close()
	v.pollSoon(c)
	if g.retired {
		c.retired = true
		v.retired++
		return nil
	}
	g.trail.insertBefore(c, g)
	return nil
}

// fallBack goes on reading a file from an older checkpoint.
func (v *volume) fallBack(d *directory, x action) error {
	g, a := x.gen, x.arrival
	if g.fd < 0 {
		if !v.hasRoom() {
			v.again(d)
			return nil
		}
		if err := g.open(a); err != nil {
			return err
		}
	}
	v.log.Info("file lost its end when the machine stopped; it is read on from an older position",
		"file", a.path, "offset", g.offset, "older", x.checkpoint.offset)
	g.goTo(x.checkpoint)
	g.past, g.rewritten = nil, false
	if g.phase != active && a.stat.size > g.offset {
		g.phase = active
	}
	v.adopt(d, g, a)
	v.enter(g, a)
	return nil
}

// finishChanged notes that a file which was read to its end has been changed since, and skips its new content.
func (v *volume) finishChanged(g *generation, a *arrival) error {
	if g.phase == active && g.stat.size > g.offset {
		v.lose(g, "it was changed after it was rotated, before it was read")
	}
	open := g.fd >= 0
	if !open {
		if err := g.open(a); err != nil {
			return err
		}
	}
	l, err := statFile(g.fd)
	if err == nil {
		err = g.seek(l.size)
	}
	if err != nil {
		return err
	}
	g.stat.size, g.stat.mtime, g.stat.changed = l.size, l.mtime, l.changed
	if g.parked {
		v.unpark(g)
		g.trail.remove(g)
	}
	g.phase, g.rewritten, g.past = finished, false, nil
	g.stream, g.number = stream.ID{}, 0
	v.note(g)
	if !open {
		g.close(v.log)
	} else if !g.retired {
		g.trail.remove(g)
		g.retired = true
		v.retired++
	}
	return nil
}

// pass remembers a file as one that is not to be read.
func (v *volume) pass(d *directory, x action) error {
	a, t := x.arrival, x.trail
	g := &generation{fd: -1, source: t.source, trail: t}
	g.position = position{id: a.stat.id, phase: ignored, category: string(t.category), path: t.path}
	if a.kind != packed.None && a.source != nil {
		v.sayOnce(a.path, compressedText)
	}
	if a.unpacked == opened && a.content == 0 {
		v.tellDamage(a)
	}
	if err := g.openRaw(a); err != nil {
		return err
	}
	defer g.close(v.log)
	if err := g.seek(g.stat.size); err != nil {
		return err
	}
	v.adopt(d, g, a)
	d.known = append(d.known, g)
	v.note(g)
	v.cur.close()
	return nil
}

// lose logs and counts that the unread rest of a file cannot be read any more.
func (v *volume) lose(g *generation, why string) {
	g.lost = true
	if g.seen && g.stat.size == g.offset {
		return // nothing is missing
	}
	v.count.lost.Add(1)
	v.log.Warn("the unread rest of a file is lost: "+why, "path", g.path, "offset", g.offset)
}

// cannotOpen handles an arrival that could not be opened. Without free descriptors it is tried again later.
func (v *volume) cannotOpen(d *directory, a *arrival, err error) {
	if isOutOfDescriptors(err) {
		v.again(d)
		return
	}
	v.unreadable(d, a.path, err)
}
