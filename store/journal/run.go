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

// Routes are what a configuration says: which outlets take which category.
type Routes struct {
	// Prepare makes the outlets that are known beforehand. It is called once, before anything is read.
	Prepare func()
	// Route returns where a category goes. It makes outlets that are missing with Journal.NewOutlet, and gives the same
	// answer as long as it is in use. Safe for concurrent use.
	Route        func(category []byte) *Target
	Patterns     Patterns
	Destinations []books.Destination // of files
	Depot        books.Depot         // takes finished files elsewhere; nil = they stay
	Relays       bool                // some entries are sent on, so that all need numbers
	// Locate returns the key of the outlet for the files of a category, and the path by which the outlet knows them:
	// for the state of a `collect --dir` that had no outlets yet. nil = there is none.
	Locate func(category string) (key, path string)
}

// Target is where the entries of a category go.
type Target struct {
	Outlets []*Outlet // none: nowhere
}

// keys are those of the outlets.
func (t *Target) keys() []string {
	keys := make([]string, len(t.Outlets))
	for i, o := range t.Outlets {
		keys[i] = o.key
	}
	return keys
}

// phase is how far the end of a run has come.
type phase int32

const (
	running  phase = iota
	draining       // everything is read, and each outlet does what can still be done
	closing        // a checkpoint knows how all stores stand: they are closed
)

// run is the time between Start and Stop: the outlets of one configuration, and the reader that brings the journal to
// them.
type run struct {
	j         *Journal
	routes    Routes
	began     *checkpoint
	inherited store.States // how all files stood then
	before    func(category string) books.Takeover
	moved     func(key, path string) (string, string) // where an outlet and its files of the books are now
	counter   *books.Counter                          // of what is in no file
	books     *books.Books                            // opened with the first checkpoint; the saver's
	past      past
	counted   uint64 // entries below were in the journal when the run began: nobody has told the outlets of their sizes

	ctx      context.Context // of Appends to stores
	cancel   context.CancelFunc
	stop     chan struct{} // closed when everything has to come to its end
	ended    chan struct{} // of the reader
	phase    atomic.Int32
	benches  *benches
	budget   budget
	convoy   *convoy
	unsynced marks
	reread   atomic.Int64 // bytes that were read for outlets which were behind

	reading  sync.Mutex // held while a run of entries is fed
	position uint64     // behind the last one

	round    atomic.Int64  // of checkpoints for which every outlet marks
	owing    atomic.Int64  // outlets that have not had a turn in this round
	paid     chan struct{} // signalled when there are none
	markTime atomic.Int64  // nanoseconds spent in Mark since the last checkpoint
	marks    atomic.Int64  // calls of Mark in that time
	count    atomic.Int64  // outlets
	steps    atomic.Int64  // of them, for tests

	mu       sync.Mutex
	outlets  map[string]*Outlet // by key
	named    map[string][]*Outlet
	portions map[string][]portion // by category
	left     sync.WaitGroup       // outlets with something left to do
	open     sync.WaitGroup       // outlets that are not closed
}

// current is the run in progress, nil between two.
func (j *Journal) current() *run {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.run
}

// Start begins to bring the journal to the outlets that routes names.
func (j *Journal) Start(routes Routes) {
	_, end := j.spool.Bounds()
	s := j.saver.saved
	r := &run{j: j, routes: routes, counter: books.NewCounter(routes.Destinations, j.log, j.o.Injector), began: s, counted: end, position: s.Low, ended: make(chan struct{}), stop: make(chan struct{}),
		paid: make(chan struct{}, 1), benches: newBenches(), budget: newBudget(j.o.Memory), outlets: make(map[string]*Outlet),
		named: make(map[string][]*Outlet), portions: make(map[string][]portion)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.convoy = &convoy{r: r}
	r.unsynced.disks.Many = j.o.SyncAll
	r.before = s.takeovers(routes.Locate)
	s.place(routes.Locate)
	r.moved = s.follow(home(j.o.StateDir), routes.Locate)
	r.past, r.inherited = s.history(), s.states()
	j.mu.Lock()
	j.run = r
	j.mu.Unlock()
	routes.Prepare()
	for _, p := range s.Outlets {
		if p.Category != "" && !ours(p.Category) { // who has that is found out again
			routes.Route([]byte(p.Category))
		}
	}
	j.saver.start(r)
	go r.read(j.spool.Reader(s.Low))
}

// StoreStatus is what is wrong with the first store that is unhappy, in byte order of the names and in that of the
// blocks for one name, "" if none is.
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

// all are the outlets.
func (r *run) all() []*Outlet {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.outlets))
}

// enter begins a phase.
func (r *run) enter(p phase) {
	r.phase.Store(int32(p))
	r.wake()
}

// expire ends what stores are waited for.
func (r *run) expire() {
	r.cancel()
	r.wake()
}

// wake has every outlet look what is due.
func (r *run) wake() {
	for _, t := range r.all() {
		t.task.wake()
	}
}

// Stop brings what is in the journal to the stores and closes them. What a store does not take now, or not within
// limit, stays in the journal. Nothing is appended meanwhile.
func (j *Journal) Stop(limit time.Duration) {
	r := j.current()
	if r == nil {
		return
	}
	timer := time.AfterFunc(limit, r.expire)
	defer timer.Stop()
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
	j.mu.Lock()
	j.run = nil
	j.mu.Unlock()
}

// drains says that the run comes to its end.
func (r *run) drains() bool { return phase(r.phase.Load()) != running }

// close closes the stores, and says whether the names that their files got at the end are durable.
func (r *run) close() bool {
	var dirs []faultfs.Syncer
	for _, t := range r.all() {
		dirs = append(dirs, t.stepper.later.Take()...)
	}
	err := errors.Join(r.unsynced.disks.Sync(dirs)...)
	if err != nil {
		r.j.log.Error("sync the names of finished files: the next start does it again", "error", err)
	}
	for _, t := range r.all() {
		t.stepper.close()
	}
	if cerr := r.unsynced.disks.Close(); cerr != nil {
		r.j.log.Error("close file systems", "error", cerr)
	}
	return err == nil
}

// portionsOf divides the journal among the outlets of a category.
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

// due are the parts of s that an outlet has to deliver, by what the runs before have left.
func (r *run) due(s stretch, key string, target *Target) iter.Seq[stretch] {
	return r.parts(s, target, func(h *portion) bool { return slices.Contains(h.due, key) })
}

// lost are the parts of s, of a category that has no outlet, that were not delivered.
func (r *run) lost(s stretch, target *Target) iter.Seq[stretch] {
	return r.parts(s, target, func(h *portion) bool { return h.lost })
}

// parts are those of s in portions that are asked for. What came in since the run began is all of it.
func (r *run) parts(s stretch, target *Target, ok func(*portion) bool) iter.Seq[stretch] {
	return func(yield func(stretch) bool) {
		if s.from() >= r.past.end() {
			yield(s)
			return
		}
		for _, h := range r.portionsOf(string(s.run.Category), target) {
			if !ok(&h) {
				continue
			}
			if part := s.within(h.from, h.to); part.run.Count > 0 && !yield(part) {
				return
			}
		}
	}
}
