package journal

import (
	"time"

	"inkwell/proto"
)

// load is a batch of entries on its way to a store. It belongs to one outlet at a time.
type load struct {
	batch    proto.Batch
	messages int64     // bytes of messages
	waiting  int64     // the part of messages that is counted in Outlet.waiting
	from     uint64    // journal offset of the first entry
	end      uint64    // journal offset behind the last entry
	since    time.Time // when the first entry was received
	turn     time.Time // when the file of these entries ends by the clock; zero: never
	charged  int64     // bytes charged to the budget
}

// newLoad returns an empty load.
func (j *Journal) newLoad() *load {
	l := j.loads.Get().(*load)
	l.batch.Reset()
	l.messages, l.waiting, l.charged, l.turn = 0, 0, 0, time.Time{}
	return l
}

// maxKept is the largest load whose memory is reused: the reader adds short runs until a load has maxPending bytes.
const maxKept = maxPending + maxPending/4

// free returns the memory of a load to the pool.
func (j *Journal) free(l *load) {
	if l.batch.Size() > maxKept {
		return
	}
	j.loads.Put(l)
}

// smallLoad is the size from which on a load is expected to become as large as those of other outlets.
const smallLoad = 16 << 10

// reserve makes room for the entries of s. expected is the size that a load will probably reach.
func (l *load) reserve(s *stretch, expected int) {
	size := 2 * l.batch.Size()
	if size >= smallLoad {
		size = max(size, expected)
	}
	l.batch.Reserve(s.run.Size(), size)
}

// add appends the entries of a stretch.
func (l *load) add(s *stretch) {
	if l.batch.Count() == 0 {
		l.from, l.since = s.start(), time.Now()
	}
	l.batch.AppendRun(s.batch, s.run)
	l.messages += s.run.Bytes
	l.waiting += s.run.Bytes
	l.end = s.end()
}
