package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"inkwell/proto"
	"inkwell/store/stream"
)

// taken are the entries of a batch as CATEGORY NUMBER MESSAGE.
func taken(b *proto.Batch) (list []string) {
	spans, used := b.Spans(), int32(0)
	for c := b.Cursor(); c.Next(); {
		list = append(list, fmt.Sprintf("%s %d %s", c.Category(), spans[0].First+int64(used), c.Message()))
		if used++; used == spans[0].Count {
			spans, used = spans[1:], 0
		}
	}
	return list
}

func TestQueueNumbersEachCategory(t *testing.T) {
	q := NewQueue[int](stream.ID{1}, map[string]int64{"b": 7})
	for i, category := range []string{"a", "b", "a", "b", "b"} {
		q.Put(t.Context(), func(b *Batch[int]) {
			b.Append(category, []byte{'0' + byte(i)})
			b.Mark = i
		})
	}
	q.Close()
	err := q.Ship(func(b *Batch[int]) error {
		if got, want := taken(b.Entries()), []string{"a 0 0", "a 1 2", "b 7 1", "b 8 3", "b 9 4"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if len(b.Entries().Spans()) != 2 {
			t.Errorf("%d spans for two categories", len(b.Entries().Spans()))
		}
		if next := b.Next(); next["a"] != 2 || next["b"] != 10 || len(next) != 2 || b.Mark != 4 {
			t.Errorf("next %v, mark %d", next, b.Mark)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestQueueOfMany has several goroutines put while batches are shipped: all comes out, in the order of each.
func TestQueueOfMany(t *testing.T) {
	q := NewQueue[struct{}](stream.ID{1}, nil)
	const each = 20_000
	var puts sync.WaitGroup
	for g := range 4 {
		puts.Go(func() {
			for i := range each {
				message := fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 300)) // several batches
				q.Put(t.Context(), func(b *Batch[struct{}]) { b.Append(fmt.Sprint(g), message) })
			}
		})
	}
	go func() { puts.Wait(); q.Close() }()
	next := make(map[string]int)
	batches := 0
	err := q.Ship(func(b *Batch[struct{}]) error {
		batches++
		for _, entry := range taken(b.Entries()) {
			var category string
			var number, i int
			if _, err := fmt.Sscan(entry, &category, &number, &i); err != nil || number != next[category] || i != number {
				return fmt.Errorf("%.20q, want number %d: %w", entry, next[category], err)
			}
			next[category]++
		}
		return nil
	})
	if err != nil || len(next) != 4 || next["0"] != each || next["3"] != each {
		t.Errorf("%v, %v", next, err)
	}
	if batches < 5 {
		t.Errorf("%d batches", batches)
	}
}

// TestQueueIsBounded has Put wait while two batches are full, and end with its context.
func TestQueueIsBounded(t *testing.T) {
	q := NewQueue[struct{}](stream.ID{1}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	message := make([]byte, 1<<20)
	n := 0
	for q.Put(ctx, func(b *Batch[struct{}]) { b.Append("c", message) }) {
		n++
	}
	if n != full>>20 {
		t.Errorf("%d MiB were taken", n)
	}
	lost := errors.New("lost")
	if err := q.Ship(func(*Batch[struct{}]) error { return lost }); !errors.Is(err, lost) {
		t.Errorf("%v", err)
	}
}

func TestNoteShipsAMarkAlone(t *testing.T) {
	q := NewQueue[string](stream.ID{1}, nil)
	q.Put(t.Context(), func(b *Batch[string]) { b.Mark = "here"; b.Note() })
	q.Close()
	marks := ""
	if err := q.Ship(func(b *Batch[string]) error { marks += b.Mark; return nil }); err != nil || marks != "here" {
		t.Errorf("%q, %v", marks, err)
	}
}
