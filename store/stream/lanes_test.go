package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"inkwell/proto"
)

func TestLanesNumberWhatHasNoNumbers(t *testing.T) {
	l := NewLanes()
	own := l.Own()
	b := new(proto.Batch)
	for i, c := range []string{"a", "a", "b", "a"} {
		b.Append([]byte(c), []byte{byte('0' + i)})
		if i == 1 {
			b.Number(ID{7}, 40, 1)
		}
	}
	appendTo := func(fail error) []proto.Span {
		t.Helper()
		var spans []proto.Span
		err := l.Append("web1", b, func(numbered *proto.Batch) error {
			spans = slices.Clone(numbered.Spans())
			return fail
		})
		if !errors.Is(err, fail) {
			t.Fatal(err)
		}
		for i := range spans {
			if [8]byte(spans[i].Stream[:8]) == own {
				spans[i].Stream = ID{}
			}
		}
		return spans
	}
	check := func(got []proto.Span, a, b int64) {
		t.Helper()
		want := []proto.Span{{Stream: ID{}, First: a, Count: 1}, {Stream: ID{7}, First: 40, Count: 1},
			{Stream: ID{}, First: b, Count: 1}, {Stream: ID{}, First: a + 1, Count: 1}}
		if !slices.Equal(got, want) {
			t.Errorf("spans %v, want %v", got, want)
		}
	}
	check(appendTo(nil), 0, 0)
	check(appendTo(errors.New("no")), 2, 1) // numbers that were not used are given again
	check(appendTo(nil), 2, 1)
	if len(b.Spans()) != 2 {
		t.Errorf("the batch of the caller was changed: %v", b.Spans())
	}
}

func TestAppendsAtOnceHaveLanesOfTheirOwn(t *testing.T) {
	l := NewLanes()
	plain := new(proto.Batch)
	plain.Append([]byte("a"), []byte("x"))
	var outer, inner ID
	err := l.Append("web1", plain, func(b *proto.Batch) error {
		outer = b.Spans()[0].Stream
		return l.Append("web1", plain, func(b *proto.Batch) error { inner = b.Spans()[0].Stream; return nil })
	})
	if err != nil || outer == inner {
		t.Errorf("both have %v, %v", outer, err)
	}
}

// A lane with too many categories is replaced, because its counters take memory.
func TestLanesAreBounded(t *testing.T) {
	l := NewLanes()
	b := new(proto.Batch)
	for i := range laneMax + 1 {
		b.Append(fmt.Appendf(nil, "c%d", i), nil)
	}
	if err := l.Append("web1", b, func(*proto.Batch) error { return nil }); err != nil || l.count != 0 {
		t.Errorf("%d lanes are kept, %v", l.count, err)
	}
}

// TestLanesAreOfClients has two clients append in turn: each lane is named after its client, and no client gets a lane
// of the other.
func TestLanesAreOfClients(t *testing.T) {
	l, names := NewLanes(), NewNames(slog.New(slog.DiscardHandler))
	l.Name(names, "relay")
	b := new(proto.Batch)
	b.Append([]byte("a"), []byte("x"))
	of := make(map[ID]string)
	for i := range 3 * lanesMax {
		from := "web1"
		if i%3 == 1 {
			from = "web2"
		} else if i%3 == 2 {
			from = fmt.Sprint("other", i)
		}
		err := l.Append(from, b, func(numbered *proto.Batch) error {
			id := ID(numbered.Spans()[0].Stream)
			if before, known := of[id]; known && before != from {
				return fmt.Errorf("a lane of %s was given to %s", before, from)
			}
			of[id] = from
			return nil
		})
		if err != nil || l.count > lanesMax {
			t.Fatal(err, l.count)
		}
	}
	for id, from := range of {
		if s, known := names.Source(id); known && s.String() != "relay:client:"+from {
			t.Fatalf("%s is named %s", from, s)
		}
	}
	if s, _ := names.Source(idOf(of, "web2")); s.Host != "relay" {
		t.Errorf("web2 is named %q", s)
	}
}

func idOf(of map[ID]string, from string) (id ID) {
	for i, f := range of {
		if f == from {
			id = i
		}
	}
	return id
}
