package stream

import (
	"crypto/rand"
	"sync"

	"inkwell/proto"
)

// Lanes number the entries that come without numbers, where they are made durable for the first time on their way to
// another collector. A lane is a stream that one Append has for itself at a time, so that its numbers stand in the
// journal in their order, and those of an Append that failed are given again. Each client has lanes of its own, as many
// as it had Appends at once. Safe for concurrent use.
type Lanes struct {
	own   [8]byte
	names *Names // is told whose a lane is; nil = nobody is
	host  string // of this machine

	mu    sync.Mutex
	free  map[string][]*lane // by client
	count int                // of free
}

// lane is one stream and the numbers that come next in it.
type lane struct {
	id    ID
	from  string            // the client
	named bool              // it was told that it is the client's
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

// lanesMax bounds the lanes that wait for their clients; beyond, one is given up.
const lanesMax = 4096

// NewLanes draws the name that all its streams begin with.
func NewLanes() *Lanes {
	l := &Lanes{free: make(map[string][]*lane)}
	rand.Read(l.own[:])
	return l
}

// Own is what its streams begin with.
func (l *Lanes) Own() [8]byte { return l.own }

// Name has names told that a lane is of a client that sends to a host. It comes before the first Append.
func (l *Lanes) Name(names *Names, host string) { l.names, l.host = names, host }

// Append gives write the entries of b with their numbers, and with some for those that have none, which came from a
// client. b itself is left as it is.
func (l *Lanes) Append(from string, b *proto.Batch, write func(*proto.Batch) error) error {
	n := l.take(from)
	n.number(b)
	l.name(n)
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

// name tells whose the lane is, once it has numbered something.
func (l *Lanes) name(n *lane) {
	if n.named || l.names == nil || len(n.given) == 0 {
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

// pop takes a lane of a client that is free; nil = there is none. The caller holds mu.
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
