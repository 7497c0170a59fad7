package rotate

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
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
	date   string // YYYY-MM-DD, or "" in names without
	number int64
}

func (id ident) name(base string, c Codec) string {
	if id.date != "" {
		base += "-" + id.date
	}
	return fmt.Sprintf("%s_%05d%s", base, id.number, c.Suffix())
}

// compare orders by date, then by number.
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
	if date, ok := strings.CutPrefix(rest, "-"); ok && len(date) > len(time.DateOnly) {
		id.date, rest = date[:len(time.DateOnly)], date[len(time.DateOnly):]
		if _, err := time.Parse(time.DateOnly, id.date); err != nil {
			return id, 0, false
		}
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
	odd   bool // no regular file: somebody else's, whose name is not used
}

// onDisk is the name that the file has now.
func (f found) onDisk() string {
	return [...]func(string) string{func(s string) string { return s }, Hidden, Orphan}[f.kind](f.name)
}

// scan lists the files of a series, in no particular order.
func scan(dir *faultfs.Dir, base string) ([]found, error) {
	entries, err := dir.ReadDir()
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir.Path(), err)
	}
	var all []found
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
	return all, nil
}

// nextIdent is that of a file to be begun at now: one more than any of its date has that exists or that is known to
// have been begun before.
func (s *Series) nextIdent(now time.Time) (ident, error) {
	var id ident
	if !s.o.Period.never() {
		id.date = now.Format(time.DateOnly)
	}
	files, err := scan(s.dir, s.o.Base)
	if err != nil {
		return id, err
	}
	if s.newest == nil && s.o.After != nil {
		s.newest, s.newestName = known(s.o.Base, s.o.After())
	}
	if s.newest != nil && s.newest.date == id.date {
		id.number = s.newest.number + 1
	}
	for _, f := range files {
		if f.date == id.date {
			if f.odd && f.number >= id.number {
				s.o.Logger.Warn("something that is no file has the name of one of this series: the name is passed over", "file", s.path(f.onDisk()))
			}
			id.number = max(id.number, f.number+1)
		}
	}
	return id, nil
}

// File is a file of a series.
type File struct {
	Name  string // in its directory, as it is now
	Size  int64  // bytes
	Open  bool   // not published: being written, or sealed a moment ago. A published plain file may still grow.
	Codec Codec
}

// Files lists the published and open files of a series in the order of their dates and numbers. It may run while they
// are written: a file that is published meanwhile is listed once, under one of its names.
func Files(dir *faultfs.Dir, base string) ([]File, error) {
	all, err := scan(dir, base)
	for range 100 { // a listing that raced with a rename can hold both names of a file, or neither
		if err != nil {
			return nil, err
		}
		files, stable, ferr := describe(dir, all)
		if ferr != nil {
			return nil, ferr
		}
		var again []found
		again, err = scan(dir, base)
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

// BaseOf is what a final name of a series has before its date and number. It takes names as they are given here, so
// that a base that ends in a date is not told from a date.
func BaseOf(name string) (base string, ok bool) {
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
	base = name[:k]
	if at := len(base) - len("-"+time.DateOnly); at >= 0 && base[at] == '-' {
		if _, err := time.Parse(time.DateOnly, base[at+1:]); err == nil {
			base = base[:at]
		}
	}
	return base, base != ""
}
