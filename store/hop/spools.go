package hop

import (
	"slices"
	"sync"
	"time"
)

// Spool describes what waits in the spool of a Buffer.
type Spool struct {
	Name           string // of the Buffer: the category
	Bytes, Entries int64
	Limit          int64     // in bytes; 0 = none
	Since          time.Time // since when it has held entries; zero = it is empty
}

// Spools lists the spools of several Buffers, for example of one for each category. Safe for concurrent use. The zero
// value is empty.
type Spools struct {
	mu      sync.Mutex
	buffers []*Buffer // in the order of their creation
}

// add adds a Buffer; with a nil s it does nothing.
func (s *Spools) add(b *Buffer) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffers = append(s.buffers, b)
}

// remove removes a Buffer.
func (s *Spools) remove(b *Buffer) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffers = slices.DeleteFunc(s.buffers, func(c *Buffer) bool { return c == b })
}

// List describes the spool of each Buffer; several can have the same name.
func (s *Spools) List() []Spool {
	s.mu.Lock()
	buffers := slices.Clone(s.buffers)
	s.mu.Unlock()
	list := make([]Spool, len(buffers))
	for i, b := range buffers {
		list[i] = Spool{Name: b.name, Limit: b.spool.Limit(), Since: b.Since()}
		list[i].Bytes, list[i].Entries = b.Backlog()
	}
	return list
}
