package crashfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
)

// Cut says what a power cut leaves. Choose(n) returns a number below n; the same answers give the same image.
type Cut struct {
	Names  Names
	Bytes  Bytes
	Choose func(n int) int
}

// Draw also chooses Names and Bytes with choose.
func Draw(choose func(n int) int) Cut {
	return Cut{Names: Names(choose(int(Subset) + 1)), Bytes: Bytes(choose(int(SomeBytes) + 1)), Choose: choose}
}

// Image creates the directory to, which must not exist, with what a power cut at this moment leaves. The disk itself is
// not changed.
func (d *Disk) Image(to string, cut Cut) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep := d.kept(cut)
	names := make(map[*directory]map[string]node, len(d.dirs))
	for _, dir := range d.dirs {
		names[dir] = make(map[string]node, len(dir.durable))
		for name, n := range dir.durable {
			names[dir][name] = n
		}
	}
	for i, c := range d.pending {
		if keep[i] && names[c.dir] != nil {
			c.apply(func(of *directory) map[string]node { return names[of] })
		}
	}
	return lay(to, d.dirs[d.root], names, cut)
}

// kept says which of the pending changes of names are kept.
func (d *Disk) kept(cut Cut) []bool {
	keep := make([]bool, len(d.pending))
	upto := 0
	switch cut.Names {
	case AllNames:
		upto = len(keep)
	case Ordered:
		for i, c := range d.pending {
			if c.journaled {
				upto = i + 1
			}
		}
		upto += cut.Choose(len(keep) - upto + 1)
	case Subset:
		for i := range keep {
			keep[i] = cut.Choose(2) == 1
		}
	}
	for i := range keep[:upto] {
		keep[i] = true
	}
	return keep
}

// lay writes a directory and everything below it.
func lay(to string, dir *directory, names map[*directory]map[string]node, cut Cut) error {
	if err := os.Mkdir(to, 0o750); err != nil {
		return err
	}
	sorted := make([]string, 0, len(names[dir]))
	for name := range names[dir] {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted) // so that choose is called in a fixed order
	var errs []error
	for _, name := range sorted {
		path := filepath.Join(to, name)
		switch n := names[dir][name].(type) {
		case *directory:
			errs = append(errs, lay(path, n, names, cut))
		case link:
			errs = append(errs, os.Symlink(string(n), path))
		case *file:
			errs = append(errs, os.WriteFile(path, n.image(cut.Bytes, cut.Choose), 0o640))
		}
	}
	return errors.Join(errs...)
}
