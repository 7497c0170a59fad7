package books

import (
	"errors"
	"path/filepath"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
)

// Destination is a directory tree into which a store writes files.
type Destination struct {
	Root string                      // the directory
	Has  func(dir, base string) bool // reports whether a series of files belongs to it; nil = every series in the tree
	Done *Done                       // nil = no done markers are written
	// Retention removes finished files that were last written longer ago than Keep, then the oldest of each series
	// while the series takes more than SeriesBytes, then the oldest of all while they take more than TotalBytes; 0 = no
	// limit.
	Keep                    time.Duration
	SeriesBytes, TotalBytes int64
}

// Done configures when the files of a period are complete.
type Done struct {
	Period   rotate.Period
	At       rotate.Clock
	Lateness time.Duration // how long to wait for a stream that has written nothing since the period ended
	Hive     bool          // the partition of the period gets a marker, too
}

// has reports whether d writes a series.
func (d *Destination) has(dir, base string) bool {
	return beneath(d.Root, dir) && (d.Has == nil || d.Has(dir, base))
}

// beneath reports whether a directory is root or beneath it.
func beneath(root, dir string) bool {
	rel, err := filepath.Rel(root, dir)
	return err == nil && filepath.IsLocal(rel)
}

// destination returns the first destination to which a series belongs, nil if there is none.
func (o *Options) destination(dir, base string) *Destination {
	for i := range o.Destinations {
		if d := &o.Destinations[i]; d.has(dir, base) {
			return d
		}
	}
	return nil
}

// openDir opens a directory of files. A missing one is created, because the manifest has to list the files that were in
// it.
func (o *Options) openDir(path string) (*faultfs.Dir, error) {
	return faultfs.OpenBeneath(o.rootOf(path), path, o.Injector)
}

// rootOf returns the root of the destination that contains path, or path itself if none does.
func (o *Options) rootOf(path string) string {
	for i := range o.Destinations {
		if d := &o.Destinations[i]; beneath(d.Root, path) {
			return d.Root
		}
	}
	return path
}

// roots opens directories of files, and opens the roots above them only once. Not safe for concurrent use.
type roots struct {
	o    *Options
	open map[string]*faultfs.Dir
}

// openDir opens a directory as Options.openDir does.
func (r *roots) openDir(path string) (*faultfs.Dir, error) {
	root := r.o.rootOf(path)
	if root == path {
		return r.o.openDir(path)
	}
	d := r.open[root]
	if d == nil {
		var err error
		if d, err = faultfs.OpenDir(root, r.o.Injector); err != nil {
			return nil, err
		}
		r.open[root] = d
	}
	return d.Beneath(path)
}

// close closes the roots.
func (r *roots) close() error {
	var errs []error
	for _, d := range r.open {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}
