package journal

import (
	"errors"
	"slices"

	"inkwell/store/spool"
)

// catchBytes is how much an outlet that is behind reads at once.
const catchBytes = 1 << 20

// catchUp has the outlet read on in the journal, with others if it can.
func (w *stepper) catchUp() {
	w.wait = 0
	if w.reader != nil {
		w.readOn()
		return
	}
	t, r := w.t, w.t.run
	if !t.joined() {
		t.mu.Lock()
		from := t.taken
		t.mu.Unlock()
		if r.meet(t, from, !w.dirty.Load()) {
			return
		}
	}
	wait, ok := r.convoy.pull(t)
	if w.wait = wait; !ok {
		w.readOn()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending != nil && (t.due || t.enough()) {
		w.load, t.pending, t.due = t.pending, nil, false
	}
}

// readOn reads the next batch from the journal, and has the reader feed the outlet again where it meets it.
func (w *stepper) readOn() {
	t, r := w.t, w.t.run
	if w.reader == nil {
		t.mu.Lock()
		from := t.taken
		t.mu.Unlock()
		if r.meet(t, from, !w.dirty.Load()) {
			return
		}
		w.reader = w.j.spool.Reader(from)
	}
	l := w.j.newLoad()
	for l.batch.Size() < catchBytes && r.ctx.Err() == nil {
		rec, ok, err := w.reader.TryNext()
		var corrupt *spool.CorruptError
		switch {
		case errors.As(err, &corrupt): // the reader tells of it
			rec, ok, err = spool.Record{End: corrupt.End}, true, nil
		case err != nil:
			w.failed(err)
		case ok && w.batch.SetRecord(rec.Data) == nil:
			r.reread.Add(int64(len(rec.Data)))
			w.pick(rec, l)
		}
		if err != nil || !ok || r.meet(t, rec.End, !w.dirty.Load() && l.batch.Count() == 0) {
			w.closeReader()
			break
		}
	}
	if l.batch.Count() == 0 {
		w.j.free(l)
		return
	}
	w.load = l
}

// pick adds to l what is the outlet's own in a record.
func (w *stepper) pick(rec spool.Record, l *load) {
	t, r := w.t, w.t.run
	w.runs = w.batch.AppendRuns(w.runs[:0])
	for s := range stretches(rec, &w.batch, w.runs) {
		target := r.routes.Route(s.run.Category)
		if !slices.Contains(target.Outlets, t) {
			continue
		}
		for part := range r.due(s, t.key, target) {
			w.add(part, l)
		}
	}
}

// add adds to l what of s was not taken yet.
func (w *stepper) add(s stretch, l *load) {
	t := w.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.behind(t.taken); s.run.Count > 0 {
		l.add(&s)
		t.taken = s.end()
		if s.end() <= t.counted { // taken before
			l.waiting -= s.run.Bytes
		}
	}
}

func (w *stepper) closeReader() {
	if w.reader == nil {
		return
	}
	if err := w.reader.Close(); err != nil {
		w.j.log.Warn("close journal reader", "error", err)
	}
	w.reader = nil
}

// skim finds out, for a store that cannot be opened, where the first entry is that waits for it: the journal is needed
// from there.
func (w *stepper) skim() {
	t := w.t
	t.mu.Lock()
	known := t.fed || t.undone == noOffset || w.skimmed > 0
	t.mu.Unlock()
	if known || w.load != nil {
		return
	}
	if w.readOn(); w.load == nil {
		return
	}
	w.skimmed = int64(w.load.batch.Count())
	t.mu.Lock()
	t.undone = max(t.undone, w.load.from)
	t.mu.Unlock()
	w.putBack()
}

// meet has the reader feed t again if t has read everything that the reader has and its store is open. covered says
// that the post covers all of it: then t needs nothing of the journal.
func (r *run) meet(t *Outlet, readTo uint64, covered bool) bool {
	r.reading.Lock()
	defer r.reading.Unlock()
	if readTo < r.position {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fed, t.called = !t.failing, false
	t.taken = max(t.taken, readTo)
	if covered && t.pending == nil && t.marked == nil {
		t.undone = noOffset
	}
	return true
}
