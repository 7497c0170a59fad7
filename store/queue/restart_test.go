package queue

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"inkwell/proto"
	"inkwell/store"
)

// opened is a journal from which nothing is brought to the queues.
func opened(t *testing.T, dir string) *life {
	t.Helper()
	j, err := Open(Options{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return &life{j: j}
}

// killed ends l and returns a copy of its state as a kill would have left it.
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

// Numbers that only the journal has are known after a crash.
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

// The checkpoint that a lost journal left must not be taken for one of entries that came since, when those are killed before another.
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

// A store that breaks while a checkpoint is made is opened with the marks to which its queue goes back, not with those of another.
func TestStoresBreakWhileCheckpointsAreMade(t *testing.T) {
	var mu sync.Mutex
	works := false
	random := rand.New(rand.NewPCG(1, 2))
	s, w := newShelf(), &writer{next: make(map[string]int), acked: make(map[string]int)}
	j, err := Open(Options{StateDir: t.TempDir(), saveEvery: time.Millisecond, retry: time.Microsecond})
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
