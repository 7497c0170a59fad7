package pipelog

import (
	"fmt"
	"os"
	"time"
)

// namer makes the names of the files, one after the other. Within a base (what the template or the number says) files
// that are full are told apart by a part: BASE, BASE.1, BASE.2 …
type namer struct {
	o     Options
	base  string // "" = none yet
	part  int
	turn  int // in a circle
	files int // that were named so far
}

// choice is a file to go on with.
type choice struct {
	namer  // as it is when the file is open
	name   string
	empty  bool // what is in it goes
	change bool // it is not the file of before
}

// next chooses the file for what comes at a moment. room is how many bytes the next line has: if full says that the
// file of before has no room for it, the next has. A choice is made real by keeping its namer.
func (n namer) next(m moment, full bool, room int64) choice {
	c := choice{namer: n, change: true}
	c.files++
	switch {
	case n.o.Truncate:
		c.base = n.o.Name
		if isTemplate(n.o.Name) {
			c.base = strftime(n.o.Name, m)
		}
		c.name, c.empty = c.base, true
		return c
	case n.o.Count > 0:
		if n.files > 0 {
			c.turn = (n.turn + 1) % n.o.Count
			c.empty = true
		}
		c.name = n.o.Name
		if c.turn > 0 {
			c.name = fmt.Sprintf("%s.%d", n.o.Name, c.turn)
		}
		return c
	case isTemplate(n.o.Name):
		c.base = strftime(n.o.Name, m)
	default:
		c.base = fmt.Sprintf("%s.%010d", n.o.Name, m.wall.Unix())
	}
	c.empty = n.o.TruncateLater && n.files > 0
	if c.base != n.base {
		c.part = 0
	} else if full {
		c.part++
	} else { // the same file again
		c.change, c.empty = false, false
	}
	if full && !c.empty {
		for !hasRoom(c.path(), n.o.MaxSize, room) {
			c.part++
		}
	}
	c.name = c.path()
	return c
}

func (n namer) path() string {
	if n.part == 0 {
		return n.base
	}
	return fmt.Sprintf("%s.%d", n.base, n.part)
}

// hasRoom says whether room bytes more leave a file within its bound. What cannot be looked at is left to be opened.
func hasRoom(path string, bound, room int64) bool {
	st, err := os.Stat(path)
	return err != nil || st.Size() == 0 || st.Size()+room <= bound
}

// at is the moment that names the files which are begun now: the begin of the interval, or now when a file of this
// interval is full.
func (l *logger) at(now time.Time, full bool) moment {
	now = now.In(l.o.Zone)
	if l.when.every == 0 || full {
		return moment{wall: time.Unix(l.when.wall(now), 0).UTC(), real: now}
	}
	wall := time.Unix(l.when.begin(now), 0).UTC()
	year, month, day := wall.Date()
	return moment{wall: wall, real: time.Date(year, month, day, wall.Hour(), wall.Minute(), wall.Second(), 0, l.o.Zone)}
}
