package hop

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// calls simulates a peer that judges one call after the other, each as large as the capacity allows, and returns the
// numbers of their entries, negative for calls that were not taken. A message has 100 bytes.
func calls(c *capacity, count int, judge func(size) (took time.Duration, err bool)) (made []int) {
	for range count {
		n := max(1, min(c.next.entries, c.next.bytes/100))
		s := size{n, 100 * n}
		took, bad := judge(s)
		time.Sleep(took)
		if bad {
			c.refused(s, restLater, time.Now())
			n = -n
		} else {
			c.taken(s, took, time.Now())
		}
		made = append(made, n)
	}
	return made
}

func TestCapacityFollowsAPeer(t *testing.T) {
	bound := func(limit int) func(size) (time.Duration, bool) {
		return func(s size) (time.Duration, bool) { return time.Millisecond, s.entries > limit }
	}
	pace := func(each time.Duration) func(size) (time.Duration, bool) {
		return func(s size) (time.Duration, bool) {
			took := time.Duration(s.entries) * each
			return min(took, 5*time.Second), took > 5*time.Second
		}
	}
	for name, c := range map[string]struct {
		ours  bool
		judge func(size) (time.Duration, bool)
		want  []int
	}{
		"fast":                  {false, bound(1 << 30), []int{16, 64, 256, 655, 2621, 10485, 10485, 10485}},
		"fast, and an Inkwell":  {true, bound(1 << 30), []int{16, 655, 10485, 10485}},
		"100 entries":           {false, bound(100), []int{16, 64, -256, -128, 64, 96, -112, 56, 84, 98, 98, 98}},
		"one entry":             {false, bound(1), []int{-16, -8, -4, -2, 1, 1, 1}},
		"TRY_LATER to all":      {false, bound(0), []int{-16, -8, -4, -2, -1, -1, -1}},
		"1.5 ms an entry":       {false, pace(1500 * time.Microsecond), []int{16, 64, 256, 655, 1666, 1666, 1666}},
		"a second an entry":     {false, pace(time.Second), []int{-16, -8, 4, 2, 2, 2}},
		"three seconds each":    {false, pace(3 * time.Second), []int{-16, -8, -4, -2, 1, 1, 1}},
		"slower than the clock": {false, pace(7 * time.Second), []int{-16, -8, -4, -2, -1, -1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				room := newCapacity(1<<20, 5*time.Second)
				room.ours = c.ours
				if got := calls(room, len(c.want), c.judge); !slices.Equal(got, c.want) {
					t.Errorf("calls of %v, want %v", got, c.want)
				}
			})
		})
	}
}

// TestCapacityForgetsWhatWasRefused: after a while larger calls are tried again, starting from the size that the peer
// took before.
func TestCapacityForgetsWhatWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := newCapacity(1<<20, 5*time.Second)
		limit := 100
		judge := func(s size) (time.Duration, bool) { return time.Millisecond, s.entries > limit }
		calls(room, 12, judge)
		limit = 2000
		if got := calls(room, 3, judge); !slices.Equal(got, []int{98, 98, 98}) {
			t.Errorf("at once: %v", got)
		}
		time.Sleep(restLater)
		if got := calls(room, 4, judge); !slices.Equal(got, []int{98, 392, 1568, -6272}) {
			t.Errorf("later: %v", got)
		}
	})
}

// TestCapacityOfBytes: calls with large messages are bounded by their bytes.
func TestCapacityOfBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := newCapacity(1<<20, time.Minute)
		large := func(n, each int) string {
			s := size{n, n * each}
			room.taken(s, time.Millisecond, time.Now())
			return fmt.Sprint(room.next)
		}
		if got := large(1, 64<<10); got != fmt.Sprint(size{16, 256 << 10}) {
			t.Errorf("after one of 64 KiB: %s", got)
		}
		if got := large(1, 3<<20); got != fmt.Sprint(size{16, 1 << 20}) {
			t.Errorf("after one that is larger than any call: %s", got)
		}
		room.refused(size{4, 1 << 20}, restBroken, time.Now())
		if got := fmt.Sprint(room.next); got != fmt.Sprint(size{2, 512 << 10}) {
			t.Errorf("after a call of four that broke: %s", got)
		}
		if got := large(2, 256<<10); got != fmt.Sprint(size{2, 512 << 10}) {
			t.Errorf("after half of it was taken: %s", got)
		}
	})
}

// TestCapacityAfterRestarts has an Inkwell break call after call, as one that is killed again and again. When it answers
// again it soon gets large calls.
func TestCapacityAfterRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := newCapacity(1<<20, 5*time.Second)
		room.ours = true
		room.next = room.most
		for range 8 {
			room.refused(room.next, restBroken, time.Now())
		}
		time.Sleep(restLater + time.Second)
		for range 3 {
			room.taken(room.next, time.Millisecond, time.Now())
		}
		if room.next != room.most {
			t.Errorf("calls of %v, want %v", room.next, room.most)
		}
	})
}
