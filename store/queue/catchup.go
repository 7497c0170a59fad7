package queue

import (
	"errors"
	"slices"

	"inkwell/store"
	"inkwell/store/spool"
)

// catchBytes is how much a queue that is behind reads at once.
const catchBytes = 1 << 20

// catchUp reads the next batch from the journal, and rejoins the dispatcher where it meets it.
func (w *worker) catchUp() {
	q, r := w.q, w.q.run
	if w.reader == nil {
		q.mu.Lock()
		from := q.taken
		q.mu.Unlock()
		w.reader = w.j.spool.Reader(from)
		if r.rejoin(q, from, !w.dirty) {
			w.closeReader()
			return
		}
	}
	l := w.j.newLoad()
	for l.batch.Size() < catchBytes && r.ctx.Err() == nil {
		rec, ok, err := w.reader.TryNext()
		var corrupt *spool.CorruptError
		switch {
		case errors.As(err, &corrupt): // the dispatcher tells of it
			rec, ok, err = spool.Record{End: corrupt.End}, true, nil
		case err != nil:
			w.failed(err)
		case ok && w.batch.SetRecord(rec.Data) == nil:
			w.pick(rec, l)
		}
		if err != nil || !ok || r.rejoin(q, rec.End, !w.dirty && l.batch.Count() == 0) {
			w.closeReader()
			break
		}
	}
	if l.batch.Count() == 0 {
		w.j.loads.Put(l)
		return
	}
	w.load = l
}

// pick adds to l what is the queue's own in a record.
func (w *worker) pick(rec spool.Record, l *load) {
	q := w.q
	w.runs = w.batch.AppendRuns(w.runs[:0])
	for s := range stretches(rec, &w.batch, w.runs) {
		if !slices.Contains(q.run.route(s.run.Category), q) {
			continue
		}
		q.mu.Lock()
		if s = q.own(s); s.run.Count > 0 {
			l.add(s)
			q.taken = s.end()
			if s.end() <= w.counted { // taken before
				l.bytes -= s.run.Bytes
			}
		}
		q.mu.Unlock()
	}
}

func (w *worker) closeReader() {
	if w.reader == nil {
		return
	}
	if err := w.reader.Close(); err != nil {
		w.log.Warn("close journal reader", "error", err)
	}
	w.reader = nil
}

// rejoin makes the dispatcher feed q again, if q has read everything that the dispatcher has. nothing says that the post covers all of it:
// then q needs none of the journal, also if its store cannot be opened to post that again.
func (r *run) rejoin(q *Queue, readTo uint64, nothing bool) bool {
	r.dispatching.Lock()
	defer r.dispatching.Unlock()
	if readTo < r.position {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.behind, q.working = false, true
	q.taken = max(q.taken, readTo)
	if nothing && q.pending == nil {
		q.undone = noOffset
	}
	return true
}

// rewind makes the queue read the journal again from through, where the files stood as marks say.
func (q *Queue) rewind(through uint64, marks store.States) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pending != nil {
		q.run.j.loads.Put(q.pending)
		q.pending = nil
	}
	q.post = &post{through: through, marks: marks, saved: make(chan struct{})}
	q.behind, q.publish, q.taken = true, false, through
	q.undone = min(q.undone, through)
}
