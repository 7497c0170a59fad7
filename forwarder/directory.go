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
	known    []*generation      // of the trails
	foreign  []*generation      // of names that no input wants any more: their positions are kept

	first   bool      // it stood when the forwarder was started, and was not looked at yet
	gone    bool      // no input's pattern shows it any more
	mtime   time.Time // at the last listing …
	listed  time.Time // … which was then
	cost    time.Duration
	hinted  bool // an event says that names changed
	urgent  bool // a file of it was written anew
	again   bool // something could not be decided or opened
	starved bool // for want of descriptors

	links   map[string]identity     // what the symbolic links that match point to
	waiting map[identity]*undecided // arrivals that may be missed generations, or not
	failed  map[string]error        // what in it cannot be read, itself included
}

func newDirectory(path string) *directory {
	return &directory{
		path:     path,
		literals: make(map[string]*source),
		trails:   make(map[string]*trail),
		links:    make(map[string]identity),
		waiting:  make(map[identity]*undecided),
		failed:   make(map[string]error),
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

// trail returns that of a name that an input wants.
func (d *directory) trail(name string, s *source) *trail {
	t := d.trails[name]
	if t == nil {
		t = &trail{path: filepath.Join(d.path, name), dir: d, source: s, fresh: true}
		d.trails[name] = t
	}
	return t
}

// due says whether the directory is to be listed.
func (d *directory) due(now time.Time) bool {
	if d.listed.IsZero() {
		return true
	}
	since := now.Sub(d.listed)
	if d.gone { // what is known of it is forgotten, but not at once
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
	l, err := statPath(d.path)
	return err != nil || !l.mtime.Equal(d.mtime) || d.listed.Sub(d.mtime).Abs() < settleTime
}

var errNotDirectory = unix.ENOTDIR

// entry is a name in a directory that is of interest, and what it stands for.
type entry struct {
	name string
	link bool
}

// names lists the regular files and links, in byte order. In a directory that may be searched and not listed, it tries the names that
// inputs give.
func (d *directory) names() ([]entry, error) {
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
	names := make([]entry, 0, len(list))
	for _, e := range list {
		if e.Type() == 0 || e.Type()&fs.ModeSymlink != 0 {
			names = append(names, entry{e.Name(), e.Type() != 0})
		}
	}
	slices.SortFunc(names, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return names, nil
}

func (d *directory) literalNames() (names []entry, err error) {
	for _, name := range slices.Sorted(maps.Keys(d.literals)) {
		info, err := os.Lstat(filepath.Join(d.path, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case info.Mode().IsRegular() || info.Mode()&fs.ModeSymlink != 0:
			names = append(names, entry{name, !info.Mode().IsRegular()})
		}
	}
	return names, nil
}
