package journal

import (
	"iter"

	"inkwell/proto"
	"inkwell/store/spool"
)

// stretch is a run of entries of one category at its place in the journal.
type stretch struct {
	run  proto.Run
	of   *proto.Batch // the record, valid until the next one is read
	base uint64       // journal offset of the record
}

// stretches are the runs of a record.
func stretches(rec spool.Record, b *proto.Batch, runs []proto.Run) iter.Seq[stretch] {
	return func(yield func(stretch) bool) {
		for _, run := range runs {
			if !yield(stretch{run: run, of: b, base: rec.Start}) {
				return
			}
		}
	}
}

func (s *stretch) from() uint64 { return s.base + uint64(s.run.From.Bytes) }
func (s *stretch) end() uint64  { return s.from() + uint64(s.run.Size()) }

// behind leaves out of s what lies below an offset.
func (s *stretch) behind(offset uint64) {
	if offset > s.from() {
		s.run = s.of.Behind(s.run, int(offset-s.base))
	}
}

// within is what of s lies from one offset up to another.
func (s stretch) within(from, to uint64) stretch {
	s.behind(from)
	if to < s.end() {
		rest := s
		rest.behind(max(to, s.from()))
		s.run.Count -= rest.run.Count
		s.run.Bytes -= rest.run.Bytes
	}
	return s
}
