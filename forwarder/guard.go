package forwarder

import (
	"sync"
	"time"
)

// guard makes calls that may hang, for a search: one that is not back within its patience goes on alone, and until it
// is back nothing more is asked of its file system. So a pattern that leads over several finds new directories on the
// others.
type guard struct {
	patience time.Duration
	mounts   mounts // belongs to the search

	mu    sync.Mutex
	stuck map[string]bool // file systems
}

// call is pattern.Finder's Guard.
func (g *guard) call(path string, call func()) bool {
	on := g.mounts.find(path)
	if !on.remote {
		call()
		return true
	}
	if g.isStuck(on.id) {
		return false
	}
	done := make(chan struct{})
	go func() {
		call()
		close(done)
	}()
	patience := time.NewTimer(g.patience)
	defer patience.Stop()
	select {
	case <-done:
		return true
	case <-patience.C:
	}
	g.set(on.id, true)
	go func() {
		<-done
		g.set(on.id, false)
	}()
	return false
}

func (g *guard) isStuck(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stuck[id]
}

func (g *guard) set(id string, stuck bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stuck[id] = stuck
}
