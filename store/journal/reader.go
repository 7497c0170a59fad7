package journal

import (
	"context"
	"errors"
	"io"
	"time"

	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"
)

// ours reports whether a category is one of Inkwell's own, in which entries of many categories are kept.
func ours(name string) bool { return name == store.OverflowCategory || name == store.UnsafeCategory }

// reader reads the journal once and feeds the outlets. It belongs to one goroutine.
type reader struct {
	r       *run
	from    *spool.Reader
	batch   proto.Batch
	runs    []proto.Run
	targets map[string]*Target // of the categories seen so far
	helping helping
	full    []*Outlet // outlets that need room before they are fed again
}

// read feeds the outlets until Stop was called and the journal is read to its end.
func (r *run) read(from *spool.Reader) {
	defer close(r.ended)
	d := &reader{r: r, from: from, targets: make(map[string]*Target)}
	defer func() {
		if err := d.from.Close(); err != nil {
			r.j.log.Warn("close journal reader", "error", err)
		}
	}()
	life, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-r.stop:
			cancel()
		case <-r.ended:
		}
	}()
	for d.next(life) {
		r.budget.tidy()
	}
}

// next feeds the next record and reports whether there may be more. life ends when Stop is called.
func (d *reader) next(life context.Context) bool {
	r := d.r
	rec, ok, err := d.from.TryNext()
	if err == nil && !ok {
		if rec, err = d.from.Next(life); life.Err() != nil && errors.Is(err, life.Err()) {
			if rec, ok, err = d.from.TryNext(); err == nil && !ok {
				return false
			}
		}
	}
	var corrupt *spool.CorruptError
	switch {
	case errors.As(err, &corrupt):
		r.damaged("damaged place in the journal is passed over", err)
		r.advance(corrupt.End) // otherwise the damaged place would never be acknowledged
	case errors.Is(err, io.EOF):
		return false
	case err != nil:
		r.j.saver.health.Set("journal read", err)
		return pause(r.j.o.Retry, r.stop)
	default:
		r.j.saver.health.Set("journal read", nil)
		d.feed(rec)
	}
	return true
}

// damaged reports bytes in the journal that cannot be read.
func (r *run) damaged(what string, err error) {
	r.j.log.Error(what, "error", err)
	r.j.o.Stats.Overall("journal damaged").Add(1)
}

// advance records that everything below an offset was fed.
func (r *run) advance(to uint64) {
	r.reading.Lock()
	defer r.reading.Unlock()
	r.position = max(r.position, to)
}

// feed feeds the entries of a record to the outlets of their categories.
func (d *reader) feed(rec spool.Record) {
	r := d.r
	err := d.batch.SetRecord(rec.Data)
	if err != nil {
		r.damaged("record in the journal holds no entries, passed over", err)
	}
	r.j.streams.Drained(&d.batch)
	d.runs = d.batch.AppendShortRuns(d.runs[:0]) // empty after an error
	for s := range stretches(rec, &d.batch, d.runs) {
		if d.helping.bytes+s.run.Size() > helpingBytes {
			d.distribute()
		}
		d.gather(s)
	}
	d.distribute()
	r.advance(rec.End)
}

// gather adds a stretch to the helping, for each outlet of its category.
func (d *reader) gather(s stretch) {
	r := d.r
	t := d.targets[string(s.run.Category)]
	if t == nil {
		t = r.routes.Route(s.run.Category)
		d.targets[string(s.run.Category)] = t
	}
	d.helping.bytes += s.run.Size()
	d.helping.end = s.end()
	for _, o := range t.Outlets {
		for part := range r.due(s, o.key, t) {
			d.helping.add(o, part)
		}
	}
	if len(t.Outlets) > 0 {
		return
	}
	for part := range r.lost(s, t) {
		r.countUndeliverable(&part)
	}
}

// distribute feeds the helping to its outlets, and waits if one of them or the budget is full.
func (d *reader) distribute() {
	r := d.r
	r.reading.Lock()
	r.position = max(r.position, d.helping.end)
	for _, o := range d.helping.outlets {
		if o.feed(&d.helping) {
			d.full = append(d.full, o)
		}
	}
	r.reading.Unlock()
	d.helping.clear()
	for _, o := range d.full {
		o.makeRoom(r.ctx)
	}
	d.full = d.full[:0]
	if r.budget.used.Load() > r.budget.limit() {
		r.budget.makeRoom(r.ctx)
	}
}

// countUndeliverable counts and logs entries that were received while their category had a store, and whose category
// has none in the new configuration.
func (r *run) countUndeliverable(s *stretch) {
	name := string(s.run.Category)
	r.j.log.Error("entries in the journal have no store in the new configuration: they are lost", "category", name,
		"entries", s.run.Count)
	newEventCounter(r.j, name, "lost").add(int64(s.run.Count))
}

// pause waits for d and returns true, or returns false as soon as stop is closed.
func pause(d time.Duration, stop <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-stop:
		return false
	}
}
