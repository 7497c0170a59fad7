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

// nextHop is the way to the next hop: the network, with a spool in front of it if there is a directory for one.
type nextHop struct {
	o       hopOptions
	origin  *origin
	network *hop.Network
	direct  *hop.Quarantine // in front of the network, where there is no spool
	dir     *faultfs.Dir    // the spool's; nil = there is none
	spooled chan struct{}   // closed when the fields below are valid

	end     context.CancelFunc // ends the wait for the spool
	waiting sync.WaitGroup

	// Valid once spooled is closed:

	buffer     *hop.Buffer
	quarantine *hop.Quarantine // the primary of buffer
	inherited  int64           // entries that the spool held when it was opened
	holds      filled          // held entries
}

// Calls configures the calls to the next hop. The zero value of a field means the default of hop.NetworkOptions.
type Calls struct {
	Timeout time.Duration // of one call
	Max     int           // bytes of entries in one
	MaxAge  time.Duration // of a connection
	// Quarantine is how long an entry is retried that is answered with TRY_LATER while others are taken: see
	// hop.QuarantineOptions.After.
	Quarantine time.Duration
	Shuffle    bool         // the addresses are equivalent: none is preferred
	Spread     bool         // they are divided among all senders: see hop.NetworkOptions
	TLS        rpc.TLSFiles // for addresses with tls://
}

type hopOptions struct {
	to      []string
	name    string // which of the senders of the host: its state directory, or the category of a pipe
	calls   Calls
	host    string // "" = the hostname
	root    string // dir is beneath it, and no link is followed on the way; "" = dir
	dir     string // "" = no spool
	max     int64  // bytes of the spool; 0 = unbounded
	patient bool   // wait for a spool that another process has (see succession.go)
	log     *slog.Logger
	stats   *stats.Set
}

func openHop(o hopOptions) (_ *nextHop, err error) {
	h := &nextHop{o: o, spooled: make(chan struct{}), end: func() {}, origin: openOrigin(o.host, o.log)}
	h.network, err = hop.NewNetwork(hop.NetworkOptions{
		Addrs: o.to, Spread: h.spread(), Shuffle: o.calls.Shuffle,
		Timeout: o.calls.Timeout, MaxCall: o.calls.Max, MaxAge: o.calls.MaxAge,
		TLS: o.calls.TLS, Source: h.origin.names.Source, Logger: o.log, Stats: o.stats,
	})
	if err != nil {
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

// spread is the name under which the sender takes its share of the addresses, "" if it does not.
func (h *nextHop) spread() string {
	if !h.o.calls.Spread {
		return ""
	}
	return h.origin.source("").Clean().Host + " " + h.o.name
}

// takeSpool opens the spool. The error is faultfs.ErrLocked while another process has it. On success the caller has to
// close h.spooled.
func (h *nextHop) takeSpool() error {
	log, err := spool.Open(h.dir, spool.Options{
		MaxBytes: h.o.max, Logger: h.o.log, Synced: h.o.stats.Histogram("fsync").Observe,
	})
	if err != nil {
		return fmt.Errorf("open spool (each needs a directory of its own): %w", err)
	}
	to, err := hop.OpenQuarantine(h.network, hop.QuarantineOptions{
		Root: h.o.root, Dir: h.o.dir, After: h.o.calls.Quarantine, Logger: h.o.log, Stats: h.o.stats,
	})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	if err := h.origin.names.Keep(h.dir); err != nil {
		h.o.log.Warn("where the entries in the spool come from is not kept", "err", err)
	}
	h.origin.names.Save() // those registered while another process had the spool
	_, h.inherited = log.Backlog()
	remembers := hop.Memory{Root: h.o.root, Dir: h.o.dir, After: h.o.calls.Quarantine}
	if err := h.network.Remember(remembers); err != nil {
		return errors.Join(err, log.Close())
	}
	h.quarantine = to
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

// hasSpool says whether the spool is open, so that it takes what the network does not.
func (h *nextHop) hasSpool() bool {
	select {
	case <-h.spooled:
		return true
	default:
		return false
	}
}

// Append implements store.Store, by the buffer or the network.
func (h *nextHop) Append(ctx context.Context, b *proto.Batch) error {
	switch {
	case h.hasSpool():
		return h.buffer.Append(ctx, b)
	case h.dir != nil:
		return h.appendWaiting(ctx, b)
	}
	return h.direct.Append(ctx, b)
}

// backlog is what the spool holds; entries also counts those in quarantine.
func (h *nextHop) backlog() (bytes, entries int64) {
	if !h.hasSpool() {
		return 0, 0
	}
	bytes, entries = h.buffer.Backlog()
	return bytes, entries + int64(h.held())
}

// drain waits until the spool is empty, or ctx ends, and then offers the held entries once more. If another process has
// had the spool so far, drain first tries once more to take it, because that process may have just released it.
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
	if err := h.buffer.Drain(ctx); err != nil {
		return err
	}
	h.quarantine.Offer(ctx)
	return nil
}

// held is how many entries were answered with TRY_LATER while others were taken, and how many are in doubt.
func (h *nextHop) held() int { return h.quarantine.Held() + h.network.InDoubt() }

// abort makes Close not wait for calls in progress.
func (h *nextHop) abort() {
	if h.hasSpool() {
		h.buffer.Abort()
	}
}

// Close releases everything; opening may have failed halfway.
func (h *nextHop) Close() error {
	h.end()
	h.waiting.Wait()
	var errs []error
	if err := h.origin.names.Close(); err != nil { // while this process still holds the spool
		errs = append(errs, err)
	}
	if h.hasSpool() {
		errs = append(errs, h.buffer.Close()) // closes the network, too
	} else {
		errs = append(errs, h.network.Close())
	}
	if h.dir != nil {
		errs = append(errs, h.dir.Close())
	}
	return errors.Join(errs...)
}

// details describes each address.
func (h *nextHop) details() (list []HopDetail) {
	for _, p := range h.network.Peers() {
		d := HopDetail{Address: p.Address, Inkwell: p.Inkwell}
		if !p.Connected.IsZero() {
			d.Connected = &p.Connected
		}
		if !p.Down.IsZero() {
			d.Down = &p.Down
		}
		if p.Err != nil {
			d.LastError, d.Failed = p.Err.Error(), &p.Failed
		}
		list = append(list, d)
	}
	return list
}

// spoolDetail describes the spool; nil = there is none, or another process has it.
func (h *nextHop) spoolDetail() *SpoolDetail {
	if !h.hasSpool() {
		return nil
	}
	bytes, entries := h.backlog()
	d := &SpoolDetail{Dir: h.dir.Path(), Bytes: bytes, Entries: entries}
	for _, since := range []time.Time{h.buffer.Since(), h.holds.look(int64(h.held()))} {
		if !since.IsZero() {
			d.Age = max(d.Age, time.Since(since))
		}
	}
	return d
}

// filled records since when there have been entries in some place, as far as look was told. Safe for concurrent use.
type filled struct {
	mu    sync.Mutex
	since time.Time // zero = there are none
}

// look records how many entries there are now, and returns since when there have been any; zero = there are none.
func (f *filled) look(entries int64) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case entries == 0:
		f.since = time.Time{}
	case f.since.IsZero():
		f.since = time.Now()
	}
	return f.since
}
