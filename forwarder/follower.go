package forwarder

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/internal/stats"

	"inkwell/store/stream"
)

// timing is how long the follower waits for what.
type timing struct {
	poll     time.Duration // between looks at a file that grew lately; doubles while it does not …
	pollMax  time.Duration // … up to this
	rescan   time.Duration // between looks at directories
	linger   time.Duration // a file that was rotated away is read until it was quiet for so long
	partial  time.Duration // then its last line waits so long for its end
	keepOld  time.Duration // and its descriptor is kept so long for late bytes …
	keepGone time.Duration // … when it was deleted, so long: until then its room on disk is not free
	window   time.Duration // how long after a rotation unknown siblings are taken for missed generations
	forget   time.Duration // how long a file must be gone before its position is dropped
}

var defaultTiming = timing{
	poll:     100 * time.Millisecond,
	pollMax:  2 * time.Second,
	rescan:   time.Second,
	linger:   time.Second,
	partial:  10 * time.Second,
	keepOld:  5 * time.Minute,
	keepGone: time.Minute,
	window:   10 * time.Second,
	forget:   time.Minute,
}

// longKeep is how much memory for long lines is kept while there is nothing to read.
const longKeep = 1 << 20

// retiredMax is how many descriptors are kept for late bytes.
const retiredMax = 256

// follower is the one loop that looks at all files and reads them. Everything but the counters belongs to the goroutine of run.
type follower struct {
	timing
	sources []*source
	fromEnd bool
	once    bool
	maxLine int
	log     *slog.Logger
	count   counters
	ship    *shipper
	watch   *watcher
	limit   int // descriptors

	dirs    map[string]*directory
	loaded  map[string][]*generation // from the positions, by directory, until that is looked at
	known   map[identity]*generation
	open    []*generation // that have a descriptor …
	opened  []*generation // … and those that got it since the last poll
	retired int
	ready   []*generation // that have something to read
	spare   []*generation
	cur     *parcel // being filled
	seq     uint64
	buf     []byte
	long    []byte
	started bool // the first scan is over
	hinted  bool // some directory is
	scanAt  time.Time
	full    bool            // out of descriptors, logged
	failed  map[string]bool // files that could not be read, and that was logged
	said    map[string]bool // files of which something else was logged
	soon    bool            // there is something to look at without waiting
}

// counters are what the follower tells about itself.
type counters struct {
	lines, bytes, split, truncated, recovered, unreadable, lost, noRoom *atomic.Int64

	files atomic.Int64 // being followed
	total atomic.Int64 // bytes found at the start
}

func (c *counters) init(s *stats.Set) {
	c.lines = s.Overall("lines read")
	c.bytes = s.Overall("bytes read")
	c.split = s.Overall("lines split")
	c.truncated = s.Overall("files truncated")
	c.recovered = s.Overall("generations recovered")
	c.unreadable = s.Overall("files unreadable")
	c.lost = s.Overall("files lost")
	c.noRoom = s.Overall("files waiting for descriptors")
}

func newFollower(sources []*source, ship *shipper, log *slog.Logger) *follower {
	f := &follower{
		timing:  defaultTiming,
		sources: sources,
		maxLine: defaultLine,
		log:     log,
		ship:    ship,
		limit:   descriptorLimit(),
		dirs:    make(map[string]*directory),
		loaded:  make(map[string][]*generation),
		known:   make(map[identity]*generation),
		failed:  make(map[string]bool),
		said:    make(map[string]bool),
		buf:     make([]byte, chunkSize),
	}
	f.count.init(stats.New())
	f.fill(<-ship.free)
	return f
}

func (f *follower) configure(o Options) {
	f.fromEnd, f.once = o.FromEnd, o.Once
	if o.MaxLine > 0 {
		f.maxLine = o.MaxLine
	}
	f.count.init(o.Stats)
}

// longest is the longest line of a source.
func (f *follower) longest(s *source) int { return cmp.Or(s.maxLine, f.maxLine) }

// load takes over the positions of earlier runs.
func (f *follower) load(p *positions) {
	for id, pos := range p.live {
		var old past
		if pos.stream == (stream.ID{}) { // nothing was taken of the file since the machine was started: see boot
			old = slices.Clone(p.past[id])
		}
		g := &generation{position: pos, past: old, fd: -1, name: pos.path}
		f.known[id] = g
		dir := filepath.Dir(pos.path)
		f.loaded[dir] = append(f.loaded[dir], g)
	}
}

// unreadableErr says how many files could not be read.
func (f *follower) unreadableErr() error {
	if len(f.failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d files could not be read, among them %s; see the log", len(f.failed), slices.Sorted(maps.Keys(f.failed))[0])
}

// descriptorLimit leaves room for the network, the spool and what else the process has open.
func descriptorLimit() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Cur > 1<<20 {
		return 1 << 20
	}
	return max(int(r.Cur)-64-int(r.Cur)/10, 16)
}

func (f *follower) fill(p *parcel) {
	f.seq++
	p.reset(f.seq)
	f.cur = p
}

// isFull says whether the parcel takes no more lines.
func (f *follower) isFull() bool { return f.cur.closed || f.cur.batch.Size() >= parcelFull }

// run follows until ctx ends; with once, until everything was read to its end. Every line read was given to the shipper then, but
// for those of a parcel that was not taken before ctx ended: they are read again the next time.
func (f *follower) run(ctx context.Context) error {
	defer close(f.ship.full)
	defer f.closeAll()
	f.watch = newWatcher(f.log)
	defer func() {
		if err := f.watch.close(); err != nil {
			f.log.Warn("cannot close the watch", "err", err)
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		f.rescan(now)
		f.soon = false
		next := f.poll(now)
		f.readRound(ctx, now)
		if f.once && f.idle() {
			return f.handOver(ctx)
		}
		if f.soon || len(f.ready) > 0 && !f.isFull() {
			continue
		}
		if f.hinted {
			next = now // a directory that is not listed again yet
		}
		if cap(f.long) > longKeep {
			f.long = nil
		}
		f.wait(ctx, timer, min(next.Sub(now), f.scanAt.Sub(now)))
	}
	return ctx.Err()
}

// wait waits until there is something to do, d at most.
func (f *follower) wait(ctx context.Context, timer *time.Timer, d time.Duration) {
	timer.Reset(max(d, f.timing.poll/2))
	var full chan<- *parcel
	if !f.cur.empty() {
		full = f.ship.full
	}
	select {
	case full <- f.cur:
		f.fill(<-f.ship.free)
	case <-f.watch.wake:
		f.watch.hints(f.hintFile, f.hintDir)
	case <-timer.C:
	case <-ctx.Done():
	}
}

// offer hands the parcel over if the shipper waits for one.
func (f *follower) offer() {
	if f.cur.empty() {
		return
	}
	select {
	case f.ship.full <- f.cur:
		f.fill(<-f.ship.free)
	default:
	}
}

func (f *follower) handOver(ctx context.Context) error {
	if f.cur.empty() {
		return nil
	}
	select {
	case f.ship.full <- f.cur:
		f.fill(<-f.ship.free)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// idle says whether everything was read to its end.
func (f *follower) idle() bool {
	if len(f.ready) > 0 || f.starved() {
		return false
	}
	for _, d := range f.dirs {
		for _, t := range d.trails {
			if len(t.gens) > 0 {
				return false
			}
		}
	}
	return true
}

// note puts g's position into the parcel: it holds when the parcel is acknowledged.
func (f *follower) note(g *generation) {
	if g.parcel != f.cur.seq {
		g.parcel, g.slot = f.cur.seq, len(f.cur.positions)
		f.cur.positions = append(f.cur.positions, g.position)
		return
	}
	f.cur.positions[g.slot] = g.position
}

func (f *follower) closeAll() {
	for _, g := range append(f.open, f.opened...) {
		g.close(f.log)
	}
	f.open, f.opened = nil, nil
}
