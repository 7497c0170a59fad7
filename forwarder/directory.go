package forwarder

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/forwarder/lines"
	"inkwell/forwarder/pattern"
)

const (
	// settleTime is how long after a change a directory may change again without its time stamp showing it.
	settleTime = 3 * time.Second
	// fullRescan is the age at which a listing is renewed even if nothing seems to have changed.
	fullRescan = time.Minute
	// failRescan is the same if something in the directory could not be opened.
	failRescan = 5 * time.Second
	// hintRescan and slowRescan keep the time spent on listing small. A hint is followed when hintRescan times the
	// duration of the last listing have passed (20 ms for one of 1 ms); all directories are looked at when slowRescan
	// times the duration of the last scan have passed, but at least every maxRescan.
	hintRescan = 20
	slowRescan = 200
	maxRescan  = 30 * time.Second
)

// directory is a directory that holds files to follow.
type directory struct {
	path     string
	sources  []*source          // in the order of the inputs
	literals map[string]*source // the inputs of names that are given in full
	patterns []wanting          // names that inputs give as patterns, in the order of the inputs
	trails   map[string]*trail  // by name
	known    []*generation      // of the trails
	foreign  []*generation      // of names that no input wants any more: their positions are kept

	first   bool      // it existed when the forwarder was started, and was not looked at yet
	gone    bool      // no pattern leads to it any more
	mtime   time.Time // at the last listing …
	listed  time.Time // … which was then
	cost    time.Duration
	hinted  bool // an event says that names changed
	urgent  bool // a file in it was truncated or rewritten: look at once
	again   bool // something could not be decided or opened: look again soon
	starved bool // no descriptors were left for a file in it

	links      map[string]identity     // what the symbolic links that match point to
	beside     map[string]*rotationDir // where rotated files of links stand, by path
	below      map[string]*rotationDir // the directories in it in which rotated files were seen
	waiting    map[identity]*undecided // arrivals that may be missed generations, or not
	unpackings map[identity]*unpacking // of compressed arrivals
	failed     map[string]error        // what cannot be read, the directory itself included
	matched    map[*source]int         // how many files each input follows here
	odd        map[string]string       // paths that inputs want but that are no files, with their kind
	refused    int                     // files that are not followed because their category is one too many
}

// wanting is the names that an input wants in a directory.
type wanting struct {
	source *source
	names  pattern.Names
}

func newDirectory(path string) *directory {
	return &directory{
		path:     path,
		literals: make(map[string]*source),
		trails:   make(map[string]*trail),
		matched:  make(map[*source]int),
	}
}

// want sets the inputs that want files of d, in their order.
func (d *directory) want(sources []*source) {
	d.sources, d.literals, d.patterns = sources, make(map[string]*source), nil
	for _, s := range sources {
		names := s.pattern.In(d.path)
		list, only := names.Literal()
		if !only {
			d.patterns = append(d.patterns, wanting{s, names})
			continue
		}
		for _, name := range list {
			if d.literals[name] == nil {
				d.literals[name] = s
			}
		}
	}
}

// match returns the first input that wants name, and the next input that would also take it.
func (d *directory) match(name string) (first, other *source) {
	first = d.literals[name]
	for _, w := range d.patterns {
		s := w.source
		if !w.names.Match(name) {
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

// base returns the trail whose rotated file could have that name, nil if there is none.
func (d *directory) base(name string) (t *trail) {
	bases(name, func(base string) bool {
		t = d.trails[base]
		return t == nil
	})
	if b := d.beside[d.path]; t == nil && b != nil {
		t = b.base(name)
	}
	return t
}

// trail returns the trail of a name that an input wants, nil if its category is one too many.
func (v *volume) trail(d *directory, name string, s *source) *trail {
	if t := d.trails[name]; t != nil {
		return t
	}
	t := &trail{path: filepath.Join(d.path, name), dir: d, source: s, fresh: true}
	category, ok := s.pattern.Match(t.path)
	if !ok || !v.categories.take(category) {
		d.refused++
		return nil
	}
	t.category, t.received = []byte(category), v.categories.stats.Category(category, "received good")
	t.decoder = v.decoder(s)
	t.prefix = v.origin.prefix(s.prefix, t.path)
	d.trails[name] = t
	return t
}

// end forgets a trail.
func (v *volume) end(d *directory, name string) {
	v.categories.leave(string(d.trails[name].category))
	delete(d.trails, name)
}

// decoder returns the decoder for the files of an input.
func (v *volume) decoder(s *source) *lines.Decoder {
	d := v.decoders[s]
	if d == nil {
		d = lines.NewDecoder(s.lines)
		v.decoders[s] = d
	}
	return d
}

// due says whether the directory is to be listed.
func (d *directory) due(now time.Time) bool {
	if d.listed.IsZero() {
		return true
	}
	since := now.Sub(d.listed)
	if d.gone { // its files are forgotten, but only after a while
		return since >= failRescan
	}
	if since >= fullRescan || d.again && since >= min(failRescan, max(d.cost*slowRescan, 500*time.Millisecond)) {
		return true
	}
	for name, id := range d.links {
		if l, err := statPath(filepath.Join(d.path, name)); err != nil || l.id != id {
			return true
		}
	}
	for _, b := range d.beside {
		if b.path != d.path && b.changed() {
			return true
		}
	}
	l, err := statPath(d.path)
	return err != nil || !l.mtime.Equal(d.mtime) || d.listed.Sub(d.mtime).Abs() < settleTime
}

var errNotDirectory = unix.ENOTDIR

// dirEntry is a name in a directory and the type of what it names.
type dirEntry struct {
	name string
	link bool
	dir  bool // it is a directory
	odd  bool // it is neither a file nor a link
}

// names lists the directory in byte order. In one that may be searched but not listed, it tries the names that inputs
// give in full.
func (d *directory) names() ([]dirEntry, error) {
	dir, err := os.OpenFile(d.path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) && len(d.patterns) == 0 {
		return d.literalNames()
	}
	if err != nil {
		return nil, err
	}
	list, err := dir.ReadDir(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	names := make([]dirEntry, 0, len(list))
	for _, e := range list {
		names = append(names, dirEntryOf(e.Name(), e.Type()))
	}
	slices.SortFunc(names, func(a, b dirEntry) int { return strings.Compare(a.name, b.name) })
	return names, nil
}

func dirEntryOf(name string, kind fs.FileMode) dirEntry {
	link := kind&fs.ModeSymlink != 0
	return dirEntry{name: name, link: link, dir: kind.IsDir(), odd: kind != 0 && !link}
}

func (d *directory) literalNames() (names []dirEntry, err error) {
	for _, name := range slices.Sorted(maps.Keys(d.literals)) {
		info, err := os.Lstat(filepath.Join(d.path, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		default:
			names = append(names, dirEntryOf(name, info.Mode().Type()))
		}
	}
	return names, nil
}
