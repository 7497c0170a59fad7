package hop

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

// Quarantine stands before a store that may refuse a batch for good (a Network whose peer answers with an exception). A batch that is
// refused goes in halves; a single entry that is refused again and again is kept in the spool "refused" beneath a directory, counted,
// and never offered again.
type Quarantine struct {
	to      store.Store
	dir     string
	log     *slog.Logger
	refused *atomic.Int64

	mu       sync.Mutex
	sum      uint64 // of the batch that failed last
	taken    int    // entries at its beginning that are done
	refusals int    // of the entry behind them

	life    context.Context // ends with Close
	stop    context.CancelFunc
	looks   sync.WaitGroup
	looking atomic.Bool
	asked   atomic.Bool           // whether the peer is there
	away    atomic.Pointer[error] // why it is not, as far as is known; nil: it is
}

// NewQuarantine returns a Quarantine that owns to and keeps refused entries beneath dir.
func NewQuarantine(to store.Store, dir string, log *slog.Logger, set *stats.Set) *Quarantine {
	q := &Quarantine{to: to, dir: dir, log: log, refused: set.Overall("refused")}
	q.life, q.stop = context.WithCancel(context.Background())
	return q
}

// Append returns nil when every entry of b was taken or set aside. After an error the same b goes on where it stopped.
func (q *Quarantine) Append(ctx context.Context, b *proto.Batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	sum := b.Fingerprint()
	if sum != q.sum {
		q.sum, q.taken, q.refusals = sum, 0, 0
	}
	for size := b.Count() - q.taken; q.taken < b.Count(); {
		size = min(size, b.Count()-q.taken)
		part := section(b, q.taken, size)
		err := q.to.Append(ctx, part)
		switch {
		case err == nil:
			q.away.Store(nil)
			q.taken += size
			q.refusals = 0
			size = 2 * size
			continue
		case !isRefusal(err):
			return &store.PartialError{Left: b.Count() - q.taken, Err: err}
		case size > 1:
			size /= 2
			continue
		}
		if q.refusals++; q.refusals < maxRefusals {
			return &store.PartialError{Left: b.Count() - q.taken, Err: err}
		}
		if err := q.setAside(part, err); err != nil {
			return &store.PartialError{Left: b.Count() - q.taken, Err: err}
		}
		q.taken++
		q.refusals = 0
	}
	q.sum = 0
	return nil
}

// section is the count entries of b from one on; it aliases b.
func section(b *proto.Batch, from, count int) *proto.Batch {
	c := b.Cursor()
	var start proto.Place
	for range from {
		c.Next()
		start = c.Place()
	}
	for range count {
		c.Next()
	}
	part := new(proto.Batch)
	part.SetPart(b, start, c.Place())
	return part
}

// setAside keeps an entry that was refused.
func (q *Quarantine) setAside(entry *proto.Batch, cause error) error {
	dir, err := faultfs.OpenDir(q.dir, nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := keepRefused(dir, entry.Entries(), entry.Count()); err != nil {
		return err
	}
	q.refused.Add(1)
	q.log.Error("entry is refused for good: set aside", "bytes", entry.Size(), "directory", q.dir+"/"+refusedDir, "error", cause)
	return nil
}

// Connect finds out whether the store's peer is there.
func (q *Quarantine) Connect(ctx context.Context) error {
	q.asked.Store(true)
	c, ok := q.to.(store.Connector)
	if !ok {
		return nil
	}
	err := c.Connect(ctx)
	if err == nil {
		q.away.Store(nil)
	} else {
		q.away.Store(&err)
	}
	return err
}

// Check looks, at first and when it was not there, whether the peer is there, so that the status is true when there is nothing to send,
// too. It does not wait for that. It gives the store its time.
func (q *Quarantine) Check(now time.Time) error {
	if (!q.asked.Load() || q.away.Load() != nil) && q.looking.CompareAndSwap(false, true) {
		q.looks.Go(func() {
			defer q.looking.Store(false)
			ctx, cancel := context.WithTimeout(q.life, maxDial)
			defer cancel()
			_ = q.Connect(ctx) // it is in the status
		})
	}
	return store.Check(q.to, now)
}

// Status is why the peer could not be reached, in the original's words.
func (q *Quarantine) Status() string {
	if err := q.away.Load(); err != nil {
		return store.StatusText(*err)
	}
	return store.Status(q.to)
}

// Close closes the store behind.
func (q *Quarantine) Close() error {
	q.stop()
	q.looks.Wait()
	return q.to.Close()
}
