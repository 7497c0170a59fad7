package forwarder

import (
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// listRotated returns the files that no input wants, but that could be rotated files of those that are followed.
func (v *volume) listRotated(d *directory, names []dirEntry, now time.Time) (list []*arrival) {
	missing := d.misses()
	for _, e := range names {
		if s, _ := d.match(e.name); s != nil && !isCompressedName(e.name) {
			continue
		}
		a := rotatedFile(d.path, e, names, d.base)
		if a != nil && a.base == nil {
			v.findNeverRead(d, a)
		}
		if a == nil || a.base == nil && (!missing || isCompressedName(e.name)) {
			continue
		}
		if plain, is := uncompressedName(e.name); is {
			a.own = d.trails[plain]
		}
		var err error
		a.stat, err = lstatPath(a.path)
		switch {
		case err != nil:
			v.unreadable(d, a.path, err)
		case a.stat.regular:
			list = append(list, a)
		}
	}
	return append(list, v.listBeside(d, missing, now)...)
}

// rotatedFile returns what is known of a file that may be a rotated one before it is looked at, nil if it is none. base
// says whose it could be.
func rotatedFile(dir string, e dirEntry, names []dirEntry, base func(name string) *trail) *arrival {
	if e.link || e.odd {
		return nil
	}
	plain, is := uncompressedName(e.name)
	a := &arrival{path: filepath.Join(dir, e.name), base: base(plain)}
	if is && a.base == nil { // app.log.gz, or app-20261129.log.gz if app-20261129.log is followed
		a.base = base(plain + ".1")
	}
	if original, temporary := strings.CutSuffix(e.name, ".tmp"); is || temporary { // kubelet renames it in the end
		if temporary {
			plain = original
		}
		_, a.hasOriginal = slices.BinarySearchFunc(names, plain, func(e dirEntry, name string) int {
			return strings.Compare(e.name, name)
		})
	}
	return a
}

// misses says whether a file of d is still to be read that is not open, so that it may have any name now.
func (d *directory) misses() bool {
	return slices.ContainsFunc(d.known, func(g *generation) bool { return g.fd < 0 && g.phase == active && !g.parked })
}

// rotationDir is another directory in which rotated files of a path are looked for: the directory of the target, if the
// path is a symbolic link, or one directly below the directory of the path. Example of the former: with the link
// /var/log/app.log → /data/app.log, the rotated file is /data/app.log.1.
type rotationDir struct {
	path   string
	bases  map[string]*trail // of links, by the names of their targets
	mtime  time.Time         // at the last listing …
	listed time.Time         // … which was then
	names  []dirEntry
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
		b = &rotationDir{path: dir, bases: make(map[string]*trail)}
		if d.beside == nil {
			d.beside = make(map[string]*rotationDir)
		}
		d.beside[dir] = b
		v.beside[dir] = d
	}
	b.bases[name] = t
}

// changed says whether names may have been added or removed since the last listing.
func (b *rotationDir) changed() bool {
	l, err := statPath(b.path)
	return err != nil || !l.mtime.Equal(b.mtime) || b.listed.Sub(b.mtime).Abs() < settleTime
}

// list reads the names, if the directory has changed since the last listing.
func (b *rotationDir) list(now time.Time) error {
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
func (b *rotationDir) base(name string) (t *trail) {
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
			a.stat, err = lstatPath(a.path)
			switch {
			case err != nil:
				v.unreadable(d, a.path, err)
			case a.stat.regular:
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

// listBelow looks for rotated files of d in the directories directly below it (logrotate's olddir). It looks into those
// where some were seen before. It looks into all of them when a followed file is missing, or when a path shows another
// file than at the last scan, because a third one may have come and gone in between. Example: app.log became
// old/app.log.1, and that old/app.log.2, between two scans. It does so until all compressed files are decided on.
//
// A rotated file belongs to the directory that has its base: old/app.log.1 is not taken for a rotated
// app.log if there is an old/app.log.
func (v *volume) listBelow(d *directory, names []dirEntry, list []*arrival, now time.Time) []*arrival {
	missing := d.missesKnown(list) || d.hasRotated(now) || len(d.unpackings) > 0
	for _, e := range names {
		path := filepath.Join(d.path, e.name)
		b := d.below[path]
		if !e.dir || b == nil && !missing || v.dirs[path] != nil {
			continue
		}
		if b == nil {
			b = &rotationDir{path: path}
		}
		v.at(&b.path)
		if err := b.list(now); err != nil {
			continue // no input names this directory, so that it is no failure
		}
		for _, file := range b.names {
			a := rotatedFile(path, file, b.names, d.base)
			if a == nil || a.base == nil || b.has(filepath.Base(a.base.path)) {
				continue
			}
			var err error
			if a.stat, err = lstatPath(a.path); err == nil && a.stat.regular {
				a.far = true
				list = append(list, a)
			}
		}
	}
	return list
}

func (b *rotationDir) has(name string) bool {
	return slices.ContainsFunc(b.names, func(e dirEntry) bool { return e.name == name })
}

// missesKnown says whether a file that was followed is not in the list, or what it held before it was truncated is not,
// or whether that cannot be known because the forwarder has just been started.
func (d *directory) missesKnown(list []*arrival) bool {
	if d.listed.IsZero() && len(d.known) > 0 {
		return true
	}
	listed := make(map[identity]bool, len(list))
	for _, a := range list {
		listed[a.stat.id] = true
	}
	return slices.ContainsFunc(d.known, func(g *generation) bool {
		return g.rewritten || !listed[g.id] && (g.fd >= 0 || g.phase == active)
	})
}

// hasRotated says whether a known path shows another file than at the last scan, or none.
func (d *directory) hasRotated(now time.Time) bool {
	for _, t := range d.trails {
		if t.changed.Equal(now) && !t.fresh {
			return true
		}
	}
	return false
}

// learnBelow remembers the directories below d in which rotated files of d were seen.
func (d *directory) learnBelow() {
	for _, g := range d.known {
		if dir := filepath.Dir(g.name); d.below[dir] == nil && filepath.Dir(dir) == d.path && dir != d.path {
			if d.below == nil {
				d.below = make(map[string]*rotationDir)
			}
			d.below[dir] = &rotationDir{path: dir}
		}
	}
}
