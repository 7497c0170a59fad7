package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"inkwell/proto"
)

// Failover has a second store for the time when the first one fails; what went there stays there.
type Failover struct {
	primary   *Reopened
	secondary Store
	schedule  Schedule

	mu   sync.Mutex
	next time.Time // the primary is not tried before
	err  error     // of the last attempt
}

// NewFailover returns a Failover that owns both stores. The primary is tried again when schedule says so.
func NewFailover(primary *Reopened, secondary Store, schedule Schedule) *Failover {
	return &Failover{primary: primary, secondary: secondary, schedule: schedule}
}

// Append gives b to the primary, or, if that fails or is left alone after a failure, to the secondary.
func (f *Failover) Append(ctx context.Context, b *proto.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Now().Before(f.next) {
		return f.secondary.Append(ctx, b)
	}
	if f.primary.prepare() {
		return ErrOpened
	}
	err := f.primary.Append(ctx, b)
	if err == nil {
		f.err = nil
		f.schedule.Reset()
		return nil
	}
	if errors.Is(err, ErrOpened) || ctx.Err() != nil {
		return err
	}
	f.err, f.next = err, time.Now().Add(f.schedule.Next())
	if err := f.secondary.Append(ctx, b); err != nil {
		return fmt.Errorf("neither store takes it: %w", errors.Join(err, f.err))
	}
	return nil
}

func (f *Failover) parts() parts { return parts{f.primary, f.secondary} }

// Mark, Publish and Check ask both stores.
func (f *Failover) Mark(m Marks) error { return f.parts().mark(m) }

// Publish tells both stores that their marks were saved.
func (f *Failover) Publish() error { return f.parts().publish() }

// Check gives both stores their time.
func (f *Failover) Check(now time.Time) error { return f.parts().check(now) }

// Seal finishes what both stores write.
func (f *Failover) Seal() error { return f.parts().seal() }

// Status is why the secondary is in use, in the original's words.
func (f *Failover) Status() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return StatusText(f.err)
	}
	return f.parts().status()
}

// Close closes both stores.
func (f *Failover) Close() error { return f.parts().close() }
