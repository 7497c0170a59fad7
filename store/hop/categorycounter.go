package hop

import (
	"sync"
	"sync/atomic"

	"inkwell/internal/stats"
	"inkwell/proto"
)

// maxCounted bounds the categories that are counted separately; entries of later ones are only in the sum.
const maxCounted = 4096

// categoryCounter counts entries under one name, in total and by category. Safe for concurrent use.
type categoryCounter struct {
	set  *stats.Set
	name string
	sum  *atomic.Int64

	mu         sync.RWMutex
	byCategory map[string]*atomic.Int64
}

func newCategoryCounter(set *stats.Set, name string) *categoryCounter {
	return &categoryCounter{set: set, name: name, sum: set.Overall(name), byCategory: make(map[string]*atomic.Int64)}
}

// add counts the entries of b; a run of entries of one category costs one addition.
func (t *categoryCounter) add(b *proto.Batch) {
	t.sum.Add(int64(b.Count()))
	var few [8]proto.Run
	for _, r := range b.AppendRuns(few[:0]) {
		t.addRun(r.Category, int64(r.Count))
	}
}

func (t *categoryCounter) addRun(category []byte, n int64) {
	t.mu.RLock()
	c := t.byCategory[string(category)]
	t.mu.RUnlock()
	if c == nil {
		if c = t.learn(string(category)); c == nil {
			return
		}
	}
	c.Add(n)
}

// learn creates the counter of a category; nil if there are too many.
func (t *categoryCounter) learn(category string) *atomic.Int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.byCategory[category]
	if c == nil && len(t.byCategory) < maxCounted {
		c = t.set.Category(category, t.name)
		t.byCategory[category] = c
	}
	return c
}
