package rotate

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"time"

	"inkwell/internal/faultfs"
)

// hourLayout is the date in names of files whose periods are shorter than a day.
const hourLayout = time.DateOnly + "T15"

// datedName takes apart a final name without its suffix and number: access-2026-11-29T04 is access and 2026-11-29T04.
// The date is "" if there is none. Names are taken as they are given here, so that a base that ends in a date is not
// told from a date.
func datedName(name string) (base, date string) {
	for _, layout := range []string{hourLayout, time.DateOnly} {
		at := len(name) - len("-"+layout)
		if at < 0 || name[at] != '-' {
			continue
		}
		if _, err := time.Parse(layout, name[at+1:]); err == nil {
			return name[:at], name[at+1:]
		}
	}
	return name, ""
}

// Partition is the directory in which a finished file lies in the layout of Hive, relative to that of its category:
// dt=2026-11-29/hr=04 for access-2026-11-29T04_00007.gz, dt=2026-11-29 for access-2026-11-29_00007.gz. It is "" for a
// name without a date.
func Partition(name string) string {
	stem, ok := stemOf(name)
	if !ok {
		return ""
	}
	_, date := datedName(stem)
	return PartitionOf(date)
}

// PartitionOf is the partition of a day or an hour, as in 2026-11-29 or 2026-11-29T04; "" for "".
func PartitionOf(date string) string {
	day, hour, hourly := strings.Cut(date, "T")
	switch {
	case date == "":
		return ""
	case hourly:
		return "dt=" + day + "/hr=" + hour
	}
	return "dt=" + day
}

// IsPartition says whether a directory has the name of a partition: dt= and a day, or hr= and an hour. No category has
// one.
func IsPartition(name string) bool {
	layout := time.DateOnly
	value, ok := strings.CutPrefix(name, "dt=")
	if !ok {
		layout = "15"
		value, ok = strings.CutPrefix(name, "hr=")
	}
	if !ok || len(value) != len(layout) {
		return false
	}
	_, err := time.Parse(layout, value)
	return err == nil
}

// Home is the directory of a series of which path is the directory or one of its partitions.
func Home(path string) string {
	for IsPartition(filepath.Base(path)) {
		path = filepath.Dir(path)
	}
	return path
}

// FindPublished is where in dir a finished file is: its name, or the same beneath its partition. The error is
// fs.ErrNotExist if it is in neither place.
func FindPublished(dir *faultfs.Dir, name string) (at string, info fs.FileInfo, err error) {
	info, err = dir.Lstat(name)
	partition := Partition(name)
	if partition == "" || !errors.Is(err, fs.ErrNotExist) {
		return name, info, err
	}
	at = path.Join(partition, name)
	info, err = dir.Lstat(at)
	return at, info, err
}

// EachPartition visits the partitions in a directory: their paths relative to dir, and what is in them. It follows no
// link. list is what is in dir; nil = not known.
func EachPartition(dir *faultfs.Dir, list []fs.DirEntry, visit func(partition string, list []fs.DirEntry) error) error {
	return eachPartition(dir, "", list, visit)
}

func eachPartition(dir *faultfs.Dir, at string, list []fs.DirEntry,
	visit func(string, []fs.DirEntry) error) (err error) {
	if list == nil {
		if list, err = dir.ReadDir(); err != nil {
			return err
		}
	}
	for _, e := range list {
		if !e.IsDir() || !IsPartition(e.Name()) {
			continue
		}
		sub, err := dir.Below(e.Name())
		if errors.Is(err, fs.ErrNotExist) { // retention has removed it
			continue
		}
		if err != nil {
			return err
		}
		partition := path.Join(at, e.Name())
		inner, err := sub.ReadDir()
		if err == nil {
			err = visit(partition, inner)
		}
		if err == nil {
			err = eachPartition(sub, partition, inner, visit)
		}
		if err = errors.Join(err, sub.Close()); err != nil {
			return err
		}
	}
	return nil
}

// place opens the directory in which a finished file is to be published: that of the series, or in the layout of Hive
// its partition, which is made if it is missing and stays open until its names are durable.
func (s *Series) place(name string) (*faultfs.Dir, error) {
	partition := ""
	if s.o.Hive {
		partition = Partition(name)
	}
	if partition == "" {
		return s.dir, nil
	}
	return s.open(partition)
}

// open opens a partition, for place.
func (s *Series) open(partition string) (*faultfs.Dir, error) {
	want := s.path(partition)
	for _, p := range s.partitions {
		if p.Path() == want {
			return p, nil
		}
	}
	dir, err := s.dir, error(nil)
	for part := range strings.SplitSeq(partition, "/") {
		above := dir
		dir, err = above.Sub(part)
		if above != s.dir {
			err = errors.Join(err, above.Close())
		}
		if err != nil {
			return nil, fmt.Errorf("make the partition %s: %w", want, err)
		}
	}
	s.partitions = append(s.partitions, dir)
	return dir, nil
}

// releasePartitions closes the partitions in which all names are durable: the fsyncs that the last Publish left to
// later were made before the next.
func (s *Series) releasePartitions() error {
	if s.renamed {
		return nil
	}
	return s.closePartitions((*faultfs.Dir).Close)
}

// closePartitions ends the use of the partitions by end.
func (s *Series) closePartitions(end func(*faultfs.Dir) error) error {
	var errs []error
	for _, p := range s.partitions {
		errs = append(errs, end(p))
	}
	s.partitions = nil
	return errors.Join(errs...)
}

// syncAndClose ends the use of a partition whose names may not be durable.
func syncAndClose(d *faultfs.Dir) error { return errors.Join(d.Sync(), d.Close()) }
