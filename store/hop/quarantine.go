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
	// maxRefusals is how many times a single entry is offered to a peer that refuses it with an exception, before the
	// entry is set aside. provedRefusals is the same number if the peer has taken other entries since an entry was last
	// set aside.
	maxRefusals    = 10
	provedRefusals = 3
	// defaultAfter is how long an entry is held that the peer answers with TRY_LATER while it takes others.
	defaultAfter = time.Hour
)

// QuarantineOptions configure a Quarantine.
type QuarantineOptions struct {
	// Dir contains the spool "refused", of entries that were set aside, and the spool Held. "" = no entry is ever
	// skipped
	Dir   string
	Root  string        // an ancestor of Dir; symbolic links below it are not followed. "" = Dir
	Held  string        // name of the spool of held entries, which must be unique in Dir; "" = "held"
	After time.Duration // how long an entry is held before it is set aside; 0 = 1 h
	// Again says that after an error the caller appends the same batch again, instead of the rest of it (store.Rest).
	// Then even the last entry of a batch can be held: the next batch comes only when Append has returned nil.
	Again  bool
	Logger *slog.Logger // nil = discard
	Stats  *stats.Set   // nil = a new set; counts "refused" (entries set aside) and "held" (entries held now)
}

// Quarantine stands in front of a Network and prevents an entry that the peer does not take from blocking all others.
// It only has to deal with errors of single entries, because the Network narrows an error down to one.
//
// An entry that is refused with exceptions again and again is set aside: it is stored in the spool "refused" for a
// person to look into, counted, and never offered again. TRY_LATER need not be caused by the entry: the entry is set
// aside only after it was held for the time After during which others were taken (see held).
//
// Safe for concurrent use, but Appends run one after the other.
type Quarantine struct {
	to      store.Store
	o       QuarantineOptions
	refused *atomic.Int64

	mu       sync.Mutex // held while the store is used
	sum      uint64     // fingerprint of the batch that failed last; 0: none
	taken    int        // how many entries at its beginning are done
	failed   uint64     // fingerprint of the entry that was not taken last
	refusals int        // exceptions in answer to that entry
	laters   int        // TRY_LATERs in answer to that entry
	proved   bool       // the peer has taken entries since one was set aside
	held     held

	life         context.Context // cancelled by Close
	stop         context.CancelFunc
	looks        sync.WaitGroup        // goroutines that connect or offer held entries
	looking      atomic.Bool           // Check is connecting
	connectTried atomic.Bool           // Connect was called
	connectErr   atomic.Pointer[error] // why the peer is not reachable; nil: it is, as far as is known
}

// OpenQuarantine returns a Quarantine that owns to unless there is an error. Entries that an earlier Quarantine held
// are offered again.
func OpenQuarantine(to store.Store, o QuarantineOptions) (*Quarantine, error) {
	o.After, o.Held = cmp.Or(o.After, defaultAfter), cmp.Or(o.Held, "held")
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Stats = cmp.Or(o.Stats, stats.New())
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

// resume returns how many entries of b are done from an earlier Append of b that failed.
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

// offer offers the rest of b and returns how many entries were taken. While the newest held entry is suspected, that is
// offered first.
func (q *Quarantine) offer(ctx context.Context, b *proto.Batch, done int) (n int, err error) {
	left := b.Count() - done
	if q.held.suspect {
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
		q.connectErr.Store(nil)
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

// passOver handles the error of the first entry that is not done, and reports whether that entry was held or set aside.
func (q *Quarantine) passOver(b *proto.Batch, done int, err error) bool {
	entry, last := b.Section(done, 1), done+1 == b.Count()
	// What other callers were answered says nothing about this entry.
	if sum := entry.Fingerprint(); sum != q.failed {
		q.failed, q.refusals, q.laters = sum, 0, 0
	}
	switch {
	case q.o.Dir == "":
		return false
	case isRefusal(err):
		q.refusals++
		return (q.refusals >= maxRefusals || q.refusals >= provedRefusals && q.proved) && q.setAside(entry, err)
	case errors.Is(err, store.ErrTryLater):
		q.laters++
		return q.laters >= provedRefusals && (!last || q.o.Again) && !q.held.suspect && q.held.add(entry)
	}
	return false
}

// setAside stores an entry that will not be offered any more.
func (q *Quarantine) setAside(entry *proto.Batch, cause error) bool {
	dir, err := faultfs.OpenBeneath(q.o.Root, q.o.Dir, nil)
	if err == nil {
		err = errors.Join(keepRefused(dir, entry.Entries(), entry.Count()), dir.Close())
	}
	if err != nil {
		q.o.Logger.Error("entry is refused for good, but cannot be set aside: those after it wait", "error", err)
		return false
	}
	q.refused.Add(1)
	q.proved = false
	q.o.Logger.Error("entry is refused for good: set aside",
		"bytes", entry.Size(), "directory", q.o.Dir+"/"+refusedDir, "error", cause)
	return true
}

// Held returns the number of held entries. It may be called at any time, also after Close.
func (q *Quarantine) Held() int { return int(q.held.count.Load()) }

// Offer offers the held entries, the oldest first, until one is not taken. It is for a process that is about to end and
// would leave them to the next one.
func (q *Quarantine) Offer(ctx context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held.retry(ctx)
}

// Portion is Network.Portion of the store. If an entry was not taken, it is two entries: that one and the next, to find
// out whether others are taken.
func (q *Quarantine) Portion() (entries, bytes int) {
	q.mu.Lock()
	alone := q.refusals+q.laters > 0
	q.mu.Unlock()
	if alone {
		return 2, math.MaxInt
	}
	return portionOf(q.to)
}

// Connect checks whether the peer of the store is reachable.
func (q *Quarantine) Connect(ctx context.Context) error {
	q.connectTried.Store(true)
	c, ok := q.to.(store.Connector)
	if !ok {
		return nil
	}
	err := c.Connect(ctx)
	if err == nil {
		q.connectErr.Store(nil)
	} else {
		q.connectErr.Store(&err)
	}
	return err
}

// Check connects in the background if the peer was not tried yet or was not reachable, so that the status is right even
// when there is nothing to send. It also calls the periodic work of the store.
func (q *Quarantine) Check(now time.Time) error {
	if (!q.connectTried.Load() || q.connectErr.Load() != nil) && q.looking.CompareAndSwap(false, true) {
		q.looks.Go(func() {
			defer q.looking.Store(false)
			ctx, cancel := context.WithTimeout(q.life, maxDial)
			defer cancel()
			_ = q.Connect(ctx) // the status shows the error
		})
	}
	return store.Check(q.to, now)
}

// Status returns why the peer is not reachable, in the words of the original.
func (q *Quarantine) Status() string {
	if err := q.connectErr.Load(); err != nil {
		return store.StatusText(*err)
	}
	return store.Status(q.to)
}

// Close closes the Quarantine and the store.
func (q *Quarantine) Close() error {
	q.stop()
	q.looks.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	return errors.Join(q.held.close(), q.to.Close())
}
