package journal

import (
	"errors"
	"maps"
	"time"

	"inkwell/internal/killpoint"
	"inkwell/store"
)

// open opens the store with the states of the last checkpoint. Nothing is written to it before a checkpoint has
// recorded the states that it reports then.
func (w *stepper) open(now time.Time) {
	files, known := w.j.saver.before(w.t)
	if !known { // the health of the saver shows the reason
		w.retryAt = now.Add(w.j.o.Retry)
		w.j.saver.hurry()
		return
	}
	s, err := w.t.o.Open(files)
	if err != nil {
		w.failed(err)
		return
	}
	store.Prepare(s, nil)
	if err := store.Know(s, &w.t.run.unsynced.disks); err != nil {
		w.failed(errors.Join(err, s.Close()))
		return
	}
	w.store, w.retryAt, w.checked = s, time.Time{}, time.Time{}
	w.t.mu.Lock()
	w.t.failing = false
	w.t.mu.Unlock()
	if w.load == nil {
		w.t.trouble.set(nil)
	}
	w.t.trouble.watch(s)
	w.enter(working)
	if !store.Keeps(s) {
		return
	}
	if e, ok := s.(store.Exact); ok && e.Exact() && w.j.saver.lists(w.t.key) {
		w.setHealthy()
		return
	}
	w.settle()
}

// settle marks the store and waits for a checkpoint with its report.
func (w *stepper) settle() {
	w.dirty.Store(true)
	if w.mark(true); w.store != nil {
		w.awaitCheckpoint()
	}
}

// awaitCheckpoint keeps the outlet from writing to the store until a checkpoint has its report.
func (w *stepper) awaitCheckpoint() {
	w.enter(settling)
	w.j.saver.hurry()
}

// settled reports whether a checkpoint has the report of the store.
func (w *stepper) settled() bool {
	if p, _ := w.t.lastReport(); w.t.unsynced() || !p.known() {
		return false
	}
	w.setHealthy()
	return true
}

// recordOpened is called when a part of the store was opened, which must be recorded in a checkpoint before it is
// written to.
func (w *stepper) recordOpened() {
	if w.partly {
		w.abandon() // the store cannot be marked while only some parts have the batch: reopen all of it
		return
	}
	w.settle()
}

// check calls the periodic work of the store when it is time for it.
func (w *stepper) check(now time.Time) {
	if now.Sub(w.checked) < w.t.o.Check {
		return
	}
	w.checked = now
	_, node := w.store.(store.Node)
	if _, ok := w.store.(store.Checker); !ok && !node {
		return
	}
	if store.Prepare(w.store, nil) {
		w.recordOpened()
		return
	}
	err := store.Check(w.store, now)
	if q, ok := w.store.(store.Quiet); !ok || !q.Quiet() {
		w.dirty.Store(true)
	}
	switch {
	case err != nil && store.Fresh(w.store):
		w.recordOpened()
	case err != nil:
		w.failed(err)
	case w.load == nil:
		w.t.trouble.set(nil) // without a batch, nothing else would clear the error
	}
}

// deliverInherited has the store deliver what a former server left, before it is offered anything new.
func (w *stepper) deliverInherited(now time.Time) {
	w.checked = time.Time{}
	w.check(now)
	if !w.ready(now) { // it failed, or opened something that must be recorded first
		return
	}
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	w.t.failing = false
}

// mark has the store report its states, if a checkpoint is being made or if now is set. When the files are synced, the
// result becomes the report of the outlet.
func (w *stepper) mark(now bool) {
	t := w.t
	if !w.dirty.Load() || w.partly || t.unsynced() {
		return
	}
	before, _ := t.lastReport()
	if !store.Keeps(w.store) {
		w.dirty.Store(false)
		t.offer(&mark{t: t, report: newReport(w.through, before.files, before.booked), left: w.load != nil})
		w.j.saver.sent()
		return
	}
	u, _ := w.store.(store.Urgent)
	urgent := u != nil && u.Urgent() && before.known()
	round := t.run.round.Load()
	if !now && !urgent && w.round == round {
		return
	}
	if w.publish(); w.store == nil { // for the report before: after Mark the store cannot publish it any more
		return
	}
	// before.files: keep the states of stores that are not open again yet
	marks := store.Marks{Files: maps.Clone(before.files), Later: &w.later}
	if marks.Files == nil {
		marks.Files = make(store.States)
	}
	fresh := store.Fresh(w.store)
	began := time.Now()
	err := errors.Join(store.Know(w.store, &t.run.unsynced.disks), store.Mark(w.store, &marks))
	t.run.markTime.Add(int64(time.Since(began)))
	t.run.marks.Add(1)
	if err != nil {
		w.failed(store.Broken(err))
		return
	}
	killpoint.Reach("outlet.marked")
	w.round = round
	w.dirty.Store(false)
	booked := before.booked
	if len(marks.Added) > 0 {
		booked = max(booked+1, w.through)
	}
	t.offer(&mark{t: t, report: newReport(w.through, marks.Files, booked),
		added: addition{before.booked, booked, marks.Added},
		files: w.later.Take(), left: w.load != nil || len(w.blocks) > 0})
	switch {
	case fresh:
		w.awaitCheckpoint()
	case urgent:
		w.j.saver.hurry()
	}
}

// publish tells the store that a checkpoint has its marks.
func (w *stepper) publish() {
	w.t.mu.Lock()
	due := w.t.publish
	w.t.publish = false
	w.t.mu.Unlock()
	if !due || w.store == nil {
		return
	}
	if err := store.Publish(w.store, &w.later); err != nil {
		w.failed(err)
	}
}

// abandon closes the store without marking it. It will be reopened from the last checkpoint, and the journal is read
// again from there.
func (w *stepper) abandon() {
	w.t.mu.Lock()
	w.t.marked = nil // its files are closed, perhaps during their sync
	w.t.mu.Unlock()
	if err := w.store.Close(); err != nil {
		w.j.log.Debug("close store", "error", err)
	}
	w.store, w.partly = nil, false
	w.later.Take()
	w.dirty.Store(false)
	w.t.trouble.watch(nil)
	w.enter(closed)
	w.dropBlocks()
	if w.load != nil {
		w.t.run.budget.release(w.load)
		w.j.free(w.load)
		w.load = nil
	}
	w.closeReader()
	w.through = w.j.saver.goBack(w.t)
}

// finish ends the work of the outlet in a run: everything that was taken is marked for the last checkpoint.
func (w *stepper) finish() {
	w.publish()
	keeps, waits := w.store != nil && store.Keeps(w.store), w.t.unsynced()
	if keeps && !w.partly && !w.t.o.Continued && !waits {
		w.dirty.Store(true)
		if err := store.Seal(w.store); err != nil {
			w.failed(err)
		}
	}
	if w.store != nil {
		w.mark(true)
	}
	// Without a mark after Seal, the next run has to know the files, to continue them.
	w.t.unsealed.Store(keeps && (waits || w.store == nil || w.dirty.Load() || w.partly))
	w.closeReader()
	w.t.mu.Lock()
	if w.t.pending != nil {
		w.t.drop() // it stays in the journal for the next run
	}
	w.t.mu.Unlock()
	w.ended = true
	w.t.run.left.Done()
}

// release gives finished files their final names, after a checkpoint with their states was saved. run.close syncs their
// directories.
func (w *stepper) release() {
	defer w.t.run.open.Done()
	if w.store != nil {
		w.publish()
	}
}

// close closes the store.
func (w *stepper) close() {
	if w.store == nil { // it failed, or was never opened
		return
	}
	if err := w.store.Close(); err != nil {
		w.j.log.Error("close store", "category", w.t.o.Name, "store", w.t.o.Store, "error", err)
	}
}
