package books

import (
	"maps"

	"inkwell/store"
	"inkwell/store/stream"
)

// Sources says where streams come from, as reported by their senders.
type Sources map[stream.ID]stream.Source

// Of returns where the entries of a span come from, the zero Source if that is not known or they have no numbers. For
// example, this prints it for each part of a file:
//
//	for _, s := range file.Spans { fmt.Println(s.Bytes, file.Sources.Of(s)) }
func (s Sources) Of(span store.Span) stream.Source {
	if !span.Numbered() {
		return stream.Source{}
	}
	return s[span.Stream]
}

// With returns the union of s and more, in which s comes first.
func (s Sources) With(more Sources) Sources {
	if len(more) == 0 {
		return s
	}
	all := make(Sources, len(s)+len(more))
	maps.Copy(all, more)
	maps.Copy(all, s)
	return all
}

// sources returns the sources of the spans, as far as Options.Source knows them.
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
