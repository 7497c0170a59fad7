package books

import (
	"path/filepath"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store"
	"inkwell/store/stream"
)

// adding is one outlet with one open file, as the books see it.
type adding struct {
	*model
	key, dir string
	mark     uint64
	bytes    int64
}

func newAdding(t *testing.T) *adding {
	m := newModel(t, 1)
	return &adding{model: m, key: "c0 → out", dir: filepath.Join(m.out, "c0")}
}

// add adds spans to a file, "" for entries without bytes that came when none was open, and has a checkpoint saved.
func (a *adding) add(file string, open bool, spans ...store.Span) {
	a.t.Helper()
	added := store.Added{Dir: a.dir, File: file, Start: a.bytes, First: 1000, Last: 1000, Spans: spans, Open: open}
	for _, s := range spans {
		a.bytes += s.Bytes
	}
	a.books.Add(a.key, a.mark, a.mark+1, []store.Added{added})
	a.mark++
	must(a.t, a.books.Save())
	a.saved[a.key].through = a.mark
	a.books.Publish(time.Now())
}

// remembered is how many stretches of numbers are in memory.
func (a *adding) remembered() (n int) {
	for _, account := range a.books.accounts {
		n += account.spans()
	}
	return n
}

// entries is what the manifest says that the files hold.
func (a *adding) entries() (n int64) {
	a.t.Helper()
	dir, err := faultfs.OpenDir(a.dir, nil)
	must(a.t, err)
	defer dir.Close()
	files, _, err := ReadFiles(dir)
	must(a.t, err)
	for _, f := range files {
		n += f.Entries
	}
	return n
}

func (a *adding) span(id, first, count, bytes int64) store.Span {
	return store.Span{Category: "c0", Hour: 7, Stream: stream.ID{1, byte(id), byte(id >> 8)}, First: first, Count: count, Bytes: bytes}
}

// TestManyCheckpointsOfAFile: what is remembered of an open file does not grow with the checkpoints that add to it.
func TestManyCheckpointsOfAFile(t *testing.T) {
	const checkpoints = 500
	a := newAdding(t)
	for i := range int64(checkpoints) {
		a.add("c0_00000", i < checkpoints-1, a.span(1, 2*i, 2, 20))
		if n := a.remembered(); n > 1 {
			t.Fatalf("%d stretches are remembered after %d checkpoints", n, i+1)
		}
	}
	if n := a.entries(); n != 2*checkpoints {
		t.Errorf("the manifest has %d entries, want %d", n, 2*checkpoints)
	}
}

// TestManyStreamsOfAFile has a sender number as it costs most: each entry has a stream of its own. What is remembered is
// bounded, and the manifest has all of it, although the file is open for ever.
func TestManyStreamsOfAFile(t *testing.T) {
	const many = 2000
	a := newAdding(t)
	for i := range int64(many) {
		a.add("c0_00000", true, a.span(i, 0, 1, 10))
		if n := a.remembered(); n > 2*a.many {
			t.Fatalf("%d stretches are remembered, %d may be", n, a.many)
		}
	}
	if n := a.entries(); n < many-int64(2*a.many) {
		t.Errorf("the manifest has %d entries of %d", n, many)
	}
}

// TestEntriesWithoutBytes that came when no file was open are counted beside the files, by their numbers, over restarts;
// those of an open file stand in its line.
func TestEntriesWithoutBytes(t *testing.T) {
	a := newAdding(t)
	a.add("", false, a.span(1, 0, 1, 0))
	a.add("", false, a.span(1, 1, 2, 0))
	must(t, a.books.Close())
	a.open()
	a.add("", false, a.span(1, 3, 1, 0))
	a.add("c0_00000", true, a.span(1, 4, 1, 0))
	a.add("c0_00000", false, a.span(1, 5, 1, 10))
	dir, err := faultfs.OpenDir(a.out, nil)
	must(t, err)
	defer dir.Close()
	counts, _, err := ReadCounts(dir)
	must(t, err)
	var numbers stream.Ranges
	for _, c := range counts {
		if c.What != Empty || c.Category != "c0" {
			t.Errorf("%+v", c)
		}
		of, err := stream.ParseRanges(c.Numbers)
		must(t, err)
		for _, r := range of {
			numbers.Add(r.First, r.End)
		}
	}
	if numbers.String() != "0-3" || a.entries() != 2 {
		t.Errorf("%s are counted, and %d in the manifest", numbers, a.entries())
	}
}
