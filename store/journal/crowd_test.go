package journal

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"inkwell/proto"
)

// Many outlets that fell behind together, e.g. because of a full disk, catch up together: the journal is not read once
// for each of them.
func TestManyOutletsCatchUp(t *testing.T) {
	const outlets, size = 200, 8 << 20
	s := newShelf()
	var full atomic.Bool
	full.Store(true)
	l := begin(t, t.TempDir(), s, func(op string) error {
		if op == "append" && full.Load() {
			return errors.New("no space left on device")
		}
		return nil
	})
	message, n, total := strings.Repeat("x", 200), 0, 0
	for total < size {
		var b proto.Batch
		for range 500 {
			b.Append(fmt.Appendf(nil, "c%d", n%outlets), fmt.Appendf(nil, "%s %d\n", message, n))
			n++
		}
		total += b.Size()
		if err := l.j.Append(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	r := l.j.current()
	until(t, "all is read", func() bool {
		r.reading.Lock()
		defer r.reading.Unlock()
		_, end := l.j.spool.Bounds()
		return r.position == end
	})
	before := r.reread.Load()
	full.Store(false)
	until(t, "all is there", func() bool { _, entries := l.j.Backlog(); return entries == 0 })
	if times := float64(r.reread.Load()-before) / float64(total); times > outlets/10 {
		t.Errorf("the journal was read %.1f times for %d outlets", times, outlets)
	}
	l.end(t)
	for i := range outlets {
		var want strings.Builder
		for k := i; k < n; k += outlets {
			fmt.Fprintf(&want, "%s %d\n", message, k)
		}
		if got := s.get(fmt.Sprint("c", i)); got != want.String() {
			t.Fatalf("c%d has %d bytes, want %d", i, len(got), want.Len())
		}
	}
}
