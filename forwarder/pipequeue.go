package forwarder

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/forwarder/lines"
	"inkwell/proto"
	"inkwell/store/stream"
)

// pipeQueue is what a pipe holds in memory: full shipments that wait, and one that is being filled.
//
//	put ──► current ──(full)──► waiting ──► ship ──► store
//	           └──(ship is idle)────────────►┘
type pipeQueue struct {
	deliverer
	cutter   lines.Cutter
	received *atomic.Int64
	lines    *atomic.Int64
	drop     bool
	spooled  func() bool // the store has a spool, so that even a cancelled call leaves its batch durable

	work chan struct{} // holds a value when there is something to ship
	room chan struct{} // holds a value when a shipment became free

	mu      sync.Mutex
	current *shipment
	waiting []*shipment
	free    []*shipment
	closed  bool
	stream  stream.ID
	number  int64 // of the next entry
	broken  bool  // the last entry was a piece of a line that continues
	read    int64
	dropped int64
}

func newPipeQueue(st *nextHop, o PipeOptions) *pipeQueue {
	path := "pipe:" + writerName()
	l := &pipeQueue{
		deliverer: newDeliverer(st, o.Logger),
		cutter: lines.Cutter{
			Category: []byte(o.Category), Prefix: st.origin.prefix(o.Prefix, path), Max: defaultLine,
			Full: shipmentFull,
		},
		received: o.Stats.Category(o.Category, "received good"),
		lines:    o.Stats.Overall("lines read"),
		drop:     o.WhenFull == Drop,
		spooled:  st.hasSpool,
		work:     make(chan struct{}, 1),
		room:     make(chan struct{}, 1),
		current:  new(shipment),
		stream:   newStream(defaultLine),
	}
	st.origin.names.Tell(l.stream, st.origin.source(path))
	st.origin.names.Save()
	for range pipeShipments - 1 {
		l.free = append(l.free, new(shipment))
	}
	return l
}

// put takes the complete lines of data and returns how many bytes it took. With rest it also takes what follows the
// last newline, and adds a newline to that. While the memory is full it waits, unless lines are to be dropped then, or
// hard ends.
func (l *pipeQueue) put(hard context.Context, data []byte, rest bool) (taken int) {
	for {
		n, full := l.fill(data[taken:])
		taken += n
		if !full {
			break
		}
		if !l.waitRoom(hard) {
			taken += l.discard(data[taken:])
			break
		}
	}
	if rest && taken < len(data) {
		l.putRest(data[taken:])
		return len(data)
	}
	return taken
}

// fill takes lines until no complete one is left, or the memory is full.
func (l *pipeQueue) fill(data []byte) (taken int, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if taken == len(data) {
			return taken, false
		}
		if l.current.batch.Size() >= shipmentFull {
			if len(l.free) == 0 {
				return taken, true
			}
			l.waiting = append(l.waiting, l.current)
			l.current, l.free = l.free[len(l.free)-1], l.free[:len(l.free)-1]
		}
		c := l.cutter.Take(&l.current.batch, data[taken:], l.broken)
		if c.Entries == 0 {
			return taken, false
		}
		taken += c.Bytes
		l.broken = c.Broken
		l.taken(c.Entries)
		signal(l.work)
	}
}

// taken numbers and counts the entries that were appended to the current shipment last.
func (l *pipeQueue) taken(entries int) {
	l.current.batch.Number(l.stream, l.number, entries)
	l.number += int64(entries)
	l.count(entries)
}

func (l *pipeQueue) count(entries int) {
	l.read += int64(entries)
	l.received.Add(int64(entries))
	l.lines.Add(int64(entries))
}

// putRest takes a line without a newline. That line may exceed the memory bound.
func (l *pipeQueue) putRest(data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	prefix := l.cutter.Prefix
	if l.broken {
		prefix = nil
	}
	l.current.batch.AppendPrefixed(l.cutter.Category, prefix, append(data[:len(data):len(data)], '\n'))
	l.taken(1)
	signal(l.work)
}

// discard drops the complete lines of data, and counts them.
func (l *pipeQueue) discard(data []byte) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var nowhere proto.Batch
	all := lines.Cutter{Max: l.cutter.Max, Full: 1 << 62}
	c := all.Take(&nowhere, data, l.broken)
	l.broken = c.Broken
	l.count(c.Entries)
	l.dropped += int64(c.Entries)
	return c.Bytes
}

// waitRoom waits until there is a free shipment. It is false if lines are to be dropped instead, or if hard ended.
func (l *pipeQueue) waitRoom(hard context.Context) bool {
	for {
		lasted, failing := l.lasted()
		spooled := l.spooled()
		if lasted >= pipePatience && spooled {
			l.breakOff()
		}
		if l.drop && (failing || lasted >= pipePatience && !spooled) {
			return false
		}
		select {
		case <-l.room:
			return true
		case <-hard.Done():
			return false
		case <-time.After(max(pipePatience-lasted, pipePatience/20)):
		}
	}
}

// ship delivers shipments until the queue is closed and empty. After an error, what is left stays in the queue: see
// left.
func (l *pipeQueue) ship(ctx context.Context) error {
	for {
		p, closed := l.next()
		if p == nil {
			if closed {
				return nil
			}
			<-l.work
			continue
		}
		if err := l.deliver(ctx, &p.batch); err != nil {
			l.mu.Lock()
			l.waiting = append(l.waiting, p)
			l.mu.Unlock()
			return err
		}
		p.reset(0)
		l.mu.Lock()
		l.free = append(l.free, p)
		l.mu.Unlock()
		signal(l.room)
	}
}

// next returns the shipment that is to be delivered next. nil means that there is none now, and with closed, that there
// will be none.
func (l *pipeQueue) next() (p *shipment, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.waiting) > 0:
		p, l.waiting = l.waiting[0], l.waiting[1:]
	case l.current.batch.Count() > 0 && len(l.free) > 0:
		p = l.current
		l.current, l.free = l.free[len(l.free)-1], l.free[:len(l.free)-1]
	}
	return p, l.closed
}

// close says that put will not be called any more.
func (l *pipeQueue) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	signal(l.work)
}

// left is how many entries are in memory.
func (l *pipeQueue) left() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.current.batch.Count()
	for _, p := range l.waiting {
		n += p.batch.Count()
	}
	return int64(n)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
