package books

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
	"inkwell/rotate"
	"inkwell/store/index"
)

// retainEvery is the interval between two passes of retention.
const retainEvery = time.Minute

// keeping has the number of finished files in each directory, from one pass of retention to the next.
type keeping map[string]int

// kept is a finished file.
type kept struct {
	dir     string
	name    string
	at      string // its path in dir: the name, with the partition before it if it is in one
	base    string // of its series
	of      *Destination
	size    int64
	written time.Time // last
	inUse   bool      // it may be in use, so that it stays
}

// retain removes finished files by the limits of their destinations. Open and hidden files, and the newest plain file
// of a series, stay.
func (b *Books) retain(now time.Time) {
	if now.Sub(b.pruned) < retainEvery || !slices.ContainsFunc(b.o.Destinations, func(d Destination) bool {
		return d.Keep > 0 || d.SeriesBytes > 0 || d.TotalBytes > 0 || d.Done != nil
	}) {
		return
	}
	b.pruned = now
	open := make(map[string]bool)
	for _, a := range b.accounts {
		for _, c := range a.settled {
			open[filepath.Join(c.Dir, c.File)] = true
		}
	}
	if b.looking.TryLock() { // else the last pass is still running
		b.looks.Go(func() {
			defer b.looking.Unlock()
			b.clean(now, open)
		})
	}
}

// clean makes a pass over all directories, which takes time if there are many.
func (b *Books) clean(now time.Time, open map[string]bool) {
	var files []kept
	counts := make(keeping)
	seen := make(map[string]bool)
	for i := range b.o.Destinations {
		walk(b.o.Destinations[i].Root, func(dir *faultfs.Dir, list []fs.DirEntry) {
			if path := filepath.Clean(dir.Path()); !seen[path] {
				seen[path] = true
				found := b.finished(dir, list, open)
				counts[path] = len(found)
				files = append(files, found...)
			}
		})
	}
	gone := make(map[string][]kept)
	for _, f := range tooMany(files, now) {
		gone[f.dir] = append(gone[f.dir], f)
	}
	for path := range seen {
		if list := gone[path]; len(list) > 0 || counts[path] < b.keeping[path] {
			err := b.remove(path, list, now)
			b.o.Health.Set("retention in "+path, err)
			counts[path] -= len(list)
		}
	}
	b.keeping = counts
}

// walk visits a directory and those beneath it that are neither hidden nor partitions. A directory that cannot be
// opened or listed is skipped: the store that writes there reports the error.
func walk(root string, visit func(dir *faultfs.Dir, list []fs.DirEntry)) {
	dir, err := faultfs.LookBeneath(root, root)
	if err != nil {
		return
	}
	walkDir(dir, visit)
	_ = dir.Close() // nothing was written
}

func walkDir(dir *faultfs.Dir, visit func(dir *faultfs.Dir, list []fs.DirEntry)) {
	list, err := dir.ReadDir()
	if err != nil {
		return
	}
	visit(dir, list)
	for _, e := range list {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") || rotate.IsPartition(e.Name()) {
			continue
		}
		if sub, err := dir.Sub(e.Name()); err == nil {
			walkDir(sub, visit)
			_ = sub.Close()
		}
	}
}

// finished lists the finished files of a directory that belong to a series: those whose base is in the manifest, or is
// the name of the directory.
func (b *Books) finished(dir *faultfs.Dir, list []fs.DirEntry, open map[string]bool) (files []kept) {
	if !slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.Name() == Manifest }) {
		return nil
	}
	path := filepath.Clean(dir.Path())
	known, _, err := ReadFiles(dir)
	if err != nil {
		return nil // Publish reports the error
	}
	bases := map[string]bool{filepath.Base(path): true}
	for i := range known {
		if base, ok := rotate.BaseOf(known[i].Name); ok {
			bases[base] = true
		}
	}
	newest := make(map[string]int) // by base: the plain file that was written last, which may be open
	add := func(partition string, e fs.DirEntry) {
		base, ok := rotate.BaseOf(e.Name())
		if !ok || !bases[base] || !e.Type().IsRegular() {
			return
		}
		d := b.o.destination(path, base)
		info, err := e.Info()
		if d == nil || err != nil {
			return
		}
		files = append(files, kept{dir: path, name: e.Name(), at: filepath.Join(partition, e.Name()), base: base, of: d,
			size: info.Size(), written: info.ModTime(),
			inUse: open[filepath.Join(path, e.Name())] || b.o.held(path, e.Name())})
		if plain := filepath.Ext(e.Name()) != ".gz" && filepath.Ext(e.Name()) != ".zst"; plain {
			if k, known := newest[base]; !known || files[k].compare(files[len(files)-1]) <= 0 {
				newest[base] = len(files) - 1
			}
		}
	}
	for _, e := range list {
		add("", e)
	}
	err = rotate.EachPartition(dir, list, func(partition string, list []fs.DirEntry) error {
		for _, e := range list {
			add(partition, e)
		}
		return nil
	})
	if err != nil { // the store that publishes there reports it
		return nil
	}
	for _, k := range newest {
		files[k].inUse = true
	}
	return files
}

// compare orders files by the time at which they were written last.
func (f kept) compare(o kept) int {
	return cmp.Or(f.written.Compare(o.written), cmp.Compare(f.name, o.name), cmp.Compare(f.dir, o.dir))
}

// tooMany returns the files to be removed, the oldest first.
func tooMany(files []kept, now time.Time) (list []kept) {
	type series struct{ dir, base string }
	ofSeries, ofAll := make(map[series]int64), make(map[*Destination]int64)
	for _, f := range files {
		ofSeries[series{f.dir, f.base}] += f.size
		ofAll[f.of] += f.size
	}
	slices.SortFunc(files, kept.compare)
	for _, f := range files {
		s := series{f.dir, f.base}
		old := f.of.Keep > 0 && now.Sub(f.written) > f.of.Keep
		many := f.of.SeriesBytes > 0 && ofSeries[s] > f.of.SeriesBytes || f.of.TotalBytes > 0 &&
			ofAll[f.of] > f.of.TotalBytes
		if !f.inUse && (old || many) {
			list = append(list, f)
			ofSeries[s] -= f.size
			ofAll[f.of] -= f.size
		}
	}
	return list
}

// remove removes files of a directory, after it has listed them as removed in the manifest, and the markers whose files
// are all gone.
func (b *Books) remove(path string, files []kept, now time.Time) (err error) {
	dir, err := b.o.openDir(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	var bodies [][]byte
	bytes := int64(0)
	for _, f := range files {
		body, err := appendJSON(nil, removalLine{Name: f.name, Removed: ByRetention,
			At: now.UTC().Truncate(time.Second)})
		if err != nil {
			return err
		}
		bodies, bytes = append(bodies, body), bytes+f.size
	}
	if len(bodies) > 0 {
		b.appending.Lock()
		err := faultfs.AppendLines(dir, Manifest, ManifestHeader, bodies...)
		b.appending.Unlock()
		if err != nil {
			return err
		}
		b.o.Logger.Info("removed old files", "directory", path, "files", len(files), "bytes", bytes, "first",
			files[0].name,
			"last", files[len(files)-1].name)
	}
	var errs []error
	for _, f := range files {
		if err := dir.Remove(f.at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove %s: %w", filepath.Join(path, f.at), err))
		}
	}
	list, err := dir.ReadDir()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, dropMarkers(dir, list), dropIndexes(dir, list), dropPartitions(dir, files))...)
}

// dropPartitions removes the partitions in which files were removed, if nothing but a done marker is left there.
func dropPartitions(dir *faultfs.Dir, removed []kept) error {
	emptied := make(map[string]bool)
	for _, f := range removed {
		if partition := filepath.Dir(f.at); partition != "." {
			emptied[partition] = true
		}
	}
	var errs []error
	for partition := range emptied {
		if err := dropPartition(dir, partition); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove the partition %s: %w", filepath.Join(dir.Path(), partition), err))
		}
	}
	return errors.Join(errs...)
}

// dropPartition removes a partition, and the day of an hour, if they are empty.
func dropPartition(dir *faultfs.Dir, partition string) error {
	for ; partition != "."; partition = filepath.Dir(partition) {
		sub, err := dir.Below(partition)
		if err != nil {
			return err
		}
		list, err := sub.ReadDir()
		if len(list) == 1 && list[0].Name() == PartitionMarker && err == nil {
			err, list = sub.Remove(PartitionMarker), nil
		}
		if err = errors.Join(err, sub.Close()); err != nil || len(list) > 0 {
			return err
		}
		if err := dir.Remove(partition); err != nil {
			return err
		}
	}
	return nil
}

// dropIndexes removes the indexes of files that do not exist any more; list is the content of the directory.
func dropIndexes(dir *faultfs.Dir, list []fs.DirEntry) error {
	var errs []error
	for _, e := range list {
		file, ok := index.FileOf(e.Name())
		if !ok || thereAs(dir, rotate.Hidden(file), rotate.Orphan(file), file,
			filepath.Join(rotate.Partition(file), file)) {
			continue
		}
		if err := dir.Remove(e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove %s: %w", filepath.Join(dir.Path(), e.Name()), err))
		}
	}
	return errors.Join(errs...)
}

// thereAs reports whether there is a file with one of the names. They are tried in the order in which a file gets them,
// so that a file that is renamed meanwhile is not missed.
func thereAs(dir *faultfs.Dir, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, err := dir.Lstat(name)
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// sizeOf returns the size of a finished file, which mostly does not have its final name yet; 0 if it was removed
// already.
func sizeOf(dir *faultfs.Dir, name string) (int64, error) {
	info, err := dir.Lstat(rotate.Hidden(name))
	if errors.Is(err, fs.ErrNotExist) {
		_, info, err = rotate.FindPublished(dir, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
