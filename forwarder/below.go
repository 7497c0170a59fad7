package forwarder

import (
	"path/filepath"
	"slices"
	"time"
)

// listBelow looks at rotated files in the directories directly below d (logrotate's olddir): where some were seen
// before, and in all of them when a file is away that was followed, or when a path shows another file than at the last
// look: between the two there may have been a third. A name belongs to the directory in which its base
// stands.
func (v *volume) listBelow(d *directory, names []entry, list []*arrival, now time.Time) []*arrival {
	missing := d.missesKnown(list) || d.hasRotated(now)
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
			continue // nobody has asked to look there
		}
		for _, file := range b.names {
			t := d.base(file.name)
			if t == nil || file.link || file.odd || isCompressedName(file.name) || b.has(filepath.Base(t.path)) {
				continue
			}
			name := filepath.Join(path, file.name)
			if l, err := lstatPath(name); err == nil && l.regular {
				list = append(list, &arrival{path: name, look: l, base: t, far: true})
			}
		}
	}
	return list
}

func (b *beside) has(name string) bool {
	return slices.ContainsFunc(b.names, func(e entry) bool { return e.name == name })
}

// missesKnown says whether a file that was followed is not in the list, or what it held before it was truncated, or whether
// that is not known because the forwarder has just been started.
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

// hasRotated says whether a path that was known shows another file than at the last look, or none.
func (d *directory) hasRotated(now time.Time) bool {
	for _, t := range d.trails {
		if t.changed.Equal(now) && !t.fresh {
			return true
		}
	}
	return false
}

// learnBelow notes in which directories below d rotated files of it stand.
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
