package store

import "time"

// A parked category cannot be written: its entries are passed over and stay in the journal, and from time to time it is brought back to
// the last checkpoint (docs/adr/0020).

// park takes the categories that failed out of service; their entries stay in the journal. No cut is in progress.
func (d *drainer) park(now time.Time) {
	d.failures.Store(false)
	for _, c := range d.categories {
		if !c.out.failed.Load() || c.parked {
			continue
		}
		if k := c.chunk; k != nil {
			c.chunk = nil
			d.files.freeChunk(k)
		}
		c.parked = true
		c.backoff = min(max(2*c.backoff, d.files.o.retryMin), retryMax)
		c.retryAt = now.Add(c.backoff)
	}
}

// retry brings parked categories whose time has come back to the last checkpoint and reads the journal again from there. No cut is in
// progress. It waits while that checkpoint may not be the last: one whose saving failed can be what the next process finds, and then no
// file may be shorter than that says.
func (d *drainer) retry(now time.Time) {
	if d.files.unsaved != nil {
		return
	}
	again := false
	for _, c := range d.categories {
		if !c.parked || now.Before(c.retryAt) {
			continue
		}
		m := d.files.saved.Categories[c.name]
		c.shard.work <- work{c: c, reset: &m}
		err := <-d.resets
		d.files.health.Set("output "+c.name, err)
		if err != nil {
			c.backoff = min(2*c.backoff, retryMax)
			c.retryAt = now.Add(c.backoff)
			continue
		}
		d.files.ledger.rewind(c.name, m.Through)
		c.parked, c.last, again = false, m.Through, true
	}
	if !again {
		return
	}
	d.horizon = max(d.horizon, d.low)
	reader := d.files.journal.Reader(d.files.saved.Low)
	if err := d.reader.Close(); err != nil {
		d.files.log.Error("close journal reader", "error", err)
	}
	d.reader, d.low = reader, d.files.saved.Low
}

// lastTry brings categories that could not be written back once more when the journal is drained for the end, and says whether there
// is something to read again.
func (d *drainer) lastTry() (again bool) {
	if d.tried {
		return false
	}
	d.tried = true
	if d.cutting != nil {
		<-d.cutting
		d.cutting = nil
	}
	if d.files.unsaved != nil {
		_ = d.files.finish(d.cut(false)) // for retry; its error is in the health
	}
	now := time.Now()
	d.park(now)
	for _, c := range d.categories {
		again = again || c.parked
		c.retryAt = now
	}
	d.retry(now)
	return again
}
