package journal

import (
	"log/slog"
	"sync"
	"time"

	"inkwell/internal/stats"
	"inkwell/store"
)

// trouble holds the current problem of an outlet. It is logged when it appears and when it is over. Safe for concurrent
// use.
type trouble struct {
	log  *slog.Logger
	then string // for the log: what happens to entries that the store refuses

	mu    sync.Mutex
	err   error
	since time.Time
	store store.Store // nil: none is open
}

func newTrouble(j *Journal, o *OutletOptions) *trouble {
	t := &trouble{log: j.log.With("category", o.Name, "store", o.Store), then: "they are offered again"}
	if o.Lossy && !o.Buffered {
		t.then = "they are thrown away and counted as lost (must_succeed=no)"
	}
	return t
}

// set records the result of the last attempt.
func (t *trouble) set(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil && t.err == nil:
		t.since = time.Now()
		t.log.Error("store does not take its entries: "+t.then, "error", err)
	case err == nil && t.err != nil:
		t.log.Info("recovered", "after", time.Since(t.since).Round(time.Millisecond), "from", t.err)
	}
	t.err = err
}

// watch sets the open store, nil for none.
func (t *trouble) watch(s store.Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.store = s
}

// status describes the problem of the outlet or of its store, "" if there is none.
func (t *trouble) status() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.err != nil:
		return store.StatusText(t.err)
	case t.store != nil:
		return store.Status(t.store)
	}
	return ""
}

// eventCounter counts for an outlet and overall. The metrics are created with the first event.
type eventCounter struct {
	set           *stats.Set
	name, counter string
}

func newEventCounter(j *Journal, name, counter string) eventCounter {
	return eventCounter{set: j.o.Stats, name: name, counter: counter}
}

func (t eventCounter) add(n int64) {
	t.set.Category(t.name, t.counter).Add(n)
	t.set.Overall(t.counter).Add(n)
}
