package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/stats"
	"inkwell/proto"
)

// Failover has a second store for the time when the first one fails; what went there stays there.
type Failover struct {
	primary   *Reopened
	secondary Store
	retries   []*atomic.Int64

	appending sync.Mutex // held by whoever uses the primary
	schedule  Schedule

	mu   sync.Mutex // never held for long: Status takes it
	next time.Time  // the primary is not tried before
	err  error      // of the last attempt
}

// connectTimeout bounds a look at a primary that failed.
const connectTimeout = 5 * time.Second

// FailoverOptions are the choices of a Failover.
type FailoverOptions struct {
	Schedule Schedule   // when the primary is tried again
	Name     string     // the category for which "retries" (attempts that failed) are counted, beside overall
	Stats    *stats.Set // nil = own
}

// NewFailover returns a Failover that owns both stores.
func NewFailover(primary *Reopened, secondary Store, o FailoverOptions) *Failover {
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	return &Failover{primary: primary, secondary: secondary, schedule: o.Schedule,
		retries: []*atomic.Int64{o.Stats.Overall("retries"), o.Stats.Category(o.Name, "retries")}}
}

// Append gives b to the primary, or, if that fails or is left alone after a failure, to the secondary.
func (f *Failover) Append(ctx context.Context, b *proto.Batch) error {
	f.appending.Lock()
	defer f.appending.Unlock()
	if _, alone := f.state(); alone {
		return f.secondary.Append(ctx, b)
	}
	if f.primary.prepare() {
		return ErrOpened
	}
	err := f.primary.Append(ctx, b)
	if err == nil {
		f.there()
		return nil
	}
	if errors.Is(err, ErrOpened) || ctx.Err() != nil {
		return err
	}
	f.away(err)
	if second := f.secondary.Append(ctx, Rest(b, err)); second != nil {
		return fmt.Errorf("neither store takes it: %w", errors.Join(second, err))
	}
	return nil
}

// state is how the last attempt at the primary ended, and whether it is left alone now.
func (f *Failover) state() (err error, alone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err, time.Now().Before(f.next)
}

// there notes that the primary works.
func (f *Failover) there() {
	f.schedule.Reset()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = nil
}

// away notes that the primary failed.
func (f *Failover) away(err error) {
	for _, c := range f.retries {
		c.Add(1)
	}
	next := time.Now().Add(f.schedule.Next())
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.next = err, next
}

// Connect finds out whether the primary is there, before the first batch or when there is none.
func (f *Failover) Connect(ctx context.Context) {
	f.appending.Lock()
	defer f.appending.Unlock()
	if err := f.primary.connect(ctx); err != nil {
		f.away(err)
		return
	}
	f.there()
}

func (f *Failover) parts() parts { return parts{f.primary, f.secondary} }

// Mark, Publish and Check ask both stores.
func (f *Failover) Mark(m *Marks) error { return f.parts().mark(m) }

// Publish tells both stores that their marks were saved.
func (f *Failover) Publish() error { return f.parts().publish() }

// Check gives both stores their time; of a primary that failed it only looks, when it is time to, whether it can be reached again.
func (f *Failover) Check(now time.Time) error {
	err, alone := f.state()
	if err == nil {
		return f.parts().check(now)
	}
	if !alone && f.primary.isOpen() {
		ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
		defer cancel()
		f.Connect(ctx)
	}
	return parts{f.secondary}.check(now)
}

// Seal finishes what both stores write.
func (f *Failover) Seal() error { return f.parts().seal() }

// Status is why the secondary is in use, in the original's words.
func (f *Failover) Status() string {
	if err, _ := f.state(); err != nil {
		return StatusText(err)
	}
	return f.parts().status()
}

// Close closes both stores.
func (f *Failover) Close() error { return f.parts().close() }
