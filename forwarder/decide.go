package forwarder

import (
	"slices"
	"time"
)

// view is what is known of a directory when it is looked at.
type view struct {
	known   []*generation           // of its paths
	waiting map[identity]*undecided // arrivals of earlier looks that were not decided on
	first   bool                    // it stood when the forwarder was started, and is looked at for the first time
	listed  time.Time               // the look before; zero = there was none
	once    bool                    // what is there now is read to its end: nothing is waited for
	window  time.Duration           // how long after a rotation strangers are taken for generations that were missed
	linger  time.Duration           // how long an empty file has to be empty to be taken for one
}

// undecided is an arrival that waits.
type undecided struct {
	since time.Time
	owed  bool // it will be read as soon as it can be opened
}

// verb is what to do with an arrival, or a generation.
type verb byte

const (
	follow   verb = iota + 1 // a new file: it is read from its start, in that trail
	resume                   // the arrival is the generation, whatever its numbers are now: it is read on
	restart                  // the generation was written anew: it is read from its start
	inherit                  // the arrival is a copy of what the generation held before: the rest is read from it
	fallBack                 // the generation lost its end in a power cut: it is read on from that place
	finish                   // the generation was done, and somebody changed it: it is not read again
	pass                     // the arrival is not to be read: it is a copy, or somebody else's
	wait                     // nothing is certain, or it cannot be opened: it is looked at again
	owe                      // it cannot be opened, and will be read once it can
	lose                     // no arrival holds what was read of the generation
)

var verbs = [...]string{follow: "follow", resume: "resume", restart: "restart", inherit: "inherit",
	fallBack: "fall back",
	finish:   "finish", pass: "pass", wait: "wait", owe: "owe", lose: "lose"}

func (v verb) String() string { return verbs[v] }

// action is one thing to do. Actions are done in their order.
type action struct {
	verb       verb
	arrival    *arrival    // nil with lose
	gen        *generation // nil with follow, pass, wait
	trail      *trail      // of follow and pass
	checkpoint checkpoint  // of fallBack
}

// decide says what is to be done about what a look at a directory found. It changes nothing. Contents decide, numbers
// and names are hints:
//
//  1. An arrival with the numbers of a generation that holds what was read of it is that generation, under whatever
//     name.
//  2. One with its numbers that holds something else was written anew, if it stands at the generation's path. What was
//     not read before is in a copy, if there is one. Elsewhere, what was done is not read again, and otherwise the
//     system gave the numbers to a new file.
//  3. One with other numbers that holds what was read of a generation is that generation if it stands at its path
//     (restored, replaced, mounted elsewhere), or if nothing else is.
//  4. What is left is new: read if an input wants its name, or if it was missed in a rotation that happened lately.
func decide(v *view, arrivals []*arrival, now time.Time) []action {
	arrivals = slices.Clone(arrivals)
	slices.SortStableFunc(arrivals, byAge) // generations are read in the order in which they are met
	d := &decision{view: v, now: now, is: make(map[*arrival]*generation), at: make(map[*generation]*arrival)}
	d.recognize(arrivals)
	d.rewritten(arrivals)
	d.moved(arrivals)
	for _, a := range arrivals {
		if d.is[a] == nil && !d.done[a] {
			d.stranger(a)
		}
	}
	for _, g := range v.known {
		if d.at[g] == nil {
			d.missing(g)
		}
	}
	return d.actions
}

type decision struct {
	*view
	now     time.Time
	is      map[*arrival]*generation
	at      map[*generation]*arrival
	done    map[*arrival]bool // something was decided on it
	actions []action
}

func (d *decision) do(a action) { d.actions = append(d.actions, a) }

func (d *decision) match(a *arrival, g *generation) { d.is[a], d.at[g] = g, a }

// settle says that there is nothing more to decide on a.
func (d *decision) settle(a *arrival) {
	if d.done == nil {
		d.done = make(map[*arrival]bool)
	}
	d.done[a] = true
}

// recognize finds the generations by their numbers.
func (d *decision) recognize(arrivals []*arrival) {
	for _, a := range arrivals {
		g := a.known
		switch {
		case g == nil || g.rewritten:
		case a.err != nil: // it may well be it
			d.match(a, g)
			d.do(action{verb: wait, arrival: a})
		case g.fd >= 0 || a.unchanged || g.packed && a.packed || a.has(g) && !d.renumbered(a, g) && !isSuccessor(a, g):
			d.match(a, g)
			if d.wants(a, g) {
				d.do(action{verb: resume, arrival: a, gen: g})
			}
		}
	}
}

// renumbered says whether devices were numbered anew, and a is not g, whose numbers it has, but the generation of its
// own path.
func (d *decision) renumbered(a *arrival, g *generation) bool {
	return !a.isAt(g) && slices.ContainsFunc(a.holds, func(o *generation) bool {
		return o != g && a.isAt(o) && o.id.ino == g.id.ino && o.id.dev != g.id.dev
	})
}

// isSuccessor says whether a got the numbers of g when that was deleted, and holds the same only because both begin
// with the same few bytes: "listening on port 3000".
func isSuccessor(a *arrival, g *generation) bool {
	made, before := a.look.born, g.look.born
	return !a.isAt(g) && g.offset < certain && !made.IsZero() && !before.IsZero() && !made.Equal(before)
}

// wants says whether g, which a is, has to be open.
func (d *decision) wants(a *arrival, g *generation) bool {
	switch {
	case g.fd >= 0:
		return true // its name may have changed
	case g.packed || g.trail == nil:
		return false
	case g.phase == ignored:
		return a.home != nil && a.look.size > g.offset
	case g.phase == finished:
		return a.isAt(g) || a.look.size != g.offset && !a.unchanged
	}
	return !a.unchanged // what was closed was read
}

// rewritten handles those that have the numbers of a generation and hold something else.
func (d *decision) rewritten(arrivals []*arrival) {
	for _, a := range arrivals {
		g := a.known
		if g == nil || d.is[a] != nil || g.trail == nil {
			continue
		}
		old, lostEnd := a.older[g]
		switch c := d.copyOf(g, arrivals); {
		case g.phase == active && (a.isAt(g) || g.rewritten && a.look.size > 0):
			d.match(a, g)
			if c != nil {
				d.settle(c)
				d.do(action{verb: inherit, arrival: c, gen: g})
			} else if lostEnd {
				d.do(action{verb: fallBack, arrival: a, gen: g, checkpoint: old})
				continue
			}
			d.do(action{verb: restart, arrival: a, gen: g})
		case lostEnd:
			d.match(a, g)
			d.do(action{verb: fallBack, arrival: a, gen: g, checkpoint: old})
		case g.fd >= 0 || g.phase != active && !a.isAt(g) && slices.Contains(a.begins, g):
			d.match(a, g)
			d.do(action{verb: finish, arrival: a, gen: g})
		}
	}
	for _, g := range d.known { // which were replaced after that
		if c := d.copyOf(g, arrivals); c != nil && g.rewritten && d.at[g] == nil {
			d.settle(c)
			d.do(action{verb: inherit, arrival: c, gen: g})
		}
	}
}

// copyOf finds what holds what g held before it was written anew: the newest, if there are several.
func (d *decision) copyOf(g *generation, arrivals []*arrival) (c *arrival) {
	if !g.begun() {
		return nil
	}
	for _, a := range arrivals {
		if a.known == g || !a.has(g) || a.base != g.trail || d.is[a] != nil && d.is[a].phase == active {
			continue
		}
		if c == nil || a.look.mtime.After(c.look.mtime) {
			c = a
		}
	}
	return c
}

// missing decides on a generation that no arrival is.
func (d *decision) missing(g *generation) {
	switch {
	case g.rewritten: // open, and in another directory or none
		d.do(action{verb: finish, gen: g})
	case g.fd >= 0 || g.phase != active || g.lost:
	case d.once || !g.lostAt.IsZero() && d.now.Sub(g.lostAt) >= d.linger:
		d.do(action{verb: lose, gen: g})
	}
}

// certain is how many bytes that are the same leave no doubt that two files are: two full fingerprints. Lines without
// times, as "listening on port 3000", make small files equal that have nothing to do with each other.
const certain = 2 * printMax

// moved finds generations under other numbers than they had.
func (d *decision) moved(arrivals []*arrival) {
	for _, a := range arrivals { // at their own paths first
		for _, g := range a.holds {
			if d.is[a] == nil && !d.done[a] && a.isAt(g) && g.phase != ignored && d.replaces(a, g) {
				d.leave(g)
				d.match(a, g)
				d.do(action{verb: resume, arrival: a, gen: g})
			}
		}
	}
	for _, g := range d.known {
		if d.at[g] != nil || g.fd >= 0 && !g.look.gone || g.rewritten || g.phase == ignored || g.phase == removed {
			continue
		}
		var found *arrival
		for _, a := range arrivals {
			if d.is[a] != nil || d.done[a] || !a.has(g) || a.home != nil && g.offset < certain || !d.replaces(a, g) {
				continue
			}
			if found == nil || a.look.mtime.After(found.look.mtime) {
				found = a
			}
		}
		if found != nil {
			d.match(found, g)
			if d.wants(found, g) {
				d.do(action{verb: resume, arrival: found, gen: g})
			} else {
				d.do(action{verb: pass, arrival: found, trail: g.trail})
			}
		}
	}
}

// replaces says whether a, which stands at the path of g and holds what was read of it, is the same log in another
// file, and not a new log that begins as the old one did. If the old file still has another name, it was rotated,
// unless that name is an editor's. If it is gone, much that is the same leaves no doubt; of little, time tells: rsync,
// an editor and sed -i make the new file before the old one goes, a daemon after that.
func (d *decision) replaces(a *arrival, g *generation) bool {
	made, left := a.look.born, g.look.changed
	switch {
	case g.fd >= 0 && g.look.gone && !made.IsZero() && g.offset < certain:
		return !made.After(left)
	case d.at[g] != nil: // it has another name: it was rotated, unless that is an editor's
		return g.offset >= certain && isBackupName(d.at[g].path)
	case g.fd >= 0 && !g.look.gone:
		return g.offset >= certain
	}
	return true
}

// leave has the file be passed over that was g until now.
func (d *decision) leave(g *generation) {
	if b := d.at[g]; b != nil {
		d.actions = slices.DeleteFunc(d.actions, func(x action) bool { return x.arrival == b })
		delete(d.is, b)
		d.settle(b)
	}
}

// stranger decides on what is no generation that is known.
func (d *decision) stranger(a *arrival) {
	w := d.waiting[a.look.id]
	if w == nil {
		w = &undecided{since: d.now}
	}
	trail := a.home
	if trail == nil {
		trail = a.base
	}
	switch {
	case trail == nil:
	case a.err != nil:
		d.unreadable(a, w)
	case a.packed, d.isCopy(a):
		d.do(action{verb: pass, arrival: a, trail: trail})
	case d.mayBeCopy(a, w):
		d.do(action{verb: wait, arrival: a})
	case a.home != nil || w.owed:
		d.do(action{verb: follow, arrival: a, trail: trail})
	default:
		d.do(action{verb: d.missed(a, w), arrival: a, trail: trail})
	}
}

// unreadable decides on what cannot be opened: what would be read now is read when that is possible, however late.
func (d *decision) unreadable(a *arrival, w *undecided) {
	v := wait
	if a.home == nil && (w.owed || d.missed(a, w) == follow) {
		v = owe
	}
	d.do(action{verb: v, arrival: a})
}

// isCopy says whether a is a copy of a generation that is known. Where an input wants the name, and nothing was rotated
// or truncated, only much that is the same makes one. Elsewhere a file that has more than what little was read of g may
// be a later generation that begins with the same banner.
func (d *decision) isCopy(a *arrival) bool {
	return slices.ContainsFunc(a.holds, func(g *generation) bool {
		enough := g.offset >= nearby
		if a.home == nil {
			enough = g.offset >= certain || g.offset == a.look.size || a.part == g
		}
		return g.trail == a.base && a.base != nil && enough
	}) || a.home == nil && a.part != nil && d.now.Sub(a.look.mtime) > d.window
}

// mayBeCopy says whether a could be a copy that is being made, or of which nobody has truncated the original yet.
func (d *decision) mayBeCopy(a *arrival, w *undecided) bool {
	if a.home == nil {
		return a.part != nil
	}
	like := a.part != nil || slices.ContainsFunc(a.holds, func(g *generation) bool {
		return g.trail == a.base && a.base != nil
	})
	age := d.now.Sub(w.since)
	return !d.once && (like && age < min(d.window, copyPatience) || d.isBlank(a) && age < d.linger)
}

// isBlank says whether a is empty and stands where another file stood until a moment ago: an editor may be about to
// write that into it.
func (d *decision) isBlank(a *arrival) bool {
	return a.look.size == 0 && a.home.changed.After(d.listed) && slices.ContainsFunc(d.known, func(g *generation) bool {
		return a.isAt(g) && g.fd >= 0 && !g.retired
	})
}

// copyPatience is how long a file that an input wants is taken for a copy without a truncation.
const copyPatience = 2 * time.Second

// missed decides on a file that no input wants, whose name is that of a rotated file of its base.
func (d *decision) missed(a *arrival, w *undecided) verb {
	t, age := a.base, d.now.Sub(w.since)
	switch {
	case t.fresh && (d.first || a.look.mtime.Before(d.listed.Add(-clockTick))):
		return pass // it stood there before the path was met
	case d.tookOver(a), a.far && !d.isLater(a):
		return pass
	case d.now.Sub(t.changed) < d.window && (a.look.size > 0 || age >= d.linger):
		return follow
	case age >= d.window && t.changed.Before(w.since):
		return pass
	}
	return wait
}

// isLater says whether a was written after the look before, or after a generation that was rotated, whether that was
// read to its end or not: what stands in a directory below may have been there for long. Example: the forwarder has
// read app.log.1 to its end and is away while the next file is written and moved to old/app.log.2.
func (d *decision) isLater(a *arrival) bool {
	if !d.listed.IsZero() && a.look.mtime.After(d.listed.Add(-clockTick)) {
		return true
	}
	return slices.ContainsFunc(d.known, func(g *generation) bool {
		b := d.at[g]
		return b != nil && g.trail == a.base && !b.isAt(g) && !a.look.mtime.Before(b.look.mtime)
	})
}

// tookOver says whether a took the name of a generation that was done, without a rotation: somebody changed that.
func (d *decision) tookOver(a *arrival) bool {
	return a.base.changed.Before(d.listed) && slices.ContainsFunc(d.known, func(g *generation) bool {
		return g.trail == a.base && g.name == a.path && d.at[g] == nil && (g.fd < 0 || g.look.gone)
	})
}

// clockTick is how far the time stamps of files can be behind the clock.
const clockTick = 20 * time.Millisecond
