// Package stats keeps the counters of a daemon under the names that users of Scribe know: "<category>:<counter>" and
// "scribe_overall:<counter>", as fb303 getCounters answers them.
//
// A Set is safe for concurrent use. Hot paths keep the counter that they were given, and add to it once per batch, not
// once per entry.
package stats

import (
	"sync"
	"sync/atomic"
)

// Overall is the pseudo category that holds the sum of every category counter.
const Overall = "scribe_overall"

// Set is a set of counters and gauges.
type Set struct {
	mu       sync.Mutex
	counters map[string]*atomic.Int64
	gauges   map[string]func() int64

	histograms map[string]*Histogram
}

// New returns an empty set.
func New() *Set {
	return &Set{counters: make(map[string]*atomic.Int64), gauges: make(map[string]func() int64),
		histograms: make(map[string]*Histogram)}
}

// Counter returns the counter of that name, which is created at zero on first use.
func (s *Set) Counter(name string) *atomic.Int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counters[name]
	if c == nil {
		c = new(atomic.Int64)
		s.counters[name] = c
	}
	return c
}

// Overall returns the counter "scribe_overall:name".
func (s *Set) Overall(name string) *atomic.Int64 { return s.Counter(Overall + ":" + name) }

// Category returns the counter "category:name".
func (s *Set) Category(category, name string) *atomic.Int64 { return s.Counter(category + ":" + name) }

// Gauge makes name report what f returns at each Snapshot. f is called without locks of the caller and must not use the
// Set.
func (s *Set) Gauge(name string, f func() int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gauges[name] = f
}

// Counters returns all counters without the gauges, whose functions may block.
func (s *Set) Counters() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[string]int64, len(s.counters))
	for name, c := range s.counters {
		m[name] = c.Load()
	}
	return m
}

// Snapshot returns all counters and gauges.
func (s *Set) Snapshot() map[string]int64 {
	m := s.Counters()
	s.mu.Lock()
	gauges := make(map[string]func() int64, len(s.gauges))
	for name, f := range s.gauges {
		gauges[name] = f
	}
	s.mu.Unlock()
	for name, f := range gauges {
		m[name] = f()
	}
	return m
}

// Get returns one counter or gauge, 0 if there is no such name.
func (s *Set) Get(name string) int64 {
	s.mu.Lock()
	c, f := s.counters[name], s.gauges[name]
	s.mu.Unlock()
	switch {
	case c != nil:
		return c.Load()
	case f != nil:
		return f()
	}
	return 0
}
