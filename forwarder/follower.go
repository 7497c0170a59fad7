package forwarder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/stats"
	"inkwell/store/stream"
)

// timing has the delays of the follower.
type timing struct {
	poll     time.Duration // between polls of a file that grew recently; doubles while it does not grow …
	pollMax  time.Duration // … up to this
	rescan   time.Duration // between scans of directories
	linger   time.Duration // a rotated file is read until nothing was written to it for this long
	partial  time.Duration // then its last line waits this long for its newline
	keepOld  time.Duration // and its descriptor stays open this long for late writes …
	keepGone time.Duration // … or, if it was deleted, this long: until then its disk space is not freed
	window   time.Duration // how long after a rotation unknown rotated files count as missed generations
	forget   time.Duration // how long a file must be gone before its position is dropped
	hang     time.Duration // a file system whose calls take longer counts as hanging
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
	hang:     5 * time.Second,
}

// volumesMax is how many file systems have a goroutine of their own; further ones share.
const volumesMax = 16

// follower finds the directories that match the inputs, and has one volume per file system follow the files in them.
type follower struct {
	timing
	sources []*source
	fromEnd bool
	once    bool
	log     *slog.Logger
	count   counters
	ship    *shipper
	origin  *origin
	limit   int           // of open descriptors
	seq     atomic.Uint64 // numbers the fillings of shipments

	volumes       map[string]*volume // by file system
	failed        chan error         // receives the error with which a volume ended, or nil
	mounts        mounts
	began         bool         // directories have been assigned
	followedUntil time.Time    // until when an earlier run has followed; zero = there was none
	returned      atomic.Bool  // a volume gave a directory back
	held          atomic.Int64 // open descriptors
	due           atomic.Int64 // files that wait for one

	told   int64     // the number of files that was logged last …
	toldAt time.Time // … and when

	findings   map[*source]finding // the latest of each pattern …
	before     wanted              // … and all of them merged, at the last assignment
	obstacles  map[*source]*obstacle
	blocked    map[*source]map[string]bool // unreadable directories on the way of a pattern that were logged
	categories *categories

	mu       sync.Mutex
	loaded   map[string][]*generation // by directory: from the positions, or given back by a volume
	assigned map[string]*volume       // by directory
}

// counters are the statistics of the follower.
type counters struct {
	lines, bytes, split, truncated, recovered, unreadable, lost, noRoom, hanging, holes, odd *atomic.Int64

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
	c.hanging = s.Overall("file systems hanging")
	c.holes = s.Overall("bytes of holes")
	c.odd = s.Overall("lines not of the format")
	// These are gauges: forget what an earlier follower counted.
	for _, now := range []*atomic.Int64{c.unreadable, c.noRoom, c.hanging} {
		now.Store(0)
	}
}

func newFollower(sources []*source, ship *shipper, log *slog.Logger) *follower {
	f := &follower{
		timing:   defaultTiming,
		sources:  sources,
		log:      log,
		ship:     ship,
		origin:   &origin{names: stream.NewNames(log)},
		limit:    descriptorLimit(),
		volumes:  make(map[string]*volume),
		failed:   make(chan error, volumesMax),
		loaded:   make(map[string][]*generation),
		assigned: make(map[string]*volume),

		findings:   make(map[*source]finding),
		obstacles:  make(map[*source]*obstacle),
		blocked:    make(map[*source]map[string]bool),
		categories: newCategories(log),
	}
	f.count.init(stats.New())
	return f
}

func (f *follower) configure(o Options) {
	f.fromEnd, f.once = o.FromEnd, o.Once
	f.count.init(o.Stats)
	f.categories.max = cmp.Or(o.MaxCategories, defaultCategories)
	f.categories.count(o.Stats)
	for _, s := range f.sources {
		if category, fixed := s.pattern.Fixed(); fixed {
			o.Stats.Category(category, "received good") // so that the counter exists from the start
		}
	}
}

// load makes generations of the positions that earlier runs saved.
func (f *follower) load(p *positions) {
	for _, k := range slices.SortedFunc(maps.Keys(p.live), compareKeys) {
		pos := p.live[k]
		var old history
		if pos.stream == (stream.ID{}) { // nothing was taken of the file since the last reboot: see boot
			old = slices.Clone(p.past[k])
		}
		g := &generation{position: pos, past: old, fd: -1, name: pos.path}
		dir := filepath.Dir(pos.path)
		f.loaded[dir] = append(f.loaded[dir], g)
	}
}

// unreadableErr returns an error if there are files that could not be read.
func (f *follower) unreadableErr() error {
	if n := f.count.unreadable.Load(); n > 0 {
		return fmt.Errorf("%d files could not be read; see the log", n)
	}
	return nil
}

// run follows until ctx ends; with once, until everything was read to its end.
func (f *follower) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer close(f.ship.full)
	found := f.find(ctx)
	watch := time.NewTicker(f.hang / 5)
	defer watch.Stop()
	late := time.After(f.hang) // then the inputs that were searched begin without the others
	running, complete := 0, false
	for ctx.Err() == nil && !(f.once && complete && running == 0) {
		select {
		case x := <-found:
			f.findings[x.source] = x
		case <-late:
			late, f.began = nil, true
		case err := <-f.failed:
			running--
			if err != nil {
				return errors.Join(err, f.await(cancel))
			}
			continue
		case now := <-watch.C:
			f.lookForHangs()
			f.tellPatterns(now)
			f.tellFiles(complete, now)
			f.categories.tell(now)
			if !f.returned.Swap(false) && !f.mounts.changed() {
				continue
			}
		case <-ctx.Done():
			continue
		}
		if complete = len(f.findings) == len(f.sources); complete || f.began {
			f.began = true
			running += f.assign(ctx)
		}
	}
	return errors.Join(ctx.Err(), f.await(cancel))
}

// lookForHangs logs when a file system stops answering, and when it answers again.
func (f *follower) lookForHangs() {
	for _, v := range f.volumes {
		path, steps := v.pending.Load(), v.steps.Load()
		if path == nil || steps != v.stepsSeen {
			v.stepsSeen, v.stepped = steps, time.Now()
			if v.hangs {
				v.hangs = false
				f.count.hanging.Add(-1)
				f.log.Info("file system answers again", "mount", v.name)
			}
			continue
		}
		if !v.hangs && time.Since(v.stepped) >= f.hang {
			v.hangs = true
			f.count.hanging.Add(1)
			f.log.Warn("file system hangs; its files are read on when it answers, all others meanwhile",
				"mount", v.name, "path", *path)
		}
	}
}

// await cancels the volumes and waits for them to end, except for those that hang.
func (f *follower) await(cancel context.CancelFunc) error {
	cancel()
	grace := time.NewTimer(stopHang)
	defer grace.Stop()
	for _, v := range f.volumes {
		select {
		case <-v.ended:
		case <-grace.C:
			grace.Reset(0)
			if path := v.pending.Load(); path != nil {
				f.log.Warn("a file system hangs and is not waited for", "mount", v.name, "path", *path)
			}
		}
	}
	return nil
}

// stopHang is how long a volume may take to end.
const stopHang = 2 * time.Second
