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
	hang     time.Duration // a file system whose calls take longer hangs
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

// follower finds the directories that match, and has a volume for each file system look at them and read.
type follower struct {
	timing
	sources []*source
	fromEnd bool
	once    bool
	log     *slog.Logger
	count   counters
	ship    *shipper
	origin  *origin
	limit   int           // descriptors
	seq     atomic.Uint64 // of shipments

	volumes  map[string]*volume // by file system
	failed   chan error         // what ended a volume
	mounts   mounts
	began    bool         // directories are assigned
	returned atomic.Bool  // a directory was given back by its volume
	held     atomic.Int64 // descriptors

	told   int64     // files, as the log has them …
	toldAt time.Time // … and since when

	findings   map[*source]finding // what each pattern leads to …
	before     wanted              // … and that put together, when directories were assigned last
	obstacles  map[*source]*obstacle
	blocked    map[*source]map[string]bool // directories on the way that cannot be looked into, and that was told
	categories *categories

	mu       sync.Mutex
	loaded   map[string][]*generation // from the positions, or given back by a volume, by directory
	assigned map[string]*volume       // who has a directory
}

// counters are what the follower tells about itself.
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
	for _, now := range []*atomic.Int64{c.unreadable, c.noRoom, c.hanging} { // what a follower before this one told is over
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
			o.Stats.Category(category, "received good") // so that it is there from the start
		}
	}
}

// load takes over the positions of earlier runs.
func (f *follower) load(p *positions) {
	for _, k := range slices.SortedFunc(maps.Keys(p.live), compareKeys) {
		pos := p.live[k]
		var old past
		if pos.stream == (stream.ID{}) { // nothing was taken of the file since the machine was started: see boot
			old = slices.Clone(p.past[k])
		}
		g := &generation{position: pos, past: old, fd: -1, name: pos.path}
		dir := filepath.Dir(pos.path)
		f.loaded[dir] = append(f.loaded[dir], g)
	}
}

// unreadableErr says how many files could not be read.
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
	late := time.After(f.hang) // then the inputs that were heard of begin without the others
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
