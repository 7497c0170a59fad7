package journal

import (
	"runtime"
	"sync"
	"time"
)

// task is an outlet's turn to be stepped: on a bench, or on a goroutine of its own. At most one goroutine steps an
// outlet at a time.
type task struct {
	t     *Outlet
	timer *time.Timer
	own   chan struct{} // of an outlet whose store can block; nil: it is stepped on a bench

	mu      sync.Mutex
	queued  bool      // it waits for a turn
	running bool      // a step is at work
	again   bool      // another turn was asked for meanwhile
	ended   bool      // no more turns
	at      time.Time // when the timer fires; zero: it does not
}

// begin makes the first turn.
func (k *task) begin(t *Outlet) {
	k.t = t
	k.timer = time.AfterFunc(time.Hour, k.wake)
	k.timer.Stop()
	if t.o.Blocks {
		k.own = make(chan struct{}, 1)
		go func() {
			for range k.own {
				k.turn()
			}
		}()
	}
	k.wake()
}

// wake asks for a turn as soon as possible.
func (k *task) wake() {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.queued || k.ended:
		return
	case k.running:
		k.again = true
		return
	}
	k.queued = true
	k.submit()
}

func (k *task) submit() {
	if k.own != nil {
		k.own <- struct{}{} // there is room: it is queued once
		return
	}
	k.t.run.benches.submit(k)
}

// wakeIn asks for a turn in d, unless there is one before.
func (k *task) wakeIn(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.setTimer(time.Now().Add(d))
}

// setTimer has the timer fire at a time, unless it does before. The caller holds mu.
func (k *task) setTimer(at time.Time) {
	if k.ended || !k.at.IsZero() && k.at.Before(at) && k.at.After(time.Now()) {
		return
	}
	k.at = at
	k.timer.Reset(max(0, time.Until(at)))
}

// turn steps the outlet.
func (k *task) turn() {
	k.mu.Lock()
	k.queued, k.running, k.at = false, true, time.Time{}
	k.mu.Unlock()
	now := time.Now()
	k.t.begin(now)
	k.t.run.steps.Add(1)
	next, done := k.t.stepper.step(now)
	k.t.begin(time.Time{})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running = false
	switch {
	case done:
		k.ended = true
		k.timer.Stop()
		if k.own != nil {
			close(k.own)
		}
	case k.again || !next.After(now):
		k.again, k.queued = false, true
		k.submit()
	default:
		k.setTimer(next)
	}
}

// begin notes since when a step is at work; the zero time says that none is.
func (t *Outlet) begin(at time.Time) {
	t.mu.Lock()
	t.busy = at
	paid := at.IsZero() && t.owes
	t.owes = t.owes && !paid
	t.mu.Unlock()
	if at.IsZero() {
		signal(t.room)
	}
	if paid && t.run.owing.Add(-1) == 0 {
		signal(t.run.paid)
	}
}

// turner is work for a bench.
type turner interface{ turn() }

// benches are goroutines that step outlets, as many as there are processors; more when all of them are stuck.
type benches struct {
	mu      sync.Mutex
	work    sync.Cond // queue or ended changed
	queue   []turner
	running int // goroutines
	idle    int
	ended   bool
	turned  time.Time // when a turn ended last, or all were idle
	wait    sync.WaitGroup
	watch   *time.Timer // looks whether the benches are stuck
	watched bool        // it runs
}

func newBenches() *benches {
	b := &benches{turned: time.Now()}
	b.work.L = &b.mu
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watch, b.watched = time.AfterFunc(patience, b.look), true
	for range max(1, runtime.GOMAXPROCS(0)) {
		b.start(false)
	}
	return b
}

// start starts a bench. An extra one ends when it finds nothing to do. The caller holds mu, or is the only one who
// knows b.
func (b *benches) start(extra bool) {
	b.running++
	b.wait.Add(1)
	go b.loop(extra)
}

func (b *benches) submit(k turner) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, k)
	b.work.Signal()
	if b.idle == 0 && !b.watched && !b.ended {
		b.watched = true
		b.watch.Reset(patience)
	}
}

// look relieves the benches for as long as somebody waits for one.
func (b *benches) look() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.relieve()
	if b.watched = len(b.queue) > 0 && !b.ended; b.watched {
		b.watch.Reset(patience)
	}
}

// maxBenches bounds the goroutines of a disk that hangs, each of which can hold an encoder.
const maxBenches = 256

// stalled says that no turn has ended for longer than the reader has patience although outlets wait for one.
func (b *benches) stalled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.relieve()
}

// relieve starts as many benches again as there are if all of them are stuck, and says whether they were. The caller
// holds mu.
func (b *benches) relieve() bool {
	if b.idle > 0 || len(b.queue) == 0 || time.Since(b.turned) < patience {
		return false
	}
	b.turned = time.Now()
	for range min(b.running, maxBenches-b.running) {
		b.start(true)
	}
	return true
}

// turning says whether a turn has ended within the reader's patience.
func (b *benches) turning() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.turned) < patience
}

func (b *benches) loop(extra bool) {
	defer b.wait.Done()
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		for len(b.queue) == 0 && !b.ended && !extra {
			b.idle++
			b.work.Wait()
			b.idle--
			b.turned = time.Now()
		}
		if len(b.queue) == 0 {
			b.running--
			return
		}
		k := b.queue[0]
		b.queue[0] = nil
		b.queue = b.queue[1:]
		b.mu.Unlock()
		k.turn()
		b.mu.Lock()
		b.turned = time.Now()
	}
}

// end waits for the goroutines; nothing is submitted any more.
func (b *benches) end() {
	b.mu.Lock()
	b.ended = true
	b.watch.Stop()
	b.work.Broadcast()
	b.mu.Unlock()
	b.wait.Wait()
}
