// Package forwarder turns the lines of files and pipes into entries and hands them on.
//
//	patterns ─ find ─► directories, each given to the volume of its file system
//	                 ┌──────────────────────── volume ────────────────────────┐   ┌──── shipper ─────┐
//	events ─ hints ─►│ directory ─ scan, decide, apply ─► trail ─ generation… │   │                  │
//	stat ─ poll ────►│                    │ readAt 256 KiB, find newlines     │   │ Append ► buffer ─┼┬─► network
//	                 │                    └─► shipment: batch + positions ────┼──►│ then positions   │└─► spool
//	                 └────────────────────────────────────────────────────────┘   └──────────────────┘
//	stdin ──────────► pipe reader ──────────► shipment ─────────────────────────► Append ► buffer or network
//
// A path has a trail of generations: the files that it named one after the other. The contents of a file tell which
// generation it is (fingerprints of its first bytes and of the bytes before the position); device, inode and name are
// hints. A scan of a directory collects arrivals and compares their contents. Then decide says what is to be done about
// them and changes nothing, and apply does it. The generations of a trail are read one after the other: reading of a
// new one begins when the one before was rotated and has become quiet.
//
// A follower has a volume for each file system, whose goroutine looks at its files and reads them. A file system that
// hangs holds up its own files only. Each volume fills a shipment while another one is with the shipper. A shipment is
// handed over as soon as the shipper is free, with whatever was read by then; there is no timer.
//
// Invariants: a position advances only past what the store has acknowledged, and is written before the next batch is
// sent. The lines of one generation keep their order. A line is never changed, with two exceptions: one that is longer
// than MaxLine is split, and a last line without a newline gets one. What rotation can lose and what it cannot:
// docs/following.md.
//
// Limitations: Linux only. Rotated files are looked for in the directory of the path, in the directories directly below
// it, and in the directory of a link's target, nowhere else.
package forwarder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/forwarder/feed"
	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/internal/stats"
)

// ErrLeftInSpool says that some entries could not be delivered and stay in the spool. The next run with the same spool
// delivers them.
var ErrLeftInSpool = errors.New("entries are left in the spool")

// stopGrace is how long a call in progress may go on when the forwarder is to stop; then its batch goes to the spool.
const stopGrace = 5 * time.Second

// Options configure a Forwarder.
type Options struct {
	To        []string // HOST:PORT of the next hops, tried in order of health
	Calls     Calls
	StateRoot string // StateDir is beneath it, and no link is followed on the way; "" = StateDir
	StateDir  string // for positions, lock and spool; made if it is missing
	SpoolDir  string // for what cannot be sent; "" = StateDir/spool
	SpoolRoot string // SpoolDir is beneath it, and no link is followed on the way; "" = SpoolDir
	SpoolMax  int64  // bytes the spool may take; 0 = unbounded
	Inputs    []Input
	Feeds     []feed.Feed   // inputs that are not files; Open opens them, Run closes them
	FromEnd   bool          // files that exist when their path is first seen are followed from their end
	Version   string        // of the program, for the collector
	Host      string        // name of this machine, for the collector; "" = its hostname
	Once      bool          // read every file to its end, deliver, return
	Wait      time.Duration // Once: the longest time without progress before Run gives up with ErrAway; 0 = no limit
	MaxLine   int           // bytes; longer lines are split; 0 = 16 MiB

	MaxCategories int // of all inputs; files of further categories are not followed; 0 = 4096
	Logger        *slog.Logger
	Stats         *stats.Set
}

// Status is what a Forwarder has done since Open.
type Status struct {
	Entries    int64 // read, and acknowledged by the next hop or the spool
	Bytes      int64 // bytes of files that those entries cover
	BytesTotal int64 // Once: all bytes to read, including those that were read
	Backlog    int64 // bytes in the spool
	Files      int   // that are being followed
	Peer       string
}

// Forwarder follows files and hands their lines on.
type Forwarder struct {
	log       *slog.Logger
	once      bool
	spoolDir  string
	state     *faultfs.Dir
	lock      *faultfs.File
	positions *positions
	followed  *followed
	hop       *nextHop
	ship      *shipper
	follower  *follower
	feeds     *feeds
	report    *reporter
	patience  patience // with Once
	entries   atomic.Int64
	bytes     atomic.Int64
	unsaved   bool // positions could not be written, and that was logged
}

// Open locks the state directory and does everything that can fail. The error is faultfs.ErrLocked when another process
// has the state. Nothing is read before Run. Run must be called; it releases what Open took.
func Open(o Options) (*Forwarder, error) {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Stats = cmp.Or(o.Stats, stats.New())
	if o.SpoolDir == "" {
		o.SpoolRoot, o.SpoolDir = o.StateDir, filepath.Join(o.StateDir, "spool")
	}
	sources, err := o.sources()
	if err != nil {
		return nil, err
	}
	f := &Forwarder{log: o.Logger, once: o.Once, spoolDir: o.SpoolDir}
	f.patience = patience{wait: o.Wait, sent: o.Stats.Overall("sent"), waiting: f.hasWork}
	if err := f.open(o, sources); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *Forwarder) open(o Options, sources []*source) (err error) {
	if f.state, err = faultfs.OpenBeneath(o.StateRoot, o.StateDir, nil); err != nil {
		return fmt.Errorf("open state: %w; it must be a directory that can be written to", err)
	}
	if f.lock, err = f.state.Lock("lock"); err != nil {
		return fmt.Errorf("open state (each forwarder needs a directory of its own): %w", err)
	}
	if f.positions, err = openPositions(f.state, o.Logger); err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	if err := f.positions.boot(); err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	f.followed = openFollowed(f.state, time.Now(), o.Logger)
	f.savePositions() // what did not fit on the disk
	f.hop, err = openHop(hopOptions{to: o.To, name: f.state.Path(), calls: o.Calls, host: o.Host, root: o.SpoolRoot,
		dir: o.SpoolDir,
		max: o.SpoolMax, log: o.Logger, stats: o.Stats})
	if err != nil {
		return err
	}
	f.ship = newShipper(f.hop, o.Logger)
	f.ship.first, f.ship.acked, f.ship.idle = f.born, f.acked, f.savePositions
	f.follower = newFollower(sources, f.ship, o.Logger)
	f.follower.origin = f.hop.origin
	f.report = f.hop.newReporter("forward", o.Version, f.state.Path())
	f.report.detail = f.Detail
	f.follower.configure(o)
	f.follower.load(f.positions)
	f.follower.followedUntil = f.followed.before
	f.feeds, err = openFeeds(o.Feeds, f)
	return err
}

// Validate reports every problem with the inputs.
func (o *Options) Validate() error {
	_, err := o.sources()
	return err
}

// sources returns the compiled inputs, or every problem with them.
func (o *Options) sources() (sources []*source, err error) {
	var problems []error
	if o.MaxLine < 0 || o.SpoolMax < 0 {
		problems = append(problems, errors.New("the longest line and the size of the spool must not be negative"))
	}
	if len(o.Inputs)+len(o.Feeds) == 0 {
		problems = append(problems, errors.New(
			"nothing to follow: give at least one CATEGORY=GLOB, --journal or --syslog"))
	}
	for i, in := range o.Inputs {
		in.Lines.MaxLine = cmp.Or(in.Lines.MaxLine, max(o.MaxLine, 0))
		s, err := newSource(in, i)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		sources = append(sources, s)
	}
	return sources, errors.Join(problems...)
}

// born saves the positions of new streams before the shipment is sent, so that what is sent again after a crash has the
// same numbers.
func (f *Forwarder) born(p *shipment) {
	f.hop.origin.names.Save()
	if len(p.born) == 0 {
		return
	}
	if err := f.positions.announce(p.born); err != nil {
		f.saved(err)
	}
}

// acked saves the positions of a shipment that the store has acknowledged, before the next one is sent.
func (f *Forwarder) acked(p *shipment) {
	killpoint.Reach("forward.delivered")
	if len(p.positions) > 0 {
		f.saved(f.positions.commit(p.positions))
	}
	f.entries.Add(int64(p.batch.Count()))
	f.bytes.Add(p.bytes)
}

func (f *Forwarder) savePositions() {
	f.saved(f.positions.sync())
	f.followed.note(time.Now())
}

// saved logs when positions cannot be written and when they can again. Lines are delivered meanwhile: a full disk is no
// reason to hold them back. The price is that they are sent again if the process dies; an Inkwell drops them by their
// numbers, as long as the births of their streams could be saved.
func (f *Forwarder) saved(err error) {
	switch {
	case err != nil && !f.unsaved:
		f.log.Error("cannot write positions; if the forwarder is killed now, what it sends is sent again",
			"dir", f.state.Path(), "err", err)
	case err == nil && f.unsaved:
		f.log.Info("positions can be written again")
	}
	f.unsaved = err != nil
}

// Run follows the files until ctx ends, finishes the shipments that are in progress, writes the positions and returns
// nil. With Once it returns nil when every file was read to its end and everything was delivered, what earlier runs had
// spooled included. If ctx ends before that, the error says what is left, and is ErrLeftInSpool if some of it is in the
// spool. Run may be called once.
func (f *Forwarder) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, f.close()) }()
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ctx, end := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer end()
	if f.once && f.patience.wait > 0 {
		watching.Go(func() { f.patience.watch(ctx, end) })
	}
	shipped := make(chan error, 1)
	go func() { shipped <- f.ship.run(hard) }()
	f.feeds.run(ctx, hard)
	watching.Go(func() { f.report.run(ctx) })
	followErr := f.follower.run(ctx)
	shipErr := f.waitShipped(ctx, cancel, shipped)
	shipErr = errors.Join(shipErr, f.feeds.wait(ctx, cancel))
	if !f.once {
		end()
		watching.Wait()
		f.report.last()
		return nil // what was not shipped is read again from the files
	}
	if followErr == nil && shipErr == nil {
		followErr = f.hop.drain(ctx)
	}
	if followErr == nil && shipErr == nil {
		f.followed.finish()
	}
	end()
	watching.Wait()
	f.report.last()
	return f.patience.judge(f.left(errors.Join(followErr, shipErr)))
}

// waitShipped waits for the shipper to end. Once ctx has ended the shipper gets stopGrace; then cancel ends its call.
func (f *Forwarder) waitShipped(ctx context.Context, cancel func(), shipped <-chan error) error {
	select {
	case err := <-shipped:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-shipped:
		return err
	case <-time.After(stopGrace):
		cancel()
		return <-shipped
	}
}

// left returns an error that says what a run with Once has not finished, nil if it has finished everything.
func (f *Forwarder) left(err error) error {
	unread := f.follower.count.total.Load() - f.bytes.Load()
	bytes, entries := f.hop.backlog()
	switch {
	case entries > 0:
		return fmt.Errorf("%w: %d entries, %d bytes in %s; %d bytes of the files are not read; run again to deliver "+
			"them",
			ErrLeftInSpool, entries, bytes, f.spoolDir, max(unread, 0))
	case err != nil:
		return fmt.Errorf("stopped with %d bytes of the files not read; run again to go on: %w", max(unread, 0), err)
	}
	return f.follower.unreadableErr()
}

// Status may be called at any time, also while Run runs.
func (f *Forwarder) Status() Status {
	backlog, _ := f.hop.backlog()
	return Status{
		Entries:    f.entries.Load(),
		Bytes:      f.bytes.Load(),
		BytesTotal: f.follower.count.total.Load(),
		Backlog:    backlog,
		Files:      int(f.follower.count.files.Load()),
		Peer:       f.hop.network.Peer(),
	}
}

// close releases what Open took; Open may have failed halfway.
func (f *Forwarder) close() error {
	var errs []error
	if f.feeds != nil {
		errs = append(errs, f.feeds.close())
	}
	if f.hop != nil {
		errs = append(errs, f.hop.Close())
	}
	if f.positions != nil {
		errs = append(errs, f.positions.close())
	}
	if f.lock != nil {
		errs = append(errs, f.lock.Close())
	}
	if f.state != nil {
		errs = append(errs, f.state.Close())
	}
	return errors.Join(errs...)
}
