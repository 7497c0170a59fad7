package stream

import (
	"crypto/rand"
	"sync"

	"inkwell/proto"
)

// Lanes assign numbers to entries that arrive without any, where they first become durable on their way to another
// collector. A lane is a stream that only one Append uses at a time, so that its numbers are in order in the journal,
// and the numbers of a failed Append are assigned again. Each client has its own lanes, as many as it had concurrent
// Appends. Safe for concurrent use.
type Lanes struct {
	own   [8]byte
	names *Names // records the client of each lane; nil = not recorded
	host  string // name of this machine

	mu    sync.Mutex
	free  map[string][]*lane // by client
	count int                // of free
}

// lane is a stream and its next numbers.
type lane struct {
	id       ID
	from     string            // the client
	named    bool              // the client was recorded in Names
	next     map[string]*int64 // next number by category
	assigned []assignment      // by the Append in progress
	batch    proto.Batch       // aliases the caller's entries
}

// assignment is the information to undo an assignment of numbers when an Append fails.
type assignment struct {
	next   *int64
	before int64
}

// laneMax bounds the categories of a lane; a lane with more is replaced by a new one.
const laneMax = 4096

// lanesMax bounds the lanes that are not in use; beyond it, one of them is dropped.
const lanesMax = 4096

// NewLanes returns Lanes with a random prefix for the IDs of their streams.
func NewLanes() *Lanes {
	l := &Lanes{free: make(map[string][]*lane)}
	rand.Read(l.own[:])
	return l
}

// Own returns the prefix of the IDs of the streams.
func (l *Lanes) Own() [8]byte { return l.own }

// Name has the client of each lane recorded in names, with host as its host. It must be called before the first Append.
func (l *Lanes) Name(names *Names, host string) { l.names, l.host = names, host }

// Append calls write with the entries of b, of which those without numbers get numbers in a lane of the client from. b
// itself is not changed.
func (l *Lanes) Append(from string, b *proto.Batch, write func(*proto.Batch) error) error {
	n := l.take(from)
	n.number(b)
	l.name(n)
	err := write(&n.batch)
	for err != nil && len(n.assigned) > 0 {
		last := n.assigned[len(n.assigned)-1]
		*last.next, n.assigned = last.before, n.assigned[:len(n.assigned)-1]
	}
	l.put(n)
	return err
}

// number sets n.batch to the entries of b, all with numbers.
func (n *lane) number(b *proto.Batch) {
	n.assigned = n.assigned[:0]
	n.batch.SetEntries(b.Entries(), b.Count())
	for p := range b.Pieces {
		if !p.Span.Numbered() {
			p.Span.Stream, p.Span.First = n.id, n.assign(p.Category, p.Span.Count)
		}
		n.batch.AppendSpan(p.Span)
	}
}

// assign returns the first of the next count numbers of a category.
func (n *lane) assign(category []byte, count int32) (first int64) {
	next := n.next[string(category)]
	if next == nil {
		next = new(int64)
		n.next[string(category)] = next
	}
	first = *next
	n.assigned = append(n.assigned, assignment{next, first})
	*next += int64(count)
	return first
}

// name records the client of the lane with the first numbers it assigns.
func (l *Lanes) name(n *lane) {
	if n.named || l.names == nil || len(n.assigned) == 0 {
		return
	}
	n.named = true
	l.names.Tell(n.id, Source{Host: l.host, Path: "client:" + n.from})
	l.names.Save()
}

func (l *Lanes) take(from string) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.pop(from); n != nil {
		return n
	}
	n := &lane{from: from, next: make(map[string]*int64)}
	copy(n.id[:], l.own[:])
	rand.Read(n.id[8:])
	return n
}

// pop takes a free lane of a client; nil = there is none. The caller holds mu.
func (l *Lanes) pop(from string) *lane {
	list := l.free[from]
	k := len(list) - 1
	if k < 0 {
		return nil
	}
	n := list[k]
	if l.free[from] = list[:k]; k == 0 {
		delete(l.free, from)
	}
	l.count--
	return n
}

func (l *Lanes) put(n *lane) {
	if len(n.next) > laneMax {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count >= lanesMax {
		for from := range l.free {
			l.pop(from)
			break
		}
	}
	l.free[n.from] = append(l.free[n.from], n)
	l.count++
}
