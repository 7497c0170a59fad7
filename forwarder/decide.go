package forwarder

import (
	"slices"
	"time"

	"inkwell/forwarder/packed"
)

// view is what is known of a directory when it is looked at.
type view struct {
	known   []*generation           // the generations of its paths
	waiting map[identity]*undecided // arrivals of earlier scans that are still undecided
	first   bool                    // it existed when the forwarder was started, and this is the first scan of it
	listed  time.Time               // the time of the scan before; zero = there was none
	once    bool                    // the files are read to their ends and the program stops, so nothing is waited for
	window  time.Duration           // how long after a rotation unknown rotated files count as missed generations
	linger  time.Duration           // how long a file must stay empty before it is taken for an empty log
}

// undecided is an arrival on which a later scan decides.
type undecided struct {
	since time.Time
	owed  bool // it is to be read as soon as it can be opened
}

// verb is what to do with an arrival or a generation.
type verb byte

const (
	follow   verb = iota + 1 // a new file: read it from its start, in the trail
	resume                   // the arrival is the generation, whatever its inode is now: go on reading
	restart                  // the generation was truncated or rewritten: read it from its start
	inherit                  // the arrival is a copy of what the generation held before: read the rest from it
	fallBack                 // the generation lost its end in a power cut: go on from the older checkpoint
	finish                   // the generation was finished, and somebody changed it: do not read it again
	pass                     // the arrival is not to be read: it is a copy, or belongs to no input
	wait                     // undecided, or it cannot be opened: look again later
	owe                      // it cannot be opened now, and is to be read once it can
	expect                   // a compressed file that nobody has read: note that it is to be read from its start
	unpack                   // what it holds has to be known before anything is decided: decompress it
	lose                     // no arrival holds the unread rest of the generation: report it as lost
)

var verbs = [...]string{follow: "follow", resume: "resume", restart: "restart", inherit: "inherit",
	fallBack: "fall back",
	finish:   "finish", pass: "pass", wait: "wait", owe: "owe", expect: "expect", unpack: "unpack", lose: "lose"}

func (v verb) String() string { return verbs[v] }

// action is one thing to do. Actions are carried out in their order.
type action struct {
	verb       verb
	arrival    *arrival    // nil with lose
	gen        *generation // nil with follow, expect, pass, wait
	trail      *trail      // of follow, expect and pass
	checkpoint checkpoint  // of fallBack
}

// decide says what is to be done about what a scan of a directory found. It changes nothing. The contents of a file
// decide which one it is; its identity (device and inode) and its names are only hints:
//
//  1. An arrival that has the identity of a generation, and the bytes that were read of it, is that generation, under
//     whatever name. Example: app.log was renamed to app.log.1.
//  2. An arrival that has the identity but other contents was truncated or rewritten, if it is at the generation's path
//     (copytruncate). What was unread before is read from the copy, if there is one. At another path, a generation that
//     was finished is not read again; otherwise the system has given the inode to a new file.
//  3. An arrival that has another identity, but the bytes that were read of a generation, is that generation if it is
//     at the same path (restored, replaced by an editor or rsync, mounted from another device), or if no other is. It
//     may have been passed over as a copy before. Example: rsync made .app.log.tmp, and renamed that to app.log.
//  4. Any other arrival is new. It is read if an input wants its name, or if it was missed in a recent rotation.
func decide(v *view, arrivals []*arrival, now time.Time) []action {
	arrivals = slices.Clone(arrivals)
	slices.SortStableFunc(arrivals, byAge) // new generations are read in this order
	d := &decision{view: v, now: now, arrivals: arrivals, is: make(map[*arrival]*generation),
		at: make(map[*generation]*arrival), copies: make(map[*arrival]*generation)}
	d.recognize(arrivals)
	d.unpack(arrivals)
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
	is      map[*arrival]*generation // which generation an arrival is
	at      map[*generation]*arrival // the reverse
	done    map[*arrival]bool        // nothing more is to be decided on it
	actions []action

	arrivals []*arrival
	copies   map[*arrival]*generation // what copytruncate left of a generation
	held     map[*trail]bool          // nothing is decided on it yet: see unpack
	followed map[*trail]bool          // a compressed file is read that was missed
}

func (d *decision) do(a action) { d.actions = append(d.actions, a) }

func (d *decision) match(a *arrival, g *generation) { d.is[a], d.at[g] = g, a }

// settle notes that there is nothing more to decide on a.
func (d *decision) settle(a *arrival) {
	if d.done == nil {
		d.done = make(map[*arrival]bool)
	}
	d.done[a] = true
}

// recognize applies rule 1: it finds generations by their identities.
func (d *decision) recognize(arrivals []*arrival) {
	for _, a := range arrivals {
		g := a.known
		if passed := a.passedOver(); passed != nil {
			d.match(a, passed)
			if passed.id != a.stat.id {
				d.do(action{verb: pass, arrival: a, trail: passed.trail})
			}
			continue
		}
		switch {
		case g == nil || g.rewritten:
		case a.err != nil: // it is probably the same file
			d.match(a, g)
			d.do(action{verb: wait, arrival: a})
		case g.fd >= 0 || a.unchanged || a.has(g) && !d.renumbered(a, g) && !isSuccessor(a, g):
			d.match(a, g)
			if d.wants(a, g) {
				d.do(action{verb: resume, arrival: a, gen: g})
			}
		}
	}
}

// renumbered says whether the system has renumbered its devices, so that a has the identity of g by accident and is
// really the generation of its own path. Example: after a reboot the disks sda and sdb have swapped their numbers.
func (d *decision) renumbered(a *arrival, g *generation) bool {
	return !a.isAt(g) && slices.ContainsFunc(a.holds, func(o *generation) bool {
		return o != g && a.isAt(o) && o.id.ino == g.id.ino && o.id.dev != g.id.dev
	})
}

// isSuccessor says whether a got the inode of g after g was deleted, and matches g only because both begin with the
// same few bytes, as "listening on port 3000".
func isSuccessor(a *arrival, g *generation) bool {
	made, before := a.stat.born, g.stat.born
	return !a.isAt(g) && g.offset < certain && !made.IsZero() && !before.IsZero() && !made.Equal(before)
}

// wants says whether g, which was found as a, has to be open.
func (d *decision) wants(a *arrival, g *generation) bool {
	switch {
	case g.fd >= 0:
		return true // its name may have changed
	case g.trail == nil:
		return false
	case g.phase == ignored:
		return a.home != nil && a.kind == packed.None && a.stat.size > g.offset
	case g.phase == finished:
		return a.isAt(g) || a.size() != g.offset && !a.unchanged
	}
	return !a.unchanged // a file is closed only after it was read
}

// rewritten applies rule 2: it handles arrivals that have the identity of a generation but other contents.
func (d *decision) rewritten(arrivals []*arrival) {
	for _, a := range arrivals {
		g := a.known
		if g == nil || d.is[a] != nil || g.trail == nil || a.isPacked() || d.held[g.trail] {
			continue
		}
		old, lostEnd := a.older[g]
		switch c := d.copyOf(g, arrivals); {
		case g.phase == active && (a.isAt(g) || g.rewritten && a.stat.size > 0):
			d.match(a, g)
			if c != nil {
				d.inherit(c, g)
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
	for _, g := range d.known { // rewritten, and replaced by another file after that
		if c := d.copyOf(g, arrivals); c != nil && g.rewritten && d.at[g] == nil && !d.held[g.trail] {
			d.inherit(c, g)
		}
	}
}

func (d *decision) inherit(c *arrival, g *generation) {
	d.settle(c)
	d.copies[c] = g
	d.do(action{verb: inherit, arrival: c, gen: g})
}

// copyOf finds the newest copy of what g held before it was rewritten, nil if there is none.
func (d *decision) copyOf(g *generation, arrivals []*arrival) (c *arrival) {
	if !g.begun() {
		return nil
	}
	for _, a := range arrivals {
		if a.known == g || !a.has(g) || !a.isRotationOf(g) || d.is[a] != nil && d.is[a].phase == active {
			continue
		}
		if c == nil || a.stat.mtime.After(c.stat.mtime) {
			c = a
		}
	}
	return c
}

// missing decides on a generation that no arrival matches.
func (d *decision) missing(g *generation) {
	switch {
	case d.held[g.trail], !g.begun() && (d.followed[g.trail] || g.trail.recovered):
	case g.rewritten: // it is open, and was moved to another directory or deleted
		d.do(action{verb: finish, gen: g})
	case g.fd >= 0 || g.phase != active || g.lost:
	case d.once || !g.lostAt.IsZero() && d.now.Sub(g.lostAt) >= d.linger:
		d.do(action{verb: lose, gen: g})
	}
}

// certain is how many equal bytes leave no doubt that two files are the same: two full fingerprints. Small files that
// have nothing to do with each other can be equal when their lines have no times, as "listening on port 3000".
const certain = 2 * printMax

// moved applies rule 3: it finds generations under another identity.
func (d *decision) moved(arrivals []*arrival) {
	for _, a := range arrivals { // at their own paths first
		for _, g := range a.holds {
			if d.isFree(a) && !d.held[g.trail] && !d.done[a] && a.isAt(g) && g.phase != ignored && d.replaces(a, g) {
				d.leave(g)
				d.leave(d.is[a])
				d.match(a, g)
				d.do(action{verb: resume, arrival: a, gen: g})
			}
		}
	}
	for _, g := range d.known {
		if d.at[g] != nil || g.fd >= 0 && !g.stat.gone || g.rewritten || g.phase == ignored || g.phase == removed ||
			d.held[g.trail] {
			continue
		}
		var found *arrival
		for _, a := range arrivals {
			if d.is[a] != nil && (g.phase != active || !d.isFree(a)) || d.done[a] || !a.has(g) ||
				a.home != nil && g.offset < certain || !d.replaces(a, g) {
				continue
			}
			if found == nil || found.isBetter(a) {
				found = a
			}
		}
		if found != nil {
			passed := d.is[found] != nil
			d.leave(d.is[found])
			d.match(found, g)
			if passed || d.wants(found, g) {
				d.do(action{verb: resume, arrival: found, gen: g})
			} else {
				d.do(action{verb: pass, arrival: found, trail: g.trail})
			}
		}
	}
}

// isBetter says whether b is more likely than a to be a generation that both hold what was read of. Of several files
// the latest one is: the others are copies that were made before. But if they are compressed, they were rotated one
// after the other, and only begin alike.
func (a *arrival) isBetter(b *arrival) bool {
	if a.isPacked() != b.isPacked() {
		return a.isPacked()
	}
	return b.stat.mtime.After(a.stat.mtime) != a.isPacked()
}

// replaces says whether a, which holds what was read of g and is at its path, is the same log in another file, and not
// a new log that begins as the old one did.
//
// If the old file still has another name, it was rotated, unless that is the name of an editor's backup. If the old
// file was deleted, many equal bytes leave no doubt. With few equal bytes the times decide: rsync, editors and sed -i
// create the new file before they delete the old one, a daemon does so afterwards.
func (d *decision) replaces(a *arrival, g *generation) bool {
	made, left := a.stat.born, g.stat.changed
	switch {
	case slices.Contains(a.whole, g): // unless the old file itself was compressed, and the two only begin alike
		return !a.isPacked() || !slices.ContainsFunc(d.arrivals, func(b *arrival) bool { return b.part == g })
	case g.fd >= 0 && g.stat.gone && !made.IsZero() && g.offset < certain:
		return !made.After(left)
	case d.at[g] != nil: // it has another name
		return g.offset >= certain && isBackupName(d.at[g].path)
	case g.fd >= 0 && !g.stat.gone:
		return g.offset >= certain
	}
	return true
}

// isFree says whether a matches no generation yet, or one that was passed over as a copy.
func (d *decision) isFree(a *arrival) bool {
	return d.is[a] == nil || d.is[a].phase == ignored && !a.isPacked()
}

// leave undoes the match of g so far, and skips the arrival that was matched. g may be nil.
func (d *decision) leave(g *generation) {
	if b := d.at[g]; b != nil {
		d.actions = slices.DeleteFunc(d.actions, func(x action) bool { return x.arrival == b })
		delete(d.is, b)
		d.settle(b)
	}
}
