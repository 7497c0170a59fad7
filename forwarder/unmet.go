package forwarder

import (
	"path/filepath"
	"strings"
	"time"
)

// findUnmet finds out whether a is unmet: a compressed file that nobody has read, although an input wants the name that it had before.
// Example: the pattern is app-*.log, and app-2026-11-28.log was both begun and compressed while the forwarder was not running. Then its
// trail is created.
//
// It is unmet if it was written after the last run has ended, and no position is of its path: old archives are left alone.
func (v *volume) findUnmet(d *directory, a *arrival) {
	plain, is := uncompressedName(filepath.Base(a.path))
	if !is || !d.first || v.followed.IsZero() || a.hasOriginal || d.trails[plain] != nil {
		return
	}
	s, _ := d.match(plain)
	if s == nil || v.fromEnd || s.fromEnd {
		return
	}
	followed := v.followed
	if strings.HasSuffix(a.path, ".bz2") { // it keeps the time of a file in seconds
		followed = followed.Truncate(time.Second)
	}
	l, err := lstatPath(a.path)
	if err != nil || !l.regular || l.mtime.Before(followed) {
		return
	}
	a.base = v.trail(d, plain, s)
	a.unmet = a.base != nil
}

// expect notes that an unmet file is to be read from its start, so that its position says so when the forwarder is killed before that.
func (v *volume) expect(d *directory, x action) {
	a, t := x.arrival, x.trail
	g := &generation{fd: -1, source: t.source, trail: t, name: a.path} // without a look, as after a restart
	g.position = position{id: a.look.id, phase: active, category: string(t.category), path: t.path}
	v.adopt(d, g, a)
	d.known = append(d.known, g)
	v.note(g)
	v.log.Info("a compressed file that was made while nobody followed is read", "file", a.path, "path", t.path)
	d.urgent, v.hinted = true, true
}
