package stream

import (
	"crypto/rand"
	"sync"

	"inkwell/proto"
)

// Lanes number the entries that come without numbers, where they are made durable for the first time on their way to another
// collector. A lane is a stream that one Append has for itself at a time, so that its numbers stand in the journal in their order, and
// those of an Append that failed are given again. There are as many lanes as there were Appends at once. Safe for concurrent use.
type Lanes struct {
	own [8]byte

	mu   sync.Mutex
	free []*lane
}

// lane is one stream and the numbers that come next in it.
type lane struct {
	id    ID
	next  map[string]*int64 // by category
	given []given           // in the Append in progress
	batch proto.Batch       // aliases the caller's entries
}

// given is what has to be taken back when an Append fails.
type given struct {
	next   *int64
	before int64
}

// laneMax bounds the categories of a lane; beyond it another lane takes its place.
const laneMax = 4096

// NewLanes draws the name that all its streams begin with.
func NewLanes() *Lanes {
	l := new(Lanes)
	rand.Read(l.own[:])
	return l
}

// Own is what its streams begin with.
func (l *Lanes) Own() [8]byte { return l.own }

// Append gives write the entries of b with their numbers, and with some for those that have none. b itself is left as it is.
func (l *Lanes) Append(b *proto.Batch, write func(*proto.Batch) error) error {
	n := l.take()
	n.number(b)
	err := write(&n.batch)
	for err != nil && len(n.given) > 0 {
		last := n.given[len(n.given)-1]
		*last.next, n.given = last.before, n.given[:len(n.given)-1]
	}
	l.put(n)
	return err
}

// number makes n.batch the entries of b, all with numbers.
func (n *lane) number(b *proto.Batch) {
	n.given = n.given[:0]
	n.batch.SetEntries(b.Entries(), b.Count())
	for p := range b.Pieces {
		if !p.Span.Numbered() {
			p.Span.Stream, p.Span.First = n.id, n.give(p.Category, p.Span.Count)
		}
		n.batch.AppendSpan(p.Span)
	}
}

// give takes the next count numbers of a category.
func (n *lane) give(category []byte, count int32) (first int64) {
	next := n.next[string(category)]
	if next == nil {
		next = new(int64)
		n.next[string(category)] = next
	}
	first = *next
	n.given = append(n.given, given{next, first})
	*next += int64(count)
	return first
}

func (l *Lanes) take() *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := len(l.free) - 1; k >= 0 {
		n := l.free[k]
		l.free = l.free[:k]
		return n
	}
	n := &lane{next: make(map[string]*int64)}
	copy(n.id[:], l.own[:])
	rand.Read(n.id[8:])
	return n
}

func (l *Lanes) put(n *lane) {
	if len(n.next) > laneMax {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, n)
}
