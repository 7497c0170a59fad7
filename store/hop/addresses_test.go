package hop

import (
	"slices"
	"testing"
	"time"
)

func TestAddressesRound(t *testing.T) {
	a := newAddresses([]string{"a", "b", "c"})
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	check := func(what string, inUse int, want ...int) {
		t.Helper()
		if got := a.round(inUse, now); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("all healthy", -1, 0, 1, 2)
	check("the one in use first", 2, 2, 0, 1)
	a.failed(0, now)
	check("one rests", -1, 1, 2, 0)
	check("in use though it rests", 0, 0, 1, 2)
	now = now.Add(restTime / 2)
	a.failed(1, now)
	check("two rest", -1, 2, 0, 1)
	if _, ok := a.better(2, now); ok {
		t.Error("a resting address is no better one")
	}
	now = now.Add(restTime/2 + restTime/4)
	check("the first has rested", -1, 0, 2, 1)
	if i, ok := a.better(2, now); !ok || i != 0 {
		t.Errorf("better than the third: %d, %v", i, ok)
	}
	a.worked(1)
	check("the second works", -1, 0, 1, 2)
}
