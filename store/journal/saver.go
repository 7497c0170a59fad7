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

// saver makes the checkpoints: it has the outlets make durable what they have, gathers how they stand, saves that,
// tells them, and acknowledges the journal.
//
// An outlet posts its place and its marks together, so that each post is true by itself; the checkpoint is the last
// post of each.
//
// A checkpoint comes every saveEvery, or later: what it costs, fsyncs above all, is to be a tenth of the time. The
// journal has everything meanwhile. What was handed on for good, to a network, gets one soon after, in which the files
// stand as they did.
type saver struct {
	j      *Journal
	health *stats.Health

	failing atomic.Bool // the last checkpoint could not be saved

	saving sync.Mutex // held while a checkpoint is made
	saved  *checkpoint
	unsure bool // a newer one could not be saved, or was for all that is known

	kick chan struct{}
	soon chan struct{}
	stop chan struct{}
	done chan struct{}
}

func newSaver(j *Journal, saved *checkpoint) *saver {
	return &saver{j: j, health: stats.NewHealth(j.log), saved: saved, kick: make(chan struct{}, 1), soon: make(chan struct{}, 1)}
}

// start begins to save in the background.
func (s *saver) start(r *run) {
	s.stop, s.done = make(chan struct{}), make(chan struct{})
	go s.loop(r)
}

// end stops that.
func (s *saver) end() {
	close(s.stop)
	<-s.done
}

// hurry asks for a checkpoint now.
func (s *saver) hurry() { signal(s.kick) }

// sent asks for a checkpoint soon: what was handed on for good since the last one would be handed on again after a
// crash.
func (s *saver) sent() { signal(s.soon) }

// share is the part of the time that checkpoints may take: one of so many.
const share = 10

// hurryShare is the same for those that somebody waits for: thousands of new categories want one each.
const hurryShare = 3

func (s *saver) loop(r *run) {
	defer close(s.done)
	next := time.NewTimer(s.j.o.SaveEvery)
	defer next.Stop()
	var due, hurried <-chan time.Time
	lastSent := time.Duration(0) // what the last checkpoint cost that was made because something was sent
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
			next.Reset(max(s.j.o.SaveEvery, share*cost) - min(time.Since(began), s.j.o.SaveEvery))
		}
	}
}

// markCost is how long benches have marked since the last call; they do so beside each other.
func (r *run) markCost() time.Duration {
	beside := max(1, min(r.marks.Swap(0), int64(runtime.GOMAXPROCS(0))))
	return time.Duration(r.markTime.Swap(0) / beside)
}

// markAll has every outlet make durable what it has, and waits for that, but not for outlets that are stuck.
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

// owe notes that the outlet has to have a turn before a checkpoint is made, and says whether it did not owe one before.
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

// save makes a checkpoint of what the outlets have posted. The last one of a run has the files only of what is not
// done: the stores of the others were closed in good order, and what becomes of their files now is not ours to undo.
// That takes a checkpoint before they were closed.
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
	next, posts := r.gather(s.saved, last)
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
	for t, p := range posts {
		t.savedPost(p)
	}
	err := s.j.spool.Ack(next.Low)
	if err != nil {
		err = fmt.Errorf("acknowledge the journal in %s: %w", s.j.o.StateDir, err)
	}
	s.health.Set("journal acknowledgement", err)
	killpoint.Reach("checkpoint.acked")
	s.j.reserve.Keep()
}

// failed notes that no checkpoint could be saved. At the end of a run nobody waits for another one.
func (s *saver) failed(r *run) {
	s.failing.Store(true)
	if phase(r.phase.Load()) == draining {
		r.wake()
	}
}

// openBooks opens the books of a run, and says whether they are: without them no checkpoint is made.
func (s *saver) openBooks(r *run) bool {
	if r.books != nil {
		return true
	}
	b, err := books.Open(books.Options{State: s.j.state, Through: s.through, Destinations: r.routes.Destinations, Counter: r.counter, Before: r.before, Moved: r.moved, Depot: r.routes.Depot,
		Source: s.j.Source,
		Logger: s.j.log, Health: s.health, Injector: s.j.o.Injector})
	if err != nil {
		err = fmt.Errorf("open the books in %s: %w", s.j.o.StateDir, err)
	}
	s.health.Set("books", err)
	if err == nil {
		r.books = b
	}
	return err == nil
}

// through is how far the last checkpoint covers what the books know of the files of an outlet.
func (s *saver) through(key string) (through uint64, listed bool) {
	if p, listed := s.saved.Outlets[key]; listed {
		return p.Booked, true
	}
	return ^uint64(0), false // what it did was done before a checkpoint left it out
}

// write makes next durable, and before it what belongs to it: what stands in the files, and which numbers are there.
func (s *saver) write(r *run, next *checkpoint) error {
	if err := r.books.Save(); err != nil {
		return err
	}
	killpoint.Reach("checkpoint.books.saved")
	if err := s.j.spool.Sync(); err != nil { // numbers must not be known longer than what they are of
		return err
	}
	if err := s.j.streams.Save(); err != nil {
		return err
	}
	killpoint.Reach("checkpoint.streams.saved")
	s.j.names.Save()
	return next.save(s.j.state)
}

// before returns the file states that an outlet's store must be opened with; known is false while the next process may
// find others, by which no file may have been cut back further than they say.
func (s *saver) before(t *Outlet) (files store.States, known bool) {
	s.saving.Lock()
	defer s.saving.Unlock()
	if p, listed := s.saved.Outlets[t.key]; listed {
		return p.Files, !s.unsure
	}
	if locate := t.run.routes.Locate; t.run.began.strays && locate != nil && t.o.Category != "" {
		if key, path := locate(t.o.Category); key == t.key {
			return store.States{path: []byte("{}")}, !s.unsure
		}
	}
	return t.run.inherited, !s.unsure // it may have taken over the file of an outlet that is gone
}

// lists says whether the last checkpoint has an outlet: what it adds to files before one does, the books would take for
// covered.
func (s *saver) lists(key string) bool {
	s.saving.Lock()
	defer s.saving.Unlock()
	_, listed := s.saved.Outlets[key]
	return listed
}

// goBack has an outlet go back to where the last checkpoint has it. None is made meanwhile: it would know the outlet
// further on, with other marks, and the journal would not be needed any more from where the outlet goes back to.
func (s *saver) goBack(t *Outlet) (through uint64) {
	s.saving.Lock()
	defer s.saving.Unlock()
	p := s.saved.Outlets[t.key]
	if !t.inCheckpoint() {
		p.Through = t.start // the marks are another outlet's, or of a former run
	}
	t.rewind(newPost(p.Through, p.Files, p.Booked))
	return p.Through
}

// gather makes the next checkpoint. In the last one an outlet that is done stands without its files, and only if the
// journal is needed from before its place, unless the next run has to continue its files.
func (r *run) gather(saved *checkpoint, last bool) (*checkpoint, map[*Outlet]*post) {
	r.reading.Lock()
	at := r.position
	r.reading.Unlock()
	n := &checkpoint{Version: checkpointVersion, Drained: max(saved.Drained, at), Read: at, Patterns: r.routes.Patterns,
		Outlets: make(map[string]position), Home: saved.Home}
	low := at
	outlets := r.all()
	posts := make(map[*Outlet]*post, len(outlets))
	done := make(map[string]position)
	for _, t := range outlets {
		p, from, added := t.gather()
		posts[t] = p
		for _, a := range added {
			r.books.Add(t.key, a.from, a.through, a.added)
		}
		low = min(low, from)
		through := p.through
		if from >= at {
			through = max(through, at) // nothing of what was read waits
		}
		if last && from >= at && !t.o.Continued && (len(p.files) == 0 || p.known()) {
			done[t.key] = t.at(through, newPost(through, nil, p.booked))
			continue
		}
		n.Outlets[t.key] = t.at(through, p)
	}
	n.Low = max(low, saved.Low)
	n.Past = r.past.without(n.Low)
	for key, p := range done {
		if p.Through > n.Low {
			n.Outlets[key] = p
		}
	}
	return n, posts
}
