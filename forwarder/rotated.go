package forwarder

import (
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// listRotated returns the files that no input wants, but that could be rotated files of those that are followed.
func (v *volume) listRotated(d *directory, names []entry, now time.Time) (list []*arrival) {
	missing := d.misses()
	for _, e := range names {
		if s, _ := d.match(e.name); s != nil && !isCompressedName(e.name) {
			continue
		}
		a := rotatedFile(d.path, e, names, d.base)
		if a != nil && a.base == nil {
			v.findUnmet(d, a)
		}
		if a == nil || a.base == nil && (!missing || isCompressedName(e.name)) {
			continue
		}
		if plain, is := uncompressedName(e.name); is {
			a.own = d.trails[plain]
		}
		var err error
		a.look, err = lstatPath(a.path)
		switch {
		case err != nil:
			v.unreadable(d, a.path, err)
		case a.look.regular:
			list = append(list, a)
		}
	}
	return append(list, v.listBeside(d, missing, now)...)
}

// rotatedFile returns what is known of a file that may be a rotated one before it is looked at, nil if it is none. base
// says whose it could be.
func rotatedFile(dir string, e entry, names []entry, base func(name string) *trail) *arrival {
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
		_, a.hasOriginal = slices.BinarySearchFunc(names, plain, func(e entry, name string) int {
			return strings.Compare(e.name, name)
		})
	}
	return a
}

// misses says whether a file of d is still to be read that is not open, so that it may have any name now.
func (d *directory) misses() bool {
	return slices.ContainsFunc(d.known, func(g *generation) bool { return g.fd < 0 && g.phase == active && !g.parked })
}
