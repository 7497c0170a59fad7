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

// forwardDaemon is a forwarder, and after a reload another one over the same state: a reload is a stop and a start,
// which reads on where the other one has come to. What is sent has the numbers it had.
type forwardDaemon struct {
	a       *app
	command *forwardCommand
	log     *slog.Logger
	stats   *stats.Set
	end     context.CancelFunc
	wanted  chan struct{} // holds a value when the configuration is to be read again

	w *forwarding // that f runs; of the goroutine of run

	served []chan<- error // are told what comes of the configuration that is being read; of the goroutine of run

	mu     sync.Mutex
	asked  []chan<- error // wait for the next reading
	f      *forwarder.Forwarder
	wrong  string           // why the last reload was refused
	before forwarder.Status // what those before f have done
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

// now is the forwarder that runs, and why the last reload was refused.
func (d *forwardDaemon) now() (f *forwarder.Forwarder, refused string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.f, d.wrong
}

// Trouble is for who asks at the control socket.
func (d *forwardDaemon) Trouble() string {
	f, refused := d.now()
	return cmp.Or(refused, f.Trouble())
}

// Detail is likewise.
func (d *forwardDaemon) Detail(ctx context.Context) any {
	f, _ := d.now()
	detail := f.Detail(ctx)
	detail.Trouble = d.Trouble()
	return detail
}

// Reload is likewise.
func (d *forwardDaemon) Reload(ctx context.Context) error {
	if d.command.file == "" || d.command.o.Once {
		return errors.New("there is nothing to read again: it runs on flags, or only once (forward -c FILE reads its file again)")
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

// tell says what came of a reading to those who asked for it.
func (d *forwardDaemon) tell(err error) {
	for _, to := range d.served {
		to <- err
	}
	d.served = nil
}

// Stop is likewise.
func (d *forwardDaemon) Stop() { d.end() }

// reload has the configuration read again, if there is a file of it. With --once it is read once.
func (d *forwardDaemon) reload() {
	if d.command.file == "" || d.command.o.Once {
		return
	}
	select {
	case d.wanted <- struct{}{}:
	default:
	}
}

// run runs one forwarder after the other until ctx ends, or the input.
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

// runOne runs the forwarder until it ends, or there is another configuration, which it returns.
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

// refuse tells why a configuration is not used, in the status until another is.
func (d *forwardDaemon) refuse(err error) {
	d.mu.Lock()
	d.wrong = "reload refused, " + err.Error()
	d.mu.Unlock()
	d.tell(err)
	d.log.Error("reload refused, the configuration of before stays in use", "configuration", d.command.file, "error", err)
}

// reread reads the configuration again. What cannot be changed while the process runs is an error.
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

// change goes over to next after the forwarder has ended with ended, or back to the configuration of before if that
// cannot be run.
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
		d.log.Info("configuration was read again", "configuration", d.command.file,
			"inputs", len(next.o.Inputs)+len(next.feeds.journals)+len(next.feeds.syslogs))
		return err
	}
	d.refuse(err)
	before.feeds = before.feeds.clone()
	return d.use(before)
}

// use opens the forwarder of w, with the sockets of the one before.
func (d *forwardDaemon) use(w *forwarding) error {
	former := d.w.feeds
	d.w = w
	if err := w.feeds.listen(former); err != nil {
		return err
	}
	return d.open()
}

// reading is for the status line.
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
