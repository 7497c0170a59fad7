package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"inkwell/forwarder"
	"inkwell/forwarder/ctl"
	"inkwell/internal/access"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
)

func (a *app) runForward(f *forwardCommand) (err error) {
	if f.o.Wait > 0 && !f.o.Once {
		return usagef("--wait is for --once: without it a forwarder waits for ever")
	}
	w, err := f.read(a.lookup)
	if err != nil {
		return err
	}
	d := &forwardDaemon{a: a, command: f, w: w, stats: stats.New(), wanted: make(chan struct{}, 1)}
	listeners, err := rpc.ListenAll(w.c.HTTP)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.w.feeds.close()) }()
	if err := w.feeds.listen(new(feedFlags)); err != nil {
		return err
	}
	acc, err := a.account(w.user)
	if err == nil {
		here, _ := w.hop.spools("forward", w.state[0].dir)
		err = acc.make(w.state[0].dir, cmp.Or(here.root, here.dir))
	}
	if err != nil {
		return err
	}
	if d.log, err = a.log.openFor(a.screen, acc); err == nil {
		err = acc.become()
	}
	if err != nil {
		return err
	}
	ctx, stop := a.untilSignal(f.cmd.Context(), d.log, d.reload) // from before anything is taken
	defer stop()
	ctx, d.end = context.WithCancel(ctx)
	defer d.end()
	if err := w.settle(d.log); err != nil {
		return err
	}
	if err := d.open(); err != nil {
		return err
	}
	h, err := d.askable(listeners)
	if err != nil {
		return err
	}
	defer h.close()
	state := stateDir{root: d.w.o.StateRoot, dir: d.w.o.StateDir}
	defer a.answer(d, state, ctl.Options{Name: "inkwell forward", Logger: d.log, Stats: d.stats, HTTP: h.handler})()
	return a.run(ctx, job{log: d.log, stats: d.stats, work: d.run, read: d.reading})
}

// forwardDaemon runs a forwarder and, after a reload, another one with the same state. A reload is a stop and a start:
// the next forwarder continues where the previous one ended, and its entries keep their numbers.
type forwardDaemon struct {
	a       *app
	command *forwardCommand
	log     *slog.Logger
	stats   *stats.Set
	end     context.CancelFunc
	wanted  chan struct{} // holds a value when the configuration is to be read again

	w *forwarding // that f runs; of the goroutine of run

	served []chan<- error // receive the outcome of the reload; used by the goroutine of run only

	mu     sync.Mutex
	asked  []chan<- error // wait for the next reading
	f      *forwarder.Forwarder
	wrong  string           // why the last reload was refused
	before forwarder.Status // totals of the forwarders before f
	allow  *access.Rules
}

// open makes the forwarder of d.w.
func (d *forwardDaemon) open() error {
	o := d.w.o
	o.Logger, o.Stats = d.log, d.stats
	o.Feeds = d.w.feeds.feeds(&o, d.log, d.stats)
	f, err := forwarder.Open(o)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.f, d.allow = f, d.w.c.Allow
	return nil
}

// now returns the running forwarder, and why the last reload was refused.
func (d *forwardDaemon) now() (f *forwarder.Forwarder, refused string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.f, d.wrong
}

// Trouble is called for queries on the control socket, as are Detail, Reload and Stop.
func (d *forwardDaemon) Trouble() string {
	f, refused := d.now()
	return cmp.Or(refused, f.Trouble())
}

// Detail returns the detailed status.
func (d *forwardDaemon) Detail(ctx context.Context) any {
	f, _ := d.now()
	detail := f.Detail(ctx)
	detail.Trouble = d.Trouble()
	return detail
}

// Reload reads the configuration again and returns the outcome.
func (d *forwardDaemon) Reload(ctx context.Context) error {
	if d.command.file == "" || d.command.o.Once {
		return errors.New("there is nothing to read again: it runs on flags, or only once (forward -c FILE reads its " +
			"file again)")
	}
	outcome := make(chan error, 1)
	d.mu.Lock()
	d.asked = append(d.asked, outcome)
	d.mu.Unlock()
	d.reload()
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the configuration to be read: %w", context.Cause(ctx))
	}
}

// tell passes the outcome of a reload to those who asked for it.
func (d *forwardDaemon) tell(err error) {
	for _, to := range d.served {
		to <- err
	}
	d.served = nil
}

// Stop ends the daemon.
func (d *forwardDaemon) Stop() { d.end() }

// reload requests that the configuration be read again, if it comes from a file. With --once it is never read again.
func (d *forwardDaemon) reload() {
	if d.command.file == "" || d.command.o.Once {
		return
	}
	select {
	case d.wanted <- struct{}{}:
	default:
	}
}

// run runs one forwarder after the other until ctx ends, or the input does.
func (d *forwardDaemon) run(ctx context.Context) error {
	for {
		next, err := d.runOne(ctx)
		if next == nil {
			return err
		}
		if err := d.change(next, err); err != nil {
			return err
		}
	}
}

// runOne runs the forwarder until it ends or the configuration changes, and returns the new configuration.
func (d *forwardDaemon) runOne(ctx context.Context) (next *forwarding, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	f := d.f // which only this goroutine changes
	go func() { ended <- f.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			return nil, err
		case <-d.wanted:
		}
		d.mu.Lock()
		d.served, d.asked = append(d.served, d.asked...), nil
		d.mu.Unlock()
		if next, err = d.reread(); err == nil {
			stop()
			return next, <-ended
		}
		d.refuse(err)
	}
}

// refuse logs why a configuration is not used, and keeps it in the status until one is.
func (d *forwardDaemon) refuse(err error) {
	d.mu.Lock()
	d.wrong = "reload refused, " + err.Error()
	d.mu.Unlock()
	d.tell(err)
	d.log.Error("reload refused, the former configuration stays in use", "configuration", d.command.file,
		"error", err)
}

// reread reads the configuration again. A change that needs a restart of the process is an error.
func (d *forwardDaemon) reread() (*forwarding, error) {
	next, err := d.command.read(d.a.lookup)
	if err != nil {
		return nil, err
	}
	now := d.w
	for _, x := range []struct{ what, before, after string }{
		{"the directory of the state", now.state[0].dir, next.state[0].dir},
		{"the directory of the spool", now.hop.spool, next.hop.spool},
		{"the user", now.user, next.user},
		{"where HTTP is answered", strings.Join(now.c.HTTP, " "), strings.Join(next.c.HTTP, " ")},
	} {
		if x.before != x.after {
			return nil, fmt.Errorf("%s would change from %q to %q: that needs a new start", x.what, x.before, x.after)
		}
	}
	next.o.StateRoot, next.o.StateDir = now.o.StateRoot, now.o.StateDir
	next.o.SpoolRoot, next.o.SpoolDir = now.o.SpoolRoot, now.o.SpoolDir
	if len(next.o.Inputs) == 0 { // feeds have been checked
		return next, nil
	}
	return next, next.o.Validate()
}

// change replaces the forwarder, which ended with the error ended, by one for next. If that cannot start, it goes back
// to the previous configuration.
func (d *forwardDaemon) change(next *forwarding, ended error) error {
	if ended != nil {
		return ended
	}
	d.mu.Lock()
	s := d.f.Status()
	d.before.Entries, d.before.Bytes = d.before.Entries+s.Entries, d.before.Bytes+s.Bytes
	d.mu.Unlock()
	before := d.w
	err := d.use(next)
	if err == nil {
		d.mu.Lock()
		d.wrong = ""
		d.mu.Unlock()
		d.tell(nil)
		err = next.feeds.closeSpare()
		d.log.Info("configuration reloaded", "configuration", d.command.file,
			"inputs", len(next.o.Inputs)+len(next.feeds.journals)+len(next.feeds.syslogs))
		return err
	}
	d.refuse(err)
	before.feeds = before.feeds.clone()
	return d.use(before)
}

// use opens the forwarder of w with the sockets of the previous one.
func (d *forwardDaemon) use(w *forwarding) error {
	former := d.w.feeds
	d.w = w
	if err := w.feeds.listen(former); err != nil {
		return err
	}
	return d.open()
}

// reading returns the figures of the status line.
func (d *forwardDaemon) reading() reading {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.f.Status()
	r := reading{lines: d.before.Entries + s.Entries, bytes: d.before.Bytes + s.Bytes, backlog: s.Backlog}
	r.note = peerNote(s)
	if d.command.o.Once {
		r.whole = s.BytesTotal
	}
	return r
}
