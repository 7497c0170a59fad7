package forwarder

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"inkwell/internal/rpc"
	"inkwell/proto"
	"inkwell/store"
)

// deliverer appends batches to a store, and retries while the store fails. deliver is called by one goroutine at a
// time; lasted and breakOff may be called by others.
type deliverer struct {
	store store.Store
	log   *slog.Logger
	pause rpc.Backoff

	mu     sync.Mutex
	since  time.Time          // when the call in progress began; zero = there is none
	cancel context.CancelFunc // cancels that call
	failed time.Time          // since when Append has been failing; zero = it works
}

func newDeliverer(st store.Store, log *slog.Logger) deliverer {
	return deliverer{store: st, log: log, pause: rpc.Backoff{Min: 50 * time.Millisecond, Max: 5 * time.Second}}
}

// deliver offers the batch until the store takes it. When ctx ends, the call in progress is cancelled, and a store that
// fails is not tried again.
func (c *deliverer) deliver(ctx context.Context, b *proto.Batch) error {
	if b.Count() == 0 {
		return nil
	}
	for {
		err := c.call(ctx, b)
		c.changed(err)
		if err == nil {
			c.pause.Reset()
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(c.pause.Next()):
		}
	}
}

func (c *deliverer) call(ctx context.Context, b *proto.Batch) error {
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.since, c.cancel = time.Now(), cancel
	c.mu.Unlock()
	err := c.store.Append(call, b)
	c.mu.Lock()
	c.since, c.cancel = time.Time{}, nil
	c.mu.Unlock()
	return err
}

// changed logs when Append begins to fail and when it works again.
func (c *deliverer) changed(err error) {
	c.mu.Lock()
	failed := c.failed
	switch {
	case err == nil:
		c.failed = time.Time{}
	case failed.IsZero():
		c.failed = time.Now()
	}
	c.mu.Unlock()
	switch {
	case err != nil && failed.IsZero():
		c.log.Error("lines cannot be delivered: they wait, and are sent again later", "error", err)
	case err == nil && !failed.IsZero():
		c.log.Info("lines are delivered again", "after", time.Since(failed).Round(time.Millisecond))
	}
}

// lasted says how long the call in progress has taken, and whether Append has been failing.
func (c *deliverer) lasted() (d time.Duration, failing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.since.IsZero() {
		d = time.Since(c.since)
	}
	return d, !c.failed.IsZero()
}

// breakOff cancels the call in progress.
func (c *deliverer) breakOff() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
}
