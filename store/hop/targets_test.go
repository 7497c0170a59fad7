package hop

import (
	"slices"
	"testing"
	"time"

	"inkwell/internal/discovery"
)

// named returns addresses of the names.
func named(names ...string) (list []discovery.Address) {
	for _, name := range names {
		list = append(list, discovery.Address{Name: name})
	}
	return list
}

// namesOf returns the names of targets.
func namesOf(list []*address) (names []string) {
	for _, t := range list {
		names = append(names, t.name)
	}
	return names
}

func TestTargetsRound(t *testing.T) {
	ts := newAddresses(NetworkOptions{MaxCall: 1000, Timeout: time.Second})
	ts.set(named("a", "b", "c"))
	a, b, c := ts.list[0], ts.list[1], ts.list[2]
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	check := func(what string, inUse *address, want ...string) {
		t.Helper()
		if got := namesOf(ts.round(inUse, now)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("all healthy", nil, "a", "b", "c")
	check("the one in use first", c, "c", "a", "b")
	ts.failed(a, now)
	check("one rests", nil, "b", "c", "a")
	check("in use though it rests", a, "a", "b", "c")
	now = now.Add(restTime / 2)
	ts.failed(b, now)
	check("two rest", nil, "c", "a", "b")
	if ts.better(c, now) != nil {
		t.Error("a resting address is no better one")
	}
	now = now.Add(restTime/2 + restTime/4)
	check("the first has rested", nil, "a", "c", "b")
	if got := ts.better(c, now); got != a {
		t.Errorf("better than the third: %v", got)
	}
	b.until = time.Time{}
	check("the second works", nil, "a", "b", "c")

	gone := ts.set(named("c", "d", "b"))
	if len(gone) != 1 || gone[0] != a || !a.gone || ts.list[0] != c || ts.list[2] != b {
		t.Errorf("after a change %v, without %v", namesOf(ts.list), namesOf(gone))
	}
	check("the one in use has left the list", a, "a", "c", "d", "b")
	check("which it was not", nil, "c", "d", "b")
}
