package journal

import (
	"time"

	"inkwell/proto"
)

// load is entries on their way to a store. It belongs to one outlet at a time.
type load struct {
	batch    proto.Batch
	messages int64     // bytes of messages
	waiting  int64     // of those, what counts as waiting (Outlet.Waiting)
	from     uint64    // journal offset of the first entry
	end      uint64    // behind the last
	since    time.Time // when the first came in
	turn     time.Time // when the clock ends the file into which it belongs; zero: never
	charged  int64     // bytes that the budget has counted
}

// newLoad returns an empty load.
func (j *Journal) newLoad() *load {
	l := j.loads.Get().(*load)
	l.batch.Reset()
	l.messages, l.waiting, l.charged, l.turn = 0, 0, 0, time.Time{}
	return l
}

// maxKept is the memory of a load that is kept for the next one.
const maxKept = maxPending + maxPending/8

// free gives a load's memory back.
func (j *Journal) free(l *load) {
	if l.batch.Size() > maxKept {
		return
	}
	j.loads.Put(l)
}

// add appends a stretch to the load.
func (l *load) add(s *stretch) {
	if l.batch.Count() == 0 {
		l.from, l.since = s.from(), time.Now()
	}
	l.batch.AppendRun(s.of, s.run)
	l.messages += s.run.Bytes
	l.waiting += s.run.Bytes
	l.end = s.end()
}
