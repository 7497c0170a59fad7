package books

import (
	"inkwell/internal/faultfs"
	"inkwell/store"
	"inkwell/store/stream"
)

// Sources says where streams come from, as their senders told.
type Sources map[stream.ID]stream.Source

// Of is where the entries of a span come from: the zero Source if that is not known, as that of entries without numbers
// is. So whoever reads a file finds out for every stretch of it:
//
//	for _, s := range file.Spans { fmt.Println(s.Bytes, file.Sources.Of(s)) }
func (s Sources) Of(span store.Span) stream.Source {
	if !span.Numbered() {
		return stream.Source{}
	}
	return s[span.Stream]
}

// With is s and more; what both know is as in s.
func (s Sources) With(more Sources) Sources {
	if len(more) == 0 {
		return s
	}
	all := make(Sources, len(s)+len(more))
	for id, of := range more {
		all[id] = of
	}
	for id, of := range s {
		all[id] = of
	}
	return all
}

// readSources reads those that a state directory has.
func readSources(state *faultfs.Dir) (Sources, int, error) {
	names, bad, err := stream.ReadNames(state)
	return names, bad, err
}

// sources are those of spans that Options.Source knows.
func (b *Books) sources(spans []store.Span) Sources {
	if b.o.Source == nil {
		return nil
	}
	all := make(Sources)
	for _, s := range spans {
		if _, known := all[s.Stream]; known || !s.Numbered() {
			continue
		}
		if of, known := b.o.Source(s.Stream); known {
			all[s.Stream] = of
		}
	}
	return all
}
