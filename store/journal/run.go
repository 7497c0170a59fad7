package journal

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store"
	"inkwell/store/books"
)

// Routes say, for one configuration, which outlets take which category.
type Routes struct {
	// Prepare creates the outlets that are known in advance. It is called once, before the journal is read.
	Prepare func()
	// Route returns the target of a category. It creates missing outlets with Journal.NewOutlet, and returns the same
	// answer as long as the configuration is in use. Safe for concurrent use.
	Route        func(category []byte) *Target
	Patterns     Patterns
	Destinations []books.Destination // the directories of files
	Depot        books.Depot         // takes finished files elsewhere; nil = files stay where they are
	Relays       bool                // some entries are relayed to another server, so that all need numbers
	// Locate returns the key of the outlet for the files of a category, and the path by which the outlet knows them. It
	// is needed for the state of an early `collect --dir` that had no outlets. nil = no such state.
	Locate func(category string) (key, path string)
}

// Target says where the entries of a category go.
type Target struct {
	Outlets []*Outlet // empty: the entries are discarded
}

// keys returns the keys of the outlets.
func (t *Target) keys() []string {
	keys := make([]string, len(t.Outlets))
	for i, o := range t.Outlets {
		keys[i] = o.key
	}
	return keys
}

// phase is how far the shutdown of a run has progressed.
type phase int32

const (
	running  phase = iota
	draining       // the journal is read to its end, and each outlet finishes what it can
	closing        // a checkpoint has the reports of all outlets: the stores are closed
)

// run is the time between Start and Stop: the outlets of one configuration, and the reader that feeds the journal to
// them.
type run struct {
	j         *Journal
	routes    Routes
	initial   *checkpoint  // the checkpoint with which the run began
	inherited store.States // the states of all files in initial
	before    func(category string) books.Takeover
	// translates the key and the path of an outlet whose files were moved
	moved   func(key, path string) (string, string)
	counter *books.Counter // counts entries that are in no file
	books   *books.Books   // opened with the first checkpoint; only the saver uses it
	past    past
	counted uint64 // end of the journal when the run began: entries below were not announced with Outlet.Expect

	ctx      context.Context // for Append of the stores
	cancel   context.CancelFunc
	stop     chan struct{} // closed when Stop is called
	ended    chan struct{} // closed when the reader has ended
	phase    atomic.Int32
	benches  *benches
	budget   budget
	convoy   *convoy
	unsynced marks
	reread   atomic.Int64 // bytes that were read again for outlets that were behind

	reading  sync.Mutex // held while a stretch is fed
	position uint64     // journal offset behind the last stretch

	round    atomic.Int64  // number of the current regular checkpoint, for which each outlet marks its store
	owing    atomic.Int64  // number of outlets that were not stepped yet in this round
	paid     chan struct{} // signalled when owing becomes 0
	markTime atomic.Int64  // nanoseconds spent in Mark since the last checkpoint
	marks    atomic.Int64  // calls of Mark in that time
	steps    atomic.Int64  // number of steps, for tests

	mu       sync.Mutex
	outlets  map[string]*Outlet // by key
	named    map[string][]*Outlet
	portions map[string][]portion // by category
	left     sync.WaitGroup       // outlets that are not drained
	open     sync.WaitGroup       // outlets that are not closed
}

// current returns the current run, nil between two runs.
func (j *Journal) current() *run {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.run
}

// Start begins to deliver the journal to the outlets that routes names.
func (j *Journal) Start(routes Routes) {
	_, end := j.spool.Bounds()
	s := j.saver.saved
	r := &run{j: j, routes: routes, counter: books.NewCounter(routes.Destinations, j.log, j.o.Injector), initial: s,
		counted: end, position: s.Low, ended: make(chan struct{}), stop: make(chan struct{}),
		paid: make(chan struct{}, 1), benches: newBenches(),
		outlets: make(map[string]*Outlet),
		named:   make(map[string][]*Outlet), portions: make(map[string][]portion)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.convoy = &convoy{r: r}
	r.budget.init(j.o.Memory)
	r.unsynced.disks.Many = j.o.SyncAll
	r.before = s.takeovers(routes.Locate)
	s.assignOlder(routes.Locate)
	r.moved = s.relocate(home(j.o.StateDir), routes.Locate)
	r.past, r.inherited = s.history(), s.states()
	j.mu.Lock()
	j.run = r
	j.mu.Unlock()
	routes.Prepare()
	for _, p := range s.Outlets {
		if p.Category != "" && !ours(p.Category) { // those are created when they are needed
			routes.Route([]byte(p.Category))
		}
	}
	j.saver.start(r)
	go r.read(j.spool.Reader(s.Low))
}

// StoreStatus returns the problem of the first store that has one, "" if there is none. Stores are ordered by name in
// byte order, and those of one name in the order of their blocks.
func (j *Journal) StoreStatus() string {
	r := j.current()
	if r == nil {
		return ""
	}
	r.mu.Lock()
	var outlets []*Outlet
	for _, name := range slices.Sorted(maps.Keys(r.named)) {
		outlets = append(outlets, r.named[name]...)
	}
	r.mu.Unlock()
	for _, t := range outlets {
		if text := t.Status(); text != "" {
			return text
		}
	}
	return ""
}

// all returns the outlets, in no particular order.
func (r *run) all() []*Outlet {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.outlets))
}

// enter begins a phase of the shutdown.
func (r *run) enter(p phase) {
	r.phase.Store(int32(p))
	r.wake()
}

// expire cancels pending calls of stores when the time limit of Stop is over.
func (r *run) expire() {
	r.cancel()
	r.wake()
}

// wake requests a turn for every outlet.
func (r *run) wake() {
	for _, t := range r.all() {
		t.task.wake()
	}
}

// Stop delivers the content of the journal to the stores and closes them. Entries that a store does not take, or not
// within limit, stay in the journal. unfinished is the number of outlets whose file could not be finished within limit:
// it stays open, and the next run continues it. Append must not be called meanwhile.
func (j *Journal) Stop(limit time.Duration) (unfinished int) {
	r := j.current()
	if r == nil {
		return 0
	}
	timer := time.AfterFunc(limit, r.expire)
	defer timer.Stop()
	j.spool.Flush() // the reader ends where the journal ends
	close(r.stop)
	<-r.ended
	r.enter(draining)
	r.left.Wait()
	j.saver.end()
	r.syncMarks(0)
	j.saver.save(false)
	r.enter(closing)
	r.open.Wait()
	j.saver.save(r.close())
	r.cancel()
	r.benches.end()
	r.convoy.end()
	if b := r.books; b != nil {
		if err := b.Close(); err != nil {
			j.log.Error("close the books", "state", j.o.StateDir, "error", err)
		}
	}
	if err := r.unsynced.disks.Close(); err != nil {
		j.log.Error("close file systems", "error", err)
	}
	j.mu.Lock()
	j.run = nil
	j.mu.Unlock()
	for _, t := range r.all() {
		if t.unsealed.Load() && !t.o.Continued {
			unfinished++
		}
	}
	return unfinished
}

// drains reports whether the run is being shut down.
func (r *run) drains() bool { return phase(r.phase.Load()) != running }

// close closes the stores. It reports whether the final names of their files are durable.
func (r *run) close() bool {
	var dirs []faultfs.Syncer
	for _, t := range r.all() {
		dirs = append(dirs, t.stepper.later.Take()...)
	}
	err := errors.Join(r.unsynced.disks.Sync(dirs)...)
	if err != nil {
		r.j.log.Error("sync the names of finished files: the next start repeats it", "error", err)
	}
	for _, t := range r.all() {
		t.stepper.close()
	}
	return err == nil
}

// portionsOf returns the portions of the journal for a category; it computes them once.
func (r *run) portionsOf(category string, target *Target) []portion {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, known := r.portions[category]
	if !known {
		all = r.past.portions(category, target.keys())
		r.portions[category] = all
	}
	return all
}

// due returns the parts of s that an outlet has to deliver, according to the history of earlier runs.
func (r *run) due(s stretch, key string, target *Target) iter.Seq[stretch] {
	return r.parts(s, target, func(h *portion) bool { return slices.Contains(h.due, key) })
}

// lost returns the parts of s that were not delivered and never will be, because the category has no outlet any more.
func (r *run) lost(s stretch, target *Target) iter.Seq[stretch] {
	return r.parts(s, target, func(h *portion) bool { return h.lost })
}

// parts returns the parts of s in portions for which ok returns true. Entries that were appended during this run are
// returned whatever the portions say.
func (r *run) parts(s stretch, target *Target, ok func(*portion) bool) iter.Seq[stretch] {
	return func(yield func(stretch) bool) {
		if s.start() >= r.past.end() {
			yield(s)
			return
		}
		for _, h := range r.portionsOf(string(s.run.Category), target) {
			if !ok(&h) {
				continue
			}
			if part := s.clip(h.from, h.to); part.run.Count > 0 && !yield(part) {
				return
			}
		}
	}
}
