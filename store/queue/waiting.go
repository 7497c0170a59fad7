package queue

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/proto"
	"inkwell/store"
)

const (
	// maxPending bounds the bytes of a queue's next batch. A queue that is at work gets no more until it took them; one that is in
	// trouble falls behind.
	maxPending = 4 << 20
	// patience is how long the dispatcher waits for a queue that seems to be at work.
	patience = time.Second
)

// QueueOptions says what a queue is.
type QueueOptions struct {
	Name     string   // of the category, or of the block whose categories share the queue
	Patterns []string // of those, when they do: names, prefixes with a * behind them, "default"
	Store    string   // what its store is, e.g. "file /srv/logs/a/a": Name and Store tell queues apart, also after a restart
	Single   bool     // there may be only one queue for such a store, whatever the names
	// Open opens the store with the marks of the last checkpoint. It is called by the queue's goroutine, again after a failure.
	Open     func(saved store.States) (store.Store, error)
	Target   int64         // bytes of messages that make a batch worth while
	Interval time.Duration // between the times when a smaller one is, too
	Check    time.Duration // between two calls of the store's Check
	Lossy    bool          // what the store does not take is thrown away ("lost")
	// Buffered: the original has a buffer before such a store. What the store does not take is set aside: it stays in the journal, does not
	// make the queue Full until the store has caught up, is never thrown away, and counts as one of the "retries", not as put back ("requeue").
	Buffered bool
}

// Queue is what waits for one store, and the goroutine that brings it there.
type Queue struct {
	o       QueueOptions
	key     string
	run     *run
	start   uint64 // entries below are none of its business
	floors  floors // of its categories; entries below are not, either
	highest uint64 // of these
	waiting atomic.Int64
	shares  []string // of one that several share: the patterns of their categories; guarded by run.mu

	mu      sync.Mutex
	pending *load     // the next batch; nil: nothing
	taken   uint64    // entries below were taken, or are to be passed over
	behind  bool      // the queue reads by itself, from taken
	working bool      // the store is at work, with success so far
	aside   bool      // of Buffered: the store failed and has not caught up since
	since   time.Time // when it began with the batch in progress
	space   chan struct{}
	post    *post  // how the store stood at the last Mark
	listed  bool   // a checkpoint of this run has a post
	undone  uint64 // journal offset of the first entry that the post does not cover; noOffset: there is none
	publish bool   // the post was saved

	trouble *trouble
	wake    chan struct{}
	w       worker
}

// noOffset is behind every journal.
const noOffset = ^uint64(0)

// load is entries on their way to a store.
type load struct {
	batch    proto.Batch
	messages int64  // bytes of messages
	bytes    int64  // of those, what counts as waiting
	last     uint64 // journal offset behind the last entry
}

// newLoad returns an empty load.
func (j *Journal) newLoad() *load {
	l := j.loads.Get().(*load)
	l.batch.Reset()
	l.messages, l.bytes = 0, 0
	return l
}

// post is how a queue stands: its store has every entry below through, and its files stand as the marks say.
type post struct {
	through uint64
	marks   store.States
	saved   chan struct{} // closed when a checkpoint says so
}

// Key tells the queue from others.
func (o *QueueOptions) Key() string {
	if o.Single {
		return o.Store
	}
	return o.Name + "\x00" + o.Store
}

// NewQueue returns the queue of the run in progress for o.Name and o.Store, which it makes and starts if there is none. siblings are the
// Keys of all queues that take its categories.
func (j *Journal) NewQueue(o QueueOptions, siblings func() []string) *Queue {
	r := j.current()
	r.mu.Lock()
	defer r.mu.Unlock()
	key := o.Key()
	if q := r.queues[key]; q != nil {
		q.join(&o)
		return q
	}
	claimed := make(map[string]bool)
	for _, k := range siblings() {
		claimed[k] = true
	}
	q := &Queue{o: o, key: key, run: r, shares: o.Patterns, wake: make(chan struct{}, 1), space: make(chan struct{}, 1), undone: noOffset,
		working: true, since: time.Now()}
	if _, known := r.began.Queues[key]; known { // it gets more only from those that are gone
		for k, other := range r.queues {
			claimed[k] = claimed[k] || r.began.Queues[k].Name == other.o.Name
		}
	}
	q.floors = r.began.floors(key, &o, claimed)
	q.start, q.highest = q.floors.bounds()
	q.taken = q.start
	q.post = &post{through: q.start, marks: r.began.Queues[key].Files, saved: make(chan struct{})}
	q.w = worker{q: q, j: j, log: j.log.With("category", o.Name, "store", o.Store)}
	q.trouble = &trouble{log: q.w.log, then: "they are offered again"}
	if o.Lossy && !o.Buffered {
		q.trouble.then = "they are thrown away and counted as lost (must_succeed=no)"
	}
	q.w.requeued, q.w.retried, q.w.lost = newTally(j, o.Name, "requeue"), newTally(j, o.Name, "retries"), newTally(j, o.Name, "lost")
	r.queues[key] = q
	r.named[o.Name] = append(r.named[o.Name], q)
	j.o.Stats.Gauge(o.Name+":queue bytes", func() int64 { return j.waitingFor(o.Name) })
	r.working.Add(1)
	r.drained.Add(1)
	go q.w.loop()
	return q
}

// join notes the categories of another block that writes the same file, so that they are known for those of the queue after a restart. The
// caller holds run.mu.
func (q *Queue) join(o *QueueOptions) {
	if o.Name == q.o.Name {
		return
	}
	if len(q.shares) == 0 {
		q.shares = []string{q.o.Name}
	}
	patterns := o.Patterns
	if len(patterns) == 0 {
		patterns = []string{o.Name}
	}
	for _, p := range patterns {
		if !slices.Contains(q.shares, p) {
			q.shares = append(slices.Clip(q.shares), p) // a checkpoint may hold those of before
		}
	}
}

// waitingFor is the bytes of messages that wait for the stores of a name. It holds on to no run: a new one may not have the name.
func (j *Journal) waitingFor(name string) (sum int64) {
	r := j.current()
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.named[name] {
		sum += q.Waiting()
	}
	return sum
}

// Waiting is the bytes of messages that the store was not offered yet.
func (q *Queue) Waiting() int64 { return max(0, q.waiting.Load()) }

// Full says whether more than limit bytes of messages wait for a store that works, or that nothing stands in for.
func (q *Queue) Full(limit int64) bool {
	if q.Waiting() <= limit {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.aside
}

// Expect says that entries with so many bytes of messages are about to be appended to the journal (or, below zero, were not).
func (q *Queue) Expect(bytes int64) { q.waiting.Add(bytes) }

// Name is that of its category, or of the block whose categories share it.
func (q *Queue) Name() string { return q.o.Name }

// Status is what is wrong, "" if nothing is. Safe for concurrent use.
func (q *Queue) Status() string { return q.trouble.status() }

// room waits until the queue can take more, or it is clear that it will not soon.
func (q *Queue) room(ctx context.Context) {
	for {
		q.mu.Lock()
		full := q.pending != nil && q.pending.batch.Size() >= maxPending && !q.behind && q.working
		left := patience - time.Since(q.since)
		q.mu.Unlock()
		if !full || left <= 0 {
			return
		}
		t := time.NewTimer(left)
		select {
		case <-q.space:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// offer adds s to the next batch, or lets the queue fall behind. The dispatcher calls it, with its lock held.
func (q *Queue) offer(s stretch) {
	fresh := s.from() < q.run.counted
	q.mu.Lock()
	defer q.mu.Unlock()
	s = q.own(s)
	if s.run.Count == 0 {
		return
	}
	if fresh {
		q.waiting.Add(s.run.Bytes)
	}
	if q.undone == noOffset {
		q.undone = s.from()
	}
	if q.behind {
		return
	}
	if q.pending != nil && q.pending.batch.Size() >= maxPending {
		q.behind = true // from here on it reads by itself
		return
	}
	first := q.pending == nil
	if first {
		q.pending = q.run.j.newLoad()
	}
	q.pending.add(s)
	q.taken = s.end()
	if first || q.enough() {
		q.wakeUp()
	}
}

// enough says whether the next batch is large enough to be taken at once. The caller holds mu.
func (q *Queue) enough() bool {
	return q.pending.messages >= q.o.Target || q.pending.batch.Size() >= maxPending
}

// own leaves out of s what the queue has, or what is none of its business.
func (q *Queue) own(s stretch) stretch {
	if s.from() < q.taken {
		s = s.behind(min(q.taken, s.end()))
	}
	if s.from() < q.highest {
		s = s.behind(min(q.floors.of(string(s.run.Category)), s.end()))
	}
	return s
}

func (l *load) add(s stretch) {
	l.batch.AppendRun(s.of, s.run)
	l.messages += s.run.Bytes
	l.bytes += s.run.Bytes
	l.last = s.end()
}

// signal tells the dispatcher that there may be room.
func (q *Queue) signal() { signal(q.space) }

func (q *Queue) wakeUp() { signal(q.wake) }

// posted is the last post, and the offset of the first entry that it does not cover.
func (q *Queue) posted() (*post, uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.post, q.undone
}

// known says whether a checkpoint has the last post.
func (q *Queue) known() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.post.known()
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

// inCheckpoint says whether a checkpoint of this run has the queue.
func (q *Queue) inCheckpoint() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.listed
}

// at is the queue's place in a checkpoint. The caller holds run.mu.
func (q *Queue) at(through uint64, marks store.States) place {
	p := place{Name: q.o.Name, Shared: len(q.shares) > 0, Patterns: q.shares, Through: through, Files: marks}
	if through < q.highest {
		p.Past = &q.floors
	}
	return p
}

// savedPost tells the queue that a checkpoint has p.
func (q *Queue) savedPost(p *post) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.listed = true
	select {
	case <-p.saved:
		return
	default:
		close(p.saved)
	}
	if q.post == p && len(p.marks) > 0 {
		q.publish = true
		q.wakeUp()
	}
}

// put makes p the queue's post. left says that entries which were taken lie behind it.
func (q *Queue) put(p *post, left bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.post, q.publish = p, false // the store knows only its last marks
	switch {
	case left || q.behind || q.pending != nil:
		if q.undone != noOffset {
			q.undone = max(q.undone, p.through)
		} else {
			q.undone = p.through
		}
	default:
		q.undone = noOffset
	}
}
