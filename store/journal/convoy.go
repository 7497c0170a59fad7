package journal

import (
	"errors"
	"slices"
	"sync"
	"time"

	"inkwell/proto"
	"inkwell/store/spool"
)

// convoy reads the journal once for all outlets that are behind. If each of them read it alone, catching up would never
// end, for example after a full disk under hundreds of categories.
//
// An outlet that has nothing pending joins. If it is further behind than the convoy, the convoy starts again from its
// offset, and the other members skip what they have. One member, the driver, reads during its turns and adds to each
// member the entries that belong to it. When the convoy has caught up with the reader of the run, that reader feeds the
// members again. A member that fails leaves the convoy, and so does one that does not deliver as fast as it gets
// entries: it reads the journal alone.
type convoy struct {
	r *run

	mu       sync.Mutex
	reader   *spool.Reader // nil: the convoy has no members
	position uint64        // journal offset up to which reader has read
	members  []*Outlet     // including some that have left
	driver   *Outlet
	batch    proto.Batch // of the reader
	runs     []proto.Run
}

const (
	convoyWait  = 20 * time.Millisecond // before the driver checks again whether the budget has room
	convoyWatch = time.Second           // before a member checks whether there still is a driver
)

// pull advances the convoy if t is its driver. ok is false when t has to read the journal alone; wait is when pull has
// to be called again unless the outlet is woken before.
func (c *convoy) pull(t *Outlet) (wait time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.join(t) {
		return 0, false
	}
	if d := c.driver; d != nil && d != t && d.joined() && !d.stuck() {
		return convoyWatch, true
	}
	c.driver = t
	for sum := 0; sum < turnBytes && c.r.ctx.Err() == nil; {
		if c.r.budget.used.Load() > c.r.budget.limit()/2 {
			c.unload()
			return convoyWait, true
		}
		rec, more, err := c.reader.TryNext()
		var corrupt *spool.CorruptError
		switch {
		case errors.As(err, &corrupt): // the reader of the run reports it
			rec, more = spool.Record{End: corrupt.End}, true
		case err != nil: // each member reports it when it reads alone
			c.dissolve(false)
			return 0, false
		case more && c.batch.SetRecord(rec.Data) == nil:
			c.distribute(rec)
		}
		if more {
			c.position, sum = rec.End, sum+len(rec.Data)
			c.r.reread.Add(int64(len(rec.Data)))
		}
		if c.finishIfCaughtUp(!more) {
			break
		}
	}
	return 0, true
}

// join makes t a member. It returns false if the convoy would have to go back for t a second time.
func (c *convoy) join(t *Outlet) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.convoy:
		return true
	case c.reader != nil && t.taken >= c.position:
	case c.reader != nil && t.called:
		return false
	default:
		t.called = c.reader != nil
		c.close()
		c.reader, c.position = c.r.j.spool.Reader(t.taken), t.taken
	}
	t.convoy = true
	if !slices.Contains(c.members, t) {
		c.members = append(c.members, t)
	}
	return true
}

// joined reports whether the outlet is a member.
func (t *Outlet) joined() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.convoy
}

// distribute adds the entries of a record to the loads of the members.
func (c *convoy) distribute(rec spool.Record) {
	c.runs = c.batch.AppendRuns(c.runs[:0])
	for s := range stretches(rec, &c.batch, c.runs) {
		target := c.r.routes.Route(s.run.Category)
		for _, o := range target.Outlets {
			if !o.joined() {
				continue
			}
			for part := range c.r.due(s, o.key, target) {
				o.receive(part)
			}
		}
	}
}

// receive adds s to the pending entries of a member.
func (t *Outlet) receive(s stretch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.skipTo(t.taken); s.run.Count == 0 || !t.convoy {
		return
	}
	if t.pending != nil && t.pending.batch.Size() >= maxPending {
		t.convoy = false // too slow: from now on it reads the journal alone
		return
	}
	if t.pending == nil {
		t.pending = t.run.j.newLoad()
	}
	t.pending.reserve(&s, t.run.budget.share())
	t.pending.add(&s)
	t.taken = s.end()
	if s.end() <= t.counted { // Outlet.waiting was reduced when they were first taken
		t.pending.waiting -= s.run.Bytes
	}
	t.pending.charged += int64(s.run.Size())
	t.run.budget.used.Add(int64(s.run.Size()))
	if t.enough() {
		t.task.wake()
	}
}

// unload has the members deliver their pending entries, and drops the entries of members that are stuck.
func (c *convoy) unload() {
	for _, t := range c.members {
		stuck := t.stuck()
		t.mu.Lock()
		if t.convoy && t.pending != nil {
			if stuck {
				t.drop()
			} else {
				t.due = true
				t.task.wake()
			}
		}
		t.mu.Unlock()
	}
}

// finishIfCaughtUp dissolves the convoy if it has caught up with the reader of the run, or if end says that there is
// nothing more to read. It reports whether it did.
func (c *convoy) finishIfCaughtUp(end bool) bool {
	c.r.reading.Lock()
	defer c.r.reading.Unlock()
	if c.position < c.r.position && !end {
		return false
	}
	c.dissolve(c.position >= c.r.position)
	return true
}

// dissolve releases all members. If met is true, the reader of the run feeds them from now on; otherwise they read
// alone.
func (c *convoy) dissolve(met bool) {
	for _, t := range c.members {
		t.mu.Lock()
		if t.convoy {
			t.convoy = false
			if met {
				t.fed, t.called = !t.failing, false
				t.taken = max(t.taken, c.position)
			}
			t.due = t.pending != nil
			t.task.wake()
		}
		t.mu.Unlock()
	}
	c.members, c.driver = nil, nil
	c.close()
}

// end closes the reader at the end of a run.
func (c *convoy) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close()
}

// close closes the reader.
func (c *convoy) close() {
	if c.reader == nil {
		return
	}
	if err := c.reader.Close(); err != nil {
		c.r.j.log.Warn("close journal reader", "error", err)
	}
	c.reader = nil
}
