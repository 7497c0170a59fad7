package store

import (
	"cmp"
	"slices"
)

// Span is a run of entries of one category that are adjacent in a file and have consecutive numbers.
type Span struct {
	Category string
	Hour     int64    // when they were received: hours since 1970, UTC
	Stream   [16]byte // zero: the entries have no numbers
	First    int64    // number of the first entry
	Count    int64    // entries
	Bytes    int64    // in the file before compression, including newlines and quoted categories
}

// End returns the number behind that of the last entry.
func (s *Span) End() int64 { return s.First + s.Count }

// Numbered reports whether the entries have numbers.
func (s *Span) Numbered() bool { return s.Stream != [16]byte{} }

// follows reports whether s continues before, so that both can be merged into one span.
func (s *Span) follows(before *Span) bool {
	return before.Hour == s.Hour && before.Stream == s.Stream && (!s.Numbered() || before.End() == s.First) &&
		before.Category == s.Category
}

func (s *Span) grow(more *Span) {
	s.Count += more.Count
	s.Bytes += more.Bytes
}

// Spans is the list of the spans of a file, in the order of the file. Between two numbered spans, the entries without
// numbers make one span for each category and hour, whatever their order; otherwise entries of many categories in turn
// would make a span each. The zero value is empty. Not safe for concurrent use.
type Spans struct {
	list  []Span
	plain map[string]int // category → index of its span without numbers behind the last numbered span
}

// Add appends s, merging it with an earlier span where possible.
func (l *Spans) Add(s Span) {
	if k := len(l.list) - 1; k >= 0 && s.follows(&l.list[k]) {
		l.list[k].grow(&s)
		return
	}
	if s.Numbered() {
		clear(l.plain)
		l.list = append(l.list, s)
		return
	}
	if k, known := l.plain[s.Category]; known && l.list[k].Hour == s.Hour {
		l.list[k].grow(&s)
		return
	}
	if l.plain == nil {
		l.plain = make(map[string]int)
	}
	l.plain[s.Category] = len(l.list)
	l.list = append(l.list, s)
}

// Last returns the span at the end of the list, nil if the list is empty.
func (l *Spans) Last() *Span {
	if k := len(l.list) - 1; k >= 0 {
		return &l.list[k]
	}
	return nil
}

// Len returns the number of spans.
func (l *Spans) Len() int { return len(l.list) }

// List returns the spans; the slice is valid until the next call.
func (l *Spans) List() []Span { return l.list }

// Join sorts the spans and merges those of the same hour, category and stream whose numbers are consecutive, whatever
// was between them in the file. The numbers of a stream only grow in a file, except for late entries, which keep spans
// of their own. Join reports whether the list became shorter.
func (l *Spans) Join() bool {
	before := l.list
	slices.SortStableFunc(before, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.Category, b.Category), slices.Compare(a.Stream[:],
			b.Stream[:]), cmp.Compare(a.First, b.First))
	})
	joined := Spans{list: before[:0]}
	for _, s := range before {
		if last := joined.Last(); last != nil && s.follows(last) {
			last.grow(&s)
		} else {
			joined.list = append(joined.list, s)
		}
	}
	joined.list = slices.Clip(joined.list)
	*l = joined
	return len(l.list) < len(before)
}

// Reset empties l and keeps its memory.
func (l *Spans) Reset() {
	l.list = l.list[:0]
	clear(l.plain)
}
