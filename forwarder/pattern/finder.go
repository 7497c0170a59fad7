package pattern

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settleTime is how long after a change a directory may change again without its time stamp showing it.
	settleTime = 3 * time.Second
	// fullLook is the age at which a listing is renewed even if the directory seems unchanged.
	fullLook = time.Minute
)

// Finder finds the directories in which files can match one pattern. It lists a directory only if the pattern depends
// on the names in it, and lists it again only if its time stamp has changed: an idle look is one stat(2) for each such
// directory. A caller that knows of a change has only that directory looked at.
//
// A Finder belongs to one goroutine. Unless there is a Guard, Look blocks while a file system hangs to which the
// pattern leads.
type Finder struct {
	// Guard makes a call that accesses path. It returns false if the file system does not answer: the call may then
	// still be running, and the directory counts as unchanged. nil = calls are made directly.
	Guard func(path string, call func()) bool

	pattern *Pattern
	root    *dir
	lists   map[string]*dir // those whose names matter, by path
	dirs    int
	looks   int
	changes Changes
}

// Changes is what a look found to be different from the one before.
type Changes struct {
	Added  []string // directories in which files can match
	Gone   []string // directories that do not exist any more
	Lists  []string // directories in which new names matter; some are also in Added
	Issues []Issue  // obstacles; all that the last Look found, sorted by path
}

// Issue is an obstacle that keeps a pattern from matching anything.
type Issue struct {
	Path string
	Kind Kind
	Err  error // for Unreadable
}

// Kind is a kind of Issue.
type Kind int

const (
	Missing    Kind = iota // a directory that the pattern names does not exist
	NoDir                  // what should be a directory is a file of some kind
	Unreadable             // a directory cannot be listed or searched
)

// dir is a directory that the pattern leads through or to.
type dir struct {
	path    string
	reached []progress
	names   []string // subdirectories that the pattern gives by name
	lists   bool     // the names in it matter
	files   bool     // files in it can match
	looked  int      // number of the last look at it
	subs    map[string]*dir
	mtime   time.Time // when it was listed …
	listed  time.Time // … which was then
	failed  error     // of the last listing
}

// progress says that the first parts of an alternative, part in number, lead to a directory.
type progress struct {
	alternative *alternative
	part        int
}

// NewFinder returns a finder that has not looked yet.
func NewFinder(p *Pattern) *Finder {
	f := &Finder{pattern: p, lists: make(map[string]*dir)}
	var reached []progress
	for i := range p.alternatives {
		reached = append(reached, progress{alternative: &p.alternatives[i]})
	}
	f.root = newDir("/", reached)
	return f
}

// newDir derives from the progress of the alternatives what is to be done with a directory.
func newDir(path string, reached []progress) *dir {
	d := &dir{path: path}
	for _, s := range reached {
		d.reached = append(d.reached, s)
		for s.alternative.parts[s.part].deep && s.part+1 < len(s.alternative.parts) { // ** also matches no directory
			s.part++
			d.reached = append(d.reached, s)
		}
	}
	for _, s := range d.reached {
		p := &s.alternative.parts[s.part]
		if s.part == len(s.alternative.parts)-1 {
			d.files = true
		}
		switch {
		case !p.deep && s.part == len(s.alternative.parts)-1:
		case !p.literal:
			d.lists = true
		case !slices.Contains(d.names, p.name):
			d.names = append(d.names, p.name)
		}
	}
	return d
}

// enter returns the progress at the directory name below d.
func (d *dir) enter(name string, link bool) (reached []progress) {
	for _, s := range d.reached {
		p := &s.alternative.parts[s.part]
		switch {
		case p.deep && !link && p.matches(name):
		case !p.deep && s.part+1 < len(s.alternative.parts) && p.matches(name):
			s.part++
		default:
			continue
		}
		if !slices.Contains(reached, s) {
			reached = append(reached, s)
		}
	}
	return reached
}

// Look looks at all directories. Its result is valid until the next look.
func (f *Finder) Look(now time.Time) *Changes {
	f.begin()
	f.changes.Issues = f.changes.Issues[:0]
	if len(f.root.reached) > 0 {
		f.look(f.root, now)
	}
	slices.SortFunc(f.changes.Issues, func(a, b Issue) int { return cmp.Compare(a.Path, b.Path) })
	return &f.changes
}

// LookAt looks at one directory in which names have changed, and at what is new below it.
func (f *Finder) LookAt(path string, now time.Time) *Changes {
	f.begin()
	issues := len(f.changes.Issues)
	if d := f.lists[path]; d != nil {
		d.listed = time.Time{}
		f.list(d, now)
	}
	f.changes.Issues = f.changes.Issues[:issues]
	return &f.changes
}

func (f *Finder) begin() {
	c := &f.changes
	c.Added, c.Gone, c.Lists = c.Added[:0], c.Gone[:0], c.Lists[:0]
	f.looks++
}

// look looks at d, which exists.
func (f *Finder) look(d *dir, now time.Time) {
	if d.files && d.looked == 0 {
		f.changes.Added = append(f.changes.Added, d.path)
	}
	if d.lists && d.looked == 0 {
		f.lists[d.path] = d
		f.changes.Lists = append(f.changes.Lists, d.path)
	}
	d.looked = f.looks
	if d.lists {
		f.list(d, now)
	}
	for _, name := range d.names {
		f.lookForName(d, name, now)
	}
	for _, sub := range d.subs {
		if sub.looked != f.looks {
			f.look(sub, now)
		}
	}
}

// guarded makes a call that accesses path, and says whether it came back.
func (f *Finder) guarded(path string, call func()) bool {
	if f.Guard == nil {
		call()
		return true
	}
	return f.Guard(path, call)
}

// lookForName checks whether a directory exists that the pattern gives by name.
func (f *Finder) lookForName(d *dir, name string, now time.Time) {
	path := filepath.Join(d.path, name)
	var st unix.Stat_t
	var err error
	if !f.guarded(path, func() { err = unix.Stat(path, &st) }) {
		return
	}
	is := err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
	if is {
		f.enter(d, name, now)
	} else {
		f.leave(d, name)
	}
	switch {
	case is || d.lists: // a directory that was found by listing need not have it
	case err == nil, errors.Is(err, unix.ENOTDIR):
		f.changes.Issues = append(f.changes.Issues, Issue{Path: path, Kind: NoDir})
	case errors.Is(err, fs.ErrNotExist):
		f.changes.Issues = append(f.changes.Issues, Issue{Path: path, Kind: Missing})
	default:
		f.changes.Issues = append(f.changes.Issues, Issue{Path: path, Kind: Unreadable, Err: err})
	}
}

// enter looks at the directory name below d, if it is new.
func (f *Finder) enter(d *dir, name string, now time.Time) {
	if d.subs[name] != nil {
		return
	}
	path := filepath.Join(d.path, name)
	reached := f.allowed(path, d.enter(name, f.isLink(path)))
	if len(reached) == 0 {
		return
	}
	if d.subs == nil {
		d.subs = make(map[string]*dir)
	}
	sub := newDir(path, reached)
	d.subs[name] = sub
	f.dirs++
	f.look(sub, now)
}

// leave forgets the directory name below d, which does not exist any more.
func (f *Finder) leave(d *dir, name string) {
	if sub := d.subs[name]; sub != nil {
		f.forget(sub)
		delete(d.subs, name)
	}
}

func (f *Finder) isLink(path string) bool {
	return f.isOf(unix.S_IFLNK, path, func(st *unix.Stat_t) error { return unix.Lstat(path, st) })
}

// isOf says whether stat, a guarded call that accesses path, returned a file of that type.
func (f *Finder) isOf(fileType uint32, path string, stat func(*unix.Stat_t) error) bool {
	is := false // not a named result, because a call that hangs may write to it later
	back := f.guarded(path, func() {
		var st unix.Stat_t
		is = stat(&st) == nil && st.Mode&unix.S_IFMT == fileType
	})
	return back && is
}

// allowed drops the progress of alternatives that exclude the directory.
func (f *Finder) allowed(path string, reached []progress) []progress {
	return slices.DeleteFunc(reached, func(s progress) bool { return f.pattern.excluded(path, s.alternative.fixed()) })
}

func (f *Finder) forget(d *dir) {
	f.dirs--
	delete(f.lists, d.path)
	if d.files {
		f.changes.Gone = append(f.changes.Gone, d.path)
	}
	for _, sub := range d.subs {
		f.forget(sub)
	}
}

// list lists d if it has changed.
func (f *Finder) list(d *dir, now time.Time) {
	var st unix.Stat_t
	var err error
	if !f.guarded(d.path, func() { err = unix.Stat(d.path, &st) }) {
		return
	}
	mtime := time.Unix(st.Mtim.Unix())
	if err != nil || d.failed != nil || !mtime.Equal(d.mtime) || d.listed.Sub(mtime).Abs() < settleTime ||
		now.Sub(d.listed) >= fullLook {
		d.mtime, d.listed = mtime, now
		d.failed = f.read(d, now)
	}
	if d.failed != nil && !errors.Is(d.failed, fs.ErrNotExist) {
		f.changes.Issues = append(f.changes.Issues, Issue{Path: d.path, Kind: Unreadable, Err: d.failed})
	}
}

// read reads the names in d. If that fails, what was known stays.
func (f *Finder) read(d *dir, now time.Time) error {
	var entries []fs.DirEntry
	var err error
	if !f.guarded(d.path, func() { entries, err = list(d.path) }) {
		d.listed = time.Time{}
		return nil
	}
	if err != nil {
		return err
	}
	is := make(map[string]bool)
	for _, e := range entries {
		switch e.Type() {
		case fs.ModeDir:
			is[e.Name()] = true
		case fs.ModeSymlink:
			is[e.Name()] = f.leadsToDir(filepath.Join(d.path, e.Name()))
		}
	}
	for name := range d.subs {
		if !is[name] && !slices.Contains(d.names, name) {
			f.leave(d, name)
		}
	}
	for name, there := range is {
		if there && len(d.enter(name, false)) > 0 {
			f.enter(d, name, now)
		}
	}
	return nil
}

func list(path string) ([]fs.DirEntry, error) {
	file, err := os.OpenFile(path, unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	entries, err := file.ReadDir(-1)
	return entries, errors.Join(err, file.Close())
}

// leadsToDir says whether a link points to a directory, which may be on another file system.
func (f *Finder) leadsToDir(link string) bool {
	target, err := os.Readlink(link)
	if err != nil {
		return false
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(link), target)
	}
	return f.isOf(unix.S_IFDIR, target, func(st *unix.Stat_t) error { return unix.Stat(link, st) })
}
