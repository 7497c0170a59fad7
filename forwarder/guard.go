package forwarder

import (
	"sync"
	"time"
)

// guard makes calls that may hang, for a search. A call that is not back after the guard's patience goes on in the
// background, and until it is back no further call is made on its file system. So a pattern that leads over several
// file systems still finds new directories on the others.
type guard struct {
	patience time.Duration
	mounts   mounts // only used by the goroutine of the search

	mu    sync.Mutex
	stuck map[string]bool // by the ID of the file system
}

// call implements pattern.Finder.Guard.
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
