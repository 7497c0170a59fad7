package forwarder

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/forwarder/lines"
)

// longKeep is how many bytes of memory for long lines are kept while there is nothing to read.
const longKeep = 1 << 20

// retiredMax is how many retired files are kept open for late writes.
const retiredMax = 256

// volume follows the files of one file system. One goroutine looks at the files and reads them, so that a file system
// that hangs holds up only its own files. All fields belong to that goroutine, except those that are atomic, those
// under mu, those marked as the follower's, and the shared follower itself.
type volume struct {
	*follower
	name  string // of the file system
	watch *watcher

	dirs       map[string]*directory
	beside     map[string]*directory // by the directory of a link's target
	known      map[identity]*generation
	decoders   map[*source]*lines.Decoder
	open       []*generation // files that have a descriptor …
	opened     []*generation // … and those opened since the last poll
	retired    int
	ready      []*generation // files that have content to read
	spare      []*generation
	cur        *shipment // the one being filled
	buf        []byte
	long       []byte
	started    bool // every directory was looked at once
	hinted     bool // some directory is hinted
	scanAt     time.Time
	full       bool         // out of descriptors, which was logged
	unpackings []*unpacking // that are not done
	parking    parking
	said       map[string]bool // files for which sayOnce has logged something
	soon       bool            // look again without waiting

	heldTold, filesTold, dueTold, waitingTold int64 // the part of the follower's counts that is from this volume

	stepsSeen int64     // this and the next two are the follower's: the last step it saw …
	stepped   time.Time // … when that was …
	hangs     bool      // … and whether the volume was reported as hanging

	steps   atomic.Int64           // file system calls that were begun …
	pending atomic.Pointer[string] // … and the file that the last one is about; nil = none is in progress

	mu    sync.Mutex
	mail  []assignment
	asked []chan<- []FileDetail // callers of ask that wait for an answer
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

// at records which file the next calls are about, so that the follower can report it when they hang.
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

// run follows until ctx ends; with once, until everything was read to its end. By then every line that was read was
// given to the shipper, except for those of a shipment that the shipper did not take before ctx ended: they are read
// again by the next run.
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
		v.lookAtParked(now)
		v.openDue()
		v.readRound(ctx, now)
		v.unpackSome()
		v.pending.Store(nil)
		if v.once && v.idle() {
			return v.handOver(ctx)
		}
		if v.soon || len(v.ready) > 0 && !v.isFull() {
			continue
		}
		if v.hinted || len(v.parking.due) > 0 {
			next = now // a hinted directory still has to be listed, or a file to be opened
		}
		if cap(v.long) > longKeep {
			v.long = nil
		}
		v.wait(ctx, timer, min(next.Sub(now), v.scanAt.Sub(now)))
	}
	return ctx.Err()
}

// wait waits until there is something to do, for d at most.
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

// offer hands the shipment over if the shipper is idle.
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
	if len(v.ready)+len(v.unpackings)+len(v.parking.due) > 0 || v.starved() || v.hinted {
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

// tellCounts updates the part of the follower's counts that is from this volume.
func (v *volume) tellCounts() {
	held := int64(len(v.open) + len(v.opened))
	v.held.Add(held - v.heldTold)
	files := held - int64(v.retired) + int64(v.parking.count)
	v.count.files.Add(files - v.filesTold)
	due, waiting := int64(len(v.parking.due)), int64(0)
	v.follower.due.Add(due - v.dueTold)
	if due > 0 && time.Since(v.parking.since) >= v.hang {
		waiting = due
	}
	v.count.noRoom.Add(waiting - v.waitingTold)
	v.heldTold, v.filesTold, v.dueTold, v.waitingTold = held, files, due, waiting
}

// note puts the position of g into the shipment. It becomes valid when the shipment is acknowledged.
func (v *volume) note(g *generation) {
	if g.shipment != v.cur.seq {
		g.shipment, g.slot = v.cur.seq, len(v.cur.positions)
		v.cur.positions = append(v.cur.positions, g.position)
		return
	}
	v.cur.positions[g.slot] = g.position
}

// dropPosition notes in the shipment that the position of g is to be forgotten, unless its key belongs to another file
// by now, which was created later at the same path and got the same inode.
func (v *volume) dropPosition(g *generation) {
	if o := v.known[g.id]; o != nil && o != g && o.path == g.path {
		return
	}
	p := g.position
	p.phase = removed
	v.cur.positions = append(v.cur.positions, p)
}

// found adds the unread bytes of a file that is found at the start to the total that --once reports.
func (v *volume) found(g *generation) {
	if !v.started {
		v.count.total.Add(g.stat.size - g.offset)
	}
}

func (v *volume) closeAll() {
	for _, g := range append(v.open, v.opened...) {
		g.close(v.log)
	}
	v.open, v.opened = nil, nil
	for _, u := range v.unpackings {
		u.close()
	}
}
