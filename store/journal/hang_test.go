package journal

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"inkwell/proto"
	"inkwell/store"
)

// hanging is a store that takes nothing until it is released, like one on a disk or a network that hangs.
type hanging struct {
	*keeper
	free <-chan struct{}
	held *held
}

// held counts the bytes that are in hanging stores.
type held struct {
	mu        sync.Mutex
	now, most int64
}

func (h *held) add(n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now += n
	h.most = max(h.most, h.now)
}

func (h *hanging) Append(ctx context.Context, b *proto.Batch) error {
	h.held.add(int64(b.Size()))
	defer h.held.add(-int64(b.Size()))
	select {
	case <-h.free:
		return h.keeper.Append(ctx, b)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stores that hang, whether of local files or with goroutines of their own, hold up neither the other stores nor the
// callers, and their pending entries stay within the common memory limit.
func TestStoresThatHang(t *testing.T) {
	for name, c := range map[string]struct {
		stuck  int
		blocks bool
	}{"files": {200, false}, "more files than there are benches for": {maxBenches + 50, false}, "networks": {300,
		true}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) { stuckStores(t, dir, c.stuck, c.blocks) })
		})
	}
}

func stuckStores(t *testing.T, dir string, stuck int, blocks bool) {
	const memory, rounds = 2 << 20, 40
	j, err := Open(Options{StateDir: dir, Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	s, free, held := newShelf(), make(chan struct{}), new(held)
	l := &life{j: j, shelf: s, known: make(map[string][]*Outlet)}
	j.Start(routes(func() {}, func(category []byte) []*Outlet {
		name := string(category)
		o := OutletOptions{Name: name, Category: name, Store: "file " + name, Target: 16 << 10, Interval: time.Second,
			Check: time.Second, Blocks: blocks && name != "good"}
		o.Open = func(saved store.States) (store.Store, error) {
			st, err := s.open(name, saved, noFault)
			if err == nil && name != "good" {
				return &hanging{st.(*keeper), free, held}, nil
			}
			return st, err
		}
		return []*Outlet{j.NewOutlet(o)}
	}))
	message := bytes.Repeat([]byte("x"), 500)
	most := int64(0)
	for range rounds {
		var b proto.Batch
		for i := range stuck {
			b.Append(fmt.Appendf(nil, "stuck%d", i), message)
		}
		b.Append([]byte("good"), message)
		if err := j.Append(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond) // of the test's own clock
		most = max(most, j.Pending())
	}
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	if got := len(s.get("good")); got != rounds*len(message) && (blocks || stuck < maxBenches) { // otherwise it waits, too
		t.Errorf("the store that works has %d bytes, want %d", got, rounds*len(message))
	}
	if most > memory+1<<20 || held.most > memory+int64(stuck)*(64<<10) {
		t.Errorf("%d bytes are pending and %d in the stores, there is room for %d", most, held.most, memory)
	}
	t.Logf("%d bytes were pending, %d in the stores", most, held.most)
	close(free)
	j.Stop(time.Hour)
	if _, entries := j.Backlog(); entries != 0 {
		t.Errorf("%d entries are left", entries)
	}
	if got := len(s.get("good")); got != rounds*len(message) {
		t.Errorf("the store that works has %d bytes at the end, want %d", got, rounds*len(message))
	}
	for i := range stuck {
		if got := len(s.get(fmt.Sprint("stuck", i))); got != rounds*len(message) {
			t.Fatalf("store %d has %d bytes, want %d", i, got, rounds*len(message))
		}
	}
	if err := l.j.Close(); err != nil {
		t.Error(err)
	}
}

// No goroutine spins, neither when everything is delivered nor while no checkpoint can be saved.
func TestNothingSpins(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := new(faults)
		j, err := Open(Options{StateDir: dir, Injector: disk})
		if err != nil {
			t.Fatal(err)
		}
		l, w := &life{j: j, shelf: newShelf()}, &writer{next: make(map[string]int), acked: make(map[string]int)}
		const outlets, hour = 20, time.Hour
		l.start(noFault)
		quiet := func(what string) {
			t.Helper()
			time.Sleep(time.Minute)
			r := j.current()
			before := r.steps.Load()
			time.Sleep(hour)
			if n := r.steps.Load() - before; n > outlets*int64(3*hour/time.Second) {
				t.Errorf("%s: %d steps of %d outlets in an hour, each with a look at its store a second", what, n,
					outlets)
			}
		}
		for i := range outlets {
			w.write(t, l, fmt.Sprint("c", i), 5)
		}
		quiet("all is done")
		disk.on.Store(true)
		for i := range outlets {
			w.write(t, l, fmt.Sprint("c", i), 5)
		}
		quiet("no checkpoint can be saved")
		disk.on.Store(false)
		quiet("it can again")
		l.j.Stop(time.Minute)
		check(t, l.shelf, w)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

// slowKeeper is a store whose Mark takes long, as fsyncs do on a busy disk.
type slowKeeper struct {
	*keeper
	cost time.Duration
	took *atomic.Int64
}

func (s slowKeeper) Mark(m *store.Marks) error {
	time.Sleep(s.cost)
	s.took.Add(int64(s.cost))
	return s.keeper.Mark(m)
}

// A slow store never asks for an early Mark.
func (s slowKeeper) Urgent() bool { return false }

// The cost of checkpoints determines their interval, so that they take about a tenth of the time. But the interval has a
// bound, because the time that a checkpoint takes grows with what has come in since the last one.
func TestCheckpointsTakeATenthOfTheTime(t *testing.T) {
	for _, c := range []struct{ cost, least, most time.Duration }{ // of each minute
		{cost: 3 * time.Second, least: 1200 * time.Millisecond, most: 7200 * time.Millisecond},
		{cost: 20 * time.Second, least: 30 * time.Second, most: 42 * time.Second}, // one in 30 s
	} {
		t.Run(c.cost.String(), func(t *testing.T) {
			if part := partOfCheckpoints(t, c.cost); part < c.least.Minutes() || part > c.most.Minutes() {
				t.Errorf("checkpoints took %.3f of the time", part)
			}
		})
	}
}

// partOfCheckpoints returns the part of the time that marking takes if each Mark takes cost.
func partOfCheckpoints(t *testing.T, cost time.Duration) (part float64) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j, err := Open(Options{StateDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		var took atomic.Int64
		l, w := &life{j: j, shelf: newShelf()}, &writer{next: make(map[string]int), acked: make(map[string]int)}
		var q *Outlet
		j.Start(routes(func() {
			q = j.NewOutlet(OutletOptions{Name: "a", Category: "a", Store: "file a", Target: 1,
				Interval: time.Millisecond, Check: time.Second,
				Open: func(saved store.States) (store.Store, error) {
					st, err := l.shelf.open("a", saved, noFault)
					return slowKeeper{st.(*keeper), cost, &took}, err
				}})
		}, func([]byte) []*Outlet { return []*Outlet{q} }))
		began := time.Now()
		for time.Since(began) < time.Hour {
			w.write(t, l, "a", 1)
			time.Sleep(time.Second)
		}
		part = float64(took.Load()) / float64(time.Since(began))
		j.Stop(time.Minute)
		check(t, l.shelf, w)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return part
}
