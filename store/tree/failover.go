package tree

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

// Failover has a second store for the time when the first one fails; what went there stays there.
type Failover struct {
	family
	primary, secondary *store.Child
	retries            []*atomic.Int64
	schedule           store.Schedule
	tried              bool // it is known whether the primary is there
}

// connectTimeout bounds a look at a primary that failed.
const connectTimeout = 5 * time.Second

// FailoverOptions are the choices of a Failover.
type FailoverOptions struct {
	Schedule store.Schedule // when the primary is tried again
	Name     string         // the category for which "retries" (attempts that failed) are counted, beside overall
	Stats    *stats.Set     // nil = own
}

// NewFailover returns a Failover that owns both stores. The primary is opened with open, and again when it broke.
func NewFailover(open func() (store.Store, error), secondary store.Store, o FailoverOptions) *Failover {
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	f := &Failover{secondary: store.OpenChild(secondary), schedule: o.Schedule,
		retries: []*atomic.Int64{o.Stats.Overall("retries"), o.Stats.Category(o.Name, "retries")}}
	f.primary = &store.Child{Open: open, Replaceable: true, Pause: f.pause}
	f.family = family{f.primary, f.secondary}
	return f
}

// Append gives b to the primary, or, if that fails or is left alone after a failure, to the secondary.
func (f *Failover) Append(ctx context.Context, b *proto.Batch) error {
	if s, _ := f.primary.Now(); s == nil || f.primary.Alone() {
		return f.secondary.Append(ctx, b)
	}
	err := f.primary.Append(ctx, b)
	switch {
	case err == nil:
		f.setWorking()
		return nil
	case ctx.Err() != nil:
		return err
	}
	f.tried = true
	f.primary.Leave(err)
	if second := f.secondary.Append(ctx, store.Rest(b, err)); second != nil {
		return fmt.Errorf("neither store takes it: %w", errors.Join(second, err))
	}
	return nil
}

// Shares says that either store may get b: the secondary at once when the primary fails.
func (f *Failover) Shares(b *proto.Batch) []store.Share {
	return []store.Share{{Child: f.primary, Batch: b}, {Child: f.secondary, Batch: b}}
}

// works notes that the primary works.
func (f *Failover) setWorking() {
	f.tried = true
	f.schedule.Reset()
	f.primary.Use()
}

// pause counts a failure of the primary, and is how long it is left alone for it.
func (f *Failover) pause() time.Duration {
	for _, c := range f.retries {
		c.Add(1)
	}
	return f.schedule.Next()
}

// Check finds out whether a primary is there that was not used yet, or that failed and is not to be left alone any
// more.
func (f *Failover) Check(time.Time) error {
	s, err := f.primary.Now()
	if s == nil || f.tried && err == nil || f.primary.Alone() {
		return nil
	}
	f.tried = true
	if c, ok := s.(store.Connector); ok {
		ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
		defer cancel()
		if err := c.Connect(ctx); err != nil {
			f.primary.Leave(err)
			return nil
		}
	}
	f.setWorking()
	return nil
}
