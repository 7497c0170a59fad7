package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
)

// Series is the files of a directory, and of the partitions in it, whose names have the same base, in the order of their
// dates and numbers.
type Series struct {
	Dir   string // absolute
	Base  string
	Files []File

	within string // the partition of Dir that somebody named, as an absolute path; "" = all of Dir

	alone bool   // a single file that somebody named, or a partition of a depot
	named bool   // in a depot: the argument is that of this category
	in    *place // of a depot; nil = it is in the file system
}

// Alone makes a series of a single file.
func Alone(f File) Series {
	return Series{Dir: f.Home(), Base: f.Name(), Files: []File{f}, alone: true}
}

// Alone says that the series is a single file that somebody named, or a part of a category in a depot.
func (s *Series) Alone() bool { return s.alone }

// At says whether the series is what an argument names, and not what lies below that.
func (s *Series) At(arg string) bool {
	abs, err := filepath.Abs(arg)
	return s.alone || s.named || err == nil && s.in == nil && (abs == s.Dir || abs == s.within)
}

// ReadSeries lists the series in a directory or in a partition of one, in the order of their names. It may run while they
// are written.
func ReadSeries(path string) ([]Series, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(abs); err != nil {
		return nil, err
	}
	home, within := rotate.Home(abs), ""
	if home != abs {
		within = abs
	}
	dir, err := faultfs.Look(home)
	if err != nil {
		return nil, err
	}
	bases, err := basesIn(dir)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	var all []Series
	for _, base := range slices.Sorted(maps.Keys(bases)) {
		s := Series{Dir: home, Base: base, within: within}
		if err := s.Refresh(); err != nil {
			return nil, err
		}
		if len(s.Files) > 0 {
			all = append(all, s)
		}
	}
	return all, nil
}

// basesIn are the bases of the files in a directory and its partitions.
func basesIn(dir *faultfs.Dir) (map[string]bool, error) {
	list, err := dir.ReadDir()
	if err != nil {
		return nil, err
	}
	bases := make(map[string]bool)
	add := func(_ string, list []fs.DirEntry) error {
		for _, e := range list {
			name := e.Name()
			if bare, ok := strings.CutSuffix(name, ".open"); ok {
				name = strings.TrimPrefix(bare, ".")
			}
			if base, ok := rotate.BaseOf(name); ok && name[0] != '.' && e.Type().IsRegular() {
				bases[base] = true
			}
		}
		return nil
	}
	if err := add("", list); err != nil {
		return nil, err
	}
	return bases, rotate.EachPartition(dir, list, add)
}

// Refresh lists the files again.
func (s *Series) Refresh() error {
	if s.alone {
		return s.refreshAlone()
	}
	dir, err := faultfs.Look(s.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	files, err := rotate.Files(dir, s.Base)
	if err != nil {
		return fmt.Errorf("list %s: %w", s.Dir, err)
	}
	s.Files = s.Files[:0]
	for _, f := range files {
		path := filepath.Join(s.Dir, f.Name)
		if s.within == "" || strings.HasPrefix(path, s.within+"/") {
			s.Files = append(s.Files, File{Path: path, Codec: f.Codec, Open: f.Open, Size: f.Size})
		}
	}
	return nil
}

// refreshAlone looks the file up under its current name, which changes when it is finished.
func (s *Series) refreshAlone() error {
	if len(s.Files) == 0 {
		return nil
	}
	f := s.Files[0]
	for _, path := range append([]string{f.Path}, f.finals()...) {
		st, err := os.Stat(path)
		if err == nil {
			s.Files[0] = File{Path: path, Codec: f.Codec, Open: f.Open && path == f.Path, Size: st.Size()}
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	s.Files = nil
	return nil
}

// Written says whether file k may still be written: it is open, or it is the newest one and plain, as plain files have
// their final names from the beginning. A file that somebody named, and what is in a depot, is finished.
func (s *Series) Written(k int) bool {
	f := &s.Files[k]
	return f.Open || f.Codec == rotate.None && k == len(s.Files)-1 && !s.alone && f.in == nil
}

// Name is the name of the series for users: that of its directory, followed by its base if that is a different one.
func (s *Series) Name() string {
	if name := filepath.Base(s.Dir); name != s.Base {
		return name + "/" + s.Base
	}
	return s.Base
}

// category is the name of the category to which the files belong, also if somebody named one of them.
func (s *Series) category() string {
	if base, ok := rotate.BaseOf(s.Base); ok && s.alone && s.in == nil {
		return (&Series{Dir: s.Dir, Base: base}).Name()
	}
	return s.Name()
}

// Tree lists the series in a directory and in the directories below it that are not hidden.
func Tree(path string) (all []Series, err error) {
	err = filepath.WalkDir(path, func(sub string, e fs.DirEntry, err error) error {
		switch {
		case err != nil && sub == path:
			return err
		case err != nil: // it was removed, or may not be read
			return nil
		case !e.IsDir():
			return nil
		case sub != path && (strings.HasPrefix(e.Name(), ".") || rotate.IsPartition(e.Name())):
			return fs.SkipDir
		}
		here, err := ReadSeries(sub)
		if errors.Is(err, fs.ErrNotExist) && sub != path {
			return nil
		}
		all = append(all, here...)
		return err
	})
	return all, err
}
