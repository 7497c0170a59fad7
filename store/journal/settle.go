package journal

import (
	"errors"
	"maps"
	"time"

	"inkwell/internal/killpoint"
	"inkwell/store"
)

// open opens the store as it stood at the last checkpoint, and sees to it that a checkpoint knows how it stands before
// anything is written to it.
func (w *stepper) open(now time.Time) {
	files, known := w.j.saver.before(w.t)
	if !known { // the status says why
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
		w.rest()
		return
	}
	w.settle()
}

// settle posts how the store stands and waits for a checkpoint to know that.
func (w *stepper) settle() {
	w.dirty.Store(true)
	if w.mark(true); w.store != nil {
		w.await()
	}
}

// await has nothing written to the store before a checkpoint knows how it stands.
func (w *stepper) await() {
	w.enter(settling)
	w.j.saver.hurry()
}

// settled says whether a checkpoint knows how the store stands.
func (w *stepper) settled() bool {
	if p, _ := w.t.posted(); w.t.unsynced() || !p.known() {
		return false
	}
	w.rest()
	return true
}

// fresh is called when something in the store was opened that has to be marked before it is written to.
func (w *stepper) fresh() {
	if w.partly {
		w.abandon() // nothing can be marked while some parts have the batch: all are opened again
		return
	}
	w.settle()
}

// check gives the store its time.
func (w *stepper) check(now time.Time) {
	if now.Sub(w.checked) < w.t.o.Check {
		return
	}
	w.checked = now
	_, node := w.store.(store.Node)
	if _, ok := w.store.(store.Checker); !ok && !node {
		return
	}
	w.dirty.Store(true)
	if store.Prepare(w.store, nil) {
		w.fresh()
		return
	}
	switch err := store.Check(w.store, now); {
	case err != nil && store.Fresh(w.store):
		w.fresh()
	case err != nil:
		w.failed(err)
	case w.load == nil:
		w.t.trouble.set(nil) // nobody else would
	}
}

// inherit has the store bring to its place what a former server left, before it is offered anything new.
func (w *stepper) inherit(now time.Time) {
	w.checked = time.Time{}
	w.check(now)
	if !w.ready(now) { // it could not, or has opened something that has to be marked first
		return
	}
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	w.t.failing = false
}

// mark asks the store how it stands, when a checkpoint is being made, or now. That becomes the outlet's post when it
// was synced.
func (w *stepper) mark(now bool) {
	t := w.t
	if !w.dirty.Load() || w.partly || t.unsynced() {
		return
	}
	before, _ := t.posted()
	if !store.Keeps(w.store) {
		w.dirty.Store(false)
		t.offer(&mark{t: t, post: newPost(w.through, before.files, before.booked), left: w.load != nil})
		w.j.saver.sent()
		return
	}
	u, _ := w.store.(store.Urgent)
	urgent := u != nil && u.Urgent() && before.known()
	round := t.run.round.Load()
	if !now && !urgent && w.round == round {
		return
	}
	if w.published(); w.store == nil { // of the post before, while the store still knows what that says
		return
	}
	marks := store.Marks{Files: maps.Clone(before.files), Later: &w.later} // with those of stores that are not open again yet
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
	t.offer(&mark{t: t, post: newPost(w.through, marks.Files, booked), added: addition{before.booked, booked, marks.Added},
		files: w.later.Take(), left: w.load != nil || len(w.blocks) > 0})
	switch {
	case fresh:
		w.await()
	case urgent:
		w.j.saver.hurry()
	}
}

// published tells the store that a checkpoint has its marks.
func (w *stepper) published() {
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

// abandon closes the store without a word about how it stands; it will be opened as the last checkpoint knows it, and
// the journal is read again from there.
func (w *stepper) abandon() {
	w.t.mu.Lock()
	w.t.marked = nil // its files are closed, perhaps while they are synced
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

// finish is the end of a run: everything that was taken is posted for the last checkpoint.
func (w *stepper) finish() {
	w.published()
	if w.store != nil && store.Keeps(w.store) && !w.partly && !w.t.o.Continued {
		w.dirty.Store(true)
		if err := store.Seal(w.store); err != nil {
			w.failed(err)
		}
	}
	if w.store != nil {
		w.mark(true)
	}
	w.closeReader()
	w.t.mu.Lock()
	if w.t.pending != nil {
		w.t.drop() // nobody takes it any more
	}
	w.t.mu.Unlock()
	w.ended = true
	w.t.run.left.Done()
}

// release gives files their names; a checkpoint knows how they stand. Their directories are synced before close.
func (w *stepper) release() {
	defer w.t.run.open.Done()
	if w.store != nil {
		w.published()
	}
}

// close closes the store.
func (w *stepper) close() {
	if w.store == nil { // it failed, or never worked
		return
	}
	if err := w.store.Close(); err != nil {
		w.j.log.Error("close store", "category", w.t.o.Name, "store", w.t.o.Store, "error", err)
	}
}
