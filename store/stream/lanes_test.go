package stream

import (
	"errors"
	"fmt"
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
		err := l.Append(b, func(numbered *proto.Batch) error {
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
		want := []proto.Span{{Stream: ID{}, First: a, Count: 1}, {Stream: ID{7}, First: 40, Count: 1}, {Stream: ID{}, First: b, Count: 1}, {Stream: ID{}, First: a + 1, Count: 1}}
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
	err := l.Append(plain, func(b *proto.Batch) error {
		outer = b.Spans()[0].Stream
		return l.Append(plain, func(b *proto.Batch) error { inner = b.Spans()[0].Stream; return nil })
	})
	if err != nil || outer == inner {
		t.Errorf("both have %v, %v", outer, err)
	}
}

// A lane in too many categories is given up: its counters are memory.
func TestLanesAreBounded(t *testing.T) {
	l := NewLanes()
	b := new(proto.Batch)
	for i := range laneMax + 1 {
		b.Append(fmt.Appendf(nil, "c%d", i), nil)
	}
	if err := l.Append(b, func(*proto.Batch) error { return nil }); err != nil || len(l.free) != 0 {
		t.Errorf("%d lanes are kept, %v", len(l.free), err)
	}
}
