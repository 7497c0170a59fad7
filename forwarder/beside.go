package forwarder

import (
	"path/filepath"
	"time"
)

// beside is a directory that holds the rotated files of a path. If the path is a symbolic link, that is the directory
// of the link's target: with /var/log/app.log → /data/app.log, the rotated /data/app.log.1 is beside the target.
type beside struct {
	path   string
	bases  map[string]*trail // by the name of the link's target
	mtime  time.Time         // at the last listing …
	listed time.Time         // … which was then
	names  []entry
}

// resolve notes what a link points to in the end, with all links on the way followed.
func (v *volume) resolve(d *directory, t *trail) {
	real, err := filepath.EvalSymlinks(t.path)
	if err != nil {
		return // tried again when the link points to something else
	}
	dir, name := filepath.Split(real)
	dir = filepath.Clean(dir)
	b := d.beside[dir]
	if b == nil {
		b = &beside{path: dir, bases: make(map[string]*trail)}
		if d.beside == nil {
			d.beside = make(map[string]*beside)
		}
		d.beside[dir] = b
		v.beside[dir] = d
	}
	b.bases[name] = t
}

// changed says whether names may have been added or removed since the last listing.
func (b *beside) changed() bool {
	l, err := statPath(b.path)
	return err != nil || !l.mtime.Equal(b.mtime) || b.listed.Sub(b.mtime).Abs() < settleTime
}

// list reads the names, if the directory has changed since the last listing.
func (b *beside) list(now time.Time) error {
	l, err := statPath(b.path)
	if err != nil || l.mtime.Equal(b.mtime) && b.listed.Sub(b.mtime).Abs() >= settleTime {
		return err
	}
	names, err := (&directory{path: b.path, patterns: make([]wanting, 1)}).names()
	if err != nil {
		return err
	}
	b.names, b.mtime, b.listed = names, l.mtime, now
	return nil
}

// base returns the trail whose rotated file could have that name, nil if there is none.
func (b *beside) base(name string) (t *trail) {
	bases(name, func(base string) bool {
		t = b.bases[base]
		return t == nil
	})
	return t
}

// listBeside looks at the rotated files of links. With all, it looks at every file there, because one is missing whose
// name is not known.
func (v *volume) listBeside(d *directory, all bool, now time.Time) (list []*arrival) {
	for path, b := range d.beside {
		if path == d.path {
			continue
		}
		err := b.list(now)
		if err != nil {
			v.unreadable(d, path, err)
			continue
		}
		v.watch.add(path)
		for _, e := range b.names {
			a := rotatedFile(path, e, b.names, b.base)
			if a == nil || a.base == nil && (!all || isCompressedName(e.name)) {
				continue
			}
			a.look, err = lstatPath(a.path)
			switch {
			case err != nil:
				v.unreadable(d, a.path, err)
			case a.look.regular:
				list = append(list, a)
			}
		}
	}
	return list
}

// pruneBeside forgets the directories of links that do not exist any more.
func (v *volume) pruneBeside(d *directory) {
	for path, b := range d.beside {
		for name, t := range b.bases {
			if d.trails[filepath.Base(t.path)] != t {
				delete(b.bases, name)
			}
		}
		if len(b.bases) == 0 {
			delete(d.beside, path)
			delete(v.beside, path)
		}
	}
}
