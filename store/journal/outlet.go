package journal

import (
	"sync"
	"sync/atomic"
	"time"

	"inkwell/store"
)

// OutletOptions says what an outlet is.
type OutletOptions struct {
	Name     string   // in logs and counters: of its category, or of the block whose categories it has
	Category string   // the one category that it has; "" if it has all of Patterns
	Patterns []string // of the rules whose categories come to it; of one with a Category they matter only for names of our own
	Store    string   // what its store is, e.g. "file /srv/logs/a/a": Name and Store tell outlets apart, also after a restart
	Single   bool     // there may be only one outlet for such a store, whatever the names
	// Open opens the store with the file states of the last checkpoint. It is called again after a failure.
	Open     func(saved store.States) (store.Store, error)
	Target   int64         // bytes of messages that make a batch worth while
	Interval time.Duration // between the times when a smaller one is, too
	Check    time.Duration // between two calls of the store's Check
	// Turn is when the clock ends the file into which an entry of a time goes; zero: never. nil = it ends none.
	Turn      func(time.Time) time.Time
	Blocks    bool // the store can block, as on a network: it gets a goroutine of its own
	Continued bool // the next run continues the files that are open at the end
	Lossy     bool // what the store does not take is thrown away ("lost")
	// Buffered: the original has a buffer before such a store. What the store does not take is set aside: it stays in
	// the journal, does not make the outlet Full until the store has caught up, is never thrown away, and counts as one
	// of the "retries", not as put back ("requeue").
	Buffered bool
}

// Key tells the outlet from others.
func (o *OutletOptions) Key() string {
	if o.Single {
		return o.Store
	}
	return o.Name + "\x00" + o.Store
}

// state is what an outlet is doing. Whoever steps the outlet changes it.
//
//	closed ──open──► settling ──checkpoint──► working ◄──caught up── behind
//	  ▲                                        │ error                ▲
//	  └────── the store is broken ─────────────┴──► waiting ──retry───┘
type state int32

const (
	closed   state = iota // the store is not open; it is not tried before retryAt
	settling              // the store is open, and waits for a checkpoint that knows how its files stand
	working               // the reader feeds the outlet
	behind                // the outlet reads the journal by itself
	waiting               // the store did not take a batch; it is not tried before retryAt
)

// Outlet is one category, or those that share a store, on the way to one destination.
type Outlet struct {
	o       OutletOptions
	key     string
	run     *run
	start   uint64 // entries below are none of its business
	waiting atomic.Int64
	state   atomic.Int32 // a state; changed with mu held

	mu      sync.Mutex
	pending *load     // what the reader fed and no step has taken; nil: nothing
	fed     bool      // the reader feeds the outlet; otherwise it reads by itself, from taken
	taken   uint64    // entries below were taken, or are to be passed over
	due     bool      // what is pending is to go whatever its size
	convoy  bool      // it reads the journal with others; fed is false
	called  bool      // the convoy went back for it once since the reader fed it
	counted uint64    // entries below are not in waiting any more
	failing bool      // the last attempt failed
	aside   bool      // of Buffered: the store failed and has not caught up since
	busy    time.Time // since when a step is at work; zero: none is
	room    chan struct{}
	post    *post      // how the store stood at the last Mark that was synced
	marked  *mark      // the one after that, while it is not synced
	broken  error      // a sync has failed: the store has to be opened again
	listed  bool       // a checkpoint of this run has a post
	undone  uint64     // journal offset of the first entry that the post does not cover; noOffset: there is none
	publish bool       // the post was saved
	owes    bool       // a checkpoint waits for a turn
	added   []addition // that no checkpoint has gathered

	trouble *trouble
	stepper stepper
	task    task
}

// addition is what was added to files, between what the books knew before and what they know with it.
type addition struct {
	from, through uint64 // their numbers
	added         []store.Added
}

// noOffset is behind every journal.
const noOffset = ^uint64(0)

// post is how an outlet stands: its store has every entry below through, and its files stand as files says, which the
// Mark of a number said. The numbers only grow, also where an outlet goes back to take over what others left.
type post struct {
	through uint64
	files   store.States
	booked  uint64        // what the books know of the files: it grows with each addition, and stays where it is otherwise
	saved   chan struct{} // closed when a checkpoint says so
}

func newPost(through uint64, files store.States, booked uint64) *post {
	return &post{through: through, files: files, booked: booked, saved: make(chan struct{})}
}

// known says whether a checkpoint has p.
func (p *post) known() bool {
	select {
	case <-p.saved:
		return true
	default:
		return false
	}
}

// NewOutlet returns the outlet of the run in progress for o.Name and o.Store, which it makes and starts if there is
// none.
func (j *Journal) NewOutlet(o OutletOptions) *Outlet {
	r := j.current()
	r.mu.Lock()
	defer r.mu.Unlock()
	key := o.Key()
	if t := r.outlets[key]; t != nil {
		t.join(&o)
		return t
	}
	t := &Outlet{o: o, key: key, run: r, start: r.began.start(r.past), room: make(chan struct{}, 1), undone: noOffset, fed: true}
	t.taken, t.counted = t.start, t.start
	t.post = newPost(t.start, r.began.Outlets[key].Files, r.began.Outlets[key].Booked)
	t.trouble = newTrouble(j, &o)
	t.stepper = stepper{t: t, j: j, through: t.start, handled: time.Now(),
		requeued: newTally(j, o.Name, "requeue"), retried: newTally(j, o.Name, "retries"), lost: newTally(j, o.Name, "lost")}
	r.outlets[key] = t
	r.count.Add(1)
	r.named[o.Name] = append(r.named[o.Name], t)
	j.o.Stats.Gauge(o.Name+":queue bytes", func() int64 { return j.waitingFor(o.Name) })
	r.left.Add(1)
	r.open.Add(1)
	t.task.begin(t)
	return t
}

// join notes the categories of another block that writes the same file. The caller holds run.mu.
func (t *Outlet) join(o *OutletOptions) {
	if o.Category == t.o.Category && o.Category != "" && !ours(o.Category) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.o.Patterns = union(t.o.patterns(), o.patterns())
	if o.Category != t.o.Category {
		t.o.Category = ""
	}
}

// patterns are those of the categories that an outlet has.
func (o *OutletOptions) patterns() []string {
	if o.Category != "" && len(o.Patterns) == 0 {
		return []string{o.Category}
	}
	return o.Patterns
}

// union returns a new list of what stands in either.
func union(a, b []string) []string {
	all := append([]string(nil), a...)
	for _, p := range b {
		known := false
		for _, q := range all {
			known = known || p == q
		}
		if !known {
			all = append(all, p)
		}
	}
	return all
}

// waitingFor is the bytes of messages that wait for the stores of a name. It holds on to no run: a new one may not have
// the name.
func (j *Journal) waitingFor(name string) (sum int64) {
	r := j.current()
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.named[name] {
		sum += t.Waiting()
	}
	return sum
}

// Waiting is the bytes of messages that the store was not offered yet.
func (t *Outlet) Waiting() int64 { return max(0, t.waiting.Load()) }

// Full says whether more than limit bytes of messages wait for a store that works, or that nothing stands in for.
func (t *Outlet) Full(limit int64) bool {
	if t.Waiting() <= limit {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.aside
}

// Expect says that entries with so many bytes of messages are about to be appended to the journal (or, below zero, were
// not).
func (t *Outlet) Expect(bytes int64) { t.waiting.Add(bytes) }

// Name is that of its category, or of the block whose categories share it.
func (t *Outlet) Name() string { return t.o.Name }

// Status is what is wrong, "" if nothing is. Safe for concurrent use.
func (t *Outlet) Status() string { return t.trouble.status() }

// current is what the outlet is doing.
func (t *Outlet) current() state { return state(t.state.Load()) }

// posted is the last post, and the offset of the first entry that it does not cover.
func (t *Outlet) posted() (*post, uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.post, t.undone
}

// gather is posted, with what was added to files since the last call.
func (t *Outlet) gather() (p *post, undone uint64, added []addition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	added, t.added = t.added, nil
	return t.post, t.undone, added
}

// inCheckpoint says whether a checkpoint of this run has the outlet.
func (t *Outlet) inCheckpoint() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.listed
}

// at is the outlet's position in a checkpoint.
func (t *Outlet) at(through uint64, p *post) position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return position{Category: t.o.Category, Patterns: t.o.Patterns, Through: through, Files: p.files, Booked: p.booked}
}

// savedPost tells the outlet that a checkpoint has p.
func (t *Outlet) savedPost(p *post) {
	t.mu.Lock()
	t.listed = true
	if p.known() {
		t.mu.Unlock()
		return
	}
	close(p.saved)
	wake := t.current() == settling
	if t.post == p && t.marked == nil && len(p.files) > 0 {
		t.publish, wake = true, true
	}
	t.mu.Unlock()
	if wake {
		t.task.wake()
	}
}
