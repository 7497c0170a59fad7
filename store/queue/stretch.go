package queue

import (
	"iter"

	"inkwell/proto"
	"inkwell/store/spool"
)

// stretch is a run of entries of one category at its place in the journal.
type stretch struct {
	run   proto.Run
	of    *proto.Batch // the record, valid until the next one is read
	at    int          // of its entries' bytes
	first int          // its entry
	from  uint64       // journal offset
}

// stretches are the runs of a record.
func stretches(rec spool.Record, b *proto.Batch, runs []proto.Run) iter.Seq[stretch] {
	return func(yield func(stretch) bool) {
		at, first := 0, 0
		for _, run := range runs {
			if !yield(stretch{run: run, of: b, at: at, first: first, from: rec.Start + uint64(at)}) {
				return
			}
			at, first = at+size(run), first+run.Count
		}
	}
}

func (s stretch) end() uint64 { return s.from + uint64(size(s.run)) }

// size is the number of canonical bytes of a run.
func size(r proto.Run) int { return r.Count*(proto.EntryOverhead+len(r.Category)) + int(r.Bytes) }

// part makes b the stretch's entries, with their numbers.
func (s stretch) part(b *proto.Batch) {
	b.SetPart(s.of, proto.Part{From: s.at, Size: size(s.run), First: s.first, Count: s.run.Count})
}

// behind leaves out of s what lies below an offset.
func (s stretch) behind(offset uint64) stretch {
	if offset <= s.from {
		return s
	}
	before := size(s.run)
	var b proto.Batch
	s.part(&b)
	for c := b.Cursor(); c.Next(); {
		if s.from+uint64(c.End()) > offset {
			break
		}
		s.run.Count--
		s.run.Bytes -= int64(len(c.Message()))
		s.first++
	}
	n := before - size(s.run)
	s.from += uint64(n)
	s.at += n
	return s
}
