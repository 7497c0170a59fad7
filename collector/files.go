package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"inkwell/internal/config"
	"inkwell/internal/faultfs"
	"inkwell/internal/web"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/books"
)

// files gives access to the output files of each category. A name that is not a known category has no files, so that it
// can never become a path. No link is followed, and only finished files of the category's own series are opened.
type files struct{ intake *intake }

// places lists the file stores of a category.
func (f files) places(category string) (all []config.File) {
	if !store.SafeCategory([]byte(category)) && !isReserved(category) {
		return nil
	}
	f.intake.mu.RLock()
	defer f.intake.mu.RUnlock()
	r := f.intake.router
	r.mu.RLock()
	known := r.targets[category] != nil || isReserved(category)
	r.mu.RUnlock()
	if !known {
		return nil
	}
	for _, u := range r.match(category) {
		for _, place := range u.places(u.outlet(category)) {
			config.Walk(place, func(s config.Sink) {
				if by, ok := s.(config.ByCategory); ok {
					s = by.Model.For(category)
				}
				if file, ok := s.(config.File); ok {
					all = append(all, file)
				}
			})
		}
	}
	return all
}

// openDir opens the directory of a file store.
func openDir(s config.File) (*faultfs.Dir, error) {
	return faultfs.LookBeneath(cmp.Or(s.Root, s.Dir), filepath.Join(s.Dir, s.Sub))
}

// List implements web.Files.
func (f files) List(category string) (all []web.File, err error) {
	for _, s := range f.places(category) {
		list, err := listFiles(s)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list the files of %s: %w", s, err)
		}
		all = append(all, list...)
	}
	if len(all) == 0 {
		return nil, fs.ErrNotExist
	}
	slices.SortFunc(all, func(a, b web.File) int {
		return cmp.Or(b.Written.Compare(a.Written), cmp.Compare(b.Name, a.Name))
	})
	return all, nil
}

// maxComplete is how many complete periods are listed at most.
const maxComplete = 400

// Complete implements web.Files.
func (f files) Complete(category string) (periods []string) {
	for _, s := range f.places(category) {
		dir, err := openDir(s)
		if err != nil {
			continue // List reports the error
		}
		entries, _ := dir.ReadDir()
		for _, e := range entries {
			if period, ok := strings.CutPrefix(e.Name(), books.MarkerPrefix); ok {
				periods = append(periods, period)
			}
		}
		_ = dir.Close() // nothing was written
	}
	slices.Sort(periods)
	slices.Reverse(periods)
	return periods[:min(len(periods), maxComplete)]
}

// listFiles lists the finished files of one store.
func listFiles(s config.File) (all []web.File, err error) {
	dir, err := openDir(s)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir()
	if err != nil {
		return nil, err
	}
	counted := make(map[string]int64)
	if known, _, err := books.ReadFiles(dir); err == nil {
		for i := range known {
			counted[known[i].Name] = known[i].Entries
		}
	}
	add := func(_ string, entries []fs.DirEntry) error {
		for _, e := range entries {
			if base, ok := rotate.BaseOf(e.Name()); !ok || base != s.Base || !e.Type().IsRegular() {
				continue
			}
			info, err := e.Info()
			if err != nil {
				continue // it was removed meanwhile
			}
			one := web.File{Name: e.Name(), Bytes: info.Size(), Written: info.ModTime(), Entries: -1}
			if n, ok := counted[e.Name()]; ok {
				one.Entries = n
			}
			all = append(all, one)
		}
		return nil
	}
	if err := add("", entries); err != nil {
		return nil, err
	}
	return all, rotate.EachPartition(dir, entries, add)
}

// Open implements web.Files.
func (f files) Open(category, name string) (io.ReadSeekCloser, web.File, error) {
	for _, s := range f.places(category) {
		if base, ok := rotate.BaseOf(name); !ok || base != s.Base || filepath.Base(name) != name {
			continue
		}
		file, err := openFinished(s, name)
		if errors.Is(err, fs.ErrNotExist) || faultfs.IsMisplaced(err) {
			continue
		}
		if err != nil {
			return nil, web.File{}, fmt.Errorf("open %s of %s: %w", name, s, err)
		}
		info, err := file.Stat()
		if err != nil {
			return nil, web.File{}, errors.Join(err, file.Close())
		}
		return file, web.File{Name: name, Bytes: info.Size(), Written: info.ModTime()}, nil
	}
	return nil, web.File{}, fs.ErrNotExist
}

// openFinished opens a finished file of a store.
func openFinished(s config.File, name string) (*faultfs.File, error) {
	dir, err := openDir(s)
	if err != nil {
		return nil, err
	}
	at, _, err := rotate.FindPublished(dir, name)
	var file *faultfs.File
	if err == nil {
		file, err = dir.OpenFile(at, os.O_RDONLY, 0)
	}
	if cerr := dir.Close(); err == nil && cerr != nil {
		err = errors.Join(cerr, file.Close())
	}
	return file, err
}

// Tail implements web.Files.
func (f files) Tail(ctx context.Context, category string, each func(message []byte, skipped int64) error) error {
	return f.intake.taps.follow(ctx, category, each)
}
