package forwarder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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
	o       hopOptions
	origin  *origin
	network *hop.Network
	direct  *hop.Quarantine // before the network, where there is no spool
	dir     *faultfs.Dir    // the spool's; nil = there is none
	spooled chan struct{}   // closed when buffer stands

	end     context.CancelFunc // ends the wait for the spool
	waiting sync.WaitGroup

	// Behind spooled:

	buffer    *hop.Buffer
	held      func() int // entries that the next hop answers with TRY_LATER, past which others went
	inherited int64      // entries that the spool held when it was opened
	filled    filled
}

// Calls says how the next hop is called. The zero value of a field is hop.NetworkOptions' default.
type Calls struct {
	Timeout time.Duration // of one call
	Max     int           // bytes of entries in one
	MaxAge  time.Duration // of a connection
	// Quarantine is how long an entry is offered that is answered with TRY_LATER while others are taken;
	// hop.QuarantineOptions.After.
	Quarantine time.Duration
	Shuffle    bool         // the addresses are equals
	TLS        rpc.TLSFiles // for addresses with tls://
}

type hopOptions struct {
	to      []string
	calls   Calls
	host    string // "" = what the machine is called
	root    string // dir lies beneath it, and no link is followed on the way; "" = dir
	dir     string // "" = no spool
	max     int64  // bytes of the spool; 0 = unbounded
	patient bool   // a spool that another process has is waited for (see succession.go)
	log     *slog.Logger
	stats   *stats.Set
}

func openHop(o hopOptions) (_ *nextHop, err error) {
	h := &nextHop{o: o, spooled: make(chan struct{}), end: func() {}, origin: openOrigin(o.host, o.log)}
	if h.network, err = hop.NewNetwork(hop.NetworkOptions{Addrs: o.to, Timeout: o.calls.Timeout, MaxCall: o.calls.Max, MaxAge: o.calls.MaxAge, Shuffle: o.calls.Shuffle, TLS: o.calls.TLS, Source: h.origin.names.Source, Logger: o.log, Stats: o.stats}); err != nil {
		return nil, err
	}
	if o.dir == "" {
		h.direct, err = hop.OpenQuarantine(h.network, hop.QuarantineOptions{Again: true, Logger: o.log, Stats: o.stats})
		return h, err
	}
	if h.dir, err = faultfs.OpenBeneath(o.root, o.dir, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool: %w", err), h.Close())
	}
	err = h.takeSpool()
	if o.patient && errors.Is(err, faultfs.ErrLocked) {
		h.awaitSpool()
		return h, nil
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	close(h.spooled)
	return h, nil
}

// takeSpool opens the spool; the error is faultfs.ErrLocked while another process has it. The caller closes h.spooled
// then.
func (h *nextHop) takeSpool() error {
	log, err := spool.Open(h.dir, spool.Options{MaxBytes: h.o.max, Logger: h.o.log, Synced: h.o.stats.Histogram("fsync").Observe})
	if err != nil {
		return fmt.Errorf("open spool (each needs a directory of its own): %w", err)
	}
	to, err := hop.OpenQuarantine(h.network, hop.QuarantineOptions{Root: h.o.root, Dir: h.o.dir, After: h.o.calls.Quarantine, Logger: h.o.log, Stats: h.o.stats})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	if err := h.origin.names.Keep(h.dir); err != nil {
		h.o.log.Warn("where the entries in the spool come from is not kept", "err", err)
	}
	h.origin.names.Save() // what was told while another process had the spool
	_, h.inherited = log.Backlog()
	if h.inherited > 0 {
		h.filled.since = h.oldestIn()
	}
	h.held = to.Held
	h.buffer = hop.OpenBuffer(to, log, hop.BufferOptions{Logger: h.o.log, Stats: h.o.stats, Refused: h.dir})
	return nil
}

// before is how many entries the spool held when it was opened.
func (h *nextHop) before() int64 {
	if !h.hasSpool() {
		return 0
	}
	return h.inherited
}

// hasSpool says whether what the network does not take goes to the spool.
func (h *nextHop) hasSpool() bool {
	select {
	case <-h.spooled:
		return true
	default:
		return false
	}
}

// Append is that of the buffer, or of the network.
func (h *nextHop) Append(ctx context.Context, b *proto.Batch) error {
	switch {
	case h.hasSpool():
		return h.appendBuffered(ctx, b)
	case h.dir != nil:
		return h.appendWaiting(ctx, b)
	}
	return h.direct.Append(ctx, b)
}

// appendBuffered is that of the buffer.
func (h *nextHop) appendBuffered(ctx context.Context, b *proto.Batch) error {
	look := func() { _, entries := h.buffer.Backlog(); h.filled.look(entries) }
	look()
	defer look()
	return h.buffer.Append(ctx, b)
}

// backlog is what the spool holds, and what is held beside it.
func (h *nextHop) backlog() (bytes, entries int64) {
	if !h.hasSpool() {
		return 0, 0
	}
	bytes, entries = h.buffer.Backlog()
	return bytes, entries + int64(h.held())
}

// drain waits until the spool is empty, or ctx ends. A spool that is still waited for is taken now or never: its owner
// may have let go of it a moment ago.
func (h *nextHop) drain(ctx context.Context) error {
	h.end()
	h.waiting.Wait()
	if !h.hasSpool() && h.dir != nil {
		err := h.takeSpool()
		if err == nil {
			close(h.spooled)
		} else if !errors.Is(err, faultfs.ErrLocked) {
			return err
		}
	}
	if !h.hasSpool() {
		return nil
	}
	return h.buffer.Drain(ctx)
}

// abort has Close wait for no call.
func (h *nextHop) abort() {
	if h.hasSpool() {
		h.buffer.Abort()
	}
}

// Close releases everything, as far as it was opened.
func (h *nextHop) Close() error {
	h.end()
	h.waiting.Wait()
	var errs []error
	if err := h.origin.names.Close(); err != nil { // while the spool is ours
		errs = append(errs, err)
	}
	if h.hasSpool() {
		errs = append(errs, h.buffer.Close()) // the network's too
	} else {
		errs = append(errs, h.network.Close())
	}
	if h.dir != nil {
		errs = append(errs, h.dir.Close())
	}
	return errors.Join(errs...)
}
