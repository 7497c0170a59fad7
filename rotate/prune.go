package rotate

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"inkwell/internal/faultfs"
)

// Prune removes published files below root, where each directory CATEGORY holds the series of that name: those that were last written
// more than keep before now (0 = no limit), then the oldest, until all of them together have no more than keepBytes (0 = no limit). Open
// files and directories that begin with a dot are left alone, and so is the newest plain file of each series, which may be being
// written. It returns the paths of what was removed, below root and oldest first, and how many bytes that gave back; with an error, what
// was removed in spite of it. The removals are not made durable: what a power cut brings back is removed the next time.
func Prune(root *faultfs.Dir, keep time.Duration, keepBytes int64, now time.Time) (removed []string, freed int64, err error) {
	entries, err := root.ReadDir()
	if err != nil {
		return nil, 0, fmt.Errorf("list %s: %w", root.Path(), err)
	}
	var (
		files []pruned
		total int64
		errs  []error
	)
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		inside, err := list(root, e.Name())
		errs = append(errs, err)
		files = append(files, inside...)
	}
	for _, f := range files {
		total += f.size
	}
	slices.SortStableFunc(files, func(a, b pruned) int { return a.written.Compare(b.written) })
	for _, f := range files {
		old := keep > 0 && now.Sub(f.written) > keep
		if f.inUse || !old && (keepBytes <= 0 || total <= keepBytes) {
			continue
		}
		switch err := remove(root, f); {
		case err == nil:
			removed = append(removed, f.path)
			freed += f.size
		case !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, fmt.Errorf("remove %s: %w", filepath.Join(root.Path(), f.path), err))
			continue
		}
		total -= f.size
	}
	return removed, freed, errors.Join(errs...)
}

// remove removes a file in the directory where it was found: a link that was put in its place is not followed.
func remove(root *faultfs.Dir, f pruned) error {
	dir, err := root.Sub(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Remove(f.name), dir.Close())
}

// pruned is a file that Prune considers.
type pruned struct {
	found
	path    string // below root
	size    int64
	written time.Time // last
	inUse   bool      // perhaps
}

// list lists the published files of a category.
func list(root *faultfs.Dir, category string) (files []pruned, err error) {
	dir, err := root.Sub(category)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", filepath.Join(root.Path(), category), err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	all, err := scan(dir, category)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.kind != published || f.odd {
			continue
		}
		info, err := dir.Lstat(f.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", dir.Path(), err)
		}
		files = append(files, pruned{found: f, path: filepath.Join(category, f.name), size: info.Size(), written: info.ModTime()})
	}
	// After the clock was set back the file being written need not be the last by name, so the one written last is spared as well.
	for _, order := range []func(a, b pruned) int{
		func(a, b pruned) int { return a.compare(b.ident) },
		func(a, b pruned) int { return cmp.Or(a.written.Compare(b.written), a.compare(b.ident)) },
	} {
		if len(files) > 0 {
			slices.SortFunc(files, order)
			newest := &files[len(files)-1]
			newest.inUse = newest.inUse || newest.codec == None
		}
	}
	return files, nil
}
