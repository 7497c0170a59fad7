package pattern

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settleTime is how long a directory that changed may change again without its time stamp showing it.
	settleTime = 3 * time.Second
	// fullLook is how long a directory that seems not to change is not listed.
	fullLook = time.Minute
)

// Finder finds the directories in which files can match one pattern. It lists a directory only if what is below it depends on the names
// in it, and again only if its time stamp has changed: an idle look is one stat(2) for each of those.
//
// A Finder belongs to one goroutine. Look can block for as long as a file system does that the pattern leads to.
type Finder struct {
	pattern *Pattern
	root    *dir
	dirs    int
	changes Changes
}

// Changes are what a look found that was not so at the one before.
type Changes struct {
	Added  []string // directories in which files can match
	Gone   []string // directories that do not exist any more, or are not below the pattern any more
	Issues []Issue  // on the way; all that there are now, in the order of their paths
}

// Issue is something that keeps a pattern from leading anywhere.
type Issue struct {
	Path string
	Kind Kind
	Err  error // of Unreadable
}

// Kind is a kind of Issue.
type Kind int

const (
	Missing    Kind = iota // a directory that the pattern names does not exist
	NoDir                  // what the pattern names as a directory is a file of some kind
	Unreadable             // a directory cannot be listed or searched
)

// dir is a directory on the way.
type dir struct {
	path   string
	states []state
	names  []string // those below it that the pattern names
	lists  bool     // the names in it matter
	files  bool     // files in it can match
	told   bool     // it is in some Added
	subs   map[string]*dir
	mtime  time.Time // when it was listed …
	listed time.Time // … which was then
	failed error     // that
}

// state says that the first part parts of an alternative lead to a directory.
type state struct {
	of   *alternative
	part int
}

// NewFinder returns one that has not looked yet.
func NewFinder(p *Pattern) *Finder {
	f := &Finder{pattern: p}
	var states []state
	for i := range p.alternatives {
		states = append(states, state{of: &p.alternatives[i]})
	}
	f.root = newDir("/", states)
	return f
}

// Dirs is how many directories the finder knows.
func (f *Finder) Dirs() int { return f.dirs }

// newDir says what is to be done with a directory that has these states.
func newDir(path string, states []state) *dir {
	d := &dir{path: path}
	for _, s := range states {
		d.states = append(d.states, s)
		for s.of.parts[s.part].deep && s.part+1 < len(s.of.parts) { // ** stands for no directory, too
			s.part++
			d.states = append(d.states, s)
		}
	}
	for _, s := range d.states {
		p := &s.of.parts[s.part]
		if s.part == len(s.of.parts)-1 {
			d.files = true
		}
		switch {
		case !p.deep && s.part == len(s.of.parts)-1:
		case !p.literal:
			d.lists = true
		case !slices.Contains(d.names, p.name):
			d.names = append(d.names, p.name)
		}
	}
	return d
}

// enter returns the states of the directory name below d.
func (d *dir) enter(name string, link bool) (states []state) {
	for _, s := range d.states {
		p := &s.of.parts[s.part]
		switch {
		case p.deep && !link && p.matches(name):
		case !p.deep && s.part+1 < len(s.of.parts) && p.matches(name):
			s.part++
		default:
			continue
		}
		if !slices.Contains(states, s) {
			states = append(states, s)
		}
	}
	return states
}

// Look goes through the directories. What it returns is valid until the next look.
func (f *Finder) Look(now time.Time) *Changes {
	f.changes = Changes{Added: f.changes.Added[:0], Gone: f.changes.Gone[:0], Issues: f.changes.Issues[:0]}
	if len(f.root.states) > 0 {
		f.look(f.root, now)
	}
	slices.SortFunc(f.changes.Issues, func(a, b Issue) int { return compare(a.Path, b.Path) })
	return &f.changes
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// look looks at d, which is there.
func (f *Finder) look(d *dir, now time.Time) {
	if d.files && !d.told {
		d.told = true
		f.changes.Added = append(f.changes.Added, d.path)
	}
	if d.lists {
		f.list(d, now)
	}
	for _, name := range d.names {
		f.lookAt(d, name)
	}
	for _, sub := range d.subs {
		f.look(sub, now)
	}
}

// lookAt finds out whether the directory that the pattern names is there.
func (f *Finder) lookAt(d *dir, name string) {
	path := filepath.Join(d.path, name)
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	is := err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
	f.set(d, name, is)
	switch {
	case is || d.lists: // of what is found by chance nothing is expected
	case err == nil, errors.Is(err, unix.ENOTDIR):
		f.changes.Issues = append(f.changes.Issues, Issue{Path: path, Kind: NoDir})
	case errors.Is(err, fs.ErrNotExist):
		f.changes.Issues = append(f.changes.Issues, Issue{Path: path, Kind: Missing})
	default:
		f.changes.Issues = append(f.changes.Issues, Issue{Path: path, Kind: Unreadable, Err: err})
	}
}

// set notes that the directory name below d is there, or not.
func (f *Finder) set(d *dir, name string, is bool) {
	sub := d.subs[name]
	switch {
	case is && sub == nil:
		path := filepath.Join(d.path, name)
		if states := f.allowed(path, d.enter(name, f.isLink(path))); len(states) > 0 {
			if d.subs == nil {
				d.subs = make(map[string]*dir)
			}
			d.subs[name] = newDir(path, states)
			f.dirs++
		}
	case !is && sub != nil:
		f.forget(sub)
		delete(d.subs, name)
	}
}

func (f *Finder) isLink(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
}

// allowed leaves out the states of a directory that is excluded.
func (f *Finder) allowed(path string, states []state) []state {
	return slices.DeleteFunc(states, func(s state) bool { return f.pattern.excluded(path, s.of.fixed()) })
}

func (f *Finder) forget(d *dir) {
	f.dirs--
	if d.told {
		f.changes.Gone = append(f.changes.Gone, d.path)
	}
	for _, sub := range d.subs {
		f.forget(sub)
	}
}

// list lists d if it has changed.
func (f *Finder) list(d *dir, now time.Time) {
	var st unix.Stat_t
	err := unix.Stat(d.path, &st)
	mtime := time.Unix(st.Mtim.Unix())
	if err != nil || d.failed != nil || !mtime.Equal(d.mtime) || d.listed.Sub(mtime).Abs() < settleTime || now.Sub(d.listed) >= fullLook {
		d.mtime, d.listed = mtime, now
		d.failed = f.read(d)
	}
	if d.failed != nil && !errors.Is(d.failed, fs.ErrNotExist) {
		f.changes.Issues = append(f.changes.Issues, Issue{Path: d.path, Kind: Unreadable, Err: d.failed})
	}
}

// read reads the names in d. If that fails, what was known stays.
func (f *Finder) read(d *dir) error {
	file, err := os.OpenFile(d.path, unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	entries, err := file.ReadDir(-1)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	is := make(map[string]bool)
	for _, e := range entries {
		switch e.Type() {
		case fs.ModeDir:
			is[e.Name()] = true
		case fs.ModeSymlink:
			var st unix.Stat_t
			is[e.Name()] = unix.Stat(filepath.Join(d.path, e.Name()), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
		}
	}
	for name := range d.subs {
		if !is[name] && !slices.Contains(d.names, name) {
			f.set(d, name, false)
		}
	}
	for name, there := range is {
		if there && len(d.enter(name, false)) > 0 {
			f.set(d, name, true)
		}
	}
	return nil
}
