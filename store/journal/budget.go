package journal

import (
	"context"
	"sync/atomic"
	"time"
)

// budget bounds what is pending in all outlets together. The reader charges it and waits for it; whoever takes or drops
// a load releases it.
type budget struct {
	limit int64
	used  atomic.Int64
	ahead atomic.Int64 // of used, what is being compressed
	freed chan struct{}

	order []waitingLoad // oldest first; the reader's
}

// waitingLoad is a load that was pending when it was queued.
type waitingLoad struct {
	t *Outlet
	l *load
}

func newBudget(limit int64) budget { return budget{limit: limit, freed: make(chan struct{}, 1)} }

// charge counts bytes that were added to what is pending for t. first says that they began its load.
func (b *budget) charge(t *Outlet, bytes int64, first bool) {
	b.used.Add(bytes)
	if first {
		b.order = append(b.order, waitingLoad{t, t.pending})
	}
}

// release forgets a load that is not pending any more.
func (b *budget) release(l *load) {
	b.used.Add(-l.charged)
	l.charged = 0
	signal(b.freed)
}

// signal fills c, which has room for one, if it is empty.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// relieve waits until the budget is kept: what has waited longest goes first, whatever its size, and what is pending
// for outlets that are stuck is left to the journal.
func (b *budget) relieve(ctx context.Context) {
	var asked []waitingLoad
	tick := time.NewTicker(patience / 10)
	defer tick.Stop()
	for sum := int64(0); b.used.Load() > b.limit && ctx.Err() == nil; {
		for len(b.order) > 0 && b.used.Load()-b.ahead.Load()-sum > b.limit-b.limit/8 {
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
					w.t.leave(w.l)
				}
			}
		case <-ctx.Done():
		}
	}
}

// tidy forgets loads at the front that were taken meanwhile.
func (b *budget) tidy() {
	for len(b.order) > 0 && b.order[0].t.charged(b.order[0].l) == 0 {
		b.order = b.order[1:]
	}
}

// hasten has l go as soon as possible if it is still pending, and returns its bytes.
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

// charged is the bytes of l if it is still pending.
func (t *Outlet) charged(l *load) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending != l {
		return 0
	}
	return l.charged
}

// leave drops l if it is still pending.
func (t *Outlet) leave(l *load) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending == l {
		t.drop()
	}
}
