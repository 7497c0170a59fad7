package hop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

const (
	// maxRefusals is how often a single entry is offered to a peer that refuses it with an exception before it is set
	// aside. provedRefusals is how often if the peer has taken others since one was set aside.
	maxRefusals    = 10
	provedRefusals = 3
	// defaultAfter is how long an entry is offered that is answered with TRY_LATER while others are taken.
	defaultAfter = time.Hour
)

// QuarantineOptions are the choices of a Quarantine.
type QuarantineOptions struct {
	Dir   string        // of the spools "refused", of entries set aside, and Held; "" = no entry is ever passed over
	Root  string        // Dir lies beneath it, and no link is followed on the way; "" = Dir
	Held  string        // its own, even if others have the same Dir; "" = "held"
	After time.Duration // 0 = 1 h
	// Again says that after an error the same batch is appended again, and not what is left of it (store.Rest). Its
	// last entry is held, too: what is behind it comes only when Append has returned.
	Again  bool
	Logger *slog.Logger // nil = discard
	Stats  *stats.Set   // nil = own; counts "refused" (entries set aside) and "held" (entries that wait at the moment)
}

// Quarantine stands before a Network and keeps an entry that the peer does not take from holding up all others. It is
// told of single entries only, because a Network finds them by itself.
//
// An entry that is refused with an exception again and again is set aside: kept in the spool "refused", for a person to
// look into, counted, and never offered again. TRY_LATER says nothing against an entry as such: it is set aside only
// when it was held for a time (After) in which others were taken (see held).
//
// Safe for concurrent use; one Append at a time is at work.
type Quarantine struct {
	to      store.Store
	o       QuarantineOptions
	refused *atomic.Int64

	mu       sync.Mutex // held while the store is used
	sum      uint64     // of the batch that failed last; 0: there is none
	taken    int        // entries at its beginning that are done
	refusals int        // of the entry behind them: exceptions
	laters   int        // and TRY_LATERs
	proved   bool       // the peer has taken entries since one was set aside
	held     held

	life    context.Context // ends with Close
	stop    context.CancelFunc
	looks   sync.WaitGroup
	looking atomic.Bool
	asked   atomic.Bool           // whether the peer is there
	away    atomic.Pointer[error] // why it is not, as far as is known; nil: it is
}

// OpenQuarantine returns a Quarantine that owns to, if there is no error. Entries that were held when it was closed are
// offered again.
func OpenQuarantine(to store.Store, o QuarantineOptions) (*Quarantine, error) {
	o.After, o.Held = cmp.Or(o.After, defaultAfter), cmp.Or(o.Held, "held")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	q := &Quarantine{to: to, o: o, refused: o.Stats.Overall("refused")}
	q.held = held{q: q, all: o.Stats.Overall("held")}
	q.life, q.stop = context.WithCancel(context.Background())
	if err := q.held.recover(); err != nil {
		return nil, fmt.Errorf("open spool of held entries: %w", err)
	}
	return q, nil
}

// Append returns nil when every entry of b was taken, held or set aside.
func (q *Quarantine) Append(ctx context.Context, b *proto.Batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	done := q.resume(b)
	for done < b.Count() {
		n, err := q.offer(ctx, b, done)
		if done += n; n > 0 {
			q.refusals, q.laters, q.proved = 0, 0, true
		}
		if err == nil {
			continue
		}
		if done < b.Count() && q.passOver(b, done, err) {
			done++
			q.refusals, q.laters = 0, 0
			continue
		}
		if q.o.Again {
			q.sum, q.taken = b.Fingerprint(), done
		}
		var part *store.PartialError
		if errors.As(err, &part) {
			err = part.Err
		}
		if done == 0 {
			return err
		}
		return &store.PartialError{Left: b.Count() - done, InOrder: true, Err: err}
	}
	q.sum = 0
	return nil
}

// resume says how many entries of b are done, from an Append of it that failed.
func (q *Quarantine) resume(b *proto.Batch) (done int) {
	if q.sum == 0 {
		return 0
	}
	if sum := b.Fingerprint(); sum == q.sum {
		return q.taken
	}
	q.sum = 0
	return 0
}

// offer offers what is left of b, and says how many entries were taken. While it is not known whether the peer takes
// others than the entry that was held last, that comes first.
func (q *Quarantine) offer(ctx context.Context, b *proto.Batch, done int) (n int, err error) {
	left := b.Count() - done
	if q.held.doubtful() {
		if left, err = q.held.prove(ctx, left); err != nil {
			return 0, err
		}
	}
	part := b
	if done > 0 || left < b.Count() {
		part = b.Section(done, left)
	}
	err = q.to.Append(ctx, part)
	if err == nil {
		q.away.Store(nil)
		q.held.othersPass()
		return left, nil
	}
	if n = taken(part, err); n > 0 {
		q.held.othersPass()
	} else {
		q.held.othersWait()
	}
	return n, err
}

// passOver notes that the entry behind those that are done was not taken, and why; it says whether the entry is held or
// set aside now.
func (q *Quarantine) passOver(b *proto.Batch, done int, err error) bool {
	entry, last := b.Section(done, 1), done+1 == b.Count()
	switch {
	case q.o.Dir == "":
		return false
	case isRefusal(err):
		q.refusals++
		return (q.refusals >= maxRefusals || q.refusals >= provedRefusals && q.proved) && q.setAside(entry, err)
	case errors.Is(err, store.ErrTryLater):
		q.laters++
		return q.laters >= provedRefusals && (!last || q.o.Again) && !q.held.doubtful() && q.held.add(entry)
	}
	return false
}

// setAside keeps an entry that is not offered any more.
func (q *Quarantine) setAside(entry *proto.Batch, cause error) bool {
	dir, err := faultfs.OpenBeneath(q.o.Root, q.o.Dir, nil)
	if err == nil {
		err = errors.Join(keepRefused(dir, entry.Entries(), entry.Count()), dir.Close())
	}
	if err != nil {
		q.o.Logger.Error("entry is refused for good, but cannot be set aside: those behind it wait", "error", err)
		return false
	}
	q.refused.Add(1)
	q.proved = false
	q.o.Logger.Error("entry is refused for good: set aside",
		"bytes", entry.Size(), "directory", q.o.Dir+"/"+refusedDir, "error", cause)
	return true
}

// Held is how many entries wait that others went past. It may be called at any time, after Close too.
func (q *Quarantine) Held() int { return int(q.held.count.Load()) }

// Portion is the store's, as Network.Portion. With an entry that was not taken goes the one behind it, to show whether
// others are.
func (q *Quarantine) Portion() (entries, bytes int) {
	q.mu.Lock()
	alone := q.refusals+q.laters > 0
	q.mu.Unlock()
	if alone {
		return 2, math.MaxInt
	}
	if s, ok := q.to.(portioner); ok {
		return s.Portion()
	}
	return math.MaxInt, math.MaxInt
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

// Check looks, at first and when it was not there, whether the peer is there, so that the status is true when there is
// nothing to send, too. It does not wait for that. It gives the store its time.
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
	q.mu.Lock()
	defer q.mu.Unlock()
	return errors.Join(q.held.close(), q.to.Close())
}
