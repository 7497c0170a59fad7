package queue

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"inkwell/internal/killpoint"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"
)

// worker is the goroutine of a queue: it alone touches the store.
type worker struct {
	q   *Queue
	j   *Journal
	log *slog.Logger

	store   store.Store // nil: not open
	load    *load       // taken and not handled yet; nil: none
	partly  bool        // some parts of the store have load
	through uint64      // the store has everything below
	counted uint64      // entries below are not in q.waiting any more
	dirty   bool        // the store may have something to mark

	next    time.Time // the store is not tried before
	handled time.Time // when a batch was taken last, or would have been if there had been any
	idled   bool      // nothing waited at the last turn
	checked time.Time
	marked  time.Time
	reader  *spool.Reader // while the queue is behind
	batch   proto.Batch   // of the reader
	runs    []proto.Run

	requeued, retried, lost tally
}

// loop works until the run ends and everything that can be done is done.
func (w *worker) loop() {
	r := w.q.run
	defer r.working.Done()
	w.through, w.counted, w.handled = w.q.start, w.q.start, time.Now()
	ended := r.ended
	for {
		wait := w.turn(time.Now())
		select {
		case <-w.q.wake:
			continue
		default:
		}
		if ended == nil && w.lastTurn() {
			break
		}
		t := time.NewTimer(wait)
		select {
		case <-w.q.wake:
		case <-t.C:
		case <-ended:
			ended = nil
			w.next = time.Time{} // one more attempt
		}
		t.Stop()
	}
	w.finish()
}

// lastTurn is called when no more is to come: it says whether nothing is left that could be done now.
func (w *worker) lastTurn() bool {
	failing := !w.next.IsZero()
	w.q.mu.Lock()
	left := w.load != nil || w.q.pending != nil || w.q.behind
	w.q.mu.Unlock()
	return !left || failing || w.q.run.ctx.Err() != nil
}

// turn does what is due and returns how long nothing else will be.
func (w *worker) turn(now time.Time) time.Duration {
	if w.load == nil {
		w.take(now)
	}
	if w.store == nil && !now.Before(w.next) {
		w.open()
	}
	if w.store != nil {
		w.published()
		w.check(now)
	}
	if w.store != nil && w.load != nil && !now.Before(w.next) {
		w.handle()
	}
	if w.store != nil {
		w.mark(now, false)
	}
	return w.idle(now)
}

// idle is how long there is nothing to do, unless somebody wakes the worker.
func (w *worker) idle(now time.Time) time.Duration {
	due := w.checked.Add(w.q.o.Check)
	sooner := func(t time.Time) {
		if t.Before(due) {
			due = t
		}
	}
	if w.load != nil || w.store == nil {
		due = w.next
	}
	if w.dirty && !w.partly {
		sooner(w.marked.Add(w.j.o.saveEvery))
	}
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	switch {
	case w.load != nil:
	case w.q.behind: // what is read from the journal waits for no interval
		sooner(w.next)
	case w.q.pending != nil:
		sooner(w.handled.Add(w.q.o.Interval))
	}
	return max(0, due.Sub(now))
}

// take makes the next batch of what waits, when it is time for one: at every Interval, counted also while nothing waits, as the original
// does. So a call can count on that what it finds waiting stays there for a while, and max_queue_size is a limit between two of these
// times.
func (w *worker) take(now time.Time) {
	q := w.q
	q.mu.Lock()
	waits := q.pending != nil || q.behind
	q.mu.Unlock()
	if w.idled && waits {
		w.handled = w.handled.Add(now.Sub(w.handled).Truncate(q.o.Interval))
	}
	w.idled = !waits
	due := now.Sub(w.handled) >= q.o.Interval
	select {
	case <-q.run.stop:
		due = true
	default:
	}
	q.mu.Lock()
	switch {
	case q.pending != nil && (due || q.enough() || q.behind):
		w.load, q.pending = q.pending, nil
	case q.pending == nil && q.behind && !now.Before(w.next):
		q.mu.Unlock()
		w.catchUp()
		q.mu.Lock()
	}
	q.mu.Unlock()
	if w.load == nil {
		return
	}
	w.handled = now
	q.waiting.Add(-w.load.bytes)
	w.counted = max(w.counted, w.load.last)
	q.signal()
}

// open opens the store as it stood at the last checkpoint, and sees to it that a checkpoint knows how it stands before anything is
// written to it.
func (w *worker) open() {
	marks, known := w.j.saver.before(w.q.key)
	if !known { // the status says why
		w.next = time.Now().Add(max(w.q.o.Interval, w.j.o.retry))
		w.j.saver.hurry()
		return
	}
	s, err := w.q.o.Open(marks)
	if err != nil {
		w.failed(err)
		if w.load != nil && w.lossy(err) {
			w.lost.add(int64(w.load.batch.Count()))
			w.done()
			before, _ := w.q.posted() // the files stand as they did
			w.q.put(&post{through: w.through, marks: before.marks, saved: make(chan struct{})}, false)
			w.j.saver.sent()
		}
		return
	}
	w.store, w.next, w.checked = s, time.Time{}, time.Time{}
	if w.load == nil {
		w.q.trouble.set(nil)
	}
	w.q.trouble.watch(s)
	if _, ok := s.(store.Keeper); ok {
		w.settle()
	}
}

// settle waits until a checkpoint knows how the store stands, and says whether it does.
func (w *worker) settle() bool {
	w.dirty = true
	if w.mark(time.Now(), true); w.store == nil {
		return false
	}
	w.j.saver.hurry()
	p, _ := w.q.posted()
	select {
	case <-p.saved:
		w.published()
	case <-w.q.run.ctx.Done():
		w.abandon()
	}
	return w.store != nil
}

// opened is called when the store opened something that has to be marked before it is written to. It says whether that is done.
func (w *worker) opened() bool {
	if w.partly {
		w.abandon() // nothing can be marked while some parts have the batch: all are opened again
		return false
	}
	return w.settle()
}

// check gives the store its time.
func (w *worker) check(now time.Time) {
	if now.Sub(w.checked) < w.q.o.Check {
		return
	}
	w.checked = now
	c, ok := w.store.(store.Checker)
	if !ok {
		return
	}
	w.dirty = true
	switch err := c.Check(now); {
	case errors.Is(err, store.ErrOpened):
		w.opened()
	case err != nil:
		w.failed(err)
	case w.load == nil:
		w.q.trouble.set(nil) // nobody else would
	}
}

// handle offers the batch to the store.
func (w *worker) handle() {
	q := w.q
	q.mu.Lock()
	q.since = time.Now()
	q.mu.Unlock()
	err := w.store.Append(q.run.ctx, &w.load.batch)
	if errors.Is(err, store.ErrOpened) {
		if !w.opened() {
			return
		}
		err = w.store.Append(q.run.ctx, &w.load.batch)
	}
	if err != nil {
		w.failed(err)
		if w.load == nil || !w.lossy(err) {
			return
		}
		w.lost.add(leftOf(err, w.load))
	} else {
		q.trouble.set(nil)
	}
	killpoint.Reach("queue.taken")
	w.next = time.Time{}
	w.done()
	q.mu.Lock()
	q.working = true
	q.aside = q.aside && (q.behind || q.pending != nil)
	q.mu.Unlock()
}

// lossy says whether the batch that failed is thrown away.
func (w *worker) lossy(err error) bool {
	return w.q.o.Lossy && !w.q.o.Buffered && w.q.run.ctx.Err() == nil && !errors.Is(err, store.ErrWaiting)
}

// done is the end of the batch: the store has it, or it is lost.
func (w *worker) done() {
	w.through, w.dirty, w.partly = w.load.last, true, false
	w.j.loads.Put(w.load)
	w.load = nil
}

// failed notes that the store did not take the batch, or could not be opened.
func (w *worker) failed(err error) {
	w.next = time.Now().Add(max(w.q.o.Interval, w.j.o.retry))
	if errors.Is(err, context.Canceled) && w.q.run.ctx.Err() != nil {
		return
	}
	w.q.mu.Lock()
	begins := w.q.o.Buffered && !w.q.aside
	w.q.working, w.q.aside = false, w.q.o.Buffered
	w.q.mu.Unlock()
	w.q.signal()
	if begins {
		w.retried.add(1)
	}
	if !errors.Is(err, store.ErrWaiting) {
		w.q.trouble.set(err)
		if w.load != nil && !w.q.o.Lossy && !w.q.o.Buffered {
			w.requeued.add(leftOf(err, w.load))
		}
	}
	var part *store.PartialError
	w.partly = w.partly || errors.As(err, &part)
	if errors.Is(err, store.ErrBroken) && w.store != nil {
		w.abandon()
	}
}

// leftOf is how many entries of l were not taken.
func leftOf(err error, l *load) int64 {
	var part *store.PartialError
	if errors.As(err, &part) {
		return int64(part.Left)
	}
	return int64(l.batch.Count())
}

// abandon closes the store without a word about how it stands; it will be opened as the last checkpoint knows it, and the journal is
// read again from there.
func (w *worker) abandon() {
	if err := w.store.Close(); err != nil {
		w.log.Debug("close store", "error", err)
	}
	w.store, w.partly, w.dirty = nil, false, false
	w.q.trouble.watch(nil)
	if w.load != nil {
		w.j.loads.Put(w.load)
		w.load = nil
	}
	w.closeReader()
	w.through = w.j.saver.goBack(w.q)
}

// finish is the end of a run: everything that was taken is posted for the last checkpoint.
func (w *worker) finish() {
	if w.store != nil {
		w.published()
		w.seal()
	}
	if w.store != nil {
		w.mark(time.Now(), true)
	}
	w.closeReader()
	w.q.run.drained.Done()
	<-w.q.run.last
	if w.store == nil {
		return
	}
	w.published()
	if err := w.store.Close(); err != nil {
		w.log.Error("close store", "error", err)
	}
}
