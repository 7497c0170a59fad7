package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

// Failover has a secondary store for the time while the primary fails. Entries that went to the secondary stay there.
type Failover struct {
	family
	primary, secondary *store.Child
	retries            []*atomic.Int64
	schedule           store.Schedule
	tried              bool // it was found out whether the primary works
}

// connectTimeout bounds an attempt to connect a primary that failed.
const connectTimeout = 5 * time.Second

// FailoverOptions configure a Failover.
type FailoverOptions struct {
	Schedule store.Schedule // determines when the primary is tried again
	Name     string         // the category for which failed attempts are counted as "retries", besides overall
	Stats    *stats.Set     // nil = a new set
}

// NewFailover returns a Failover that owns both stores. The primary is opened with open, and opened again after it
// broke.
func NewFailover(open func() (store.Store, error), secondary store.Store, o FailoverOptions) *Failover {
	o.Stats = cmp.Or(o.Stats, stats.New())
	f := &Failover{secondary: store.OpenChild(secondary), schedule: o.Schedule,
		retries: []*atomic.Int64{o.Stats.Overall("retries"), o.Stats.Category(o.Name, "retries")}}
	f.primary = &store.Child{Open: open, Replaceable: true, Pause: f.pause}
	f.family = family{f.primary, f.secondary}
	return f
}

// Append gives b to the primary. If that fails, or is paused after a failure, the secondary gets b.
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

// Shares gives b to both children, because the secondary gets it immediately when the primary fails.
func (f *Failover) Shares(b *proto.Batch) []store.Share {
	return []store.Share{{Child: f.primary, Batch: b}, {Child: f.secondary, Batch: b}}
}

// setWorking records that the primary works.
func (f *Failover) setWorking() {
	f.tried = true
	f.schedule.Reset()
	f.primary.Use()
}

// pause counts a failure of the primary and returns how long it is paused.
func (f *Failover) pause() time.Duration {
	for _, c := range f.retries {
		c.Add(1)
	}
	return f.schedule.Next()
}

// Check finds out whether the primary works, if it was not used yet or if its pause after a failure is over.
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
