package forwarder

import (
	"time"

	"golang.org/x/sys/unix"
)

// room says whether another descriptor may be opened.
func (v *volume) room(d *directory) bool {
	v.tellCounts()
	if v.held.Load() < int64(v.limit) || v.evict() {
		return true
	}
	v.again(d)
	return false
}

// again schedules another look at a directory in which a file could not be opened because no descriptors are left.
func (v *volume) again(d *directory) {
	d.again, d.starved = true, true
	v.count.noRoom.Add(1)
	if !v.full {
		v.full = true
		v.log.Warn("no descriptors are left; some files wait to be read. Raise the limit (ulimit -n)",
			"dir", d.path, "limit", v.limit)
	}
}

// evict closes the retired file that was quiet for longest, and says whether there was one.
func (v *volume) evict() bool {
	if v.retired == 0 { // the common case, and asked for each file that waits
		return false
	}
	now := time.Now()
	var oldest *generation
	for _, list := range [][]*generation{v.open, v.opened} {
		for _, g := range list {
			if g.fd < 0 || !g.retired || g.reading || g.look.size > g.end() && !g.padded {
				continue
			}
			if oldest == nil || g.quietSince(now).Before(oldest.quietSince(now)) {
				oldest = g
			}
		}
	}
	if oldest == nil || oldest.scanned > 0 && !v.takeRest(oldest) {
		return false
	}
	if oldest.trail.replaced(oldest) {
		oldest.phase = finished
		v.note(oldest)
	}
	v.shut(oldest)
	return true
}

// shut closes the descriptor of a retired file.
func (v *volume) shut(g *generation) {
	v.readWorks(g)
	g.close(v.log)
	g.retired = false
	v.retired--
}

// descriptorLimit is how many files may be open at once. It leaves room for the network, the spool and what else the
// process has open.
func descriptorLimit() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Cur > 1<<20 {
		return 1 << 20
	}
	return max(int(r.Cur)-64-int(r.Cur)/10, 16)
}
