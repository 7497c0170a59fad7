package proto

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// oneByOne returns every entry of a batch with its number.
func oneByOne(b *Batch) (list []string) {
	for c := b.Cursor(); c.Next(); {
		s := c.Number()
		list = append(list, fmt.Sprintf("%s %s %x %d", c.Category(), c.Message(), s.Stream[0], s.First))
	}
	return list
}

// TestWalksAgree compares every way to iterate over batches of random categories and spans with the entries one by one.
func TestWalksAgree(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := new(Batch)
		var want []string
		next := map[byte]int64{}
		for n := r.IntN(12); n > 0; n-- {
			count, id := 1+r.IntN(4), byte(r.IntN(3)) // 0 has no numbers
			for i := range count {
				category, number := fmt.Sprint("c", r.IntN(2)), next[id]+int64(i)
				if id == 0 {
					number = 0
				}
				message := fmt.Sprint(len(want))
				b.Append([]byte(category), []byte(message))
				want = append(want, fmt.Sprintf("%s %s %x %d", category, message, id, number))
			}
			if id != 0 {
				b.Number([16]byte{id}, next[id], count)
				next[id] += int64(count) + int64(r.IntN(2))
			}
		}
		if got := oneByOne(b); !slices.Equal(got, want) {
			t.Fatalf("seed %d: by cursor %q, want %q", seed, got, want)
		}
		runs, copied := new(Batch), new(Batch)
		for _, run := range b.AppendRuns(nil) {
			cut := run.From.Bytes + r.IntN(run.Size()+1)
			rest := b.Behind(run, cut)
			head := run
			head.Count, head.Bytes = run.Count-rest.Count, run.Bytes-rest.Bytes
			if rest.From.Bytes > cut || rest.Count < run.Count && rest.From.Bytes <= run.From.Bytes {
				t.Fatalf("seed %d: what is behind byte %d begins at %d", seed, cut, rest.From.Bytes)
			}
			runs.AppendRun(b, head)
			runs.AppendRun(b, rest)
		}
		for c := b.Cursor(); c.Next(); {
			copied.AppendFrom(&c, c.Message())
		}
		if got := oneByOne(runs); !slices.Equal(got, want) {
			t.Fatalf("seed %d: by runs %q, want %q", seed, got, want)
		}
		if got := oneByOne(copied); !slices.Equal(got, want) || !slices.Equal(copied.spans, runs.spans) {
			t.Fatalf("seed %d: copied %q with %v, want %q with %v", seed, got, copied.spans, want, runs.spans)
		}
		var pieces []string
		for p := range b.Pieces {
			for i := range int(p.Span.Count) {
				number := p.Span.First
				if p.Span.Numbered() {
					number += int64(i)
				}
				pieces = append(pieces, fmt.Sprintf("%s %d %x %d", p.Category, p.Index+i, p.Span.Stream[0], number))
			}
		}
		if !slices.Equal(pieces, want) {
			t.Fatalf("seed %d: by pieces %q, want %q", seed, pieces, want)
		}
	}
}

// TestLongRuns looks at runs whose bytes are a multiple of shortRun, as a batch gets them in each of its ways.
func TestLongRuns(t *testing.T) {
	one := new(Batch)
	for i := range 1000 {
		one.Append([]byte("long"), make([]byte, 700))
		one.Number([16]byte{1}, int64(i+i/400), 1)
		if i%500 == 499 {
			one.Append([]byte("short"), []byte("x"))
		}
	}
	one.Append([]byte("long"), make([]byte, 3*shortRun))
	read, joined, copied, part := new(Batch), new(Batch), new(Batch), new(Batch)
	if err := read.SetRecord(one.AppendRecordTail(slices.Clone(one.Entries()))); err != nil {
		t.Fatal(err)
	}
	joined.AppendBatch(one)
	part.SetPart(one, Place{}, one.PlaceBehind(Place{}, one.Count(), one.Size()))
	for _, r := range one.AppendRuns(nil) {
		copied.AppendRun(one, r)
	}
	for name, b := range map[string]*Batch{"appended": one, "read": read, "joined": joined, "copied": copied,
		"part": part} {
		var long []string
		for _, r := range b.AppendRuns(nil) {
			long = append(long, fmt.Sprint(string(r.Category), r.Count, r.Bytes))
		}
		if want := []string{"long500 350000", "short1 1", "long500 350000", "short1 1", "long1 393216"}; !slices.Equal(long, want) {
			t.Errorf("%s: %q, want %q", name, long, want)
		}
		parts := new(Batch)
		for _, r := range b.AppendShortRuns(nil) {
			if r.Count > 1 && r.Bytes > shortRun && name != "copied" { // which is copied by long runs
				t.Errorf("%s: a run of %d entries has %d bytes", name, r.Count, r.Bytes)
			}
			parts.AppendRun(b, r)
		}
		if !slices.Equal(oneByOne(parts), oneByOne(one)) {
			t.Errorf("%s: the short runs are other entries than the batch", name)
		}
		n := 0
		for range b.Pieces {
			n++
		}
		if n != 7 { // numbers leave one out behind every 400th entry
			t.Errorf("%s: %d pieces", name, n)
		}
	}
}

// BenchmarkRuns copies every run of a record to a batch of its own, with categories and numbers that change with each
// entry: the cost per entry must not grow with the record.
func BenchmarkRuns(b *testing.B) {
	for _, entries := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			var record Batch
			for i := range entries {
				record.Append(fmt.Appendf(nil, "c%d", i%100), make([]byte, 200))
				record.Number([16]byte{1}, int64(2*i), 1)
			}
			var runs []Run
			to := make([]Batch, 100)
			for b.Loop() {
				for i := range to {
					to[i].Reset()
				}
				runs = record.AppendRuns(runs[:0])
				for i, r := range runs {
					to[i%100].AppendRun(&record, r)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*entries), "ns/entry")
		})
	}
}
