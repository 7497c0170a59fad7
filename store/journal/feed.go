package journal

import (
	"context"
	"time"
)

const (
	// maxPending bounds the bytes of one outlet's next batch. The reader waits for an outlet that is at work; one that
	// is not is fed no more.
	maxPending = 4 << 20
	// patience is how long the reader waits for an outlet that seems to be at work.
	patience = time.Second
)

// feed adds s to what is pending, or has the outlet read by itself. The reader calls it with its lock held; full says
// that it should make room before it feeds the outlet again.
func (t *Outlet) feed(s stretch) (full bool) {
	fresh := s.from() < t.run.counted
	t.mu.Lock()
	defer t.mu.Unlock()
	s.behind(t.taken)
	if s.run.Count == 0 {
		return false
	}
	if fresh {
		t.waiting.Add(s.run.Bytes)
	}
	t.undone = min(t.undone, s.from())
	if !t.fed {
		return false
	}
	if t.pending != nil && t.pending.batch.Size() >= maxPending {
		t.fed = false // from here on it reads by itself
		return false
	}
	first := t.pending == nil
	if first {
		t.pending = t.run.j.newLoad()
	}
	t.pending.add(&s)
	t.taken = s.end()
	added := int64(s.run.Size())
	t.pending.charged += added
	t.run.budget.charge(t, added, first)
	switch {
	case t.enough():
		t.task.wake()
	case first:
		t.task.wakeIn(t.firstTurn())
	}
	return t.pending.batch.Size() >= maxPending
}

// firstTurn is when what has just begun to be pending has to be looked at. The caller holds mu.
func (t *Outlet) firstTurn() time.Duration {
	if t.o.Turn == nil {
		return t.o.Interval
	}
	l := t.pending
	if l.turn = t.o.Turn(l.since); l.turn.IsZero() {
		return t.o.Interval
	}
	return min(t.o.Interval, l.turn.Sub(l.since))
}

// enough says whether the next batch is large enough to be taken at once. The caller holds mu.
func (t *Outlet) enough() bool {
	return t.pending.messages >= t.o.Target || t.pending.batch.Size() >= maxPending
}

// drop lets go of what is pending: the outlet will read it from the journal. The caller holds mu.
func (t *Outlet) drop() {
	t.fed, t.convoy = false, false
	if l := t.pending; l != nil {
		t.pending = nil
		t.taken = min(t.taken, l.from)
		t.run.budget.release(l)
		t.run.j.free(l)
	}
}

// full says that the reader has to wait for the outlet, which will take what is pending.
func (t *Outlet) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fed && !t.failing && t.pending != nil && t.pending.batch.Size() >= maxPending
}

// stuck says that nothing will be taken soon: a step has been at work for longer than the reader has patience, or no
// bench has time for one.
func (t *Outlet) stuck() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.busy.IsZero() && time.Since(t.busy) > patience || t.busy.IsZero() && !t.o.Blocks && t.run.benches.stalled()
}

// makeRoom waits until the outlet can take more, or it is clear that it will not soon.
func (t *Outlet) makeRoom(ctx context.Context) {
	for t.full() && !t.stuck() && ctx.Err() == nil {
		timer := time.NewTimer(patience / 10)
		select {
		case <-t.room:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// rewind makes the outlet read the journal again from through, where the files stood as the post says.
func (t *Outlet) rewind(p *post) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop()
	t.post, t.publish, t.added, t.marked, t.broken = p, false, nil, nil, nil
	t.taken = p.through
	t.undone = min(t.undone, p.through)
}
