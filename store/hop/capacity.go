package hop

import (
	"math"
	"time"

	"inkwell/proto"
)

// size is the size of a call.
type size struct{ entries, bytes int }

// The limits of the first call to a peer, the greatest growth from one call to the next, and how long a size that was
// not taken is avoided. After TRY_LATER that time is short, because the peer may have room again soon. A peer that did
// not answer at all may have taken the entries and gets them twice; therefore half of that size is not exceeded for a
// longer time, unless it is an Inkwell, which drops them: it may have been restarted a few times.
const (
	firstEntries = 16
	firstBytes   = 64 << 10
	growth       = 4
	restLater    = 10 * time.Second
	restBroken   = 5 * time.Minute
)

// capacity estimates how large a call a peer takes. The first calls are small. They grow with each call that is taken,
// as long as the peer can be expected to answer within half of the time-out. A call that is not taken is followed by
// one of half its size, and from there the size that failed is approached again in halves. For example, with a peer
// that answers TRY_LATER to more than 100 entries:
//
//	16 64 256✗ 128✗ 64 96 112✗ 56 84 98 98 98 …          more is tried again after ten seconds
//
// A peer that is known to be an Inkwell gets large calls at once, because it drops duplicates. Not safe for concurrent
// use.
type capacity struct {
	most    size          // limit of every call
	timeout time.Duration // of a call
	ours    bool          // the peer is an Inkwell
	foreign bool          // the peer has shown that it is none
	next    size          // expected size of the next call

	failed size      // the smallest size that was not taken lately; zero: none
	until  time.Time // when failed is forgotten
}

func newCapacity(bytes int, timeout time.Duration) *capacity {
	most := size{entries: max(1, bytes/proto.EntryOverhead), bytes: bytes}
	return &capacity{most: most, timeout: timeout, next: size{min(most.entries, firstEntries), min(bytes, firstBytes)}}
}

// taken records that the peer took a call, and how long that took.
func (c *capacity) taken(s size, took time.Duration, now time.Time) {
	if now.After(c.until) {
		c.failed = size{}
	}
	// So many of these calls fit into half of the time-out.
	pace := float64(c.timeout) / float64(2*max(took, time.Microsecond))
	step := growth
	if c.ours {
		step = math.MaxInt32
	}
	c.next = size{
		entries: limits{c.next.entries, c.most.entries, c.failed.entries}.after(s.entries, step, pace),
		bytes:   limits{c.next.bytes, c.most.bytes, c.failed.bytes}.after(s.bytes, step, pace),
	}
}

// refused records that the peer did not take a call, and reports whether the next one will be smaller. Larger calls are
// avoided for the time rest; 0 says that the size need not have been the cause.
func (c *capacity) refused(s size, rest time.Duration, now time.Time) bool {
	if s.entries <= 1 { // a single entry cannot be refused for the number of entries
		c.failed = size{}
		return false
	}
	c.next = size{entries: s.entries / 2, bytes: max(1, s.bytes/2)}
	if c.ours && rest == restBroken {
		rest = restLater
	}
	switch rest {
	case restLater:
		c.failed, c.until = s, now.Add(rest)
	case restBroken:
		c.failed, c.until = size{entries: c.next.entries + 1, bytes: c.next.bytes + 1}, now.Add(rest)
	}
	return true
}

// limits are those of a capacity, either in entries or in bytes.
type limits struct{ next, most, failed int }

// after returns the limit of the next call after one with the size used was taken: at most step times and at most pace
// times as much.
func (b limits) after(used, step int, pace float64) int {
	base, n := max(used, b.next), b.next
	if used > b.next/2 { // the limit was nearly reached: there may be more to send
		n = min(step*base, b.most)
	}
	if b.failed > base && n >= b.failed {
		n = base
		if half := (b.failed - base) / 2; half > base/8 {
			n += half
		}
	}
	return int(max(1, min(float64(n), float64(b.most), float64(used)*pace)))
}
