package journal

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"
)

// stepper is the part of an outlet that only the goroutine stepping it may touch: the store, and the batch on its way
// to it.
type stepper struct {
	t *Outlet
	j *Journal

	store   store.Store   // nil: not open
	load    *load         // the current batch, taken and not delivered yet; nil: none
	partly  bool          // some parts of the store have the current batch
	through uint64        // the store has every entry below this offset
	dirty   atomic.Bool   // the store may have something to mark
	later   faultfs.Later // the files to be synced with the next Mark
	round   int64         // run.round at the last Mark

	retryAt time.Time // no attempt before this time
	handled time.Time // when a batch was last taken, or would have been if entries had been pending
	idled   bool      // nothing was pending at the last turn
	checked time.Time
	wait    time.Duration // before an outlet that is behind continues to read
	skimmed int64         // entries of the next batch of a store that is not open; 0 = not determined
	last    bool          // the journal is read to its end: this is the last attempt
	ended   bool          // the outlet is drained
	reader  *spool.Reader
	batch   proto.Batch // the record that reader is at
	runs    []proto.Run
	blocks  []*block // being compressed, in order

	requeued, retried, lost eventCounter
}

// turnBytes is how many bytes an outlet delivers before it lets other outlets use the bench.
const turnBytes = 4 << 20

// step does everything that is due. It returns when the next step is due, unless the outlet is woken before. done says
// that the outlet is closed.
func (w *stepper) step(now time.Time) (next time.Time, done bool) {
	at := phase(w.t.run.phase.Load())
	if at == closing {
		w.release()
		return time.Time{}, true
	}
	if w.ended {
		return now.Add(time.Hour), false
	}
	if at == draining && !w.last {
		w.last, w.retryAt = true, time.Time{}
	}
	w.work(now)
	if w.last && w.finished() {
		w.finish()
		return now.Add(time.Hour), false
	}
	if w.last && w.t.unsynced() {
		w.j.saver.hurry() // the next regular checkpoint can be later than the end of Stop
	}
	return w.deadline(now), false
}

// work advances the outlet through its states as far as possible now.
func (w *stepper) work(now time.Time) {
	if err := w.t.failure(); err != nil && w.store != nil {
		w.failed(errors.Join(err, store.ErrBroken))
	}
	if w.store == nil && !now.Before(w.retryAt) {
		w.open(now)
	}
	if w.store == nil {
		w.loseWithoutStore(now)
		w.skim()
		return
	}
	w.skimmed = 0
	if w.t.current() == settling && !w.settled() {
		return
	}
	w.publish()
	w.writeBlocks()
	if w.ready(now) && store.Owes(w.store) {
		w.deliverInherited(now)
	}
	for sum := 0; sum < turnBytes && w.ready(now) && len(w.blocks) < maxAhead && (w.load != nil || w.take(now)); {
		sum += w.load.batch.Size()
		w.handle()
	}
	if w.ready(now) { // after the batches, because they may belong to the file that the clock ends
		w.check(now)
	}
	if w.ready(now) {
		w.mark(false)
	}
	if w.ready(now) {
		w.setHealthy()
	}
}

// ready reports whether the store can be written to.
func (w *stepper) ready(now time.Time) bool {
	return w.store != nil && !now.Before(w.retryAt) && w.t.current() != settling
}

// setHealthy sets the state of an outlet that has no problem.
func (w *stepper) setHealthy() {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	w.t.state.Store(int32(behind))
	if !w.t.fed {
		return
	}
	w.t.state.Store(int32(working))
	if w.t.pending == nil && w.load == nil && len(w.blocks) == 0 && !w.dirty.Load() && w.t.marked == nil {
		w.t.undone = noOffset // the report covers every entry that was taken
	}
}

// enter sets the state.
func (w *stepper) enter(s outletState) { w.t.state.Store(int32(s)) }

// finished reports, during shutdown, whether there is nothing left that could be done now.
func (w *stepper) finished() bool {
	w.t.mu.Lock()
	left := w.load != nil || len(w.blocks) > 0 || w.t.pending != nil || !w.t.fed || w.t.marked != nil ||
		w.t.current() == settling
	w.t.mu.Unlock()
	if w.t.current() == settling && w.j.saver.failing.Load() {
		return true
	}
	return !left || !w.retryAt.IsZero() || w.t.run.ctx.Err() != nil
}

// deadline returns when the next step is due.
func (w *stepper) deadline(now time.Time) time.Time {
	if w.store == nil || now.Before(w.retryAt) {
		return w.retryAt
	}
	next := w.checked.Add(w.t.o.Check)
	sooner := func(at time.Time) {
		if at.Before(next) {
			next = at
		}
	}
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	switch {
	case w.t.current() == settling:
		return now.Add(time.Minute) // a checkpoint wakes the outlet
	case w.load != nil:
		sooner(w.retryAt)
	case len(w.blocks) >= maxAhead: // the first finished block wakes the outlet
	case !w.t.fed:
		return now.Add(w.wait)
	case w.t.pending != nil && (w.t.due || w.last || w.t.enough()):
		return now
	case w.t.pending != nil:
		sooner(w.handled.Add(w.interval()))
		if turn := w.t.pending.turn; !turn.IsZero() {
			sooner(turn)
		}
	}
	return next
}

// interval returns after which time a small batch is taken. With many outlets, each gets few lines in that time, which
// compress badly; as the journal has them, the interval can be longer then.
func (w *stepper) interval() time.Duration {
	d := w.t.o.Interval
	if w.t.o.Target < blockTarget {
		return d
	}
	return d * time.Duration(min(max(w.t.run.budget.count.Load()/slackOutlets, 1), maxSlack))
}

const (
	blockTarget  = 512 << 10 // bytes: an outlet with at least this target gathers batches to compress them well
	slackOutlets = 200       // the interval grows by its length for each so many outlets
	maxSlack     = 6         // largest factor
)

// take makes the pending entries the current batch if it is time for that, and reports whether there is a batch. Like
// in the original, the time comes at fixed intervals, which also pass while nothing is pending. So entries that wait
// keep waiting for a predictable time, and max_queue_size limits what is received between two such times.
func (w *stepper) take(now time.Time) bool {
	t := w.t
	t.mu.Lock()
	waits := t.pending != nil || !t.fed
	if w.idled && waits {
		w.handled = w.handled.Add(now.Sub(w.handled).Truncate(max(t.o.Interval, 1)))
	}
	w.idled = !waits
	due := t.due || w.last || now.Sub(w.handled) >= w.interval() || waits && w.turned(now)
	switch {
	case t.pending != nil && (due || t.enough() || !t.fed && !t.convoy):
		w.load, t.pending, t.due = t.pending, nil, false
		t.mu.Unlock()
	case !t.fed:
		t.mu.Unlock()
		w.catchUp()
	default:
		t.mu.Unlock()
	}
	if w.load == nil {
		return false
	}
	w.handled = now
	t.waiting.Add(-w.load.waiting)
	t.mu.Lock()
	t.counted = max(t.counted, w.load.end)
	t.mu.Unlock()
	signal(t.room)
	return true
}

// turned reports whether the file for the pending entries has ended by the clock. The caller holds t.mu.
func (w *stepper) turned(now time.Time) bool {
	l := w.t.pending
	return l != nil && !l.turn.IsZero() && !now.Before(l.turn)
}

// handle offers the current batch to the store.
func (w *stepper) handle() {
	if w.shouldDefer() {
		w.deferLoad()
		return
	}
	w.t.run.budget.release(w.load)
	if store.Prepare(w.store, &w.load.batch) {
		w.recordOpened()
		return
	}
	err := w.append()
	var part *store.PartialError
	if err != nil && !errors.As(err, &part) && store.Fresh(w.store) {
		w.recordOpened() // Append opened something for entries that a former server left
		return
	}
	w.endAttempt(err)
}

// endAttempt handles the result of offering the current batch to the store.
func (w *stepper) endAttempt(err error) {
	t := w.t
	if err != nil {
		lossy := w.lossy(err)
		w.failed(err)
		if w.load == nil || !lossy {
			return
		}
		w.lost.add(leftOf(err, w.load))
	} else {
		t.trouble.set(nil)
	}
	killpoint.Reach("outlet.taken")
	w.retryAt = time.Time{}
	w.endLoad()
	t.mu.Lock()
	t.failing = false
	t.aside = t.aside && (!t.fed || t.pending != nil)
	t.mu.Unlock()
}

// append appends the current batch to the store. The time when the batch was received decides into which file it goes.
func (w *stepper) append() error {
	if d, ok := w.store.(store.Dated); ok {
		return d.AppendDated(w.t.run.ctx, &w.load.batch, w.load.since)
	}
	return w.store.Append(w.t.run.ctx, &w.load.batch)
}

// lossy reports whether a batch that failed with err is discarded.
func (w *stepper) lossy(err error) bool {
	return w.t.o.Lossy && !w.t.o.Buffered && w.t.run.ctx.Err() == nil && !errors.Is(err, store.ErrWaiting)
}

// endLoad finishes the current batch: the store has it, or it is lost.
func (w *stepper) endLoad() {
	w.through, w.partly = w.load.end, false
	w.dirty.Store(true)
	w.j.free(w.load)
	w.load = nil
}

// failed handles an error of the store, in opening it or in taking the batch. The batch will be read from the journal
// again for the next attempt, unless some parts of the store have it or it is discarded.
func (w *stepper) failed(err error) {
	t := w.t
	w.retryAt = time.Now().Add(max(min(t.o.Interval, maxRetry), w.j.o.Retry))
	if errors.Is(err, context.Canceled) && t.run.ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	begins := t.o.Buffered && !t.aside
	t.failing, t.aside = true, t.o.Buffered
	t.mu.Unlock()
	signal(t.room)
	if begins {
		w.retried.add(1)
	}
	if !errors.Is(err, store.ErrWaiting) {
		t.trouble.set(err)
		if n := w.refusedBy(err); n > 0 && !t.o.Lossy && !t.o.Buffered {
			w.requeued.add(n)
		}
	}
	var part *store.PartialError
	w.partly = w.partly || errors.As(err, &part)
	switch {
	case errors.Is(err, store.ErrBroken) && w.store != nil:
		w.abandon()
	case w.store != nil:
		w.enter(waiting)
	}
	if !w.lossy(err) {
		w.putBack()
	}
}

// maxRetry bounds the wait after a failure when the interval of the outlet is longer.
const maxRetry = 2 * time.Second

// putBack drops the current batch and the pending entries; they will be read from the journal again.
func (w *stepper) putBack() {
	t := w.t
	from, blocks := w.dropBlocks()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop()
	if w.load != nil && !w.partly {
		from, blocks = w.load.from, true // the current batch is older than the blocks
		t.run.budget.release(w.load)
		w.j.free(w.load)
		w.load = nil
	}
	if blocks {
		t.taken = min(t.taken, from)
		w.closeReader()
	}
}

// refusedBy returns how many entries err keeps from the store: those of the current batch, or, if the store is not
// open, those of the next batch.
func (w *stepper) refusedBy(err error) int64 {
	if w.load != nil {
		return leftOf(err, w.load)
	}
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	if w.t.pending != nil {
		return int64(w.t.pending.batch.Count())
	}
	return w.skimmed
}

// leftOf returns how many entries of l were not taken.
func leftOf(err error, l *load) int64 {
	var part *store.PartialError
	if errors.As(err, &part) {
		return int64(part.Left)
	}
	return int64(l.batch.Count())
}

// loseWithoutStore discards the entries for a lossy store that cannot be opened.
func (w *stepper) loseWithoutStore(now time.Time) {
	if !w.t.o.Lossy || w.t.o.Buffered || w.t.run.ctx.Err() != nil {
		return
	}
	for w.load != nil || w.take(now) {
		w.t.run.budget.release(w.load)
		w.lost.add(int64(w.load.batch.Count()))
		w.endLoad()
		before, _ := w.t.lastReport() // the states of the files have not changed
		w.t.offer(&mark{t: w.t, report: newReport(w.through, before.files, before.booked)})
		w.j.saver.sent()
	}
}
