package journal

import (
	"testing"
	"time"
)

func TestAges(t *testing.T) {
	var a ages
	begin := time.Unix(1000, 0)
	at := func(second int) time.Time { return begin.Add(time.Duration(second) * time.Second) }
	a.note(at(0), 0, 100)
	a.note(at(5), 0, 100) // nothing came
	a.note(at(10), 0, 200)
	for _, x := range []struct {
		offset uint64
		want   time.Duration
	}{{0, 30 * time.Second}, {99, 30 * time.Second}, {100, 20 * time.Second}, {200, 0}} {
		if got := a.age(x.offset, at(30)); got != x.want {
			t.Errorf("entry at %d is %v old, want %v", x.offset, got, x.want)
		}
	}
	a.note(at(40), 200, 200)
	if len(a.list) != 0 {
		t.Errorf("what is acknowledged is remembered: %v", a.list)
	}
	const day = 24 * 60 * 60
	for i := range 3 * day {
		a.note(at(i), 0, uint64(i+1))
	}
	if len(a.list) > maxAges {
		t.Errorf("%d notes", len(a.list))
	}
	if got := a.age(0, at(3*day)); got != 3*day*time.Second {
		t.Errorf("the oldest entry is %v old", got)
	}
	if got := a.age(3*day-3600, at(3*day)); got > time.Hour || got < 50*time.Minute {
		t.Errorf("one of an hour is %v old", got)
	}
}
