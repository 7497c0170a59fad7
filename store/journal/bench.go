package journal

import (
	"runtime"
	"sync"
	"time"
)

// task schedules the steps of an outlet, on a bench or on a goroutine of its own. At most one goroutine steps an outlet
// at a time.
type task struct {
	t     *Outlet
	timer *time.Timer
	own   chan struct{} // signals the outlet's own goroutine if its store can block; nil: it is stepped on a bench

	mu      sync.Mutex
	queued  bool      // a turn was requested and has not begun
	running bool      // a step is running
	again   bool      // another turn was requested during the step
	ended   bool      // the outlet is closed: no more turns
	at      time.Time // when the timer fires; zero: it is not set
}

// begin requests the first turn.
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

// wake requests a turn as soon as possible.
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
		k.own <- struct{}{} // cannot block: the channel has room for one, and only one turn is queued
		return
	}
	k.t.run.benches.submit(k)
}

// wakeIn requests a turn after d, unless the timer is set to an earlier time.
func (k *task) wakeIn(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.setTimer(time.Now().Add(d))
}

// setTimer sets the timer to a time, unless it is set to an earlier one. The caller holds mu.
func (k *task) setTimer(at time.Time) {
	if k.ended || !k.at.IsZero() && k.at.Before(at) && k.at.After(time.Now()) {
		return
	}
	k.at = at
	k.timer.Reset(max(0, time.Until(at)))
}

// turn runs one step of the outlet.
func (k *task) turn() {
	k.mu.Lock()
	k.queued, k.running, k.at = false, true, time.Time{}
	k.mu.Unlock()
	now := time.Now()
	k.t.setBusy(now)
	k.t.run.steps.Add(1)
	next, done := k.t.stepper.step(now)
	k.t.setBusy(time.Time{})
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

// setBusy records when a step began; the zero time says that no step is running. A checkpoint that waits for the outlet
// to be stepped is told when the step ends.
func (t *Outlet) setBusy(at time.Time) {
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

// turner is work for a bench: a task or a block.
type turner interface{ turn() }

// benches are goroutines that step outlets, as many as there are processors. More are started while all of them are
// stuck, e.g. on a disk that hangs.
type benches struct {
	mu      sync.Mutex
	work    sync.Cond // signalled when queue or ended changed
	queue   []turner
	running int // number of goroutines
	idle    int
	ended   bool
	turned  time.Time // when a turn last ended, or a bench last stopped being idle
	wait    sync.WaitGroup
	watch   *time.Timer // calls checkStuck
	watched bool        // watch is set
}

func newBenches() *benches {
	b := &benches{turned: time.Now()}
	b.work.L = &b.mu
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watch, b.watched = time.AfterFunc(patience, b.checkStuck), true
	for range max(1, runtime.GOMAXPROCS(0)) {
		b.start(false)
	}
	return b
}

// start starts a bench. An extra one ends when the queue is empty. The caller holds mu.
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

// checkStuck starts more benches if all are stuck, and checks again later while the queue is not empty.
func (b *benches) checkStuck() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.relieveIfStuck()
	if b.watched = len(b.queue) > 0 && !b.ended; b.watched {
		b.watch.Reset(patience)
	}
}

// maxBenches bounds the goroutines that a hanging disk can block. Each of them can hold an encoder.
const maxBenches = 256

// stalled reports whether outlets wait for a bench and no turn has ended for longer than patience.
func (b *benches) stalled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.relieveIfStuck()
}

// relieveIfStuck doubles the number of benches if all of them are stuck, and reports whether they were. The caller
// holds mu.
func (b *benches) relieveIfStuck() bool {
	if b.idle > 0 || len(b.queue) == 0 || time.Since(b.turned) < patience {
		return false
	}
	b.turned = time.Now()
	for range min(b.running, maxBenches-b.running) {
		b.start(true)
	}
	return true
}

// turning reports whether a turn has ended within patience.
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

// end waits for the goroutines to finish the queue. Nothing may be submitted any more.
func (b *benches) end() {
	b.mu.Lock()
	b.ended = true
	b.watch.Stop()
	b.work.Broadcast()
	b.mu.Unlock()
	b.wait.Wait()
}
