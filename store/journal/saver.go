package journal

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/killpoint"
	"inkwell/internal/stats"
	"inkwell/store"
	"inkwell/store/books"
)

// saver makes the checkpoints: it has the outlets make their entries durable, gathers their reports, saves them as a
// checkpoint, tells the outlets, and acknowledges the journal.
//
// Each report holds an offset together with the file states at that offset, so it is consistent by itself. A checkpoint
// consists of the last report of each outlet.
//
// A checkpoint is made every saveEvery, or less often if it is expensive: its cost, mostly fsyncs, is kept to a tenth
// of the time, as far as the longest interval permits. Until then the entries are safe in the journal. Entries that
// were sent over a network cannot be taken back, so a checkpoint is made soon after that, without marking the files
// again.
type saver struct {
	j      *Journal
	health *stats.Health

	failing atomic.Bool // the last checkpoint could not be saved

	saving sync.Mutex // held while a checkpoint is made
	saved  *checkpoint
	unsure bool // a newer checkpoint failed to be saved, but may be on the disk all the same

	kick chan struct{} // requests of hurry
	soon chan struct{} // requests of sent
	stop chan struct{}
	done chan struct{}
}

func newSaver(j *Journal, saved *checkpoint) *saver {
	return &saver{j: j, health: stats.NewHealth(j.log), saved: saved, kick: make(chan struct{}, 1),
		soon: make(chan struct{}, 1)}
}

// start starts the goroutine that makes checkpoints.
func (s *saver) start(r *run) {
	s.stop, s.done = make(chan struct{}), make(chan struct{})
	go s.loop(r)
}

// end stops that goroutine.
func (s *saver) end() {
	close(s.stop)
	<-s.done
}

// hurry requests a checkpoint now.
func (s *saver) hurry() { signal(s.kick) }

// sent requests a checkpoint soon: after a crash, everything that was sent since the last checkpoint is sent again.
func (s *saver) sent() { signal(s.soon) }

// share limits the time spent on checkpoints to one part in so many.
const share = 10

// longest limits the time between two regular checkpoints, as a multiple of saveEvery. Finished files get their names by
// a checkpoint, and a restart reads again what came after the last one. Without a limit the time would grow with every
// checkpoint on a disk that is busy for more than a tenth of the time with what comes in.
const longest = 15

// interval returns the time between two regular checkpoints of which one costs so much.
func (s *saver) interval(cost time.Duration) time.Duration {
	return min(max(s.j.o.SaveEvery, share*cost), longest*s.j.o.SaveEvery)
}

// hurryShare is share for urgent checkpoints. It is smaller, because thousands of new categories need one each.
const hurryShare = 3

func (s *saver) loop(r *run) {
	defer close(s.done)
	next := time.NewTimer(s.j.o.SaveEvery)
	defer next.Stop()
	var due, hurried <-chan time.Time
	lastSent := time.Duration(0) // cost of the last save
	for {
		whole := false
		select {
		case <-s.stop:
			return
		case <-s.soon:
			if due == nil {
				due = time.After(max(sentWait, share*lastSent))
			}
			continue
		case <-s.kick:
			if hurried == nil {
				hurried = time.After(max(hurryWait, hurryShare*lastSent))
			}
			continue
		case <-due:
		case <-hurried:
		case <-next.C:
			whole = true
		}
		due, hurried = nil, nil
		began := time.Now()
		if whole {
			r.markAll(s.stop)
		}
		saving := time.Now()
		r.syncMarks(patience)
		s.save(false)
		lastSent = time.Since(saving)
		if whole {
			cost := r.markCost() + lastSent
			next.Reset(s.interval(cost) - min(time.Since(began), s.j.o.SaveEvery))
		}
	}
}

// markCost returns the time spent in Mark since the last call, divided by the number of benches that worked
// concurrently.
func (r *run) markCost() time.Duration {
	beside := max(1, min(r.marks.Swap(0), int64(runtime.GOMAXPROCS(0))))
	return time.Duration(r.markTime.Swap(0) / beside)
}

// markAll has every outlet mark its store, and waits for all but stuck outlets.
func (r *run) markAll(stop <-chan struct{}) {
	r.round.Add(1)
	select {
	case <-r.paid:
	default:
	}
	r.owing.Store(1)
	for _, t := range r.all() {
		if t.stepper.dirty.Load() && t.owe() {
			t.task.wake()
		}
	}
	if r.owing.Add(-1) == 0 {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-r.paid:
			return
		case <-stop:
			return
		case <-timer.C:
			if r.benches.stalled() || !r.benches.turning() {
				return
			}
			timer.Reset(patience)
		}
	}
}

// owe records that a checkpoint waits for the next step of the outlet. It returns false if one was waiting already.
func (t *Outlet) owe() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.owes {
		return false
	}
	t.owes = true
	t.run.owing.Add(1)
	return true
}

// save makes a checkpoint of the reports of the outlets. The last checkpoint of a run, with last set, omits the files
// of outlets that have delivered everything: their stores were closed properly, and the next run must not undo what is
// done to the files after that. The checkpoint before the stores are closed makes this possible.
func (s *saver) save(last bool) {
	s.saving.Lock()
	defer s.saving.Unlock()
	r := s.j.current()
	if r == nil {
		return
	}
	if !s.openBooks(r) {
		s.failed(r)
		return
	}
	next, reports := r.gather(s.saved, last)
	if s.unsure || !next.equal(s.saved) {
		killpoint.Reach("checkpoint.gathered")
		err := s.j.reserve.Save(func() error { return s.write(r, next) }, s.j.quiet)
		if err != nil {
			err = fmt.Errorf("save checkpoint in %s: %w", s.j.o.StateDir, err)
		}
		s.health.Set("checkpoint", err)
		if s.unsure = err != nil; err != nil {
			s.failed(r)
			return
		}
	}
	s.failing.Store(false)
	killpoint.Reach("checkpoint.saved")
	s.saved = next
	r.books.Publish(time.Now())
	killpoint.Reach("checkpoint.books.published")
	for t, p := range reports {
		t.reportSaved(p)
	}
	err := s.j.spool.Ack(next.Low)
	if err != nil {
		err = fmt.Errorf("acknowledge the journal in %s: %w", s.j.o.StateDir, err)
	}
	s.health.Set("journal acknowledgement", err)
	killpoint.Reach("checkpoint.acked")
	s.j.reserve.Keep()
}

// failed records that no checkpoint could be saved, and wakes the outlets during shutdown so that they do not wait for
// one.
func (s *saver) failed(r *run) {
	s.failing.Store(true)
	if phase(r.phase.Load()) == draining {
		r.wake()
	}
}

// openBooks opens the books of the run unless they are open, and reports whether they are. Without books no checkpoint
// is made.
func (s *saver) openBooks(r *run) bool {
	if r.books != nil {
		return true
	}
	b, err := books.Open(books.Options{State: s.j.state, Through: s.through, Destinations: r.routes.Destinations,
		Counter: r.counter, Before: r.before, Moved: r.moved, Depot: r.routes.Depot,
		Source: s.j.Source,
		Logger: s.j.log, Health: s.health, Injector: s.j.o.Injector, Disks: &r.unsynced.disks})
	if err != nil {
		err = fmt.Errorf("open the books in %s: %w", s.j.o.StateDir, err)
	}
	s.health.Set("books", err)
	if err == nil {
		r.books = b
	}
	return err == nil
}

// through returns the number of the last addition to files of an outlet that the last checkpoint covers.
func (s *saver) through(key string) (through uint64, listed bool) {
	if p, listed := s.saved.Outlets[key]; listed {
		return p.Booked, true
	}
	return ^uint64(0), false // an outlet that is not listed was complete when it was left out
}

// write makes next durable. Before it, it saves the books, which say what is in the files, and the table of streams,
// which says which numbers were taken.
func (s *saver) write(r *run, next *checkpoint) error {
	if err := r.books.Save(); err != nil {
		return err
	}
	killpoint.Reach("checkpoint.books.saved")
	if err := s.j.spool.Sync(); err != nil { // a number must not be recorded as taken before its entry is durable
		return err
	}
	if err := s.j.streams.Save(); err != nil {
		return err
	}
	killpoint.Reach("checkpoint.streams.saved")
	s.j.names.Save()
	return next.save(s.j.state)
}

// before returns the states with which the store of an outlet must be opened. known is false while it is uncertain
// whether the last checkpoint reached the disk: a file must not be truncated below the states that the next process may
// find.
func (s *saver) before(t *Outlet) (files store.States, known bool) {
	s.saving.Lock()
	defer s.saving.Unlock()
	p, listed := s.saved.Outlets[t.key]
	if listed && len(p.Files) > 0 {
		return p.Files, !s.unsure
	}
	// A checkpoint of this run may list the outlet before its store is opened for the first time.
	if locate := t.run.routes.Locate; t.run.initial.strays && locate != nil && t.o.Category != "" {
		if key, path := locate(t.o.Category); key == t.key {
			return store.States{path: []byte("{}")}, !s.unsure
		}
	}
	if listed {
		return p.Files, !s.unsure
	}
	return t.run.inherited, !s.unsure // the outlet may have taken over a file of an outlet that is gone
}

// lists reports whether the last checkpoint contains an outlet. Until it does, the outlet must not add to files,
// because the books would take the additions for covered.
func (s *saver) lists(key string) bool {
	s.saving.Lock()
	defer s.saving.Unlock()
	_, listed := s.saved.Outlets[key]
	return listed
}

// goBack rewinds an outlet to its position in the last checkpoint. The lock keeps a new checkpoint from being made
// meanwhile: it would contain the outlet at the later position, and the journal would be acknowledged beyond the offset
// to which the outlet goes back.
func (s *saver) goBack(t *Outlet) (through uint64) {
	s.saving.Lock()
	defer s.saving.Unlock()
	p := s.saved.Outlets[t.key]
	if !t.inCheckpoint() {
		p.Through = t.start // the position belongs to a former run
	}
	t.rewind(newReport(p.Through, p.Files, p.Booked))
	return p.Through
}

// gather builds the next checkpoint. In the last one of a run, an outlet that has delivered everything is listed
// without its files, and only if the journal is needed from below its position. The exception is an outlet whose files
// the next run continues.
func (r *run) gather(saved *checkpoint, last bool) (*checkpoint, map[*Outlet]*report) {
	r.reading.Lock()
	at := r.position
	r.reading.Unlock()
	n := &checkpoint{Version: checkpointVersion, Drained: max(saved.Drained, at), Read: at, Patterns: r.routes.Patterns,
		Outlets: make(map[string]position), Home: saved.Home}
	low := at
	reports, undone := r.reports()
	done := make(map[string]position)
	for t, p := range reports {
		from := undone[t]
		low = min(low, from)
		through := p.through
		if from >= at {
			through = max(through, at) // nothing that was read is left to deliver
		}
		if last && from >= at && !t.o.Continued && !t.unsealed.Load() && (len(p.files) == 0 || p.known()) {
			done[t.key] = t.positionAt(through, newReport(through, nil, p.booked))
			continue
		}
		n.Outlets[t.key] = t.positionAt(through, p)
	}
	n.Low = max(low, saved.Low)
	n.Past = r.past.without(n.Low)
	for key, p := range done {
		if p.Through > n.Low {
			n.Outlets[key] = p
		}
	}
	return n, reports
}

// reports returns the report of every outlet, and the offset of the first entry that it does not cover. It tells the
// books what was added to files. Outlets that were created meanwhile have theirs, too: an outlet that another one shares
// a category with must be listed before the other one is listed as having delivered an entry of it.
func (r *run) reports() (map[*Outlet]*report, map[*Outlet]uint64) {
	reports, undone := make(map[*Outlet]*report), make(map[*Outlet]uint64)
	for known := -1; known < len(reports); {
		known = len(reports)
		for _, t := range r.all() {
			if reports[t] != nil {
				continue
			}
			p, from, added := t.gather()
			reports[t], undone[t] = p, from
			for _, a := range added {
				r.books.Add(t.key, a.from, a.through, a.added)
			}
		}
	}
	return reports, undone
}
