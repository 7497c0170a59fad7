package books

import (
	"errors"
	"path/filepath"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
)

// Destination is where a store writes files: in a directory and beneath it.
type Destination struct {
	Root string                      // its directory
	Has  func(dir, base string) bool // whether it has a series of files; nil = every one in Root and beneath it
	Done *Done                       // nil: no done markers

	// Finished files are removed: those last written longer ago, then the oldest of a series, then the oldest of all,
	// while they take more bytes; 0 = never.
	Keep                    time.Duration
	SeriesBytes, TotalBytes int64
}

// Done says when the files of a period are complete.
type Done struct {
	Period   rotate.Period
	At       rotate.Clock
	Lateness time.Duration // how long that waits for a stream that has not moved on
	Hive     bool          // the partition of the period gets a marker as well
}

// has says whether d writes a series.
func (d *Destination) has(dir, base string) bool {
	return beneath(d.Root, dir) && (d.Has == nil || d.Has(dir, base))
}

// beneath says whether a directory is root or lies beneath it.
func beneath(root, dir string) bool {
	rel, err := filepath.Rel(root, dir)
	return err == nil && filepath.IsLocal(rel)
}

// destination is the first one that has a series, nil if none has.
func (o *Options) destination(dir, base string) *Destination {
	for i := range o.Destinations {
		if d := &o.Destinations[i]; d.has(dir, base) {
			return d
		}
	}
	return nil
}

// openDir opens a directory of files, which is made if it is missing: what was in the files that are gone with it has
// to be said.
func (o *Options) openDir(path string) (*faultfs.Dir, error) {
	return faultfs.OpenBeneath(o.rootOf(path), path, o.Injector)
}

// rootOf is the directory of the destination above path, or path itself.
func (o *Options) rootOf(path string) string {
	for i := range o.Destinations {
		if d := &o.Destinations[i]; beneath(d.Root, path) {
			return d.Root
		}
	}
	return path
}

// roots opens directories of files below directories that are opened once. Not safe for concurrent use.
type roots struct {
	o    *Options
	open map[string]*faultfs.Dir
}

// openDir is Options.openDir.
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

// close closes the directories that were opened once.
func (r *roots) close() error {
	var errs []error
	for _, d := range r.open {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}
