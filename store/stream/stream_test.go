package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
)

func open(t *testing.T, path string, o Options) *Table {
	t.Helper()
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	tab, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(tab.Close(), dir.Close()); err != nil {
			t.Error(err)
		}
	})
	return tab
}

// batch returns count entries of a stream with the numbers from first on; each message contains its number.
func batch(category string, id ID, first int64, count int) *proto.Batch {
	b := new(proto.Batch)
	for i := range count {
		b.Append([]byte(category), fmt.Appendf(nil, "%x:%d", id[0], first+int64(i)))
	}
	b.Number(id, first, count)
	return b
}

// messages returns the messages of b in order.
func messages(b *proto.Batch) (list []string) {
	for c := b.Cursor(); c.Next(); {
		list = append(list, string(c.Message()))
	}
	return list
}

func TestWhatIsThereIsLeftOut(t *testing.T) {
	set := stats.New()
	told := map[string]int64{}
	tab := open(t, t.TempDir(), Options{Stats: set, Twice: func(_ ID, c string, n int64) { told[c] += n }})
	var wrote []string
	write := func(_ context.Context, b *proto.Batch) error {
		wrote = append(wrote, messages(b)...)
		covered := 0
		for _, s := range b.Spans() {
			covered += int(s.Count)
		}
		if covered != b.Count() {
			t.Errorf("%d of %d entries kept their numbers", covered, b.Count())
		}
		return nil
	}
	do := func(b *proto.Batch, want ...string) {
		t.Helper()
		wrote = nil
		if err := tab.Append(t.Context(), b, write); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(wrote, want) {
			t.Errorf("wrote %q, want %q", wrote, want)
		}
	}
	one, two := ID{1}, ID{2}
	do(batch("a", one, 0, 2), "1:0", "1:1")
	do(batch("a", one, 0, 2))
	do(batch("a", one, 1, 3), "1:2", "1:3")
	do(batch("a", one, 6, 2), "1:6", "1:7") // 4 and 5 are missing
	if n := set.Get("scribe_overall:missing"); n != 2 {
		t.Errorf("%d are missing, want 2", n)
	}
	do(batch("a", one, 3, 5), "1:4", "1:5") // a hole is filled by what comes late
	do(batch("b", one, 0, 1), "1:0")        // another category is another matter
	both := batch("a", two, 0, 1)
	both.AppendBatch(batch("a", one, 7, 2))
	do(both, "2:0", "1:8")
	if n := set.Get("scribe_overall:missing"); n != 0 {
		t.Errorf("%d are missing, want none", n)
	}
	if n := set.Get("scribe_overall:duplicates"); n != 7 || told["a"] != 7 {
		t.Errorf("%d duplicates are counted, %v", n, told)
	}
	again := batch("a", two, 1, 3) // a spool that has the end of a batch twice, and sends all of it in one call
	again.AppendBatch(batch("a", two, 2, 3))
	do(again, "2:1", "2:2", "2:3", "2:4")
	if n := set.Get("scribe_overall:duplicates"); n != 9 {
		t.Errorf("%d duplicates are counted", n)
	}
	plain := new(proto.Batch)
	plain.Append([]byte("a"), []byte("x"))
	wrote = nil
	if err := tab.Append(t.Context(), plain, func(_ context.Context,
		b *proto.Batch) error {
		wrote = messages(b)
		return nil
	}); err != nil || len(wrote) != 1 {
		t.Errorf("an entry without a number: %q, %v", wrote, err)
	}
}

// Streams that begin on this machine, and categories with names that are too long, are not recorded.
func TestWhatIsNotRemembered(t *testing.T) {
	own := [8]byte{9, 9}
	tab := open(t, t.TempDir(), Options{Own: own})
	tab.Drained(batch("a", ID{9, 9}, 0, 1))
	long := batch(strings.Repeat("l", maxName+1), ID{1}, 0, 1)
	wrote := 0
	for range 2 {
		if err := tab.Append(t.Context(), long,
			func(context.Context, *proto.Batch) error { wrote++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(tab.streams) != 0 || wrote != 2 {
		t.Errorf("%d streams are remembered, %d entries were written", len(tab.streams), wrote)
	}
}

// A stream with an Append in progress is not forgotten, however many other streams appear.
func TestAStreamAtWorkIsNotForgotten(t *testing.T) {
	tab := open(t, t.TempDir(), Options{Max: 4})
	ok := func(context.Context, *proto.Batch) error { return nil }
	err := tab.Append(t.Context(), batch("a", ID{200}, 0, 2), func(context.Context, *proto.Batch) error {
		for i := range 20 {
			if err := tab.Append(t.Context(), batch("a", ID{byte(i + 1)}, 0, 1), ok); err != nil {
				return err
			}
		}
		if e := tab.streams[ID{200}]; e == nil || e.owner == nil {
			t.Error("it was forgotten")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatFailedIsNotThere(t *testing.T) {
	tab := open(t, t.TempDir(), Options{})
	no := errors.New("no")
	if err := tab.Append(t.Context(), batch("a", ID{1}, 0, 2),
		func(context.Context, *proto.Batch) error { return no }); !errors.Is(err, no) {
		t.Fatal(err)
	}
	wrote := 0
	if err := tab.Append(t.Context(), batch("a", ID{1}, 0, 2),
		func(_ context.Context, b *proto.Batch) error { wrote = b.Count(); return nil }); err != nil || wrote != 2 {
		t.Fatalf("wrote %d, %v", wrote, err)
	}
}

func TestASecondAttemptWaitsForTheFirst(t *testing.T) {
	tab := open(t, t.TempDir(), Options{})
	inside, goOn := make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := tab.Append(t.Context(), batch("a", ID{1}, 0, 2), func(context.Context, *proto.Batch) error {
			inside <- true
			<-goOn
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	never := func(context.Context, *proto.Batch) error { t.Error("written twice"); return nil }
	if err := tab.Append(ctx, batch("a", ID{1}, 0, 2), never); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the first is in progress: %v", err)
	}
	wg.Go(func() {
		if err := tab.Append(t.Context(), batch("a", ID{1}, 0, 2), never); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(time.Millisecond)
	close(goOn)
	wg.Wait()
}

func TestSaveKnowsWhatWasDrained(t *testing.T) {
	path := t.TempDir()
	ok := func(context.Context, *proto.Batch) error { return nil }
	tab := open(t, path, Options{})
	for i := range int64(5) {
		if err := tab.Append(t.Context(), batch("a b\"", ID{9}, 10*i, 5), ok); err != nil {
			t.Fatal(err)
		}
	}
	tab.Drained(batch("a b\"", ID{9}, 0, 5))
	tab.Drained(batch("a b\"", ID{9}, 10, 5))
	if err := tab.Save(); err != nil {
		t.Fatal(err)
	}
	tab.Drained(batch("a b\"", ID{9}, 20, 5))
	if err := tab.Save(); err != nil { // a line more
		t.Fatal(err)
	}
	tab.Drained(batch("a b\"", ID{9}, 30, 5)) // not saved
	again := open(t, path, Options{})
	again.Each(func(id ID, category string, there Ranges) {
		if id != (ID{9}) || category != "a b\"" || there.String() != "0-4,10-14,20-24" {
			t.Errorf("read %v %q %v", id, category, there)
		}
	})
	again.note(batch("a b\"", ID{9}, 30, 5), false) // as from the journal
	wrote := 0
	if err := again.Append(t.Context(), batch("a b\"", ID{9}, 20, 20),
		func(_ context.Context, b *proto.Batch) error { wrote = b.Count(); return nil }); err != nil || wrote != 10 {
		t.Errorf("wrote %d, %v", wrote, err)
	}
}

func TestSilentStreamsAreForgotten(t *testing.T) {
	set := stats.New()
	tab := open(t, t.TempDir(), Options{Max: 8, Stats: set})
	ok := func(context.Context, *proto.Batch) error { return nil }
	for i := range 100 {
		if err := tab.Append(t.Context(), batch("a", ID{byte(i + 1)}, 0, 1), ok); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	tab.Each(func(ID, string, Ranges) { n++ })
	if n == 0 || n > 8 {
		t.Errorf("%d streams are remembered, the limit is 8", n)
	}
	if forgotten, now := set.Get(stats.Overall+":streams forgotten"), set.Get(stats.Overall+":streams"); forgotten != int64(100-n) || now != int64(n) {
		t.Errorf("counted: %d forgotten, %d streams; %d are remembered", forgotten, now, n)
	}
	tab.o.TTL = time.Minute
	for _, e := range tab.streams {
		e.seen -= 3600
		tab.Drained(batch("a", e.id, 0, 1))
		e.seen -= 3600
	}
	if err := tab.Save(); err != nil {
		t.Fatal(err)
	}
	if len(tab.streams) != 0 || tab.categories != 0 {
		t.Errorf("%d streams are remembered beyond their time", len(tab.streams))
	}
}

// When the file is rewritten, streams that were used within their TTL are kept, also for the next start.
func TestStreamsWithinTheirTimeAreKept(t *testing.T) {
	path := t.TempDir()
	tab := open(t, path, Options{TTL: time.Hour})
	silent, late := ID{1}, ID{2}
	for _, id := range []ID{silent, late} {
		if err := tab.Append(t.Context(), batch("a", id, 0, 3),
			func(context.Context, *proto.Batch) error { return nil }); err != nil {
			t.Fatal(err)
		}
		tab.Drained(batch("a", id, 0, 3))
	}
	tab.streams[silent].seen -= 3601
	tab.streams[late].seen -= 3500
	if err := tab.Save(); err != nil {
		t.Fatal(err)
	}
	for _, tab := range []*Table{tab, open(t, path, Options{TTL: time.Hour})} {
		if len(tab.streams) != 1 || tab.streams[late] == nil ||
			tab.streams[late].categories[0].present.String() != "0-2" {
			t.Errorf("remembered: %v", tab.streams)
		}
	}
}

// A peer chooses numbers so that they cost most: a category each, descending, with gaps. Memory and work are bounded;
// with quadratic work this test would not end.
func TestNumbersOfAHostilePeer(t *testing.T) {
	const many = 100_000
	tab := open(t, t.TempDir(), Options{Max: 1 << 16})
	write := func(_ context.Context, b *proto.Batch) error { return nil }
	quiet := ID{1}
	if err := tab.Append(t.Context(), batch("quiet", quiet, 0, 1), write); err != nil {
		t.Fatal(err)
	}
	for name, entry := range map[string]func(b *proto.Batch, i int){
		"categories": func(b *proto.Batch, i int) {
			b.Append(fmt.Appendf(nil, "c%d", i), nil)
			b.AppendSpan(proto.Span{Stream: ID{2}, First: int64(i), Count: 1})
		},
		"downwards": func(b *proto.Batch, i int) {
			b.Append([]byte("c"), nil)
			b.AppendSpan(proto.Span{Stream: ID{3}, First: 2 * int64(many-i), Count: 1})
		},
		"upwards": func(b *proto.Batch, i int) {
			b.Append([]byte("c"), nil)
			b.AppendSpan(proto.Span{Stream: ID{4}, First: 2 * int64(i), Count: 1})
		},
	} {
		var b proto.Batch
		for i := range many {
			entry(&b, i)
		}
		for range 2 { // what comes again is left out, as far as it is remembered
			if err := tab.Append(t.Context(), &b, write); err != nil {
				t.Fatal(name, err)
			}
		}
		tab.Drained(&b)
	}
	var last proto.Batch
	last.Append([]byte("c"), nil)
	last.AppendSpan(proto.Span{Stream: ID{5}, First: 0, Count: 1})
	if err := tab.Append(t.Context(), &last, write); err != nil {
		t.Fatal(err)
	}
	size, places, holes := 0, 0, int64(0)
	for _, e := range tab.streams {
		for _, p := range e.categories {
			if len(p.present) > maxRanges || len(p.drained) > maxRanges || p.presentCount != p.present.Count() {
				t.Errorf("%v in %q: %d and %d stretches, %d of %d numbers", e.id, p.category, len(p.present),
					len(p.drained), p.presentCount, p.present.Count())
			}
			size, places, holes = size+max(1, len(p.present)), places+1, holes+p.holes()
		}
	}
	if size > 1<<16 || tab.ranges != size || tab.categories != places || tab.holes != holes {
		t.Errorf("%d stretches in %d places with %d holes, counted %d, %d and %d", size, places, holes, tab.ranges,
			tab.categories, tab.holes)
	}
	if tab.streams[quiet] == nil || tab.streams[ID{2}] != nil {
		t.Error("a stream that needs little was forgotten, not the one that took all the room")
	}
	if n := tab.forgotten.Load(); n == 0 {
		t.Error("nothing is counted as forgotten")
	}
}

// Streams that were used just now are not forgotten, whether drained or not.
func TestStreamsThatAreHeardOfAreKept(t *testing.T) {
	tab := open(t, t.TempDir(), Options{TTL: time.Minute})
	if err := tab.Append(t.Context(), batch("a", ID{1}, 0, 1),
		func(context.Context, *proto.Batch) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := tab.Save(); err != nil {
		t.Fatal(err)
	}
	if len(tab.streams) != 1 {
		t.Error("it was forgotten")
	}
}

// A set behaves like a map of numbers.
func TestRangesAgainstAMap(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var r Ranges
		have := map[int64]bool{}
		for range 60 {
			first := rnd.Int64N(60)
			end := first + rnd.Int64N(8)
			overlap := int64(0)
			var missing []int64
			for n := first; n < end; n++ {
				if have[n] {
					overlap++
				} else {
					missing = append(missing, n)
				}
			}
			if got := r.Overlap(first, end); got != overlap {
				t.Fatalf("seed %d: %v overlaps %d-%d in %d, want %d", seed, r, first, end, got, overlap)
			}
			var got []int64
			for _, m := range r.Missing(first, end) {
				for n := m.First; n < m.End; n++ {
					got = append(got, n)
				}
			}
			if !slices.Equal(got, missing) {
				t.Fatalf("seed %d: %v misses %v of %d-%d, want %v", seed, r, got, first, end, missing)
			}
			r.Add(first, end)
			for n := first; n < end; n++ {
				have[n] = true
			}
			want := slices.Sorted(maps.Keys(have))
			for n := range int64(70) {
				if r.Has(n) != have[n] {
					t.Fatalf("seed %d: %v, want %v", seed, r, want)
				}
			}
			if r.Count() != int64(len(want)) {
				t.Fatalf("seed %d: %v counts %d", seed, r, r.Count())
			}
			if again, err := ParseRanges(r.String()); err != nil || !slices.Equal(again, r) {
				t.Fatalf("%q is read as %v, %v", r.String(), again, err)
			}
		}
	}
	for _, bad := range []string{"x", "1-", "-1", "3-2", "1-2,2-3", "1,2", "5,1", "0-9223372036854775807",
		strings.Repeat("9", 30)} {
		if r, err := ParseRanges(bad); err == nil {
			t.Errorf("%q is read as %v", bad, r)
		}
	}
}
