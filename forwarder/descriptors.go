package forwarder

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hasRoom says whether another descriptor may be opened. It closes one that is needed less.
func (v *volume) hasRoom() bool {
	v.tellCounts()
	return v.held.Load() < int64(v.limit) || v.evict()
}

// again schedules another scan of a directory in which a file could not be opened because no descriptors are left.
func (v *volume) again(d *directory) {
	d.again, d.starved = true, true
	v.tellFull(d.path)
}

func isOutOfDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// evict closes a file that can do without its descriptor, and says whether there was one.
func (v *volume) evict() bool { return v.evictRetired() || !v.once && v.park() }

// evictRetired closes the retired file that was quiet for longest, and says whether there was one.
func (v *volume) evictRetired() bool {
	if v.retired == 0 { // the common case, and asked for each file that waits
		return false
	}
	now := time.Now()
	var oldest *generation
	for _, list := range [][]*generation{v.open, v.opened} {
		for _, g := range list {
			if g.fd < 0 || !g.retired || g.reading || g.stat.size > g.end() && !g.padded {
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
