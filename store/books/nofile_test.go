package books

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"inkwell/internal/faultfs"
	"inkwell/store/stream"
)

func opened(t *testing.T, path string, inj faultfs.Injector) *Counter {
	t.Helper()
	c := NewCounter([]Destination{{Root: path}}, slog.New(slog.DiscardHandler), inj)
	t.Cleanup(func() { c.close() })
	return c
}

// counted adds up what the file has: the refused entries, their numbers of one stream, and the duplicates.
func counted(t *testing.T, path string, id stream.ID) (refused int64, numbers string, twice int64) {
	t.Helper()
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	list, _, err := ReadCounts(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all stream.Ranges
	for _, c := range list {
		if c.What == Duplicate {
			twice += c.Entries
			continue
		}
		refused += c.Entries
		r, err := stream.ParseRanges(c.Numbers)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r {
			if c.Stream == id.String() {
				all.Add(x.First, x.End)
			}
		}
	}
	return refused, all.String(), twice
}

// A peer that makes up streams, for hours of checkpoints, does not make the file grow without bounds, and all its
// entries are counted.
func TestCountsOfAHostilePeerAreBounded(t *testing.T) {
	path := t.TempDir()
	n := opened(t, path, nil)
	good := stream.ID{1}
	var refused, twice int64
	largest := int64(0)
	for round := range int64(400) {
		n.Refused(Refusal{Category: []byte("web"), Stream: good, First: 100 * round, Entries: 50, Why: "not allowed"})
		refused += 50
		for i := range 300 {
			var id stream.ID
			rand.Read(id[:])
			if i%2 == 0 {
				n.Twice(id, "web", 1)
				twice++
			} else {
				n.Refused(Refusal{Category: fmt.Appendf(nil, "c%d", i), Stream: id, First: round, Entries: 1, Why: "not allowed"})
				refused++
			}
		}
		if err := n.all[0].publish(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(path, CountsName))
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	r, numbers, d := counted(t, path, good)
	all, err := stream.ParseRanges(numbers)
	if err != nil || r != refused || d != twice || all.Count() != 400*50 || largest > 7<<20 {
		t.Errorf("%d of %d refused, %d of %d duplicates, %d numbers, %v; the file had %d bytes", r, refused, d, twice,
			all.Count(), err, largest)
	}
	again := opened(t, path, nil) // the next start writes it anew
	again.Twice(good, "web", 1)
	if err := again.all[0].publish(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(path, CountsName))
	if err != nil || info.Size() > 1<<19 {
		t.Errorf("%d bytes behind a start, %v", info.Size(), err)
	}
}

// A process was killed while it rewrote the file, and the next one has nothing to count.
func TestCountsOfAKilledProcessAreSwept(t *testing.T) {
	path := t.TempDir()
	left, kept := filepath.Join(path, CountsName+".tmp"), filepath.Join(path, ".others.tmp")
	for _, name := range []string{left, kept} {
		if err := os.WriteFile(name, []byte("inkwell co"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := opened(t, path, nil).all[0].publish(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("%s: %v", left, err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	absent := filepath.Join(path, "absent")
	if err := opened(t, absent, nil).all[0].publish(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(absent); !os.IsNotExist(err) {
		t.Errorf("%s was made: %v", absent, err)
	}
}

// failsOnce fails the operation that it is told to, once.
type failsOnce struct{ left atomic.Int64 }

func (f *failsOnce) Inject(_ faultfs.Op, _ string, n int) (int, error) {
	if f.left.Add(-1) == 0 {
		return n / 2, errors.New("disk")
	}
	return n, nil
}

// Whatever fails while the file is written anew or appended to, nothing that it had goes away, and the next checkpoint
// has all.
func TestCountsOutliveFaults(t *testing.T) {
	for at := int64(1); ; at++ {
		path := t.TempDir()
		inj := new(failsOnce)
		n := opened(t, path, inj)
		id := stream.ID{1}
		refuse := func(first int64) error {
			n.Refused(Refusal{Category: []byte("web"), Stream: id, First: first, Entries: 2, Why: "x"})
			n.Twice(id, "web", 1)
			return n.all[0].publish()
		}
		if err := refuse(0); err != nil {
			t.Fatal(err)
		}
		n = opened(t, path, inj)
		inj.left.Store(at)
		failed := errors.Join(refuse(2), refuse(4))
		reached := inj.left.Load() <= 0
		inj.left.Store(0)
		if _, numbers, _ := counted(t, path, id); len(numbers) < len("0-1") || numbers[:2] != "0-" {
			t.Errorf("fault %d: %q is left", at, numbers)
		}
		if err := refuse(6); err != nil {
			t.Errorf("fault %d: %v", at, err)
		}
		if refused, numbers, twice := counted(t, path, id); numbers != "0-7" || refused != 8 || twice != 4 {
			t.Errorf("fault %d (%v): refused %d, numbers %s, twice %d", at, failed, refused, numbers, twice)
		}
		if !reached {
			if at < 8 {
				t.Errorf("%d operations only", at)
			}
			return
		}
	}
}
