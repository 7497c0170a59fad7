package stream

import (
	"crypto/sha256"

	"inkwell/proto"
)

// Sequence numbers entries that have no numbers. Given the same entries in the same order, a Sequence of the same
// stream assigns the same numbers: so who repeats an interrupted work is recognized by them. Not safe for concurrent
// use.
type Sequence struct {
	id    ID
	next  map[string]int64 // by category
	batch proto.Batch
}

// NewSequence returns a Sequence of the stream that a seed stands for. The seed must be unique to the entries.
func NewSequence(seed string) *Sequence {
	sum := sha256.Sum256([]byte(seed))
	return &Sequence{id: ID(sum[:16]), next: make(map[string]int64)}
}

// ID returns the stream.
func (s *Sequence) ID() ID { return s.id }

// Number returns the entries of b with their numbers; those without get the next ones of their category. The result
// aliases b, and is valid until the next call.
func (s *Sequence) Number(b *proto.Batch) *proto.Batch {
	s.batch.SetEntries(b.Entries(), b.Count())
	s.batch.ShareNamings(b)
	for p := range b.Pieces {
		if !p.Span.Numbered() {
			p.Span.Stream, p.Span.First = s.id, s.next[string(p.Category)]
			s.next[string(p.Category)] += int64(p.Span.Count)
		}
		s.batch.AppendSpan(p.Span)
	}
	return &s.batch
}
