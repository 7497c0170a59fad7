package journal

import (
	"errors"
	"slices"
	"sync"
	"time"

	"inkwell/proto"
	"inkwell/store/spool"
)

// convoy brings outlets that are behind through the journal together: it is read once for all of them and not once for
// each, which would never end when a disk was full under hundreds of categories.
//
// An outlet joins when it has nothing to do; the convoy goes back to it if it must, and the others pass over what they
// have. One member, the driver, reads on in its turns and leaves with the others what is theirs. Where the convoy meets
// the reader, the reader feeds its members again. A member that fails leaves, and one that cannot take what it gets is
// left behind: it reads by itself.
type convoy struct {
	r *run

	mu       sync.Mutex
	reader   *spool.Reader // nil: nobody is under way
	position uint64        // of the reader
	members  []*Outlet     // some may have left
	driver   *Outlet
	batch    proto.Batch // of the reader
	runs     []proto.Run
}

const (
	convoyWait  = 20 * time.Millisecond // before the driver looks again whether there is room
	convoyWatch = time.Second           // before a member looks whether there still is a driver
)

// pull brings the convoy on if t drives it. ok is false when t has to read by itself; wait is when it has to be asked
// again, unless somebody wakes the outlet before.
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
		if c.r.budget.used.Load() > c.r.budget.limit/2 {
			c.unload()
			return convoyWait, true
		}
		rec, more, err := c.reader.TryNext()
		var corrupt *spool.CorruptError
		switch {
		case errors.As(err, &corrupt): // the reader of the run tells of it
			rec, more = spool.Record{End: corrupt.End}, true
		case err != nil: // whoever reads by himself tells of it
			c.dissolve(false)
			return 0, false
		case more && c.batch.SetRecord(rec.Data) == nil:
			c.hand(rec)
		}
		if more {
			c.position, sum = rec.End, sum+len(rec.Data)
			c.r.reread.Add(int64(len(rec.Data)))
		}
		if c.arrive(!more) {
			break
		}
	}
	return 0, true
}

// join makes t a member, unless the convoy had to go back for it once more.
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

// joined says whether the outlet is a member.
func (t *Outlet) joined() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.convoy
}

// hand gives the entries of a record to the members.
func (c *convoy) hand(rec spool.Record) {
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

// receive adds s to what is pending for a member.
func (t *Outlet) receive(s stretch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.behind(t.taken); s.run.Count == 0 || !t.convoy {
		return
	}
	if t.pending != nil && t.pending.batch.Size() >= maxPending {
		t.convoy = false // from here on it reads by itself
		return
	}
	if t.pending == nil {
		t.pending = t.run.j.newLoad()
	}
	t.pending.add(&s)
	t.taken = s.end()
	if s.end() <= t.counted { // taken before
		t.pending.waiting -= s.run.Bytes
	}
	t.pending.charged += int64(s.run.Size())
	t.run.budget.used.Add(int64(s.run.Size()))
	if t.enough() {
		t.task.wake()
	}
}

// unload has the members bring away what they have; those that are stuck leave it to the journal.
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

// arrive ends the journey if the convoy has read everything that the reader has.
func (c *convoy) arrive(end bool) bool {
	c.r.reading.Lock()
	defer c.r.reading.Unlock()
	if c.position < c.r.position && !end {
		return false
	}
	c.dissolve(c.position >= c.r.position)
	return true
}

// dissolve lets all members go: to the reader of the run, which the convoy has met, or on their own.
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

// end closes what the outlets of a run have left.
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
