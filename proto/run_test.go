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
