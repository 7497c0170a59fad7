package stream

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"inkwell/proto"
)

// TestSequence numbers the same entries twice: they get the same numbers, by category and without gaps, and those with
// numbers keep theirs.
func TestSequence(t *testing.T) {
	var batches []*proto.Batch
	for i := range 3 {
		b := batch("web", ID{1}, int64(i), 2)
		for range i + 1 {
			b.Append([]byte("old"), []byte("x"))
			b.Append([]byte("web"), []byte("y"))
		}
		batches = append(batches, b)
	}
	var runs [2][]proto.Span
	for i := range runs {
		s := NewSequence("a seed")
		next := make(map[string]int64)
		for _, b := range batches {
			n := s.Number(b)
			if !slices.Equal(messages(n), messages(b)) {
				t.Fatalf("%q became %q", messages(b), messages(n))
			}
			for c := n.Cursor(); c.Next(); {
				of := c.Number()
				runs[i] = append(runs[i], of)
				if of.Stream == (ID{1}) {
					continue
				}
				if category := string(c.Category()); of.Stream != s.ID() || of.First != next[category] {
					t.Fatalf("an entry of %s has number %d of %x, want %d", category, of.First, of.Stream, next[category])
				} else {
					next[category]++
				}
			}
		}
		if next["old"] != 6 || next["web"] != 6 {
			t.Errorf("numbered: %v", next)
		}
	}
	if !slices.Equal(runs[0], runs[1]) || NewSequence("another").ID() == NewSequence("a seed").ID() {
		t.Error("the same entries have other numbers, or other entries the same stream")
	}
}

// TestMerge adds a table to another one: what either has is left out, also after a restart, until it is forgotten.
func TestMerge(t *testing.T) {
	nothing := func(context.Context, *proto.Batch) error { return nil }
	take := func(tab *Table, b *proto.Batch) {
		t.Helper()
		if err := tab.Append(t.Context(), b, nothing); err != nil {
			t.Fatal(err)
		}
		tab.Drained(b)
		if err := tab.Save(); err != nil {
			t.Fatal(err)
		}
	}
	from, dir := t.TempDir(), t.TempDir()
	take(open(t, from, Options{}), batch("web", ID{1}, 0, 10))
	file, err := os.ReadFile(filepath.Join(from, FileName))
	if err != nil {
		t.Fatal(err)
	}
	tab := open(t, dir, Options{})
	take(tab, batch("web", ID{1}, 5, 10))
	take(tab, batch("web", ID{2}, 0, 1))
	if err := tab.Merge(file); err != nil {
		t.Fatal(err)
	}
	if err := tab.Save(); err != nil {
		t.Fatal(err)
	}
	for name, tab := range map[string]*Table{"at once": tab, "after a restart": open(t, dir, Options{})} {
		fresh := 0
		err := tab.Append(t.Context(), batch("web", ID{1}, 0, 16), func(_ context.Context, b *proto.Batch) error {
			fresh = b.Count()
			return nil
		})
		if err != nil || fresh != 1 {
			t.Errorf("%s: %d entries are new, want 1, %v", name, fresh, err)
		}
	}
	tab.Forget(batch("web", ID{1}, 3, 4))
	tab.Forget(batch("web", ID{2}, 0, 1))
	if err := tab.Save(); err != nil {
		t.Fatal(err)
	}
	for name, tab := range map[string]*Table{"at once": tab, "after a restart": open(t, dir, Options{})} {
		got := make(map[string]string)
		tab.Each(func(id ID, category string, there Ranges) { got[fmt.Sprint(id[0], category)] = there.String() })
		want := map[string]string{"at once": "0-2,7-15", "after a restart": "0-2,7-14"}[name] // 15 was not drained
		if got["1web"] != want || got["2web"] != "" {
			t.Errorf("%s, after some were forgotten: %v, want %s", name, got, want)
		}
	}
	if err := tab.Merge(append(file, "no line of a table\n"...)); err == nil {
		t.Error("a damaged table is taken")
	}
}
