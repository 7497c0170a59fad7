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
	"inkwell/store"
	"inkwell/store/hop"
	"inkwell/store/spool"
)

// nextHop is the way to the next hop: the network, with a spool before it if there is a directory for one.
type nextHop struct {
	network *hop.Network
	to      store.Store  // what stands before the network
	buffer  *hop.Buffer  // the same; nil = there is no spool
	held    func() int   // entries that the next hop answers with TRY_LATER and others go past
	dir     *faultfs.Dir // the spool's
}

// Calls says how the next hop is called. The zero value of a field is hop.NetworkOptions' default.
type Calls struct {
	Timeout time.Duration // of one call
	Max     int           // bytes of entries in one
	// Quarantine is how long an entry is offered that is answered with TRY_LATER while others are taken; hop.QuarantineOptions.After.
	Quarantine time.Duration
	Shuffle    bool         // the addresses are equals
	TLS        rpc.TLSFiles // for addresses with tls://
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
		h.to, err = hop.OpenQuarantine(h.network, hop.QuarantineOptions{Again: true, Logger: o.log, Stats: o.stats})
		return h, err
	}
	if h.dir, err = faultfs.OpenBeneath(o.root, o.dir, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool: %w", err), h.Close())
	}
	log, err := spool.Open(h.dir, spool.Options{MaxBytes: o.max, Logger: o.log})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open spool (each needs a directory of its own): %w", err), h.Close())
	}
	quarantine, err := hop.OpenQuarantine(h.network, hop.QuarantineOptions{Root: o.root, Dir: o.dir, After: o.calls.Quarantine, Logger: o.log, Stats: o.stats})
	if err != nil {
		return nil, errors.Join(err, log.Close(), h.Close())
	}
	h.buffer = hop.OpenBuffer(quarantine, log, hop.BufferOptions{Logger: o.log, Stats: o.stats, Refused: h.dir})
	h.to, h.held = h.buffer, quarantine.Held
	return h, nil
}

// Append is that of what stands before the network.
func (h *nextHop) Append(ctx context.Context, b *proto.Batch) error { return h.to.Append(ctx, b) }

// backlog is what the spool holds, and what is held beside it.
func (h *nextHop) backlog() (bytes, entries int64) {
	if h.buffer == nil {
		return 0, 0
	}
	bytes, entries = h.buffer.Backlog()
	return bytes, entries + int64(h.held())
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
	if h.to != nil {
		errs = append(errs, h.to.Close()) // the network's too
	} else {
		errs = append(errs, h.network.Close())
	}
	if h.dir != nil {
		errs = append(errs, h.dir.Close())
	}
	return errors.Join(errs...)
}
