package journal

import (
	"context"
	"sync/atomic"
	"time"
)

// budget bounds the bytes that are pending in all outlets together. The reader charges it and waits when it is
// exceeded; whoever takes or drops a load releases the bytes of that load.
type budget struct {
	least int64        // the limit with a few outlets
	most  int64        // the limit with many
	count atomic.Int64 // number of outlets
	used  atomic.Int64
	ahead atomic.Int64 // the part of used that belongs to blocks
	freed chan struct{}

	order []waitingLoad // pending loads, oldest first; only the reader uses it
}

// waitingLoad is a load that was pending for t when it was queued.
type waitingLoad struct {
	t *Outlet
	l *load
}

// init sets the limit, 0 = by the number of outlets.
func (b *budget) init(limit int64) {
	b.least, b.most, b.freed = limit, limit, make(chan struct{}, 1)
	if limit == 0 {
		b.least, b.most = memory/8, memory
	}
}

// outletBytes is how much each outlet adds to the limit: many outlets get blocks that are worth compressing, and a few
// do not take memory that they have no use for, and that is not in the processor's cache.
const outletBytes = 128 << 10

// limit is how many bytes may be pending.
func (b *budget) limit() int64 { return min(b.least+b.count.Load()*outletBytes, b.most) }

// share is how many bytes may be pending in an outlet if all of them have the same, at most maxPending.
func (b *budget) share() int { return int(min(b.limit()/max(b.count.Load(), 1), maxPending)) }

// charge adds the size of entries that became pending for t. first says that they are the first of their load.
func (b *budget) charge(t *Outlet, bytes int64, first bool) {
	b.used.Add(bytes)
	if first {
		b.order = append(b.order, waitingLoad{t, t.pending})
	}
}

// release subtracts the size of a load that is not pending any more.
func (b *budget) release(l *load) {
	b.used.Add(-l.charged)
	l.charged = 0
	signal(b.freed)
}

// signal sends to c, which has a capacity of one, unless it is full.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// makeRoom waits until the budget is not exceeded. Meanwhile it has the oldest loads delivered first, whatever their
// size, and drops the loads of stuck outlets, which will read them from the journal again.
func (b *budget) makeRoom(ctx context.Context) {
	var asked []waitingLoad
	tick := time.NewTicker(patience / 10)
	defer tick.Stop()
	for sum := int64(0); b.used.Load() > b.limit() && ctx.Err() == nil; {
		for len(b.order) > 0 && b.used.Load()-b.ahead.Load()-sum > b.limit()/8*7 {
			w := b.order[0]
			b.order = b.order[1:]
			if bytes := w.t.hasten(w.l); bytes > 0 {
				sum += bytes
				asked = append(asked, w)
			}
		}
		select {
		case <-b.freed:
			sum = 0
			for _, w := range asked {
				sum += w.t.charged(w.l)
			}
		case <-tick.C:
			for _, w := range asked {
				if w.t.stuck() {
					w.t.dropLoad(w.l)
				}
			}
		case <-ctx.Done():
		}
	}
}

// tidy removes loads at the front of order that are not pending any more.
func (b *budget) tidy() {
	for len(b.order) > 0 && b.order[0].t.charged(b.order[0].l) == 0 {
		b.order = b.order[1:]
	}
}

// hasten has l delivered as soon as possible if it is still pending, and returns its size in bytes.
func (t *Outlet) hasten(l *load) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending != l {
		return 0
	}
	t.due = true
	t.task.wake()
	return l.charged
}

// charged returns the size of l in bytes if it is still pending, else 0.
func (t *Outlet) charged(l *load) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending != l {
		return 0
	}
	return l.charged
}

// dropLoad drops l if it is still pending.
func (t *Outlet) dropLoad(l *load) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending == l {
		t.drop()
	}
}
