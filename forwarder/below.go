package forwarder

import (
	"path/filepath"
	"slices"
	"time"
)

// listBelow looks for rotated files of d in the directories directly below it (logrotate's olddir). It looks into those
// where some were seen before. It looks into all of them when a followed file is missing, or when a path shows another
// file than at the last look, because a third one may have come and gone in between. Example: app.log became
// old/app.log.1, and that old/app.log.2, between two looks. It does so until all compressed files are decided on.
//
// A rotated file belongs to the directory that has its base: old/app.log.1 is not taken for a rotated
// app.log if there is an old/app.log.
func (v *volume) listBelow(d *directory, names []entry, list []*arrival, now time.Time) []*arrival {
	missing := d.missesKnown(list) || d.hasRotated(now) || len(d.unpackings) > 0
	for _, e := range names {
		path := filepath.Join(d.path, e.name)
		b := d.below[path]
		if !e.dir || b == nil && !missing || v.dirs[path] != nil {
			continue
		}
		if b == nil {
			b = &beside{path: path}
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
			if a.look, err = lstatPath(a.path); err == nil && a.look.regular {
				a.far = true
				list = append(list, a)
			}
		}
	}
	return list
}

func (b *beside) has(name string) bool {
	return slices.ContainsFunc(b.names, func(e entry) bool { return e.name == name })
}

// missesKnown says whether a file that was followed is not in the list, or what it held before it was truncated is not,
// or whether that cannot be known because the forwarder has just been started.
func (d *directory) missesKnown(list []*arrival) bool {
	if d.listed.IsZero() && len(d.known) > 0 {
		return true
	}
	listed := make(map[identity]bool, len(list))
	for _, a := range list {
		listed[a.look.id] = true
	}
	return slices.ContainsFunc(d.known, func(g *generation) bool {
		return g.rewritten || !listed[g.id] && (g.fd >= 0 || g.phase == active)
	})
}

// hasRotated says whether a known path shows another file than at the last look, or none.
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
				d.below = make(map[string]*beside)
			}
			d.below[dir] = &beside{path: dir}
		}
	}
}
