package hop

import (
	"math"
	"time"

	"inkwell/proto"
)

// size is how much a call holds.
type size struct{ entries, bytes int }

// The first call to a peer, how much the next may grow, and how long a size that was not taken is not offered again: a
// peer that says TRY_LATER may have more room in a moment. One that did not answer at all may have taken the entries,
// which come to it twice: half of that size is not passed for a while.
const (
	firstEntries = 16
	firstBytes   = 64 << 10
	growth       = 4
	restLater    = 10 * time.Second
	restBroken   = 5 * time.Minute
)

// capacity is how large a call one peer takes, as far as is known. The first calls are small and grow with each that is
// taken, as long as the peer can be expected to answer within half of the time-out; a call that is not taken is
// followed by one of half its size, and the size that was answered with TRY_LATER is approached in halves from there.
// An example, with a peer that says TRY_LATER to more than 100 entries:
//
//	16 64 256✗ 128✗ 64 96 112✗ 56 84 98 98 98 …          more is tried again after ten seconds
//
// A peer that is known to be an Inkwell gets large calls at once, because what comes to it twice it drops. Not safe for
// concurrent use.
type capacity struct {
	most    size          // of any call
	timeout time.Duration // of one
	ours    bool          // the peer is an Inkwell
	next    size          // of the next call

	failed size // the smallest that was not taken lately; zero: none
	until  time.Time
}

func newCapacity(bytes int, timeout time.Duration) *capacity {
	most := size{entries: max(1, bytes/proto.EntryOverhead), bytes: bytes}
	return &capacity{most: most, timeout: timeout, next: size{min(most.entries, firstEntries), min(bytes, firstBytes)}}
}

// taken notes that the peer took a call, and how long that was.
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
		entries: bounds{c.next.entries, c.most.entries, c.failed.entries}.after(s.entries, step, pace),
		bytes:   bounds{c.next.bytes, c.most.bytes, c.failed.bytes}.after(s.bytes, step, pace),
	}
}

// refused notes that the peer did not take a call, and says whether the next will be smaller. No larger ones follow for
// the time of rest; 0 says that the size need not have been the reason.
func (c *capacity) refused(s size, rest time.Duration, now time.Time) bool {
	if s.entries <= 1 { // it is not for the size
		c.failed = size{}
		return false
	}
	c.next = size{entries: s.entries / 2, bytes: max(1, s.bytes/2)}
	switch rest {
	case restLater:
		c.failed, c.until = s, now.Add(rest)
	case restBroken:
		c.failed, c.until = size{entries: c.next.entries + 1, bytes: c.next.bytes + 1}, now.Add(rest)
	}
	return true
}

// bounds are a capacity's of entries, or of bytes.
type bounds struct{ next, most, failed int }

// after is how much the next call may hold, after one with so much was taken: step times as much at most, and pace
// times.
func (b bounds) after(used, step int, pace float64) int {
	base, n := max(used, b.next), b.next
	if used > b.next/2 { // there was more to send than was allowed
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
