// Package collector is the central daemon: it accepts Thrift calls, checks their entries, makes them durable and
// answers. The engine (store/journal) delivers them to where the configuration says.
//
//	listener ─► rpc.Server ─┬─► gate (who may write what) ─► intake (route, count, refuse) ─► journal.Journal ─► answer
//	                        └─► fb303 (status, counters; reload and shutdown for those who may)
//
// OK is answered only when Append has returned: by then the entries are as durable as the configured durability says.
// Goroutines are started in Run and have ended when it returns; shutting down is starting up in reverse.
//
// Limitations: entries that are refused for good (no category, not allowed, too long) are counted and answered OK,
// because sending them again would change nothing.
package collector

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"inkwell/internal/config"
	"inkwell/internal/faultfs"
	"inkwell/internal/fleet"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/internal/status"
	"inkwell/store/journal"
)

// Options configure a collector. The zero value of a field is its default.
type Options struct {
	// HOST:PORT, tls://HOST:PORT, unix:PATH; none = 127.0.0.1:1463. No store sends there
	Listen    []string
	HTTP      []string              // the same, for HTTP alone; Listen answers HTTP, too
	TLS       rpc.TLSFiles          // for tls:// addresses; with a CA every client needs a certificate
	Load      func() *config.Config // reads the configuration, at the start and at each reload
	Fixed     bool                  // Load always returns the same, as from flags: reloads are refused
	StateDir  string                // journal and checkpoint
	StateRoot string                // StateDir is beneath it, and no link is followed on the way; "" = StateDir
	Limits    Limits
	Drop      func() error // gives up privileges: called after listening, before anything is read or written
	Version   string       // for fb303 getVersion
	Logger    *slog.Logger
	Stats     *stats.Set
	Events    *status.Events // recent messages of Logger, for the status; nil = not available

	tuning tuning // for tests
}

// tuning has what tests set; production uses the zero value.
type tuning struct {
	journal  journal.Tuning
	interval time.Duration    // between small batches; 0 = as configured
	injector faultfs.Injector // makes disk operations fail
}

// leaveGrace is how long a collector that is to stop waits for senders that can go elsewhere: a sender that has nothing
// to send learns of it with its next report.
const leaveGrace = fleet.Every + 2*time.Second

// drainGrace bounds the time that calls in progress get when the collector stops.
const drainGrace = 30 * time.Second

// Collector is a running collector. Its methods may be called from any goroutine.
type Collector struct {
	log       *slog.Logger
	stats     *stats.Set
	gate      *gate
	intake    *intake
	server    *rpc.Server
	listen    []string // of listeners
	listeners []net.Listener
	calls     int // how many of them take calls; the others only answer HTTP
	control   *control
	roster    *roster
	relay     *relay
	secret    *rpc.Credentials // of the TLS listeners; nil = there are none
	monitor   *status.Monitor
}

// Open locks and recovers the directories and listens. It does everything that can fail before a call is accepted.
func Open(o Options) (_ *Collector, err error) {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Stats = cmp.Or(o.Stats, stats.New())
	if len(o.Listen) == 0 {
		o.Listen = []string{"127.0.0.1:1463"}
	}
	if err := fitDescriptors(&o); err != nil {
		return nil, err
	}
	c := &Collector{log: o.Logger, stats: o.Stats, gate: newGate(o)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.release())
		}
	}()
	c.listen, c.calls = slices.Concat(o.Listen, o.HTTP), len(o.Listen)
	if c.listeners, err = rpc.ListenAll(c.listen); err != nil {
		return nil, err
	}
	if o.Drop != nil {
		if err := o.Drop(); err != nil {
			return nil, err
		}
	}
	if c.secret, err = rpc.Secure(c.listeners, c.listen, o.TLS, o.Logger); err != nil {
		return nil, err
	}
	if c.intake, err = openIntake(&o, c.gate); err != nil {
		return nil, err
	}
	c.gate.to = c.intake
	if c.roster, err = openRoster(&o); err != nil {
		return nil, err
	}
	c.gate.reports = c.roster.hear
	c.control = newControl(c.intake, o.Stats, o.Version)
	c.control.gate, c.control.fleet, c.control.fixed = c.gate, c.roster, o.Fixed
	c.relay = newRelay(c, &o)
	c.monitor = c.newMonitor(&o)
	limits := o.server(c.gate)
	limits.HTTP = c.handler()
	c.server = rpc.NewServer(limits, c.gate, c.control.processor())
	return c, nil
}

// Addrs lists the addresses that the collector listens on; those for HTTP alone come last.
func (c *Collector) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(c.listeners))
	for i, ln := range c.listeners {
		addrs[i] = ln.Addr()
	}
	return addrs
}

// Run serves until ctx ends or a peer calls fb303 shutdown. Then it stops accepting, answers the calls in progress, and
// delivers what was acknowledged. It returns nil when all of that was done.
func (c *Collector) Run(ctx context.Context) error {
	var serving sync.WaitGroup
	watching, unwatch := context.WithCancel(context.Background())
	defer serving.Wait()
	defer unwatch()
	serving.Go(func() { c.monitor.Run(watching, c.intake.journal.Note) })
	serving.Go(func() { c.relay.run(watching) })
	for i, ln := range c.listeners {
		serve := c.server.Serve
		if i >= c.calls {
			serve = c.server.ServeHTTP
		}
		serving.Go(func() {
			if err := serve(ln); err != nil {
				c.log.Error("listener ended", "address", ln.Addr(), "error", err)
			}
		})
	}
	c.control.set(alive)
	c.log.Info("collecting", "listen", c.listening())
	select {
	case <-ctx.Done():
	case <-c.control.shutdown:
	}
	c.control.set(stopping)
	began := time.Now()
	c.leave()
	c.log.Info("stopping: no more calls are accepted", "connections", c.Status().Connections)
	grace, cancel := context.WithTimeout(context.Background(), drainGrace)
	defer cancel()
	err := c.server.Shutdown(grace)
	unwatch()
	serving.Wait()
	c.relay.last()
	c.log.Info("writing the journal to the files", "bytes", c.intake.figures().Backlog)
	err = errors.Join(err, c.release())
	c.log.Info("stopped", "after", time.Since(began).Round(time.Millisecond))
	return err
}

// leave has senders that can go elsewhere do so, before calls are refused.
func (c *Collector) leave() {
	senders := c.stats.Get(stats.Overall + ":senders settled")
	if senders == 0 {
		return
	}
	c.log.Info("about to stop: senders are told to go to other collectors", "senders", senders)
	ctx, cancel := context.WithTimeout(context.Background(), leaveGrace)
	defer cancel()
	if !c.server.Leave(ctx) {
		c.log.Warn("senders have not gone to other collectors: they notice when they are cut off",
			"senders", c.stats.Get(stats.Overall+":senders settled"))
	}
}

func (c *Collector) listening() string { return strings.Join(c.addresses(), " ") }

func (c *Collector) release() error {
	var errs []error
	for _, ln := range c.listeners {
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if c.roster != nil { // before the intake unlocks the state directory
		errs = append(errs, c.roster.close())
	}
	if c.intake != nil {
		errs = append(errs, c.intake.Close())
	}
	return errors.Join(errs...)
}

// Status is shown in the live status line. Entries and Bytes are sums since the start.
type Status struct {
	Entries, Bytes          int64 // acknowledged
	Backlog                 int64 // bytes of journal that no checkpoint covers yet
	Connections, Categories int
}

// Status returns the current figures.
func (c *Collector) Status() Status {
	s := c.intake.figures()
	s.Connections = int(c.stats.Get(stats.Overall + ":connections"))
	return s
}

// Reload reads the configuration again, if there is a file. The error says why the former one stays in use.
func (c *Collector) Reload() error { return c.control.reload() }
