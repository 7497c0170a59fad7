package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

// shelf is the content of the stores that survives the end of the process: the bytes of each file, which one keeper
// appends to and the next truncates.
type shelf struct {
	mu        sync.Mutex
	files     map[string][]byte
	published map[string]int // bytes that were given to the world: they may not be cut off any more
	early     []string       // files of which more was published than a checkpoint knew
}

func newShelf() *shelf {
	return &shelf{files: make(map[string][]byte), published: make(map[string]int)}
}

func (s *shelf) get(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.files[path])
}

// copy returns a copy of the current content.
func (s *shelf) copy() *shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := newShelf()
	for path, data := range s.files {
		c.files[path] = bytes.Clone(data)
	}
	c.early = slices.Clone(s.early)
	return c
}

// keeper is a store with one file on a shelf. fault decides which operations fail.
type keeper struct {
	shelf *shelf
	path  string
	fault func(op string) error
	bytes int                // at the last Mark
	saved func() *checkpoint // nil: not needed
}

func (s *shelf) open(path string, saved store.States, fault func(string) error) (store.Store, error) {
	if err := fault("open"); err != nil {
		return nil, err
	}
	if state, ok := saved[path]; ok {
		var n int
		if err := json.Unmarshal(state, &n); err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.files[path] = s.files[path][:n]
		s.mu.Unlock()
	}
	return &keeper{shelf: s, path: path, fault: fault}, nil
}

func (k *keeper) Append(_ context.Context, b *proto.Batch) error {
	err := k.fault("append")
	if err != nil && !errors.Is(err, store.ErrBroken) {
		return err
	}
	k.shelf.mu.Lock()
	defer k.shelf.mu.Unlock()
	n := b.Count()
	if err != nil {
		n /= 2
	}
	for c := b.Cursor(); n > 0 && c.Next(); n-- {
		k.shelf.files[k.path] = append(k.shelf.files[k.path], c.Message()...)
	}
	return err
}

func (k *keeper) Mark(m *store.Marks) error {
	if err := k.fault("mark"); err != nil {
		return err
	}
	k.shelf.mu.Lock()
	defer k.shelf.mu.Unlock()
	k.bytes = len(k.shelf.files[k.path])
	m.Files[k.path], _ = json.Marshal(k.bytes)
	return nil
}

// Urgent makes the outlet mark the store as often as possible.
func (k *keeper) Urgent() bool { return true }

func (k *keeper) Publish(*faultfs.Later) error {
	if k.saved == nil {
		return nil
	}
	var n int
	if err := json.Unmarshal(k.saved().Outlets[k.path+"\x00file "+k.path].Files[k.path], &n); err != nil ||
		n < k.bytes {
		k.shelf.mu.Lock()
		defer k.shelf.mu.Unlock()
		k.shelf.early = append(k.shelf.early, k.path)
	}
	return nil
}

func (k *keeper) Close() error { return nil }

// life is one run of a journal with a keeper for each category.
type life struct {
	j     *Journal
	shelf *shelf
	mu    sync.Mutex
	known map[string][]*Outlet
}

func begin(t *testing.T, dir string, s *shelf, fault func(string) error) *life {
	t.Helper()
	j, err := Open(Options{StateDir: dir, Tuning: Tuning{SaveEvery: 20 * time.Millisecond,
		Retry: 2 * time.Millisecond}, Stats: stats.New()})
	if err != nil {
		t.Fatal(err)
	}
	l := &life{j: j, shelf: s}
	l.start(fault)
	return l
}

func (l *life) start(fault func(string) error) {
	l.known = make(map[string][]*Outlet)
	l.j.Start(routes(func() {}, func(category []byte) []*Outlet {
		l.mu.Lock()
		defer l.mu.Unlock()
		name := string(category)
		if l.known[name] == nil {
			l.known[name] = []*Outlet{l.j.NewOutlet(OutletOptions{Name: name, Category: name, Store: "file " + name,
				Target: 64, Interval: time.Millisecond, Check: time.Second,
				Open: func(saved store.States) (store.Store, error) {
					s, err := l.shelf.open(name, saved, fault)
					if k, ok := s.(*keeper); ok {
						k.saved = l.saved
					}
					return s, err
				}})}
		}
		return l.known[name]
	}, "a"))
}

// routes returns the routes of a run, with patterns for all categories.
func routes(prepare func(), route func([]byte) []*Outlet, patterns ...string) Routes {
	r := Routes{Prepare: prepare, Route: func(category []byte) *Target { return &Target{Outlets: route(category)} },
		Relays: true}
	for _, p := range append(patterns, Default) {
		r.Patterns.Add(p)
	}
	return r
}

// saved returns the last checkpoint.
func (l *life) saved() *checkpoint {
	l.j.saver.saving.Lock()
	defer l.j.saver.saving.Unlock()
	return l.j.saver.saved
}

// crash returns what a process that dies now would leave: the state directory, copied to a directory, and the shelf. No
// checkpoint is made meanwhile.
func (l *life) crash(t *testing.T, to string) *shelf {
	t.Helper()
	l.j.saver.saving.Lock()
	defer l.j.saver.saving.Unlock()
	if err := os.CopyFS(to, os.DirFS(l.j.o.StateDir)); err != nil {
		t.Fatal(err)
	}
	return l.shelf.copy()
}

func (l *life) end(t *testing.T) {
	t.Helper()
	l.j.Stop(10 * time.Second)
	if err := l.j.Close(); err != nil {
		t.Error(err)
	}
}

func noFault(string) error { return nil }

// writer appends numbered lines to categories and records which were acknowledged.
type writer struct {
	next  map[string]int
	acked map[string]int // lines below
}

func (w *writer) write(t *testing.T, l *life, name string, count int) {
	t.Helper()
	var b proto.Batch
	for range count {
		b.Append([]byte(name), fmt.Appendf(nil, "%s-%d\n", name, w.next[name]))
		w.next[name]++
	}
	if err := l.j.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	w.acked[name] = w.next[name]
}

func check(t *testing.T, s *shelf, w *writer) {
	t.Helper()
	if len(s.early) > 0 {
		t.Errorf("published before a checkpoint knew it: %v", s.early)
	}
	for name, n := range w.acked {
		var want bytes.Buffer
		for i := range n {
			fmt.Fprintf(&want, "%s-%d\n", name, i)
		}
		if got := s.get(name); got != want.String() {
			t.Errorf("%s: %d bytes, want %d; they differ at %d", name, len(got), want.Len(), differ(got, want.String()))

		}
	}
}

func differ(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func TestEverythingIsInItsStoreOnceInSpiteOfCrashesAndFaults(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	w := &writer{next: make(map[string]int), acked: make(map[string]int)}
	base, s := t.TempDir(), newShelf()
	dir := filepath.Join(base, "0")
	var faults atomic.Int64
	for crashes := range 30 {
		var mu sync.Mutex
		fault := func(op string) error {
			mu.Lock()
			defer mu.Unlock()
			switch random.IntN(12) {
			case 0:
				faults.Add(1)
				return errors.New(op + " failed")
			case 1:
				faults.Add(1)
				return fmt.Errorf("%s failed: %w", op, store.ErrBroken)
			}
			return nil
		}
		l := begin(t, dir, s, fault)
		for range 20 {
			mu.Lock()
			name, n := fmt.Sprint("c", random.IntN(5)), random.IntN(20)+1
			pause := time.Duration(random.IntN(3)) * time.Millisecond
			mu.Unlock()
			w.write(t, l, name, n)
			time.Sleep(pause) // spreads the load over checkpoints
		}
		dir = filepath.Join(base, fmt.Sprint(crashes+1))
		s = l.crash(t, dir)
		l.end(t)
	}
	l := begin(t, dir, s, noFault)
	l.end(t)
	check(t, s, w)
	if faults.Load() == 0 {
		t.Error("no fault happened")
	}
	if bytes, entries := l.j.Backlog(); entries != 0 {
		t.Errorf("%d entries (%d bytes) are left in the journal", entries, bytes)
	}
}

func TestAQueueInTroubleFallsBehindAndCatchesUp(t *testing.T) {
	s := newShelf()
	var broken atomic.Bool
	broken.Store(true)
	l := begin(t, t.TempDir(), s, noFault)
	defer l.end(t)
	w := &writer{next: make(map[string]int), acked: make(map[string]int)}
	l.known["bad"] = []*Outlet{l.j.NewOutlet(OutletOptions{Name: "bad", Category: "bad", Store: "file bad", Target: 64,
		Interval: time.Millisecond, Check: time.Second,
		Open: func(saved store.States) (store.Store, error) {
			return s.open("bad", saved, func(op string) error {
				if op == "append" && broken.Load() {
					return &store.StatusError{Text: "File write error", Err: errors.New("no space")}
				}
				return nil
			})
		}})}
	big := bytes.Repeat([]byte("x"), 1<<10)
	for range 12 { // three times what a queue holds in memory
		var b proto.Batch
		for range 1000 {
			b.Append([]byte("bad"), fmt.Appendf(nil, "bad-%d\n", w.next["bad"]))
			b.Append([]byte("bulk"), big)
			w.next["bad"]++
		}
		if err := l.j.Append(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		w.acked["bad"] = w.next["bad"]
	}
	var b proto.Batch
	for range 5 {
		b.Reset()
		for range 1100 {
			b.Append([]byte("bad"), append(fmt.Appendf(nil, "bad-%d", w.next["bad"]), '\n'))
			w.next["bad"]++
		}
		if err := l.j.Append(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		w.acked["bad"] = w.next["bad"]
	}
	until(t, "the good category is written", func() bool { return len(s.get("bulk")) == 12*1000*len(big) })
	if got := l.j.StoreStatus(); got != "File write error" {
		t.Errorf("status is %q", got)
	}
	broken.Store(false)
	until(t, "the bad category has caught up",
		func() bool { return l.j.StoreStatus() == "" && l.queue("bad").Waiting() == 0 })
	l.j.Stop(10 * time.Second)
	check(t, s, w)
	l.start(noFault)
}

func TestWhatOldStoresDidNotTakeGoesToNewOnes(t *testing.T) {
	s := newShelf()
	l := begin(t, t.TempDir(), s, func(op string) error {
		if op == "append" {
			return errors.New("never")
		}
		return nil
	})
	w := &writer{next: make(map[string]int), acked: make(map[string]int)}
	w.write(t, l, "a", 100)
	w.write(t, l, "b", 100)
	l.j.Stop(time.Second)
	if _, entries := l.j.Backlog(); entries == 0 {
		t.Error("the journal is empty although nothing was taken")
	}
	l.start(noFault)
	until(t, "all is delivered", func() bool { return len(s.get("b")) > 0 && l.j.StoreStatus() == "" })
	l.end(t)
	check(t, s, w)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
