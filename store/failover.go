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
	open      func() (Store, error)
	secondary Store
	schedule  Schedule

	mu      sync.Mutex
	primary Store     // nil: not open
	next    time.Time // it is not tried before
	err     error     // of the last attempt
}

// NewFailover returns a Failover that owns secondary and the primary, which it opens, and opens again after a failure, with open.
func NewFailover(open func() (Store, error), secondary Store, schedule Schedule) *Failover {
	f := &Failover{open: open, secondary: secondary, schedule: schedule}
	f.connect()
	return f
}

// connect opens the primary if it is time to try.
func (f *Failover) connect() bool {
	if time.Now().Before(f.next) {
		return false
	}
	if f.primary != nil {
		return true
	}
	f.primary, f.err = f.open()
	if f.err != nil {
		f.primary, f.next = nil, time.Now().Add(f.schedule.Next())
	}
	return f.primary != nil
}

// Append gives b to the primary, or, if that fails or is left alone after a failure, to the secondary.
func (f *Failover) Append(ctx context.Context, b *proto.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.connect() {
		return f.secondary.Append(ctx, b)
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
	if errors.Is(err, ErrBroken) {
		_ = f.primary.Close() // what is wrong with it is in err
		f.primary = nil
	}
	if err := f.secondary.Append(ctx, b); err != nil {
		return fmt.Errorf("neither store takes it: %w", errors.Join(err, f.err))
	}
	return nil
}

func (f *Failover) parts() parts {
	if f.primary == nil {
		return parts{f.secondary}
	}
	return parts{f.primary, f.secondary}
}

// Mark, Publish and Check ask both stores.
func (f *Failover) Mark(m Marks) error { return f.locked().mark(m) }

// Publish tells both stores that their marks were saved.
func (f *Failover) Publish() error { return f.locked().publish() }

// Check gives both stores their time.
func (f *Failover) Check(now time.Time) error { return f.locked().check(now) }

// Seal finishes what both stores write.
func (f *Failover) Seal() error { return f.locked().seal() }

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
func (f *Failover) Close() error { return f.locked().close() }

func (f *Failover) locked() parts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.parts()
}
