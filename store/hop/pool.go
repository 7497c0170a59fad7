package hop

import (
	"fmt"
	"strings"
	"sync"

	"inkwell/store"
)

// Pool lets stores with the same targets share a Network: one connection, and calls with the entries of all of them.
// Safe for concurrent use.
type Pool struct {
	mu       sync.Mutex
	networks map[string]*shared
}

// shared is a Network with the number of its users.
type shared struct {
	*Network
	pool  *Pool
	key   string
	users int
}

// NewPool returns an empty Pool.
func NewPool() *Pool { return &Pool{networks: make(map[string]*shared)} }

// Network returns the Network for the addresses, the timeout and the TLS files of o. It is created with o if there is
// none, and closed by its last user.
func (p *Pool) Network(o NetworkOptions) (store.Store, error) {
	key := fmt.Sprintf("%v %s %q %q", o.Timeout, strings.Join(o.Addrs, " "), o.TLS, o.Spread)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.networks[key]
	if s == nil {
		n, err := NewNetwork(o)
		if err != nil {
			return nil, err
		}
		s = &shared{Network: n, pool: p, key: key}
		p.networks[key] = s
	}
	s.users++
	return s, nil
}

// Close releases the Network.
func (s *shared) Close() error {
	s.pool.mu.Lock()
	s.users--
	last := s.users == 0
	if last {
		delete(s.pool.networks, s.key)
	}
	s.pool.mu.Unlock()
	if !last {
		return nil
	}
	return s.Network.Close()
}
