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

// ours says whether a name is one under which entries of many categories are kept.
func ours(name string) bool { return name == store.OverflowCategory || name == store.UnsafeCategory }

// reader reads the journal once and feeds the outlets. One goroutine.
type reader struct {
	r       *run
	from    *spool.Reader
	batch   proto.Batch
	runs    []proto.Run
	targets map[string]*Target // of categories that were met
	full    []*Outlet
}

// read feeds the outlets until Stop was called and nothing is left.
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

// next feeds the next record, and says whether more may come.
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
		r.advance(corrupt.End) // or nothing would ever acknowledge it
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

// damaged tells of bytes in the journal that nobody can read.
func (r *run) damaged(what string, err error) {
	r.j.log.Error(what, "error", err)
	r.j.o.Stats.Overall("journal damaged").Add(1)
}

// advance notes that everything below an offset was fed.
func (r *run) advance(to uint64) {
	r.reading.Lock()
	defer r.reading.Unlock()
	r.position = max(r.position, to)
}

// feed gives the entries of a record to their outlets.
func (d *reader) feed(rec spool.Record) {
	r := d.r
	err := d.batch.SetRecord(rec.Data)
	if err != nil {
		r.damaged("record in the journal holds no entries, passed over", err)
	}
	r.j.streams.Drained(&d.batch)
	d.runs = d.batch.AppendRuns(d.runs[:0]) // none after an error
	for s := range stretches(rec, &d.batch, d.runs) {
		t := d.targets[string(s.run.Category)]
		if t == nil {
			t = r.routes.Route(s.run.Category)
			d.targets[string(s.run.Category)] = t
		}
		d.spread(s, t)
		for _, o := range d.full {
			o.makeRoom(r.ctx)
		}
		d.full = d.full[:0]
		if r.budget.used.Load() > r.budget.limit {
			r.budget.relieve(r.ctx)
		}
	}
	r.advance(rec.End)
}

// spread gives a stretch to the outlets of its category.
func (d *reader) spread(s stretch, t *Target) {
	r := d.r
	r.reading.Lock()
	defer r.reading.Unlock()
	r.position = max(r.position, s.end())
	for _, o := range t.Outlets {
		for part := range r.due(s, o.key, t) {
			if o.feed(part) {
				d.full = append(d.full, o)
			}
		}
	}
	if len(t.Outlets) > 0 {
		return
	}
	for part := range r.lost(s, t) {
		r.homeless(&part)
	}
}

// homeless counts entries that were taken when their category had a store, and have none any more.
func (r *run) homeless(s *stretch) {
	name := string(s.run.Category)
	r.j.log.Error("entries in the journal have no store in the new configuration: they are lost", "category", name, "entries", s.run.Count)
	newTally(r.j, name, "lost").add(int64(s.run.Count))
}

// pause waits and returns false if stop was closed meanwhile.
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
