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

// deliverer brings batches to a store that may refuse them.
type deliverer struct {
	store store.Store
	log   *slog.Logger
	pause rpc.Backoff

	mu     sync.Mutex
	since  time.Time          // when the call under way began; zero = there is none
	cancel context.CancelFunc // ends it
	failed time.Time          // since when Append has failed; zero = it does not
}

func newDeliverer(st store.Store, log *slog.Logger) deliverer {
	return deliverer{store: st, log: log, pause: rpc.Backoff{Min: 50 * time.Millisecond, Max: 5 * time.Second}}
}

// deliver offers the batch until the store takes it. When ctx ends the call under way is broken off and a store that
// refuses is not asked again.
func (c *deliverer) deliver(ctx context.Context, p *shipment) error {
	return c.deliverBatch(ctx, &p.batch)
}

func (c *deliverer) deliverBatch(ctx context.Context, b *proto.Batch) error {
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
		c.log.Error("cannot hand lines on: they wait and are offered again", "error", err)
	case err == nil && !failed.IsZero():
		c.log.Info("lines are handed on again", "after", time.Since(failed).Round(time.Millisecond))
	}
}

// lasted says for how long the call under way has, and whether Append has been failing.
func (c *deliverer) lasted() (d time.Duration, failing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.since.IsZero() {
		d = time.Since(c.since)
	}
	return d, !c.failed.IsZero()
}

// breakOff ends the call under way.
func (c *deliverer) breakOff() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
}
