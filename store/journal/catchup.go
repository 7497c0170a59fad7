package journal

import (
	"errors"
	"slices"

	"inkwell/store/spool"
)

// catchBytes is how many bytes of entries an outlet that is behind reads at a time.
const catchBytes = 1 << 20

// catchUp advances an outlet that is behind: through the convoy if it can join it, else with a reader of its own.
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

// readOn reads the next batch from the journal. When the outlet has caught up with the reader of the run, that one
// feeds the outlet again.
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
		case errors.As(err, &corrupt): // the reader of the run reports it
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

// pick adds to l the entries of a record that belong to the outlet.
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

// add adds to l the entries of s that were not taken yet.
func (w *stepper) add(s stretch, l *load) {
	t := w.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.skipTo(t.taken); s.run.Count > 0 {
		l.add(&s)
		t.taken = s.end()
		if s.end() <= t.counted { // Outlet.waiting was reduced when they were first taken
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

// skim reads ahead for a store that cannot be opened, to find the first entry that waits for it: the journal has to be
// kept from there on.
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

// meet has the reader of the run feed t again, if t has read up to where that reader is and its last attempt did not
// fail. covered says that the store was marked after everything that t has taken, so that t needs nothing of the
// journal before the meeting point.
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
