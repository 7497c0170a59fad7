package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/proto"
	"inkwell/store"
)

// opened returns a journal that delivers nothing.
func opened(t *testing.T, dir string) *life {
	t.Helper()
	j, err := Open(Options{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return &life{j: j}
}

// killed ends l and returns a copy of its state directory as a kill would have left it.
func killed(t *testing.T, l *life) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(l.j.o.StateDir)); err != nil {
		t.Fatal(err)
	}
	if err := l.j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Numbers that are only in the journal are known after a crash.
func TestNumbersInTheJournalAreKnown(t *testing.T) {
	l := opened(t, t.TempDir())
	var b proto.Batch
	b.Append([]byte("a"), []byte("x"))
	b.Number([16]byte{1}, 7, 1)
	if err := l.j.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	l = opened(t, killed(t, l))
	if err := l.j.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if _, entries := l.j.Backlog(); entries != 1 {
		t.Errorf("the journal has %d entries, want the one of before", entries)
	}
	if err := l.j.Close(); err != nil {
		t.Error(err)
	}
}

// The checkpoint that belongs to a lost journal must not be applied to entries received since, when the process is
// killed before it saves another checkpoint.
func TestKilledBehindALostJournal(t *testing.T) {
	dir := t.TempDir()
	s, w := newShelf(), &writer{next: make(map[string]int), acked: make(map[string]int)}
	l := begin(t, dir, s, noFault)
	w.write(t, l, "a", 100)
	l.end(t)
	if err := os.RemoveAll(filepath.Join(dir, "journal")); err != nil {
		t.Fatal(err)
	}
	l = opened(t, dir)
	for range 20 {
		w.write(t, l, "a", 10)
	}
	l = begin(t, killed(t, l), s, noFault)
	l.end(t)
	check(t, s, w)
}

// A store that breaks while a checkpoint is made is reopened with the states of the checkpoint to which its outlet goes
// back, not with those of another one.
func TestStoresBreakWhileCheckpointsAreMade(t *testing.T) {
	var mu sync.Mutex
	works := false
	random := rand.New(rand.NewPCG(1, 2))
	s, w := newShelf(), &writer{next: make(map[string]int), acked: make(map[string]int)}
	j, err := Open(Options{StateDir: t.TempDir(), Tuning: Tuning{SaveEvery: time.Millisecond, Retry: time.Microsecond}})
	if err != nil {
		t.Fatal(err)
	}
	l := &life{j: j, shelf: s}
	l.start(func(op string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "append" && !works && random.IntN(3) == 0 {
			return store.ErrBroken
		}
		return nil
	})
	for i := range 2000 {
		w.write(t, l, fmt.Sprint("c", i%8), 2)
	}
	mu.Lock()
	works = true
	mu.Unlock()
	l.end(t)
	check(t, s, w)
}

// An outlet that many categories share takes over from outlets of single categories: it skips what one of these has
// delivered.
func TestASharedQueueTakesOver(t *testing.T) {
	s := newShelf()
	dir := t.TempDir()
	l := begin(t, dir, s, noFault)
	w := &writer{next: make(map[string]int), acked: make(map[string]int)}
	l.known["b"] = []*Outlet{l.j.NewOutlet(OutletOptions{Name: "b", Category: "b", Store: "file b", Target: 1,
		Interval: time.Millisecond, Check: time.Second,
		Open: func(store.States) (store.Store, error) { return nil, errors.New("away") }})}
	for range 20 {
		w.write(t, l, "b", 5)
		w.write(t, l, "a", 5)
	}
	until(t, "a is delivered", func() bool { return len(s.get("a")) > 0 && l.queue("a").Waiting() == 0 })
	l.j.Stop(time.Second)
	before := s.get("a")

	var shared *Outlet
	l.j.Start(routes(func() {
		shared = l.j.NewOutlet(OutletOptions{Name: "all", Patterns: []string{"default"}, Store: "file all", Target: 1,
			Interval: time.Millisecond, Check: time.Second,
			Open: func(saved store.States) (store.Store, error) { return s.open("all", saved, noFault) }})
	}, func([]byte) []*Outlet { return []*Outlet{shared} }))
	w.write(t, l, "c", 5)
	l.end(t)
	if s.get("a") != before {
		t.Error("a was written to again")
	}
	var want strings.Builder
	for _, name := range []string{"b", "c"} {
		for i := range w.acked[name] {
			fmt.Fprintf(&want, "%s-%d\n", name, i)
		}
	}
	if got := s.get("all"); got != want.String() {
		t.Errorf("the shared queue has %d bytes, want %d; they differ at %d", len(got), want.Len(),
			differ(got, want.String()))
	}
}

// The outlet that replaces one with undelivered entries gets these entries. Other outlets of the category get nothing
// again, whether they have one category or share several.
func TestOthersGetNothingAgainWhenOneIsReplaced(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared ", shared), func(t *testing.T) {
			s := newShelf()
			l := begin(t, t.TempDir(), s, noFault)
			category, patterns := "a", []string(nil)
			if shared {
				category, patterns = "", []string{"a"}
			}
			queues := func(stores ...string) (all []*Outlet) {
				for _, path := range stores {
					all = append(all, l.j.NewOutlet(OutletOptions{Name: "a", Category: category, Patterns: patterns,
						Store: path, Target: 1, Interval: time.Millisecond, Check: time.Second,
						Open: func(saved store.States) (store.Store, error) {
							if path == "away" {
								return nil, errors.New("away")
							}
							return s.open(path, saved, noFault)
						}}))
				}
				return all
			}
			w := &writer{next: make(map[string]int), acked: make(map[string]int)}
			both := queues("good", "away")
			l.mu.Lock()
			l.known["a"] = both
			l.mu.Unlock()
			w.write(t, l, "b", 5)
			for range 20 {
				w.write(t, l, "a", 5)
			}
			until(t, "all but one are done", func() bool {
				return l.queue("a").Waiting() == 0 &&
					len(s.get("good")) > 0 && len(s.get("b")) > 0
			})
			l.j.Stop(time.Second)
			want, others := s.get("good"), s.get("b")
			if p := l.saved().Outlets["a\x00good"]; p.Files != nil || p.Through != l.saved().Drained {
				t.Errorf("the queue that is done is listed as %+v", p)
			}

			var replaced, b []*Outlet
			l.j.Start(routes(func() {
				replaced = queues("good", "instead")
				b = []*Outlet{l.j.NewOutlet(OutletOptions{Name: "b", Category: "b", Store: "file b", Target: 1,
					Interval: time.Millisecond, Check: time.Second,
					Open: func(saved store.States) (store.Store, error) { return s.open("b", saved, noFault) }})}
			}, func(category []byte) []*Outlet {
				if string(category) == "a" {
					return replaced
				}
				return b
			}, "a"))
			until(t, "the rest is delivered", func() bool { return len(s.get("instead")) >= len(want) })
			l.end(t)
			if s.get("good") != want || s.get("instead") != want || s.get("b") != others {
				t.Errorf("good has %d bytes, its successor %d, want %d; b has %d, want %d", len(s.get("good")),
					len(s.get("instead")), len(want), len(s.get("b")), len(others))
			}
		})
	}
}

// Undelivered entries that have no store in the next configuration do not keep the journal from being acknowledged, and
// are counted.
func TestEntriesWithoutAStoreAreCounted(t *testing.T) {
	s := newShelf()
	l := begin(t, t.TempDir(), s, noFault)
	away := []*Outlet{l.j.NewOutlet(OutletOptions{Name: "a", Category: "a", Store: "away", Target: 1,
		Interval: time.Millisecond, Check: time.Second,
		Open: func(store.States) (store.Store, error) { return nil, errors.New("away") }})}
	l.known["a"] = away
	w := &writer{next: make(map[string]int), acked: make(map[string]int)}
	w.write(t, l, "a", 5)
	w.write(t, l, "b", 5)
	l.j.Stop(time.Second)
	if _, entries := l.j.Backlog(); entries == 0 {
		t.Fatal("nothing is left in the journal")
	}
	l.j.Start(routes(func() {}, func([]byte) []*Outlet { return nil }))
	until(t, "those of a are counted", func() bool { return l.j.o.Stats.Category("a", "lost").Load() == 5 })
	l.end(t)
	if n := l.j.o.Stats.Overall("lost").Load(); n != 5 {
		t.Errorf("%d are lost, want those of a: b has its own", n)
	}
}

// halving is a keeper that takes half of a batch, and then nothing until it is told to work.
type halving struct {
	*keeper
	works *atomic.Bool
	took  bool
}

func (h *halving) Append(ctx context.Context, b *proto.Batch) error {
	part, half := new(proto.Batch), b.Count()/2
	n := 0
	for c := b.Cursor(); c.Next(); n++ {
		if n < half == !h.took {
			part.Append(c.Category(), c.Message())
		}
	}
	if h.took && !h.works.Load() {
		return &store.PartialError{Left: b.Count() - half, Err: errors.New("half of it is away")}
	}
	if err := h.keeper.Append(ctx, part); err != nil || h.took {
		return err
	}
	h.took = true
	return &store.PartialError{Left: b.Count() - half, Err: errors.New("half of it is away")}
}

// Check makes the outlet mark the store all the time.
func (h *halving) Check(time.Time) error { return nil }

// A store that has only half of a batch must not be marked before it has the rest, because a restart cannot begin
// within a batch.
func TestNoMarkWithinABatch(t *testing.T) {
	s := newShelf()
	l := begin(t, t.TempDir(), s, noFault)
	var works atomic.Bool
	w := &writer{next: make(map[string]int), acked: make(map[string]int)}
	l.known["a"] = []*Outlet{l.j.NewOutlet(OutletOptions{Name: "a", Category: "a", Store: "file a", Target: 1,
		Interval: time.Millisecond, Check: time.Millisecond,
		Open: func(saved store.States) (store.Store, error) {
			st, err := s.open("a", saved, noFault)
			if err != nil {
				return nil, err
			}
			return &halving{keeper: st.(*keeper), works: &works}, nil
		}})}
	w.write(t, l, "a", 10)
	until(t, "the half", func() bool { return len(s.get("a")) > 0 })
	w.write(t, l, "b", 10)
	until(t, "a checkpoint behind it", func() bool {
		return l.saved().Outlets["b\x00file b"].Files != nil &&
			len(s.get("b")) > 0
	})
	time.Sleep(50 * time.Millisecond) // a mark would come in less
	dir := t.TempDir()
	left := l.crash(t, dir)
	works.Store(true)
	l.end(t)
	check(t, s, w)
	l = begin(t, dir, left, noFault)
	l.end(t)
	check(t, left, w)
}
