package forwarder

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// listWanted returns the files that an input wants.
func (v *volume) listWanted(d *directory, names []dirEntry) (list []*arrival) {
	before := d.links
	d.links = nil
	matched, odd := make(map[*source]int), make(map[string]string)
	defer func() {
		d.tellMatched(matched)
		d.odd = odd
	}()
	for _, e := range names {
		s, other := d.match(e.name)
		if s == nil || e.dir && d.literals[e.name] == nil { // a pattern may match directories, too
			continue
		}
		path := filepath.Join(d.path, e.name)
		if isCompressedName(e.name) {
			v.sayOnce(path, compressedText)
			continue
		}
		if other != nil {
			v.tellOther(path, s, other)
		}
		l, err := statPath(path)
		if e.link {
			if d.links == nil {
				d.links = make(map[string]identity)
			}
			d.links[e.name] = l.id
		}
		switch {
		case err != nil && !(e.link && errors.Is(err, fs.ErrNotExist)):
			v.unreadable(d, path, err)
		case l.regular:
			matched[s]++
			if t := v.trail(d, e.name, s); t != nil {
				list = append(list, &arrival{path: path, stat: l, source: s, home: t})
				if e.link && before[e.name] != l.id {
					v.resolve(d, t)
				}
			}
		case err == nil:
			v.tellOdd(d, odd, path)
		}
	}
	return list
}

// notePaths records which file each path names now.
func (d *directory) notePaths(list []*arrival, now time.Time) {
	shown := make(map[*trail]identity, len(list))
	for _, a := range list {
		shown[a.home] = a.stat.id
	}
	for _, t := range d.trails {
		id, present := shown[t]
		if t.changed.IsZero() || t.live != id || t.present != present {
			t.live, t.present, t.changed = id, present, now
		}
	}
}

// tellMatched updates how many files each input has.
func (d *directory) tellMatched(now map[*source]int) {
	for s, n := range now {
		s.files.Add(int64(n - d.matched[s]))
		delete(d.matched, s)
	}
	for s, n := range d.matched {
		s.files.Add(int64(-n))
	}
	d.matched = now
}

// tellOdd logs that a path which an input wants is not a file.
func (v *volume) tellOdd(d *directory, odd map[string]string, path string) {
	kind := kindOf(path)
	odd[path] = kind
	if d.odd[path] != kind {
		v.log.Warn("what a pattern names is not a file, and is not followed", "path", path, "kind", kind)
	}
}

// kindOf names the type of a path that is not a file.
func kindOf(path string) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err.Error()
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "directory (for the files in it add /*)"
	case unix.S_IFIFO:
		return "FIFO (read it with inkwell pipe)"
	case unix.S_IFSOCK:
		return "socket"
	}
	return "device"
}

// tellOther logs that two inputs want the same file for different categories.
func (v *volume) tellOther(path string, first, other *source) {
	if v.said[path] {
		return
	}
	a, _ := first.pattern.Match(path)
	if b, _ := other.pattern.Match(path); a != b {
		v.sayOnce(path, "file is wanted by two inputs; the first has it", "category", a, "not", b)
	}
}
