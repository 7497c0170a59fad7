package queue

import (
	"fmt"
	"sync"
	"time"

	"inkwell/internal/killpoint"
	"inkwell/internal/stats"
	"inkwell/store"
)

// saver makes the checkpoints: it gathers how the queues stand, saves that, tells them and acknowledges the journal.
//
// A queue posts its place and its marks together, so that each post is true by itself; the checkpoint is the last post of each.
type saver struct {
	j      *Journal
	health *stats.Health

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
func (s *saver) start() {
	s.stop, s.done = make(chan struct{}), make(chan struct{})
	go s.loop(s.stop, s.done)
}

// end stops that.
func (s *saver) end() {
	close(s.stop)
	<-s.done
}

// hurry asks for a checkpoint now.
func (s *saver) hurry() { signal(s.kick) }

// sent asks for a checkpoint soon: what was handed on for good since the last one would be handed on again after a crash.
func (s *saver) sent() { signal(s.soon) }

// signal fills c, which has room for one, if it is empty.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (s *saver) loop(stop, done chan struct{}) {
	defer close(done)
	tick := time.NewTicker(s.j.o.saveEvery)
	defer tick.Stop()
	var due <-chan time.Time
	for {
		select {
		case <-stop:
			return
		case <-s.soon:
			if due == nil {
				due = time.After(sentWait)
			}
			continue
		case <-due:
		case <-s.kick:
		case <-tick.C:
		}
		due = nil
		s.save(false)
	}
}

// save makes a checkpoint of what the queues have posted. The last one of a run has the files only of what is not done: the stores of
// the others were closed in good order, and what becomes of their files now is not ours to undo. That takes a checkpoint before they were
// closed.
func (s *saver) save(last bool) {
	s.saving.Lock()
	defer s.saving.Unlock()
	r := s.j.current()
	if r == nil {
		return
	}
	next, posts := r.gather(s.saved, last)
	if s.unsure || !next.equal(s.saved) {
		killpoint.Reach("queue.checkpoint.gathered")
		err := s.j.reserve.Save(func() error {
			if err := s.j.spool.Sync(); err != nil { // numbers must not be known longer than what they are of
				return err
			}
			if err := s.j.streams.Save(); err != nil {
				return err
			}
			killpoint.Reach("queue.streams.saved")
			return next.save(s.j.state)
		}, s.j.quiet)
		if err != nil {
			err = fmt.Errorf("save checkpoint in %s: %w", s.j.o.StateDir, err)
		}
		s.health.Set("checkpoint", err)
		if s.unsure = err != nil; err != nil {
			return
		}
	}
	killpoint.Reach("queue.checkpoint.saved")
	s.saved = next
	for q, p := range posts {
		q.savedPost(p)
	}
	err := s.j.spool.Ack(next.Low)
	if err != nil {
		err = fmt.Errorf("acknowledge the journal in %s: %w", s.j.o.StateDir, err)
	}
	s.health.Set("journal acknowledgement", err)
	killpoint.Reach("queue.checkpoint.acked")
	s.j.reserve.Keep()
}

// before returns the marks that a queue's store must be opened with; known is false while the next process may find others, by which
// no file may have been cut back further than they say.
func (s *saver) before(key string) (marks store.States, known bool) {
	s.saving.Lock()
	defer s.saving.Unlock()
	return s.saved.files(key), !s.unsure
}

// goBack has a queue go back to where the last checkpoint has it. None is made meanwhile: it would know the queue further on, with
// other marks, and the journal would not be needed any more from where the queue goes back to.
func (s *saver) goBack(q *Queue) (through uint64) {
	s.saving.Lock()
	defer s.saving.Unlock()
	p := s.saved.Queues[q.key]
	if !q.inCheckpoint() {
		p.Through = q.start // the marks are another queue's, or of a former run
	}
	q.rewind(p.Through, p.Files)
	return p.Through
}

// gather makes the next checkpoint. When it is the last one, a queue that is done is listed only if the queues of the next run may begin
// to read the journal before its end.
func (r *run) gather(saved *checkpoint, last bool) (*checkpoint, map[*Queue]*post) {
	r.dispatching.Lock()
	position := r.position
	r.dispatching.Unlock()
	n := &checkpoint{Version: checkpointVersion, Drained: max(saved.Drained, position), Queues: make(map[string]place)}
	low := position
	posts := make(map[*Queue]*post)
	done := make(map[string]place)
	r.mu.Lock()
	for _, q := range r.queues {
		p, from := q.posted()
		posts[q] = p
		low = min(low, from)
		through := p.through
		if from >= position {
			through = max(through, position) // nothing of what was dispatched waits
		}
		if last && from >= position && (len(p.marks) == 0 || p.known()) {
			done[q.key] = q.at(through, nil)
			continue
		}
		n.Queues[q.key] = q.at(through, p.marks)
	}
	// What queues of before have left is read again by their successors, up to the horizon.
	if position < r.horizon {
		for key, p := range r.began.Queues {
			if _, claimed := r.queues[key]; !claimed && !p.Done {
				n.Queues[key] = p
				low = min(low, p.Through)
			}
		}
	}
	n.Low = max(low, saved.Low)
	r.remember(n, done, position)
	r.mu.Unlock()
	return n, posts
}

// remember lists in n which queues have everything, as long as the journal is needed from before that: where others are to begin that
// find it there depends on it. The caller holds mu.
func (r *run) remember(n *checkpoint, done map[string]place, position uint64) {
	shares := false
	for _, q := range r.queues {
		shares = shares || len(q.o.Patterns) > 0
	}
	for key, p := range r.began.Queues {
		_, claimed := r.queues[key]
		taken := shares && position >= r.horizon // who shares a queue knows about it now
		if !claimed && !taken && p.Done && p.Through > n.Low {
			n.Queues[key] = p
		}
	}
	for key, p := range done {
		if p.Through > n.Low {
			p.Done = true
			n.Queues[key] = p
		}
	}
}
