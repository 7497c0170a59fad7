package journal

import (
	"sync"
	"sync/atomic"
	"time"

	"inkwell/store"
)

// OutletOptions describes an outlet.
type OutletOptions struct {
	Name     string // for logs and counters: the category, or the block that several categories share
	Category string // the only category of the outlet; "" if it has all categories of Patterns
	// Patterns of the rules whose categories the outlet takes. With a Category they matter only if it is _unsafe or
	// _overflow.
	Patterns []string
	// Store describes the store, e.g. "file /srv/logs/a/a". Name and Store identify the outlet, also after a restart.
	Store  string
	Single bool // Store alone identifies the outlet: there may be only one for that store
	// Open opens the store with the file states of the last checkpoint. It is called again after a failure.
	Open     func(saved store.States) (store.Store, error)
	Target   int64         // bytes of messages that make a full batch, which is taken at once
	Interval time.Duration // after which a smaller batch is taken, too
	Check    time.Duration // between two calls of Check of the store
	// Turn returns when the file for an entry received at a given time ends by the clock, e.g. at the next full hour;
	// zero: never. nil = files do not end by the clock.
	Turn      func(time.Time) time.Time
	Blocks    bool // calls of the store can block, as on a network: the outlet gets its own goroutine
	Continued bool // the next run continues files that are open at the end of this one
	Lossy     bool // entries that the store refuses are discarded and counted as "lost"
	// Buffered says that the original has a buffer in front of such a store. Entries that the store refuses stay in the
	// journal: they do not make the outlet Full until the store has caught up, are never discarded, and are counted as
	// "retries" instead of "requeue".
	Buffered bool
}

// Key returns the identity of the outlet.
func (o *OutletOptions) Key() string {
	if o.Single {
		return o.Store
	}
	return o.Name + "\x00" + o.Store
}

// outletState is what an outlet is doing. Only the goroutine that steps the outlet changes it.
//
//	closed ──open──► settling ──checkpoint──► working ◄──caught up── behind
//	  ▲                                        │ error                ▲
//	  └────── the store is broken ─────────────┴──► waiting ──retry───┘
type outletState int32

const (
	closed   outletState = iota // the store is not open, and is not opened before retryAt
	settling                    // the store is open, and waits for a checkpoint that records the states of its files
	working                     // the reader feeds the outlet
	behind                      // the outlet reads the journal itself
	waiting                     // the store refused a batch, and is not tried before retryAt
)

// Outlet delivers one category, or the categories that share a store, to one destination.
type Outlet struct {
	o       OutletOptions
	key     string
	run     *run
	start   uint64 // the outlet ignores entries below this offset
	waiting atomic.Int64
	state   atomic.Int32 // an outletState; changed while mu is held

	parts    partList    // what the reader feeds next; only the reader uses it
	unsealed atomic.Bool // the run ended before the files were finished and marked

	mu      sync.Mutex
	pending *load     // entries fed by the reader that no step has taken yet; nil: none
	fed     bool      // the reader feeds the outlet; otherwise the outlet reads the journal itself from taken on
	taken   uint64    // entries below this offset were taken, or are to be skipped
	due     bool      // the pending entries are to be delivered whatever their size
	convoy  bool      // the outlet is a member of the convoy, which reads the journal for it; fed is false
	called  bool      // the convoy went back for this outlet once since the reader last fed it
	counted uint64    // entries below this offset are no longer part of waiting
	failing bool      // the last attempt failed
	aside   bool      // with Buffered: the store failed and has not caught up yet
	busy    time.Time // start of the current step; zero: no step is running
	room    chan struct{}
	report  *report    // from the last Mark whose files were synced
	marked  *mark      // the next one, while its files are being synced
	broken  error      // a sync failed: the store must be reopened
	listed  bool       // a checkpoint of this run contains a report of this outlet
	undone  uint64     // journal offset of the first entry that the report does not cover; noOffset: none
	publish bool       // the report was saved, and the store has not been told yet
	owes    bool       // a checkpoint waits until the outlet was stepped
	added   []addition // not yet gathered by a checkpoint

	trouble *trouble
	stepper stepper
	task    task
}

// addition is what one Mark added to files. from is the Booked number before it and through the one after it, so that
// the books can tell whether they have it already.
type addition struct {
	from, through uint64
	added         []store.Added
}

// noOffset is greater than every journal offset.
const noOffset = ^uint64(0)

// report is what an outlet contributes to a checkpoint: its store has every entry below through, and files are the
// states of its files at that point. booked numbers the additions to files: it grows with each addition, even when the
// outlet reads older entries again because it takes them over from an outlet that is gone.
type report struct {
	through uint64
	files   store.States
	booked  uint64        // number of the last addition that the books were told of
	saved   chan struct{} // closed when a checkpoint contains the report
}

func newReport(through uint64, files store.States, booked uint64) *report {
	return &report{through: through, files: files, booked: booked, saved: make(chan struct{})}
}

// known reports whether a checkpoint contains p.
func (p *report) known() bool {
	select {
	case <-p.saved:
		return true
	default:
		return false
	}
}

// NewOutlet returns the outlet of the current run for o.Name and o.Store. It creates and starts the outlet if there is
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
	t := &Outlet{o: o, key: key, run: r, start: r.initial.start(r.past), room: make(chan struct{}, 1),
		undone: noOffset, fed: true}
	t.taken, t.counted = t.start, t.start
	t.report = newReport(t.start, r.initial.Outlets[key].Files, r.initial.Outlets[key].Booked)
	t.trouble = newTrouble(j, &o)
	t.stepper = stepper{t: t, j: j, through: t.start, handled: time.Now(),
		requeued: newEventCounter(j, o.Name, "requeue"), retried: newEventCounter(j, o.Name,
			"retries"), lost: newEventCounter(j, o.Name, "lost")}
	r.outlets[key] = t
	r.budget.count.Add(1)
	r.named[o.Name] = append(r.named[o.Name], t)
	j.o.Stats.Gauge(o.Name+":queue bytes", func() int64 { return j.waitingFor(o.Name) })
	r.left.Add(1)
	r.open.Add(1)
	t.task.begin(t)
	return t
}

// join adds the categories of another block that writes the same file. The caller holds run.mu.
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

// patterns returns the patterns of the categories of the outlet.
func (o *OutletOptions) patterns() []string {
	if o.Category != "" && len(o.Patterns) == 0 {
		return []string{o.Category}
	}
	return o.Patterns
}

// union returns a new slice with the strings that are in a or b.
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

// waitingFor returns how many bytes of messages wait for the outlets of a name. It looks at the current run on each
// call, because a gauge outlives the run for which it was made.
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

// Waiting returns how many bytes of messages have not been offered to the store yet.
func (t *Outlet) Waiting() int64 { return max(0, t.waiting.Load()) }

// Full reports whether more than limit bytes of messages wait. It is always false while a Buffered store has failed,
// because its entries count as buffered then.
func (t *Outlet) Full(limit int64) bool {
	if t.Waiting() <= limit {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.aside
}

// Expect announces entries with so many bytes of messages that are about to be appended to the journal. A negative
// number takes back an announcement after a failed append.
func (t *Outlet) Expect(bytes int64) { t.waiting.Add(bytes) }

// Name returns the name of the category, or of the block whose categories share the outlet.
func (t *Outlet) Name() string { return t.o.Name }

// Status describes the current problem, "" if there is none. Safe for concurrent use.
func (t *Outlet) Status() string { return t.trouble.status() }

// current returns the state of the outlet.
func (t *Outlet) current() outletState { return outletState(t.state.Load()) }

// lastReport returns the last report, and the offset of the first entry that it does not cover.
func (t *Outlet) lastReport() (*report, uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.report, t.undone
}

// gather is lastReport for a checkpoint: it also returns what was added to files since the last call.
func (t *Outlet) gather() (p *report, undone uint64, added []addition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	added, t.added = t.added, nil
	return t.report, t.undone, added
}

// inCheckpoint reports whether a checkpoint of this run contains the outlet.
func (t *Outlet) inCheckpoint() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.listed
}

// positionAt returns the position of the outlet as a checkpoint records it, with the given offset and report.
func (t *Outlet) positionAt(through uint64, p *report) position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return position{Category: t.o.Category, Patterns: t.o.Patterns, Through: through, Files: p.files, Booked: p.booked}
}

// reportSaved tells the outlet that a checkpoint with the report p was saved.
func (t *Outlet) reportSaved(p *report) {
	t.mu.Lock()
	t.listed = true
	if p.known() {
		t.mu.Unlock()
		return
	}
	close(p.saved)
	wake := t.current() == settling
	if t.report == p && t.marked == nil && len(p.files) > 0 {
		t.publish, wake = true, true
	}
	t.mu.Unlock()
	if wake {
		t.task.wake()
	}
}
