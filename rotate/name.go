package rotate

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"inkwell/internal/faultfs"
)

const (
	openSuffix   = ".open"   // of a file being written, or sealed and not published
	orphanSuffix = ".orphan" // of one that was set aside
)

// ident tells the files of a series apart.
type ident struct {
	date   string // YYYY-MM-DD, or YYYY-MM-DDTHH for periods shorter than a day; "" in names without
	number int64
}

func (id ident) name(base string, c Codec) string {
	if id.date != "" {
		base += "-" + id.date
	}
	return fmt.Sprintf("%s_%05d%s", base, id.number, c.Suffix())
}

// compare orders by date, then by number. The files of a day without an hour are earlier than those with one.
func (id ident) compare(o ident) int {
	return cmp.Or(cmp.Compare(id.date, o.date), cmp.Compare(id.number, o.number))
}

// parseName takes a final name apart.
func parseName(base, name string) (id ident, c Codec, ok bool) {
	rest, ok := strings.CutPrefix(name, base)
	if !ok {
		return id, 0, false
	}
	c = None
	for _, packed := range []Codec{Gzip, Zstd} {
		if cut, ok := strings.CutSuffix(rest, packed.Suffix()); ok {
			rest, c = cut, packed
		}
	}
	if k := strings.LastIndexByte(rest, '_'); k > 0 {
		var more string
		if more, id.date = datedName(rest[:k]); more != "" {
			return id, 0, false
		}
		rest = rest[k:]
	}
	digits, ok := strings.CutPrefix(rest, "_")
	if !ok || len(digits) < 5 || len(digits) > 18 || strings.Trim(digits, "0123456789") != "" {
		return id, 0, false
	}
	id.number, _ = strconv.ParseInt(digits, 10, 64)
	return id, c, id.name(base, c) == name
}

// known is what a final name of the series says, nil if it is none.
func known(base, name string) (*ident, string) {
	id, _, ok := parseName(base, name)
	if !ok {
		return nil, ""
	}
	return &id, name
}

// Hidden is the name of a file before it is published.
func Hidden(name string) string { return "." + name + openSuffix }

// Orphan is the name of a file that was set aside.
func Orphan(name string) string { return "." + name + orphanSuffix }

// kind says what the name of a found file means.
type kind int

const (
	published kind = iota
	open
	setAside
)

// found is a file of a series in its directory.
type found struct {
	ident
	name  string // final
	codec Codec
	kind  kind
	odd   bool   // no regular file: somebody else's, whose name is not used
	in    string // its partition, "" = the directory of the series
}

// onDisk is the name that the file has now.
func (f found) onDisk() string {
	return path.Join(f.in, [...]func(string) string{func(s string) string { return s }, Hidden, Orphan}[f.kind](f.name))
}

// scan lists the files of a series, in no particular order.
func scan(dir *faultfs.Dir, base string) ([]found, error) {
	if dir.Empty() {
		return nil, nil
	}
	entries, err := dir.ReadDir()
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir.Path(), err)
	}
	return foundIn(entries, base), nil
}

// foundIn lists the files of a series among the entries of a directory.
func foundIn(entries []fs.DirEntry, base string) (all []found) {
	for _, e := range entries {
		f := found{name: e.Name(), odd: !e.Type().IsRegular()}
		if inner, ok := strings.CutPrefix(f.name, "."); ok {
			if f.name, ok = strings.CutSuffix(inner, openSuffix); ok {
				f.kind = open
			} else if f.name, ok = strings.CutSuffix(inner, orphanSuffix); ok {
				f.kind = setAside
			} else {
				continue
			}
		}
		var ok bool
		if f.ident, f.codec, ok = parseName(base, f.name); ok {
			all = append(all, f)
		}
	}
	return all
}

// nextIdent is that of a file to be begun at now: one more than any of its date has that exists or that is known to
// have been begun before.
func (s *Series) nextIdent(now time.Time) (ident, error) {
	var id ident
	files, err := scan(s.dir, s.o.Base)
	if err != nil {
		return id, err
	}
	empty := s.dir.Empty() // then it has neither a manifest nor partitions
	if s.newest == nil && s.o.After != nil && !empty {
		s.newest, s.newestName = known(s.o.Base, s.o.After())
	}
	id.date = s.dateOf(now, files)
	if s.newest != nil && s.newest.date == id.date {
		id.number = s.newest.number + 1
	}
	if partition := PartitionOf(id.date); partition != "" && !empty {
		there, err := scanPartition(s.dir, s.o.Base, partition)
		if err != nil {
			return id, err
		}
		files = append(files, there...)
	}
	for _, f := range files {
		if f.date == id.date {
			if f.odd && f.number >= id.number {
				s.o.Logger.Warn("something that is no file has the name of one of this series: the name is skipped",
					"file", s.path(f.onDisk()))
			}
			id.number = max(id.number, f.number+1)
		}
	}
	return id, nil
}

// dateOf is the date in the name of a file to be begun at now. On a day that has files with an hour, as when hourly
// became daily, later ones have an hour as well, so that the order of the names is that of the files.
func (s *Series) dateOf(now time.Time, files []found) string {
	day, hour := now.Format(time.DateOnly), now.Format(hourLayout)
	withHour := func(id ident) bool { return len(id.date) == len(hour) && strings.HasPrefix(id.date, day) }
	switch {
	case s.o.Period.never():
		return ""
	case s.o.Period.short(), s.newest != nil && withHour(*s.newest),
		slices.ContainsFunc(files, func(f found) bool { return withHour(f.ident) }):
		return hour
	}
	return day
}

// scanPartition lists the files of a series in a partition, which need not exist. They have the names that they have
// there.
func scanPartition(dir *faultfs.Dir, base, partition string) ([]found, error) {
	sub, err := dir.Below(partition)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the partition %s of %s: %w", partition, dir.Path(), err)
	}
	all, err := scan(sub, base)
	return all, errors.Join(err, sub.Close())
}

// scanAll lists the files of a series in its directory and in the partitions.
func scanAll(dir *faultfs.Dir, base string) ([]found, error) {
	all, err := scan(dir, base)
	if err != nil {
		return nil, err
	}
	err = EachPartition(dir, nil, func(partition string, list []fs.DirEntry) error {
		for _, f := range foundIn(list, base) {
			if f.kind == published {
				f.in = partition
				all = append(all, f)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir.Path(), err)
	}
	return all, nil
}

// File is a file of a series.
type File struct {
	Name  string // in its directory, as it is now; of one in a partition with that before it: dt=2026-11-29/NAME
	Size  int64  // bytes
	Open  bool   // not published: being written, or sealed a moment ago. A published plain file may still grow.
	Codec Codec
}

// Files lists the published and open files of a series in the order of their dates and numbers, those in partitions as
// well. It may run while they are written: a file that is published meanwhile is listed once, under one of its names.
func Files(dir *faultfs.Dir, base string) ([]File, error) {
	all, err := scanAll(dir, base)
	for range 100 { // a listing that raced with a rename can hold both names of a file, or neither
		if err != nil {
			return nil, err
		}
		files, stable, ferr := describe(dir, all)
		if ferr != nil {
			return nil, ferr
		}
		var again []found
		again, err = scanAll(dir, base)
		if err == nil && stable && slices.Equal(all, again) {
			return files, nil
		}
		all = again
	}
	return nil, fmt.Errorf("list %s: its files change all the time (try again)", dir.Path())
}

// describe makes Files of what a scan found; it is not stable when one of them is gone.
func describe(dir *faultfs.Dir, all []found) (files []File, stable bool, err error) {
	all = slices.SortedStableFunc(slices.Values(all), func(a, b found) int {
		return cmp.Or(a.compare(b.ident), cmp.Compare(a.codec, b.codec), cmp.Compare(a.kind, b.kind))
	})
	for _, f := range all {
		if f.kind == setAside || f.odd {
			continue
		}
		info, err := dir.Lstat(f.onDisk())
		if errors.Is(err, fs.ErrNotExist) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("list %s: %w", dir.Path(), err)
		}
		files = append(files, File{Name: f.onDisk(), Size: info.Size(), Open: f.kind == open, Codec: f.codec})
	}
	return files, true, nil
}

func exists(dir *faultfs.Dir, name string) (bool, error) {
	_, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// stemOf is a final name without its suffix and number.
func stemOf(name string) (stem string, ok bool) {
	for _, c := range []Codec{Gzip, Zstd} {
		if cut, packed := strings.CutSuffix(name, c.Suffix()); packed {
			name = cut
			break
		}
	}
	k := strings.LastIndexByte(name, '_')
	if k < 0 || len(name)-k-1 < 5 || strings.Trim(name[k+1:], "0123456789") != "" {
		return "", false
	}
	return name[:k], true
}

// BaseOf is what a final name of a series has before its date and number. It takes names as they are given here, so
// that a base that ends in a date is not told from a date.
func BaseOf(name string) (base string, ok bool) {
	stem, ok := stemOf(name)
	if !ok {
		return "", false
	}
	base, _ = datedName(stem)
	return base, base != ""
}
