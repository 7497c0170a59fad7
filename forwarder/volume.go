package forwarder

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/forwarder/lines"
)

// longKeep is how much memory for long lines is kept while there is nothing to read.
const longKeep = 1 << 20

// retiredMax is how many descriptors are kept for late bytes.
const retiredMax = 256

// volume is the files of one file system. One goroutine looks at them and reads them: where the file system hangs, only
// that does. Everything belongs to it but what is atomic or stands under mu, and what it shares with its follower.
type volume struct {
	*follower
	name  string // of the file system
	watch *watcher

	dirs     map[string]*directory
	beside   map[string]*directory // by the directories of what its links point to
	known    map[identity]*generation
	decoders map[*source]*lines.Decoder
	open     []*generation // that have a descriptor …
	opened   []*generation // … and those that got it since the last poll
	retired  int
	ready    []*generation // that have something to read
	spare    []*generation
	cur      *shipment // being filled
	buf      []byte
	long     []byte
	started  bool // every directory was looked at once
	hinted   bool // some directory is
	scanAt   time.Time
	full     bool            // out of descriptors, logged
	said     map[string]bool // files of which something was logged that is told once
	soon     bool            // there is something to look at without waiting

	heldTold, filesTold int64 // what this volume has of the follower's counts

	stepsSeen int64     // these three are the follower's: the last step that it saw …
	stepped   time.Time // … when that was …
	hangs     bool      // … and whether that was told

	steps   atomic.Int64           // calls of the file system that were begun …
	pending atomic.Pointer[string] // … the last one about that file; nil = none is under way

	mu    sync.Mutex
	mail  []assignment
	asked []chan<- []FileDetail // by those who wait for an answer
	wake  chan struct{}         // holds a value when there is mail
	ended chan struct{}
}

func newVolume(f *follower, name string) *volume {
	v := &volume{
		follower: f,
		name:     name,
		dirs:     make(map[string]*directory),
		beside:   make(map[string]*directory),
		known:    make(map[identity]*generation),
		decoders: make(map[*source]*lines.Decoder),
		said:     make(map[string]bool),
		buf:      make([]byte, chunkSize),
		wake:     make(chan struct{}, 1),
		ended:    make(chan struct{}),
	}
	return v
}

// at says which file the next calls are about, so that somebody can tell when they hang.
func (v *volume) at(path *string) {
	v.pending.Store(path)
	v.steps.Add(1)
}

func (v *volume) fill(p *shipment) {
	p.reset(v.seq.Add(1))
	v.cur = p
}

// isFull says whether the shipment takes no more lines.
func (v *volume) isFull() bool { return v.cur.closed || v.cur.batch.Size() >= shipmentFull }

// run follows until ctx ends; with once, until everything was read to its end. Every line read was given to the shipper
// then, but for those of a shipment that was not taken before ctx ended: they are read again the next time.
func (v *volume) run(ctx context.Context) error {
	defer close(v.ended)
	defer v.closeAll()
	v.fill(<-v.ship.free)
	v.watch = newWatcher(v.log)
	defer func() {
		if err := v.watch.close(); err != nil {
			v.log.Warn("cannot close the watch", "err", err)
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		v.takeMail(now)
		v.answer(now)
		v.rescan(now)
		v.soon = false
		next := v.poll(now)
		v.readRound(ctx, now)
		v.pending.Store(nil)
		if v.once && v.idle() {
			return v.handOver(ctx)
		}
		if v.soon || len(v.ready) > 0 && !v.isFull() {
			continue
		}
		if v.hinted {
			next = now // a directory that is not listed again yet
		}
		if cap(v.long) > longKeep {
			v.long = nil
		}
		v.wait(ctx, timer, min(next.Sub(now), v.scanAt.Sub(now)))
	}
	return ctx.Err()
}

// wait waits until there is something to do, d at most.
func (v *volume) wait(ctx context.Context, timer *time.Timer, d time.Duration) {
	timer.Reset(max(d, v.timing.poll/2))
	var full chan<- *shipment
	if !v.cur.empty() {
		full = v.ship.full
	}
	select {
	case full <- v.cur:
		v.fill(<-v.ship.free)
	case <-v.watch.wake:
		v.watch.hints(v.hintFile, v.hintDir)
	case <-v.wake:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// offer hands the shipment over if the shipper waits for one.
func (v *volume) offer(ctx context.Context) {
	if v.cur.empty() || ctx.Err() != nil {
		return
	}
	select {
	case v.ship.full <- v.cur:
		v.fill(<-v.ship.free)
	default:
	}
}

func (v *volume) handOver(ctx context.Context) error {
	if v.cur.empty() {
		return nil
	}
	select {
	case v.ship.full <- v.cur:
		v.fill(<-v.ship.free)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// idle says whether everything was read to its end.
func (v *volume) idle() bool {
	if len(v.ready) > 0 || v.starved() || v.hinted {
		return false
	}
	for _, d := range v.dirs {
		for _, t := range d.trails {
			if len(t.gens) > 0 {
				return false
			}
		}
	}
	return true
}

// starved says whether files wait for descriptors.
func (v *volume) starved() bool {
	for _, d := range v.dirs {
		if d.starved {
			return true
		}
	}
	return false
}

// tellCounts adds what this volume has to what its follower tells.
func (v *volume) tellCounts() {
	held := int64(len(v.open) + len(v.opened))
	v.held.Add(held - v.heldTold)
	files := held - int64(v.retired)
	v.count.files.Add(files - v.filesTold)
	v.heldTold, v.filesTold = held, files
}

// note puts g's position into the shipment: it holds when the shipment is acknowledged.
func (v *volume) note(g *generation) {
	if g.shipment != v.cur.seq {
		g.shipment, g.slot = v.cur.seq, len(v.cur.positions)
		v.cur.positions = append(v.cur.positions, g.position)
		return
	}
	v.cur.positions[g.slot] = g.position
}

// dropPosition puts into the shipment that the position of g holds no more, unless it is another file's by now: one that
// was made later at the same path, and got the same number.
func (v *volume) dropPosition(g *generation) {
	if o := v.known[g.id]; o != nil && o != g && o.path == g.path {
		return
	}
	p := g.position
	p.phase = removed
	v.cur.positions = append(v.cur.positions, p)
}

func (v *volume) closeAll() {
	for _, g := range append(v.open, v.opened...) {
		g.close(v.log)
	}
	v.open, v.opened = nil, nil
}
