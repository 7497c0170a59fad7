package journal

import (
	"context"
	"time"
)

const (
	// maxPending bounds the bytes of one outlet's next batch. When it is reached, the reader waits for an outlet that
	// is working; an outlet that is not is no longer fed and reads the journal itself. It is a little more than the
	// block of a compressed file: a busy category that is read further ahead uses more memory, and memory that is in
	// the processor's cache costs less.
	maxPending = 5 << 18
	// patience is how long a step may take before the outlet counts as stuck and the reader stops waiting for it.
	patience = time.Second
)

// feed adds the entries of h for t to the pending entries, or makes the outlet read the journal itself if there are too
// many. The reader calls it with run.reading held. If full is true, the reader should call makeRoom before the next
// feed.
func (t *Outlet) feed(h *helping) (full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first, added := t.pending == nil, int64(0)
	crowded := !first && t.pending.batch.Size() >= maxPending
	for s := range h.of(t) {
		fresh := s.start() < t.run.counted
		if s.skipTo(t.taken); s.run.Count == 0 {
			continue
		}
		if fresh {
			t.waiting.Add(s.run.Bytes)
		}
		t.undone = min(t.undone, s.start())
		if crowded {
			t.fed = false // from now on the outlet reads the journal itself
		}
		if !t.fed {
			continue
		}
		if t.pending == nil {
			t.pending = t.run.j.newLoad()
		}
		t.pending.reserve(s, t.run.budget.share())
		t.pending.add(s)
		t.taken = s.end()
		added += int64(s.run.Size())
	}
	if added == 0 {
		return false
	}
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

// firstTurn returns when a load that has just begun must be checked. The caller holds mu.
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

// enough reports whether the pending batch is large enough to be taken at once. The caller holds mu.
func (t *Outlet) enough() bool {
	return t.pending.messages >= t.o.Target || t.pending.batch.Size() >= maxPending
}

// drop drops the pending entries and stops the feeding: the outlet will read them from the journal. The caller holds
// mu.
func (t *Outlet) drop() {
	t.fed, t.convoy = false, false
	if l := t.pending; l != nil {
		t.pending = nil
		t.taken = min(t.taken, l.from)
		t.run.budget.release(l)
		t.run.j.free(l)
	}
}

// full reports whether the reader has to wait until the outlet has taken its pending entries.
func (t *Outlet) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fed && !t.failing && t.pending != nil && t.pending.batch.Size() >= maxPending
}

// stuck reports whether nothing will be taken soon: a step has been running for longer than patience, or no bench is
// free for one.
func (t *Outlet) stuck() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.busy.IsZero() && time.Since(t.busy) > patience ||
		t.busy.IsZero() && !t.o.Blocks && t.run.benches.stalled()
}

// makeRoom waits until the outlet can take more entries, or is stuck.
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

// rewind makes the outlet read the journal again from p.through, with p as its last report.
func (t *Outlet) rewind(p *report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop()
	t.report, t.publish, t.added, t.marked, t.broken = p, false, nil, nil, nil
	t.taken = p.through
	t.undone = min(t.undone, p.through)
}
