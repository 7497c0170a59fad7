package forwarder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store/hop"
	"inkwell/store/spool"
)

// nextHop is the way to the next hop: the network, with a spool before it if there is a directory for one.
type nextHop struct {
	network *hop.Network
	buffer  *hop.Buffer  // nil = there is no spool
	dir     *faultfs.Dir // the spool's
}

// Calls says how the next hop is called. The zero value of a field is hop.NetworkOptions' default.
type Calls struct {
	Timeout time.Duration // of one call
	Max     int           // bytes of entries in one
	Shuffle bool          // the addresses are equals
	TLS     rpc.TLSFiles  // for addresses with tls://
}

type hopOptions struct {
	to    []string
	calls Calls
	root  string // dir lies beneath it, and no link is followed on the way; "" = dir
	dir   string // "" = no spool
	max   int64  // bytes of the spool; 0 = unbounded
	log   *slog.Logger
	stats *stats.Set
}

func openHop(o hopOptions) (_ *nextHop, err error) {
	h := new(nextHop)
	if h.network, err = hop.NewNetwork(hop.NetworkOptions{Addrs: o.to, Timeout: o.calls.Timeout, MaxCall: o.calls.Max, Shuffle: o.calls.Shuffle, TLS: o.calls.TLS, Logger: o.log, Stats: o.stats}); err != nil {
		return nil, err
	}
	if o.dir == "" {
		return h, nil
	}
	if h.dir, err = faultfs.OpenBeneath(o.root, o.dir, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool: %w", err), h.Close())
	}
	log, err := spool.Open(h.dir, spool.Options{MaxBytes: o.max, Logger: o.log})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open spool (each needs a directory of its own): %w", err), h.Close())
	}
	h.buffer = hop.OpenBuffer(h.network, log, hop.BufferOptions{Logger: o.log, Stats: o.stats, Refused: h.dir})
	return h, nil
}

// Append is that of the buffer, or of the network.
func (h *nextHop) Append(ctx context.Context, b *proto.Batch) error {
	if h.buffer != nil {
		return h.buffer.Append(ctx, b)
	}
	return h.network.Append(ctx, b)
}

// backlog is what the spool holds.
func (h *nextHop) backlog() (bytes, entries int64) {
	if h.buffer == nil {
		return 0, 0
	}
	return h.buffer.Backlog()
}

// drain waits until the spool is empty, or ctx ends.
func (h *nextHop) drain(ctx context.Context) error {
	if h.buffer == nil {
		return nil
	}
	return h.buffer.Drain(ctx)
}

// Close releases everything, as far as it was opened.
func (h *nextHop) Close() error {
	var errs []error
	if h.buffer != nil {
		errs = append(errs, h.buffer.Close()) // the network's too
	} else {
		errs = append(errs, h.network.Close())
	}
	if h.dir != nil {
		errs = append(errs, h.dir.Close())
	}
	return errors.Join(errs...)
}
