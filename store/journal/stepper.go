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

// stepper is what only the goroutine that steps an outlet may touch: its store, and the batch on its way there.
type stepper struct {
	t *Outlet
	j *Journal

	store   store.Store   // nil: not open
	load    *load         // taken and not handled yet; nil: none
	partly  bool          // some parts of the store have load
	through uint64        // the store has everything below
	dirty   atomic.Bool   // the store may have something to mark
	later   faultfs.Later // what has to be synced with the next Mark
	round   int64         // of the last Mark

	retryAt time.Time // the store is not tried before
	handled time.Time // when a batch was taken last, or would have been if there had been any
	idled   bool      // nothing waited at the last turn
	checked time.Time
	wait    time.Duration // of an outlet that is behind, before it reads on
	skimmed int64         // entries of the first batch that waits for the store, which is not open; 0 = it was not looked for
	last    bool          // everything is read: this is the last attempt
	ended   bool          // everything that can be done is done
	reader  *spool.Reader
	batch   proto.Batch // of the reader
	runs    []proto.Run
	blocks  []*block // that are being compressed, in their order

	requeued, retried, lost tally
}

// turnBytes is how much an outlet handles before it lets others have the bench.
const turnBytes = 4 << 20

// step does what is due, and returns when something will be due again unless somebody wakes the outlet before. done
// says that the outlet is closed.
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
	return w.deadline(now), false
}

// work brings the outlet from state to state as far as it goes now.
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
	w.published()
	w.writeBlocks()
	if w.ready(now) && store.Owes(w.store) {
		w.inherit(now)
	}
	for sum := 0; sum < turnBytes && w.ready(now) && len(w.blocks) < maxAhead && (w.load != nil || w.take(now)); {
		sum += w.load.batch.Size()
		w.handle()
	}
	if w.ready(now) { // behind what came in before the clock ended a file
		w.check(now)
	}
	if w.ready(now) {
		w.mark(false)
	}
	if w.ready(now) {
		w.rest()
	}
}

// ready says whether the store can be given something.
func (w *stepper) ready(now time.Time) bool {
	return w.store != nil && !now.Before(w.retryAt) && w.t.current() != settling
}

// rest sets the state of an outlet in which nothing is wrong.
func (w *stepper) rest() {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	w.t.state.Store(int32(behind))
	if !w.t.fed {
		return
	}
	w.t.state.Store(int32(working))
	if w.t.pending == nil && w.load == nil && len(w.blocks) == 0 && !w.dirty.Load() && w.t.marked == nil {
		w.t.undone = noOffset // the post covers everything that was taken
	}
}

// enter sets the state.
func (w *stepper) enter(s state) { w.t.state.Store(int32(s)) }

// finished says, when no more is to come, whether nothing is left that could be done now.
func (w *stepper) finished() bool {
	w.t.mu.Lock()
	left := w.load != nil || len(w.blocks) > 0 || w.t.pending != nil || !w.t.fed || w.t.marked != nil || w.t.current() == settling
	w.t.mu.Unlock()
	if w.t.current() == settling && w.j.saver.failing.Load() {
		return true
	}
	return !left || !w.retryAt.IsZero() || w.t.run.ctx.Err() != nil
}

// deadline is when something will be due.
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
		return now.Add(time.Minute) // a checkpoint will wake it
	case w.load != nil:
		sooner(w.retryAt)
	case len(w.blocks) >= maxAhead: // the first of them will wake it
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

// interval is between the times when a small batch is taken. With many outlets blocks of a few lines would compress
// badly: as the journal has everything they may wait longer.
func (w *stepper) interval() time.Duration {
	d := w.t.o.Interval
	if w.t.o.Target < blockTarget {
		return d
	}
	return d * time.Duration(min(max(w.t.run.count.Load()/slackOutlets, 1), maxSlack))
}

const (
	blockTarget  = 512 << 10 // bytes: an outlet that gathers more does so to compress well
	slackOutlets = 200       // for so many outlets a block may wait once more as long
	maxSlack     = 6
)

// take makes the next batch of what is pending, when it is time for one: at every interval, counted also while nothing
// waits, as the original does. So a call can count on that what it finds waiting stays there for a while, and
// max_queue_size is a limit between two of these times. It says whether there is a batch.
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

// turned says whether the clock has ended the file into which what is pending belongs. The caller holds t.mu.
func (w *stepper) turned(now time.Time) bool {
	l := w.t.pending
	return l != nil && !l.turn.IsZero() && !now.Before(l.turn)
}

// handle offers the batch to the store.
func (w *stepper) handle() {
	if w.defers() {
		w.deferLoad()
		return
	}
	w.t.run.budget.release(w.load)
	if store.Prepare(w.store, &w.load.batch) {
		w.fresh()
		return
	}
	err := w.append()
	var part *store.PartialError
	if err != nil && !errors.As(err, &part) && store.Fresh(w.store) {
		w.fresh() // it opened something on its way, for what a former server left
		return
	}
	w.outcome(err)
}

// outcome is what became of the batch.
func (w *stepper) outcome(err error) {
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
	w.done()
	t.mu.Lock()
	t.failing = false
	t.aside = t.aside && (!t.fed || t.pending != nil)
	t.mu.Unlock()
}

// append gives the batch to the store; the time when it came in decides into which file it goes.
func (w *stepper) append() error {
	if d, ok := w.store.(store.Dated); ok {
		return d.AppendDated(w.t.run.ctx, &w.load.batch, w.load.since)
	}
	return w.store.Append(w.t.run.ctx, &w.load.batch)
}

// lossy says whether the batch that failed is thrown away.
func (w *stepper) lossy(err error) bool {
	return w.t.o.Lossy && !w.t.o.Buffered && w.t.run.ctx.Err() == nil && !errors.Is(err, store.ErrWaiting)
}

// done is the end of the batch: the store has it, or it is lost.
func (w *stepper) done() {
	w.through, w.partly = w.load.end, false
	w.dirty.Store(true)
	w.j.free(w.load)
	w.load = nil
}

// failed notes that the store did not take the batch, or could not be opened. The batch is read from the journal again
// when it is time for another attempt, unless some parts of the store have it or it will be thrown away.
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

// maxRetry bounds how long a store is left alone because of its interval.
const maxRetry = 2 * time.Second

// putBack leaves what was taken and what is pending to the journal.
func (w *stepper) putBack() {
	t := w.t
	from, blocks := w.dropBlocks()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop()
	if w.load != nil && !w.partly {
		from, blocks = w.load.from, true // it comes before the blocks
		t.run.budget.release(w.load)
		w.j.free(w.load)
		w.load = nil
	}
	if blocks {
		t.taken = min(t.taken, from)
		w.closeReader()
	}
}

// refusedBy is how many entries err keeps from the store: of the batch, or, if the store is not open, of what would be
// the next one.
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

// leftOf is how many entries of l were not taken.
func leftOf(err error, l *load) int64 {
	var part *store.PartialError
	if errors.As(err, &part) {
		return int64(part.Left)
	}
	return int64(l.batch.Count())
}

// loseWithoutStore throws away what comes for a store that cannot be opened and must not succeed.
func (w *stepper) loseWithoutStore(now time.Time) {
	if !w.t.o.Lossy || w.t.o.Buffered || w.t.run.ctx.Err() != nil {
		return
	}
	for w.load != nil || w.take(now) {
		w.t.run.budget.release(w.load)
		w.lost.add(int64(w.load.batch.Count()))
		w.done()
		before, _ := w.t.posted() // the files stand as they did
		w.t.offer(&mark{t: w.t, post: newPost(w.through, before.files, before.booked)})
		w.j.saver.sent()
	}
}
