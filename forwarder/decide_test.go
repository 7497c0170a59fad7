package forwarder

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"inkwell/forwarder/packed"
)

// scene is a directory with the log a.log, of which much was read, at noon. What happened is told by changing it; the
// arrivals are what a look finds.
type scene struct {
	view
	trail    *trail      // of a.log
	log      *generation // what was read of it: 10,000 of its 10,000 bytes
	arrivals []*arrival
}

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

const read = 10_000

func newScene() *scene {
	s := new(scene)
	s.view = view{waiting: make(map[identity]*undecided), listed: noon.Add(-time.Second), window: 10 * time.Second, linger: time.Second}
	s.trail = &trail{path: "a.log", present: true, live: number(1), changed: noon.Add(-time.Hour)}
	s.log = s.know(1, "a.log", read)
	s.log.fd = 3
	return s
}

// number is the identity of a file.
func number(n uint64) identity { return identity{dev: 1, ino: n} }

// know adds a generation of a.log of which that many bytes were read.
func (s *scene) know(n uint64, name string, offset int64) *generation {
	g := &generation{fd: -1, name: name, trail: s.trail}
	g.position = position{id: number(n), phase: active, offset: offset, path: "a.log"}
	g.head.n = int(min(offset, printMax))
	g.stat = stat{id: g.id, size: offset, born: noon.Add(-2 * time.Hour), changed: noon.Add(-time.Minute)}
	s.known = append(s.known, g)
	return g
}

// passed adds a copy of the log that was passed over.
func (s *scene) passed(n uint64) *generation {
	g := s.know(n, "a.log.tmp", read)
	g.phase = ignored
	return g
}

// arrive adds a file that the look finds. a.log is wanted, other names are so with want.
func (s *scene) arrive(n uint64, name string, size int64, holds ...*generation) *arrival {
	a := &arrival{path: name, holds: holds}
	a.stat = stat{id: number(n), size: size, mtime: noon.Add(-time.Second), born: noon.Add(-time.Second)}
	if name == "a.log" {
		a.home = s.trail
		s.trail.live, s.trail.present = a.stat.id, true
	} else {
		a.base = s.trail
	}
	for _, g := range s.known {
		if g.id == a.stat.id {
			a.known = g
		}
	}
	s.arrivals = append(s.arrivals, a)
	return a
}

// pack makes a the compressed form of a file that holds size bytes.
func (a *arrival) pack(p progress, size int64) *arrival {
	a.kind, a.unpacked, a.content = packed.Gzip, p, size
	return a
}

// want has an input want the name of a.
func (s *scene) want(a *arrival) { a.home = &trail{path: a.path, fresh: true, changed: noon} }

// rotated says that something else stands at the path since now.
func (s *scene) rotated() { s.trail.changed = noon }

// rest says that nothing is open: the forwarder has just been started.
func (s *scene) restarted() {
	s.trail.changed, s.first, s.listed = noon, true, time.Time{}
	for _, g := range s.known {
		g.fd, g.stat = -1, stat{}
	}
}

// TestDecide has a row for each thing that tools do to logs. An action is written as VERB NAME, and with = the number
// of the generation.
func TestDecide(t *testing.T) {
	for _, row := range []struct {
		style  string
		happen func(s *scene)
		want   string
	}{
		{"nothing", func(s *scene) { s.arrive(1, "a.log", read) }, "resume a.log=1"},
		{"the forwarder is started again", func(s *scene) { s.restarted(); s.arrive(1, "a.log", read, s.log) }, "resume a.log=1"},
		{"a short log is deleted, and another one gets its inode and begins alike", func(s *scene) {
			s.log.fd, s.log.offset, s.log.phase = -1, 70, finished
			s.trail.present = false
			a := s.arrive(1, "b.log", 70, s.log)
			a.base = nil // it is in another directory
			s.want(a)
		}, "follow b.log"},
		{"a new path", func(s *scene) { s.known = nil; s.trail.fresh = true; s.arrive(1, "a.log", 5) }, "follow a.log"},
		{"a new path with old rotated files", func(s *scene) {
			s.known, s.trail.fresh, s.first = nil, true, true
			s.arrive(1, "a.log", 5)
			s.arrive(2, "a.log.1", 500)
		}, "pass a.log.1, follow a.log"},
		{"a new name for each day, begun and compressed while the forwarder is not running", func(s *scene) {
			s.restarted()
			s.arrive(1, "a.log", read, s.log)
			a := s.arrive(2, "b.log.gz", 95).pack(closed, 0)
			a.base, a.neverRead = &trail{path: "b.log", fresh: true, changed: noon}, true
		}, "resume a.log=1, expect b.log.gz"},
		{"the same, after it was decompressed", func(s *scene) {
			t := &trail{path: "b.log", changed: noon}
			g := s.know(2, "b.log.gz", 0)
			g.trail, g.path, g.stat = t, "b.log", stat{}
			a := s.arrive(2, "b.log.gz", 95, g).pack(opened, 500)
			a.base, a.own = t, t
			s.arrive(1, "a.log", read, s.log)
		}, "resume b.log.gz=2, resume a.log=1"},
		{"rename, create", func(s *scene) { s.rotated(); s.arrive(1, "a.log.1", read); s.arrive(2, "a.log", 5) },
			"resume a.log.1=1, follow a.log"},
		{"rename, create: the new one begins with all that was read", func(s *scene) {
			s.rotated()
			s.log.offset = 70
			s.arrive(1, "a.log.1", read)
			s.arrive(2, "a.log", 90, s.log)
		}, "resume a.log.1=1, follow a.log"},
		{"rename, create: the new one begins with a long banner, and nothing else was read", func(s *scene) {
			s.rotated()
			s.arrive(1, "a.log.1", read)
			s.arrive(2, "a.log", read, s.log)
		}, "resume a.log.1=1, follow a.log"},
		{"rename, create, while down", func(s *scene) { s.restarted(); s.arrive(1, "a.log.1", read, s.log); s.arrive(2, "a.log", 5) },
			"resume a.log.1=1, follow a.log"},
		{"three renames between two looks", func(s *scene) {
			s.rotated()
			s.arrive(4, "a.log", 5)
			s.arrive(3, "a.log.1", 50).stat.mtime = noon.Add(-time.Second)
			s.arrive(2, "a.log.2", 50).stat.mtime = noon.Add(-2 * time.Second)
			s.arrive(1, "a.log.3", read)
		}, "resume a.log.3=1, follow a.log.2, follow a.log.1, follow a.log"},
		{"a file that was rotated away, unreadable: create 0600", func(s *scene) { s.rotated(); s.arrive(2, "a.log.1", 50).err = errFault },
			"owe a.log.1"},
		{"… and readable later, long after the rotation", func(s *scene) {
			s.waiting[number(2)] = &undecided{since: noon.Add(-time.Hour), owed: true}
			s.arrive(1, "a.log", read)
			s.arrive(2, "a.log.1", 50)
		}, "resume a.log=1, follow a.log.1"},
		{"copytruncate, the copy just made", func(s *scene) { s.arrive(1, "a.log", read); s.arrive(2, "a.log.1", read, s.log) },
			"resume a.log=1, pass a.log.1"},
		{"copytruncate, the copy being made", func(s *scene) { s.arrive(1, "a.log", read); s.arrive(2, "a.log.1", 500).part = s.log },
			"resume a.log=1, wait a.log.1"},
		{"copytruncate", func(s *scene) { s.log.rewritten = true; s.arrive(1, "a.log", 3); s.arrive(2, "a.log.1", read+9, s.log) },
			"inherit a.log.1=1, restart a.log=1"},
		{"copytruncate, while down", func(s *scene) { s.restarted(); s.arrive(1, "a.log", 3); s.arrive(2, "a.log.1", read+9, s.log) },
			"inherit a.log.1=1, restart a.log=1"},
		{"copytruncate twice, while down", func(s *scene) {
			s.restarted()
			s.arrive(1, "a.log", 3)
			s.arrive(3, "a.log.1", 50)
			s.arrive(2, "a.log.2", read+9, s.log)
		}, "inherit a.log.2=1, restart a.log=1, follow a.log.1"},
		{"copytruncate with a glob that matches the copy", func(s *scene) {
			s.arrive(1, "a.log", read)
			s.want(s.arrive(2, "a.log.1", read, s.log))
			s.log.offset = nearby
		}, "resume a.log=1, pass a.log.1"},
		{"truncated", func(s *scene) { s.log.rewritten = true; s.arrive(1, "a.log", 3) }, "restart a.log=1"},
		{"deleted, created", func(s *scene) { s.rotated(); s.log.stat.gone = true; s.arrive(2, "a.log", 5) }, "follow a.log"},
		{"deleted, created with the same few lines", func(s *scene) {
			s.rotated()
			s.log.offset = 70
			s.log.stat.gone, s.log.stat.changed = true, noon.Add(-2*time.Second)
			s.arrive(2, "a.log", read, s.log)
		}, "follow a.log"},
		{"deleted while down", func(s *scene) { s.restarted(); s.once = true }, "lose =1"},
		{"rsync, sed -i: another file took its place", func(s *scene) {
			s.rotated()
			s.log.stat.gone, s.log.stat.changed = true, noon
			s.arrive(2, "a.log", read+80, s.log)
		}, "resume a.log=1"},
		{"rsync, whose new file was passed over before it got the name", func(s *scene) {
			s.rotated()
			s.log.stat.gone, s.log.stat.changed = true, noon
			s.arrive(2, "a.log", read+80, s.log, s.passed(2))
		}, "resume a.log=1"},
		{"… and was rotated while down", func(s *scene) {
			passed := s.passed(2)
			s.restarted()
			s.arrive(2, "a.log.1", read+80, s.log, passed)
			s.arrive(3, "a.log", 5)
		}, "resume a.log.1=1, follow a.log"},
		{"a copy of a file that was read to its end and deleted", func(s *scene) {
			passed := s.passed(2)
			s.restarted()
			s.log.phase = finished
			s.arrive(2, "a.log.1", read+80, s.log, passed)
			s.arrive(3, "a.log", 5)
		}, "follow a.log"},
		{"rsync twice between two looks", func(s *scene) {
			s.rotated()
			s.log.stat.gone, s.log.stat.changed = true, noon.Add(-2*time.Second)
			s.arrive(2, "a.log", read+80, s.log)
		}, "resume a.log=1"},
		{"an editor that keeps a backup", func(s *scene) {
			s.rotated()
			s.arrive(1, "a.log.bak", read)
			s.arrive(2, "a.log", read+80, s.log)
		}, "resume a.log=1"},
		{"an editor that writes into a new file: it is empty yet", func(s *scene) { s.rotated(); s.arrive(2, "a.log", 0) }, "wait a.log"},
		{"… and is being written", func(s *scene) {
			s.rotated()
			s.arrive(2, "a.log", 4096).part = s.log
		}, "wait a.log"},
		{"an edit before the position", func(s *scene) { s.rotated(); s.log.stat.gone = true; s.arrive(2, "a.log", read+80) }, "follow a.log"},
		{"mounted under another device number", func(s *scene) {
			s.restarted()
			s.arrive(1, "a.log", read+30, s.log).stat.id.dev = 2
			s.arrivals[0].known = nil
		}, "resume a.log=1"},
		{"a file with the number of a rotated one that is gone", func(s *scene) { s.restarted(); s.arrive(1, "a.log.1", 50); s.arrive(2, "a.log", 5) },
			"follow a.log.1, follow a.log"},
		{"renamecopy, into another file system, while down", func(s *scene) {
			s.restarted()
			s.arrive(7, "a.log.1", read+9, s.log)
			s.arrive(2, "a.log", 5)
		}, "resume a.log.1=1, follow a.log"},
		{"olddir, twice while down, and older files there", func(s *scene) {
			s.restarted()
			for n, name := range []string{0: "", 1: "old/a.log.2", 2: "old/a.log.1", 3: "old/a.log.9"} {
				if n > 0 {
					a := s.arrive(uint64(n), name, read)
					a.far, a.stat.mtime = true, noon.Add(-time.Hour)
				}
			}
			s.arrivals[0].holds = []*generation{s.log}
			s.arrivals[2].stat.mtime = noon.Add(-9 * time.Hour)
			s.arrive(7, "a.log", 5)
		}, "resume old/a.log.2=1, pass old/a.log.9, follow old/a.log.1, follow a.log"},
		{"copytruncate, then olddir, while down", func(s *scene) {
			s.restarted()
			s.arrive(1, "a.log", 5)
			s.arrive(2, "a.log.1", read+9, s.log).stat.mtime = noon.Add(-time.Minute)
			s.arrive(3, "old/a.log.2", 50).far = true
		}, "inherit a.log.1=1, restart a.log=1, follow old/a.log.2"},
		{"two renames while down, of files that begin with the same banner", func(s *scene) {
			s.restarted()
			s.log.offset = 70
			s.arrive(1, "a.log.2", read, s.log)
			s.arrive(2, "a.log.1", read, s.log).stat.mtime = noon.Add(-time.Second)
			s.arrive(3, "a.log", 90)
		}, "resume a.log.2=1, follow a.log.1, follow a.log"},
		{"rsync, then rename: what took the place of the log is rotated", func(s *scene) {
			s.rotated()
			s.log.stat.gone = true
			s.arrive(2, "a.log.1", read+80, s.log)
			s.arrive(3, "a.log", 5)
		}, "resume a.log.1=1, follow a.log"},
		{"… into a directory below", func(s *scene) {
			s.rotated()
			s.log.stat.gone = true
			s.arrive(2, "old/a.log.1", read+80, s.log).far = true
			s.arrive(3, "a.log", 5)
		}, "resume old/a.log.1=1, follow a.log"},
		{"copytruncate, then rename", func(s *scene) {
			s.rotated()
			s.log.rewritten = true
			s.arrive(2, "a.log.1", read+9, s.log)
			s.arrive(1, "a.log.2", 50)
			s.arrive(3, "a.log", 5)
		}, "inherit a.log.1=1, restart a.log.2=1, follow a.log"},
		{"copytruncate, then rsync", func(s *scene) {
			s.rotated()
			s.log.rewritten, s.log.stat.gone = true, true
			s.arrive(2, "a.log.1", read+9, s.log)
			s.arrive(3, "a.log", 50)
		}, "inherit a.log.1=1, follow a.log, finish =1"},
		{"started after the first call, and replaced: only its head is known", func(s *scene) {
			s.restarted()
			s.log.offset = 0
			s.log.head.n = printMax
			s.arrive(2, "a.log", read, s.log)
		}, "resume a.log=1"},
		{"started after the first call, and its number is another file's", func(s *scene) {
			s.restarted()
			s.log.offset = 0
			s.log.head.n = printMax
			s.arrive(1, "a.log.1", read)
			s.arrive(2, "a.log", 5)
		}, "follow a.log.1, follow a.log"},
		{"olddir, while down, and a rotated file beside the log that was read to its end", func(s *scene) {
			s.restarted()
			s.log.phase = finished
			s.arrive(1, "a.log.1", read, s.log).stat.mtime = noon.Add(-time.Hour)
			for n, name := range []string{"old/a.log.2", "old/a.log.9"} {
				a := s.arrive(uint64(2+n), name, 500)
				a.far, a.stat.mtime = true, noon.Add(-time.Minute-time.Duration(n)*9*time.Hour)
			}
			s.arrive(7, "a.log", 5)
		}, "pass old/a.log.9, follow old/a.log.2, follow a.log"},
		{"somebody edits a rotated file in place", func(s *scene) {
			old := s.know(2, "a.log.1", 900)
			old.phase = finished
			s.arrive(1, "a.log", read)
			s.arrive(2, "a.log.1", 950).begins = []*generation{old}
		}, "resume a.log=1, finish a.log.1=2"},
		{"sed -i on a rotated file", func(s *scene) {
			s.know(2, "a.log.1", 900).phase = finished
			s.arrive(1, "a.log", read)
			s.arrive(3, "a.log.1", 950)
		}, "resume a.log=1, pass a.log.1"},
		{"an editor's backup long after a rotation", func(s *scene) {
			s.waiting[number(3)] = &undecided{since: noon.Add(-time.Minute)}
			s.arrive(1, "a.log", read)
			s.arrive(3, "a.log.orig", 950)
		}, "resume a.log=1, pass a.log.orig"},
		{"workers whose logs begin alike", func(s *scene) {
			s.log.offset = 24
			s.arrive(1, "a.log", 24)
			s.want(s.arrive(2, "a-1.log", 24, s.log))
		}, "resume a.log=1, wait a-1.log"},
		{"… and nothing was truncated", func(s *scene) {
			s.log.offset = 24
			s.waiting[number(2)] = &undecided{since: noon.Add(-copyPatience)}
			s.arrive(1, "a.log", 24)
			s.want(s.arrive(2, "a-1.log", 24, s.log))
		}, "resume a.log=1, follow a-1.log"},
		{"a replaced file under NFS, whose descriptor is stale", func(s *scene) {
			s.rotated()
			s.log.fd, s.log.lostAt = -1, noon.Add(-time.Minute)
			s.arrive(2, "a.log", 5)
		}, "follow a.log, lose =1"},
		{"compressed in place", func(s *scene) {
			s.know(2, "a.log.1", 900).phase = finished
			s.arrive(1, "a.log", read)
			s.arrive(3, "a.log.1.zip", 95).kind = packed.Zip
		}, "resume a.log=1, wait a.log.1.zip"},
		{"compressed while it runs, and read from the open file", func(s *scene) {
			s.rotated()
			s.log.stat.gone = true
			s.arrive(2, "a.log", 5)
			s.arrive(3, "a.log.1.gz", 95).pack(closed, 0)
		}, "owe a.log.1.gz, unpack a.log.1.gz, wait a.log"},
		{"… and it is known what it is", func(s *scene) {
			s.rotated()
			s.log.stat.gone = true
			s.waiting[number(3)] = &undecided{since: noon, owed: true}
			s.arrive(2, "a.log", 5)
			s.arrive(3, "a.log.1.gz", 95).pack(opened, read).part = s.log
		}, "wait a.log.1.gz, follow a.log"},
		{"… and it was read to its end", func(s *scene) {
			s.log.phase, s.log.stat.gone = finished, true
			s.waiting[number(3)] = &undecided{since: noon, owed: true}
			s.arrive(3, "a.log.1.gz", 95).pack(opened, read).part = s.log
		}, "pass a.log.1.gz"},
		{"rsync, then rename and compress: what took the place of the log, of which little was read, is compressed", func(s *scene) {
			s.rotated()
			s.log.offset, s.log.head.n, s.log.stat.gone, s.log.stat.changed = 0, 0, true, noon.Add(-2*time.Second)
			s.waiting[number(2)] = &undecided{since: noon, owed: true}
			s.arrive(2, "a.log.1.gz", 95, s.log).pack(opened, 900).whole = []*generation{s.log}
			s.arrive(3, "a.log", 5)
		}, "resume a.log.1.gz=1, follow a.log"},
		{"two renames and compressed, of a short log and one that begins with all of it", func(s *scene) {
			s.rotated()
			s.log.offset, s.log.stat.gone = 70, true
			s.arrive(2, "a.log.1.gz", 95, s.log).pack(opened, 900).whole = []*generation{s.log}
			s.arrive(3, "a.log.2.gz", 60).pack(opened, 70).part = s.log
			s.arrivals[1].stat.mtime = noon.Add(-time.Minute)
			s.arrive(4, "a.log", 5)
		}, "wait a.log.2.gz, follow a.log.1.gz, follow a.log"},
		{"being compressed: what it is made of is still there", func(s *scene) {
			s.rotated()
			s.arrive(1, "a.log.1", read)
			s.arrive(2, "a.log", 5)
			s.arrive(3, "a.log.1.gz", 95).pack(closed, 0).hasOriginal = true
		}, "resume a.log.1=1, follow a.log"},
		{"compressed long after it was rotated and read", func(s *scene) {
			s.know(2, "a.log.1", 900).phase = finished
			s.waiting[number(3)] = &undecided{since: noon.Add(-time.Minute)}
			s.arrive(1, "a.log", read)
			s.arrive(3, "a.log.1.gz", 95).pack(closed, 0)
		}, "resume a.log=1, pass a.log.1.gz"},
		{"a new path with old compressed files", func(s *scene) {
			s.known, s.trail.fresh, s.first = nil, true, true
			s.arrive(1, "a.log", 5)
			s.arrive(2, "a.log.1.gz", 500).pack(closed, 0)
		}, "pass a.log.1.gz, follow a.log"},
		{"compressed while down", func(s *scene) {
			s.restarted()
			s.arrive(2, "a.log", 5)
			s.arrive(3, "a.log.1.gz", 95).pack(closed, 0)
		}, "owe a.log.1.gz, unpack a.log.1.gz, wait a.log"},
		{"… and being decompressed", func(s *scene) {
			s.restarted()
			s.arrive(2, "a.log", 5)
			s.arrive(3, "a.log.1.gz", 95).pack(underway, 0)
		}, "owe a.log.1.gz, wait a.log"},
		{"… and it holds what was read", func(s *scene) {
			s.restarted()
			s.arrive(2, "a.log", 5)
			s.arrive(3, "a.log.1.gz", 95, s.log).pack(opened, read+9)
		}, "resume a.log.1.gz=1, follow a.log"},
		{"three times while down", func(s *scene) {
			s.restarted()
			s.arrive(2, "a.log", 5)
			for n, name := range []string{3: "a.log.1.gz", 4: "a.log.2.gz", 5: "a.log.3.gz"} {
				if name != "" {
					s.arrive(uint64(n), name, 95).pack(opened, 900).stat.mtime = noon.Add(-time.Duration(n) * time.Hour)
				}
			}
			s.arrivals[3].holds = []*generation{s.log}
		}, "resume a.log.3.gz=1, follow a.log.2.gz, follow a.log.1.gz, follow a.log"},
		{"twice while down, with older ones that are not known", func(s *scene) {
			s.restarted()
			s.arrive(2, "a.log", 5)
			for n, name := range []string{3: "a.log.1.gz", 4: "a.log.2.gz", 5: "a.log.3.gz"} {
				if name != "" {
					s.waiting[number(uint64(n))] = &undecided{since: noon, owed: true}
					s.arrive(uint64(n), name, 95).pack(opened, 900).stat.mtime = noon.Add(-time.Duration(n) * time.Hour)
				}
			}
			s.arrivals[2].holds = []*generation{s.log}
		}, "resume a.log.2.gz=1, pass a.log.3.gz, follow a.log.1.gz, follow a.log"},
		{"delaycompress, twice while down", func(s *scene) {
			s.restarted()
			s.arrive(2, "a.log", 5)
			s.arrive(3, "a.log.1", 500)
			s.arrive(4, "a.log.2.gz", 95, s.log).pack(opened, read+9).stat.mtime = noon.Add(-time.Hour)
		}, "resume a.log.2.gz=1, follow a.log.1, follow a.log"},
		{"started again over an old archive, and nothing was rotated", func(s *scene) {
			s.restarted()
			s.arrive(1, "a.log", read+9, s.log)
			s.arrive(4, "a.log.1.gz", 95).pack(opened, 900)
		}, "resume a.log=1, pass a.log.1.gz"},
		{"copytruncate compress while down, of a log of which nothing was read", func(s *scene) {
			s.restarted()
			s.log.offset, s.log.head.n = 0, 0
			s.arrive(1, "a.log", 9, s.log)
			s.arrive(4, "a.log.1.gz", 95).pack(opened, 900)
			s.waiting[number(4)] = &undecided{since: noon, owed: true}
		}, "resume a.log=1, follow a.log.1.gz"},
		{"started again in the middle of a compressed file", func(s *scene) {
			s.restarted()
			s.arrive(2, "a.log", 5)
			s.arrive(1, "a.log.1.gz", 95).pack(closed, 0)
		}, "owe a.log.1.gz, unpack a.log.1.gz, wait a.log"},
		{"… which is known again", func(s *scene) {
			s.restarted()
			s.arrive(2, "a.log", 5)
			s.arrive(1, "a.log.2.gz", 95, s.log).pack(opened, read+9)
		}, "resume a.log.2.gz=1, follow a.log"},
		{"the number of a compressed file that was passed over is that of a new one", func(s *scene) {
			s.restarted()
			s.know(3, "a.log", 80).phase = ignored
			s.arrive(2, "a.log", 5)
			s.arrive(3, "a.log.1.gz", 95, s.log).pack(opened, read+9)
		}, "resume a.log.1.gz=1, follow a.log"},
		{"started again, and an archive has the number of a file that is gone", func(s *scene) {
			s.restarted()
			s.know(3, "a.log", 900).phase = finished
			old := s.know(4, "a.log", 95)
			old.phase = ignored
			s.arrive(2, "a.log", 5)
			s.arrive(1, "a.log.1", read, s.log)
			s.arrive(3, "a.log.2.gz", 95, old).pack(closed, 0)
		}, "pass a.log.2.gz, resume a.log.1=1, follow a.log"},
		{"copytruncate compress, while down", func(s *scene) {
			s.restarted()
			s.arrive(1, "a.log", 3)
			s.arrive(3, "a.log.1.gz", 95).pack(closed, 0)
		}, "owe a.log.1.gz, unpack a.log.1.gz, wait a.log"},
		{"… twice, and it is known what they hold", func(s *scene) {
			s.restarted()
			s.arrive(1, "a.log", 3)
			s.arrive(3, "a.log.1.gz", 95).pack(opened, 50)
			s.arrive(2, "a.log.2.gz", 95, s.log).pack(opened, read+9).stat.mtime = noon.Add(-time.Hour)
		}, "inherit a.log.2.gz=1, restart a.log=1, follow a.log.1.gz"},
		{"compressed while down, and damaged before the position", func(s *scene) {
			s.restarted()
			s.once = true
			s.arrive(2, "a.log", 5)
			s.arrive(3, "a.log.1.gz", 95).pack(opened, 0).damage = errFault
		}, "pass a.log.1.gz, follow a.log, lose =1"},
		{"compressed while down, and read to its end before", func(s *scene) {
			s.restarted()
			s.log.phase = finished
			s.arrive(2, "a.log", 5)
			s.arrive(3, "a.log.1.gz", 95, s.log).pack(opened, read)
		}, "pass a.log.1.gz, follow a.log"},
		{"… with late lines", func(s *scene) {
			s.restarted()
			s.log.phase = finished
			s.arrive(2, "a.log", 5)
			s.arrive(3, "a.log.1.gz", 95, s.log).pack(opened, read+9)
		}, "resume a.log.1.gz=1, follow a.log"},
		{"a power cut that took the end of the file", func(s *scene) {
			s.restarted()
			s.arrive(1, "a.log", read-50).older = map[*generation]checkpoint{s.log: {offset: 4096}}
		}, "fall back a.log=1"},
		{"a power cut after copytruncate", func(s *scene) {
			s.restarted()
			s.arrive(1, "a.log", 4100).older = map[*generation]checkpoint{s.log: {offset: 4096}}
			s.arrive(2, "a.log.1", read+9, s.log)
		}, "inherit a.log.1=1, restart a.log=1"},
		{"a rotated file is truncated before it is read", func(s *scene) {
			s.rotated()
			s.log.rewritten = true
			s.arrive(1, "a.log.1", 0)
			s.arrive(2, "a.log", 5)
		}, "finish a.log.1=1, follow a.log"},
	} {
		t.Run(row.style, func(t *testing.T) {
			s := newScene()
			row.happen(s)
			var got []string
			for _, x := range decide(&s.view, s.arrivals, noon) {
				text := x.verb.String() + " "
				if x.arrival != nil {
					text += x.arrival.path
				}
				if x.gen != nil {
					text += fmt.Sprintf("=%d", x.gen.id.ino)
				}
				got = append(got, text)
			}
			if text := strings.Join(got, ", "); text != row.want {
				t.Errorf("%s\nwant: %s", text, row.want)
			}
		})
	}
}

// TestBases: whose rotated file a name can be.
func TestBases(t *testing.T) {
	for name, want := range map[string]string{
		"app.log.1": "app.log", "app.log-20261123": "app.log", "app.log_old": "app.log", "app.log.2026-11-29_10-20-30": "app.log",
		"app-20261123.log": "app.log", "app.1.log": "app.log", "app1.log": "app.log", "app-2026-11-29T10-00-00.000.log": "app.log",
		"api-out__2026-11-29_00-00-00.log": "api-out.log", "0.log.20261129-112233": "0.log", "access.2026-11-29.0.log": "access.log",
		"@400000006929a1b2075bcd15.s": "current", "@400000006929a1b2075bcd15.u": "current", "b7-json.log.2": "b7-json.log",
	} {
		var got []string
		bases(name, func(base string) bool { got = append(got, base); return true })
		if !slices.Contains(got, want) {
			t.Errorf("%s: %q has no %s", name, got, want)
		}
	}
	bases("current", func(base string) bool { t.Errorf("current is taken for a rotated %s", base); return true })
}
