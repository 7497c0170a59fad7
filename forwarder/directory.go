package forwarder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	settleTime = 3 * time.Second  // a directory that changed within that time may change without its time stamp showing it
	fullRescan = time.Minute      // after that a directory is listed even if nothing seems to have changed
	failRescan = 5 * time.Second  // likewise if something in it could not be opened
	hintRescan = 20               // a hint is followed when that many times the duration of the last listing have passed
	slowRescan = 200              // and all directories are looked at when that many times …
	maxRescan  = 30 * time.Second // … but at least that often
)

// directory is one that holds files to follow.
type directory struct {
	path     string
	literals map[string]*source // names without a pattern
	patterns []*source          // in the order of the inputs
	trails   map[string]*trail  // by name

	mtime     time.Time // at the last listing …
	listed    time.Time // … which was then
	cost      time.Duration
	hinted    bool                   // an event says that names changed
	again     bool                   // something could not be decided or opened
	starved   bool                   // for want of descriptors
	failing   bool                   // it could not be listed, and that was logged
	links     map[string]identity    // what the symbolic links that match point to
	undecided map[identity]time.Time // siblings that may be missed generations, or not
}

func newDirectory(path string) *directory {
	return &directory{
		path:      path,
		literals:  make(map[string]*source),
		trails:    make(map[string]*trail),
		links:     make(map[string]identity),
		undecided: make(map[identity]time.Time),
	}
}

func (d *directory) add(s *source) {
	if !s.literal() {
		if !slices.Contains(d.patterns, s) {
			d.patterns = append(d.patterns, s)
		}
		return
	}
	if o := d.literals[s.base]; o == nil || s.order < o.order {
		d.literals[s.base] = s
	}
}

// match returns the first input that wants name, and the next one that also would have it.
func (d *directory) match(name string) (first, other *source) {
	first = d.literals[name]
	for _, s := range d.patterns {
		if !s.matches(name) {
			continue
		}
		switch {
		case first == nil:
			first = s
		case s.order < first.order:
			first, other = s, first
		case other == nil && s != first:
			other = s
		}
	}
	return first, other
}

// base returns the trail whose rotated file name could be.
func (d *directory) base(name string) (t *trail) {
	bases(name, func(base string) bool {
		t = d.trails[base]
		return t == nil
	})
	return t
}

// due says whether the directory is to be listed.
func (d *directory) due(now time.Time) bool {
	if d.listed.IsZero() {
		return true
	}
	since := now.Sub(d.listed)
	if since >= fullRescan || d.again && since >= min(failRescan, max(d.cost*slowRescan, 500*time.Millisecond)) {
		return true
	}
	for name, id := range d.links {
		if l, err := statPath(filepath.Join(d.path, name)); err != nil || l.id != id {
			return true
		}
	}
	l, err := statPath(d.path)
	return err != nil || !l.mtime.Equal(d.mtime) || d.listed.Sub(d.mtime).Abs() < settleTime
}

// entry is a name in a directory that is of interest, and what it stands for.
type entry struct {
	name string
	link bool
}

// names lists the regular files and links, in byte order.
func (d *directory) names() ([]entry, error) {
	dir, err := os.Open(d.path)
	if err != nil {
		return nil, err
	}
	list, err := dir.ReadDir(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	names := make([]entry, 0, len(list))
	for _, e := range list {
		if e.Type() == 0 || e.Type()&fs.ModeSymlink != 0 {
			names = append(names, entry{e.Name(), e.Type() != 0})
		}
	}
	slices.SortFunc(names, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return names, nil
}

// hintFile makes the file be looked at now.
func (f *follower) hintFile(path string) {
	d := f.dirs[filepath.Dir(path)]
	if d == nil {
		return
	}
	if t := d.trails[filepath.Base(path)]; t != nil && len(t.gens) > 0 {
		t.gens[0].pollAt = time.Time{}
	}
}

// hintDir makes the directory be listed soon.
func (f *follower) hintDir(path string) {
	if d := f.dirs[path]; d != nil {
		d.hinted, f.hinted = true, true
	}
}

// rescan looks for new files and for rotations: in all directories if it is time, else in those of which an event says something.
func (f *follower) rescan(now time.Time) {
	all := !now.Before(f.scanAt)
	if !all && !f.hinted {
		return
	}
	if all {
		f.findDirs()
	}
	f.hinted = false
	for _, d := range f.dirs {
		switch {
		case d.hinted && now.Sub(d.listed) < max(hintPause, hintRescan*d.cost):
			f.hinted = true // later
		case d.hinted || all && d.due(now):
			f.scan(d, now)
		}
	}
	if all {
		f.scanAt = now.Add(min(max(f.timing.rescan, slowRescan*time.Since(now)), maxRescan))
		if !f.started {
			f.firstScanDone()
		}
		if f.full && !f.starved() {
			f.full = false
			f.log.Info("descriptors are free again")
		}
	}
}

// starved says whether files wait for descriptors.
func (f *follower) starved() bool {
	for _, d := range f.dirs {
		if d.starved {
			return true
		}
	}
	return false
}

// findDirs looks for directories that match.
func (f *follower) findDirs() {
	for _, s := range f.sources {
		for _, path := range s.dirs() {
			d := f.dirs[path]
			if d == nil {
				d = newDirectory(path)
				f.dirs[path] = d
				defer f.restore(d) // when all inputs are known
			}
			d.add(s)
		}
	}
}

// restore makes the trails that the positions know of.
func (f *follower) restore(d *directory) {
	for _, g := range f.loaded[d.path] {
		name := filepath.Base(g.path)
		s, _ := d.match(name)
		if s == nil {
			continue // followed no more; its position is kept
		}
		t := d.trails[name]
		if t == nil {
			t = &trail{path: g.path, dir: d, source: s, changed: time.Now()}
			d.trails[name] = t
		}
		g.trail, g.source = t, s
	}
	delete(f.loaded, d.path)
}

// firstScanDone tells what the first look at all directories found.
func (f *follower) firstScanDone() {
	f.started = true
	for _, g := range f.known {
		switch {
		case g.fd >= 0:
			f.count.total.Add(g.look.size - g.offset)
		case g.state == active && g.trail != nil:
			f.count.lost.Add(1)
			f.log.Warn("a file that was being read is gone; what was not read of it is lost", "path", g.path, "offset", g.offset)
		}
	}
}
