package store

import (
	"cmp"
	"slices"
)

// Span is entries of one category that follow each other in a file, and whose numbers follow each other.
type Span struct {
	Category string
	Hour     int64    // when they came in: hours since 1970, UTC
	Stream   [16]byte // zero: they have no numbers
	First    int64    // the number of the first
	Count    int64    // entries
	Bytes    int64    // in the file before compression, with everything that stands around the messages
}

// End is behind the number of the last entry.
func (s *Span) End() int64 { return s.First + s.Count }

// Numbered says whether the entries have numbers.
func (s *Span) Numbered() bool { return s.Stream != [16]byte{} }

// follows says whether s goes on where before ends, so that the two are one span.
func (s *Span) follows(before *Span) bool {
	return before.Hour == s.Hour && before.Stream == s.Stream && (!s.Numbered() || before.End() == s.First) &&
		before.Category == s.Category
}

func (s *Span) grow(more *Span) {
	s.Count += more.Count
	s.Bytes += more.Bytes
}

// Spans is the spans of a file in the order in which they stand in it, but for neighbours without numbers: of these
// there is one for each category and hour, so that entries without numbers of many categories in turn do not make a
// span each. The zero value is empty. Not safe for concurrent use.
type Spans struct {
	list  []Span
	plain map[string]int // category → the span without numbers in the stretch of such at the end
}

// Add puts s behind the others.
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

// Last is the span that was added or grew last if that is the last one, nil if there is none.
func (l *Spans) Last() *Span {
	if k := len(l.list) - 1; k >= 0 {
		return &l.list[k]
	}
	return nil
}

// Len is the number of spans.
func (l *Spans) Len() int { return len(l.list) }

// List is the spans, valid until the next call.
func (l *Spans) List() []Span { return l.list }

// Join gives up the order: spans of the same hour, category and stream whose numbers follow each other become one,
// whatever stood between them. The numbers of a stream only grow in a file, but for what came late: that keeps spans of
// its own. It says whether there are fewer.
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
