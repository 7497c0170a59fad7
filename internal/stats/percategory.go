package stats

import (
	"sync"
	"sync/atomic"
)

// PerCategory is one counter for each category. It is found without building its full name for every message. Safe for
// concurrent use.
type PerCategory struct {
	set      *Set
	counter  string
	mu       sync.Mutex
	counters map[string]*atomic.Int64
}

// PerCategory returns the per-category counters called name.
func (s *Set) PerCategory(counter string) *PerCategory {
	return &PerCategory{set: s, counter: counter, counters: make(map[string]*atomic.Int64)}
}

// Add adds n to the counter of a category.
func (p *PerCategory) Add(category string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counters[category]
	if c == nil {
		c = p.set.Category(category, p.counter)
		p.counters[category] = c
	}
	c.Add(n)
}
