package feed

import (
	"context"
	"maps"
	"slices"
	"sync"

	"inkwell/proto"
	"inkwell/store/stream"
)

// full is the number of canonical bytes at which a batch takes no more. One Put may exceed it.
const full = 3 << 20

// Queue holds two batches: one is filled while the other is being sent. There is no timer: whatever arrives while one
// batch is being sent goes out with the next. M is what the owner wants to know of a batch when it is acknowledged.
type Queue[M any] struct {
	stream stream.ID
	work   chan struct{} // holds a value when there may be something to ship

	mu      sync.Mutex
	next    map[string]int64 // the number of the next entry of each category
	current *Batch[M]
	spare   *Batch[M]     // nil while it is being sent
	room    chan struct{} // closed when the current batch is replaced
	closed  bool
}

// Batch has entries of several categories. The entries of a category keep their order and are numbered without gaps.
type Batch[M any] struct {
	Mark  M
	q     *Queue[M]
	parts map[string]*proto.Batch
	size  int
	count int
	noted bool
	whole proto.Batch
}

// NewQueue returns an empty queue whose entries belong to the stream id. In each category the numbers begin at the one
// in next, or at 0.
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

// Note makes the queue ship the batch for its mark even if it has no entries.
func (b *Batch[M]) Note() { b.noted = true }

// Entries returns all entries of the batch, valid until it is given back to the queue.
func (b *Batch[M]) Entries() *proto.Batch {
	b.whole.Reset()
	for _, category := range slices.Sorted(maps.Keys(b.parts)) {
		b.whole.AppendBatch(b.parts[category])
	}
	return &b.whole
}

// Next returns, for each category in the batch, the number that follows that of its last entry.
func (b *Batch[M]) Next() map[string]int64 {
	next := make(map[string]int64, len(b.parts))
	for category, part := range b.parts {
		if part.Count() == 0 { // only kept to reuse its memory
			continue
		}
		last := part.Spans()[len(part.Spans())-1]
		next[category] = last.First + int64(last.Count)
	}
	return next
}

// Put calls fill to append to the current batch. While that is full it waits; it is false if ctx ended before there was
// room. Safe for concurrent use: fills are called one at a time.
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

// Close says that Put will not be called any more: Ship ends once the queue is empty.
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

// Ship gives one batch after the other to send, until the queue is closed and empty, or send fails.
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

// take returns the current batch and replaces it by the spare one. b is nil if there is nothing to send.
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
