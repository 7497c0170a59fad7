package queue

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"
)

// Router says which queues take a category. It makes those that are missing with Journal.NewQueue, and gives the same answer as long as
// it is in use. Safe for concurrent use.
type Router func(category []byte) []*Queue

// run is the time between Start and Stop: the queues of one configuration, and the goroutine that brings the journal to them.
type run struct {
	j       *Journal
	route   Router
	horizon uint64 // below it the checkpoint that the run began with may know better who has an entry
	began   *checkpoint
	left    floors // what nobody had taken by then
	counted uint64 // entries below were in the journal when the run began: nobody has told the queues of their sizes

	ctx    context.Context // of Appends to stores
	cancel context.CancelFunc
	ended  chan struct{} // of the dispatcher
	last   chan struct{} // closed when the final checkpoint was tried
	stop   chan struct{} // closed when everything has to come to its end

	dispatching sync.Mutex // held while a record is dispatched
	position    uint64     // behind the last record that was

	mu      sync.Mutex
	queues  map[string]*Queue // by key
	named   map[string][]*Queue
	working sync.WaitGroup // the queues
	drained sync.WaitGroup // those with something left to do
}

// current is the run in progress, nil between two.
func (j *Journal) current() *run {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.run
}

// Start begins to bring the journal to the queues that route names. prepare makes those that are known beforehand, and is called
// before anything is read; then route is asked for every name that the last checkpoint knows.
func (j *Journal) Start(prepare func(), route Router) {
	_, end := j.spool.Bounds()
	s := j.saver.saved
	r := &run{j: j, route: route, horizon: s.Drained, began: s, left: s.left("", nil), counted: end, position: s.Low, queues: make(map[string]*Queue), named: make(map[string][]*Queue),
		ended: make(chan struct{}), last: make(chan struct{}), stop: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	j.mu.Lock()
	j.run = r
	j.mu.Unlock()
	prepare()
	for _, p := range s.Queues {
		if !p.Shared && !p.Done && p.Name != store.OverflowCategory { // who has that is found out again
			route([]byte(p.Name))
		}
	}
	j.saver.start()
	go r.dispatch(j.spool.Reader(s.Low))
}

// StoreStatus is what is wrong with the first store that is unhappy, in byte order of the names and in that of the blocks for one name,
// "" if none is.
func (j *Journal) StoreStatus() string {
	r := j.current()
	if r == nil {
		return ""
	}
	r.mu.Lock()
	var queues []*Queue
	for _, name := range slices.Sorted(maps.Keys(r.named)) {
		queues = append(queues, r.named[name]...)
	}
	r.mu.Unlock()
	for _, q := range queues {
		if text := q.Status(); text != "" {
			return text
		}
	}
	return ""
}

// Stop brings what is in the journal to the stores and closes them. What a store does not take now, or not within limit, stays in the
// journal. Nothing is appended meanwhile.
func (j *Journal) Stop(limit time.Duration) {
	r := j.current()
	if r == nil {
		return
	}
	timer := time.AfterFunc(limit, r.cancel)
	defer timer.Stop()
	close(r.stop)
	<-r.ended
	r.drained.Wait()
	j.saver.end()
	j.saver.save(false)
	close(r.last) // the stores are closed
	r.working.Wait()
	j.saver.save(true)
	r.cancel()
	j.mu.Lock()
	j.run = nil
	j.mu.Unlock()
}

// dispatch reads the journal until Stop was called and nothing is left.
func (r *run) dispatch(reader *spool.Reader) {
	defer close(r.ended)
	defer func() {
		if err := reader.Close(); err != nil {
			r.j.log.Warn("close journal reader", "error", err)
		}
	}()
	life, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-r.stop:
			cancel()
		case <-r.ended:
		}
	}()
	var b proto.Batch
	var runs []proto.Run
	for {
		rec, ok, err := reader.TryNext()
		if err == nil && !ok {
			if rec, err = reader.Next(life); life.Err() != nil && errors.Is(err, life.Err()) {
				if rec, ok, err = reader.TryNext(); err == nil && !ok {
					return
				}
			}
		}
		var corrupt *spool.CorruptError
		switch {
		case errors.As(err, &corrupt):
			r.damaged("damaged place in the journal is passed over", err)
			r.dispatching.Lock()
			r.position = max(r.position, corrupt.End) // or nothing would ever acknowledge it
			r.dispatching.Unlock()
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			r.j.saver.health.Set("journal read", err)
			if !pause(r.j.o.retry, r.stop) {
				return
			}
		default:
			r.j.saver.health.Set("journal read", nil)
			runs = r.take(rec, &b, runs)
		}
	}
}

// damaged tells of bytes in the journal that nobody can read.
func (r *run) damaged(what string, err error) {
	r.j.log.Error(what, "error", err)
	r.j.o.Stats.Overall("journal damaged").Add(1)
}

// take gives the entries of a record to their queues.
func (r *run) take(rec spool.Record, b *proto.Batch, runs []proto.Run) []proto.Run {
	err := b.SetRecord(rec.Data)
	if err != nil {
		r.damaged("record in the journal holds no entries, passed over", err)
	}
	runs = b.AppendRuns(runs[:0]) // none after an error
	for _, run := range runs {
		for _, q := range r.route(run.Category) {
			q.room(r.ctx)
		}
	}
	r.j.streams.Drained(b)
	r.dispatching.Lock()
	defer r.dispatching.Unlock()
	r.position = rec.End
	for s := range stretches(rec, b, runs) {
		queues := r.route(s.run.Category)
		for _, q := range queues {
			q.offer(s)
		}
		if len(queues) == 0 && s.end() > r.left.of(string(s.run.Category)) {
			r.homeless(s)
		}
	}
	return runs
}

// homeless counts entries that were taken when their category had a store, and have none any more.
func (r *run) homeless(s stretch) {
	name := string(s.run.Category)
	r.j.log.Error("entries in the journal have no store in the new configuration: they are lost", "category", name, "entries", s.run.Count)
	newTally(r.j, name, "lost").add(int64(s.run.Count))
}

// pause waits and returns false if stop was closed meanwhile.
func pause(d time.Duration, stop <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-stop:
		return false
	}
}
