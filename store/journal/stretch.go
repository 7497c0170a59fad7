package journal

import (
	"iter"

	"inkwell/proto"
	"inkwell/store/spool"
)

// stretch is a run of entries of one category within one record of the journal.
type stretch struct {
	run   proto.Run
	batch *proto.Batch // the record; valid until the next record is read
	base  uint64       // journal offset of the record
}

// stretches iterates over the runs of a record.
func stretches(rec spool.Record, b *proto.Batch, runs []proto.Run) iter.Seq[stretch] {
	return func(yield func(stretch) bool) {
		for _, run := range runs {
			if !yield(stretch{run: run, batch: b, base: rec.Start}) {
				return
			}
		}
	}
}

func (s *stretch) start() uint64 { return s.base + uint64(s.run.From.Bytes) }
func (s *stretch) end() uint64   { return s.start() + uint64(s.run.Size()) }

// skipTo removes the entries below an offset from s.
func (s *stretch) skipTo(offset uint64) {
	if offset > s.start() {
		s.run = s.batch.Behind(s.run, int(offset-s.base))
	}
}

// clip returns the part of s between two offsets.
func (s stretch) clip(from, to uint64) stretch {
	s.skipTo(from)
	if to < s.end() {
		rest := s
		rest.skipTo(max(to, s.start()))
		s.run.Count -= rest.run.Count
		s.run.Bytes -= rest.run.Bytes
	}
	return s
}
