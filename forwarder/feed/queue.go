package feed

import (
	"context"
	"maps"
	"slices"
	"sync"

	"inkwell/proto"
	"inkwell/store/stream"
)

// full is how many canonical bytes a batch takes; it exceeds that by what one Put appends.
const full = 3 << 20

// Queue holds two batches: one that is filled, while the other is under way. There is no timer: what came while one
// batch was under way goes in the next. M is what the owner wants to know of a batch when it is acknowledged.
type Queue[M any] struct {
	stream stream.ID
	work   chan struct{} // holds a value when there may be something to ship

	mu      sync.Mutex
	next    map[string]int64 // by category: the number of its next entry
	current *Batch[M]
	spare   *Batch[M]     // nil while it is under way
	room    chan struct{} // closed when current is exchanged
	closed  bool
}

// Batch is entries of several categories. Those of a category keep their order, and have numbers without gaps.
type Batch[M any] struct {
	Mark  M
	q     *Queue[M]
	parts map[string]*proto.Batch
	size  int
	count int
	noted bool
	whole proto.Batch
}

// NewQueue returns an empty queue whose entries are those of a stream, in each category from its number in next on, or
// from 0.
func NewQueue[M any](id stream.ID, next map[string]int64) *Queue[M] {
	q := &Queue[M]{stream: id, next: maps.Clone(next), work: make(chan struct{}, 1), room: make(chan struct{})}
	if q.next == nil {
		q.next = make(map[string]int64)
	}
	q.current, q.spare = q.batch(), q.batch()
	return q
}

func (q *Queue[M]) batch() *Batch[M] { return &Batch[M]{q: q, parts: make(map[string]*proto.Batch)} }

// Append adds an entry; message is copied.
func (b *Batch[M]) Append(category string, message []byte) {
	part := b.parts[category]
	if part == nil {
		part = new(proto.Batch)
		b.parts[category] = part
	}
	before := part.Size()
	part.Append([]byte(category), message)
	part.Number(b.q.stream, b.q.next[category], 1)
	b.q.next[category]++
	b.size += part.Size() - before
	b.count++
}

// Note has the batch shipped for its mark, though it may have no entries.
func (b *Batch[M]) Note() { b.noted = true }

// Entries are all of the batch, valid until it is given back.
func (b *Batch[M]) Entries() *proto.Batch {
	b.whole.Reset()
	for _, category := range slices.Sorted(maps.Keys(b.parts)) {
		b.whole.AppendBatch(b.parts[category])
	}
	return &b.whole
}

// Next tells of each category in the batch how many entries of it there are behind the batch: what the next one is
// numbered.
func (b *Batch[M]) Next() map[string]int64 {
	next := make(map[string]int64, len(b.parts))
	for category, part := range b.parts {
		if part.Count() == 0 { // kept for its memory
			continue
		}
		last := part.Spans()[len(part.Spans())-1]
		next[category] = last.First + int64(last.Count)
	}
	return next
}

// Put has fill append to the batch; it waits while that is full. It is false if ctx ended before there was room. Safe
// for concurrent use; fills are called one at a time.
func (q *Queue[M]) Put(ctx context.Context, fill func(b *Batch[M])) bool {
	for {
		room, ok := q.try(fill)
		if ok {
			return true
		}
		select {
		case <-room:
		case <-ctx.Done():
			return false
		}
	}
}

func (q *Queue[M]) try(fill func(b *Batch[M])) (room chan struct{}, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.current.size >= full {
		return q.room, false
	}
	fill(q.current)
	q.signal()
	return nil, true
}

// Close says that nothing is put any more: Ship ends when it has shipped what there is.
func (q *Queue[M]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

func (q *Queue[M]) signal() {
	select {
	case q.work <- struct{}{}:
	default:
	}
}

// Ship gives batch after batch to send, until the queue is closed and empty, or send fails.
func (q *Queue[M]) Ship(send func(b *Batch[M]) error) error {
	for range q.work {
		for {
			b, done := q.take()
			if done {
				return nil
			}
			if b == nil {
				break
			}
			if err := send(b); err != nil {
				return err
			}
			q.giveBack(b)
		}
	}
	return nil
}

// take returns what there is, and what is put from now on goes into the other batch; nil = there is nothing.
func (q *Queue[M]) take() (b *Batch[M], done bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.current.count == 0 && !q.current.noted {
		return nil, q.closed
	}
	b = q.current
	q.current, q.spare = q.spare, nil
	close(q.room)
	q.room = make(chan struct{})
	return b, false
}

// giveBack empties b for the next use.
func (q *Queue[M]) giveBack(b *Batch[M]) {
	const few = 64 // categories whose memory is kept
	if b.size > 2*full || len(b.parts) > few {
		b = q.batch()
	}
	for category, part := range b.parts {
		if part.Count() == 0 { // not used this time
			delete(b.parts, category)
			continue
		}
		part.Reset()
	}
	b.Mark, b.size, b.count, b.noted = *new(M), 0, 0, false
	q.mu.Lock()
	q.spare = b
	q.mu.Unlock()
}
