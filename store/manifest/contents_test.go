package manifest

import (
	"slices"
	"testing"

	"inkwell/store/stream"
)

// Whatever is joined, a file holds what its lines say, and the last of them can still be taken back.
func TestCondense(t *testing.T) {
	for name, c := range map[string]struct {
		lines, streams, perLine int // of spans that are written in turn
		kept                    int
		unordered               bool
	}{
		"few":             {10, 3, 3, 10, false},
		"many lines":      {maxLines + 2, 1, 1, 2, false},
		"many spans":      {20, 50, maxSpans / 10, 2, true},
		"all in one line": {2, 50, 2 * maxSpans, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			var lines []Contents
			next := make([]int64, c.streams)
			for i := range c.lines {
				line := Contents{Category: "web", File: "f", From: uint64(i), Through: uint64(i + 1), First: int64(i), Last: int64(i + 1)}
				for k := range c.perLine {
					s := k % c.streams
					line.Spans = append(line.Spans, Span{Hour: 7, Stream: stream.ID{byte(s), 1}, First: next[s], Count: 2, Bytes: 10})
					next[s] += 2
				}
				lines = append(lines, line)
			}
			last := lines[len(lines)-1]
			want := Join(slices.Clone(lines))
			got := Condense(slices.Clone(lines))
			if len(got) != c.kept || got[0].Unordered != c.unordered {
				t.Fatalf("%d lines, unordered %v, want %d, %v", len(got), got[0].Unordered, c.kept, c.unordered)
			}
			if end := got[len(got)-1]; end.From != last.From || !slices.Equal(end.Spans, last.Spans) {
				t.Errorf("the last line is %d–%d, was %d–%d", end.From, end.Through, last.From, last.Through)
			}
			for i := range got[1:] {
				if got[i].Through != got[i+1].From || got[i].Last != got[i+1].First {
					t.Errorf("line %d ends at %d, the next begins at %d", i, got[i].Through, got[i+1].From)
				}
			}
			f := Join(got)
			if f.Entries != want.Entries || f.Raw != want.Raw || f.First != want.First || f.Last != want.Last || f.Unordered && !c.unordered && !want.Unordered {
				t.Errorf("the file has %+v, want %+v", f, want)
			}
			numbers := func(f File) map[stream.ID]string {
				sets := make(map[stream.ID]stream.Ranges)
				text := make(map[stream.ID]string)
				for _, s := range f.Spans {
					r := sets[s.Stream]
					r.Add(s.First, s.End())
					sets[s.Stream], text[s.Stream] = r, r.String()
				}
				return text
			}
			for id, set := range numbers(want) {
				if now := numbers(f)[id]; now != set {
					t.Errorf("%v has %s, want %s", id, now, set)
				}
			}
		})
	}
}
