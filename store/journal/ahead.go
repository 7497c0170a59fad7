package journal

import (
	"runtime"
	"sync/atomic"

	"inkwell/store"
)

// block is a large batch that a bench compresses before it is the batch's turn to be written, so that one busy category
// can use several processors. The blocks of an outlet are written in order.
type block struct {
	t        *Outlet
	ahead    store.Ahead
	load     *load
	prepared any
	err      error
	done     atomic.Bool
	dropped  atomic.Bool // the result is not needed any more
}

// aheadBytes is the least size of a batch for which a block pays off.
const aheadBytes = 256 << 10

// maxAhead bounds the number of blocks of one outlet.
var maxAhead = runtime.GOMAXPROCS(0) + 1

// turn compresses the block. It runs on a bench.
func (b *block) turn() {
	if !b.dropped.Load() {
		b.prepared, b.err = b.ahead.Prepare(&b.load.batch)
	}
	b.t.run.budget.release(b.load)
	b.t.run.budget.ahead.Add(-int64(b.load.batch.Size()))
	b.done.Store(true)
	b.t.task.wake()
}

// shouldDefer reports whether the current batch becomes a block, because it is large or because blocks are ahead of it.
func (w *stepper) shouldDefer() bool {
	_, can := w.store.(store.Ahead)
	return can && w.t.o.Target >= blockTarget && (len(w.blocks) > 0 || w.load.batch.Size() >= aheadBytes)
}

// deferLoad turns the current batch into a block and submits it to a bench.
func (w *stepper) deferLoad() {
	b := &block{t: w.t, ahead: w.store.(store.Ahead), load: w.load}
	w.blocks = append(w.blocks, b)
	w.load = nil
	w.t.run.budget.ahead.Add(int64(b.load.batch.Size()))
	w.t.run.benches.submit(b)
}

// writeBlocks writes the finished blocks at the head of the list, in order.
func (w *stepper) writeBlocks() {
	for len(w.blocks) > 0 && w.blocks[0].done.Load() && w.store != nil {
		b := w.blocks[0]
		err := b.err
		if err == nil {
			err = b.ahead.Write(b.prepared, b.load.since)
		}
		w.load = b.load
		w.blocks = w.blocks[1:]
		w.endAttempt(err)
		if err != nil {
			return
		}
	}
}

// dropBlocks drops all blocks, whose entries will be read from the journal again. It returns the offset of the first
// entry.
func (w *stepper) dropBlocks() (from uint64, any bool) {
	for i, b := range w.blocks {
		if i == 0 {
			from, any = b.load.from, true
		}
		b.dropped.Store(true) // the garbage collector frees its memory
	}
	w.blocks = nil
	return from, any
}
