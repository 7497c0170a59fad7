package journal

import (
	"log/slog"
	"sync"
	"time"

	"inkwell/internal/stats"
	"inkwell/store"
)

// trouble is what is wrong with an outlet now. It is logged when it comes and when it goes. Safe for concurrent use.
type trouble struct {
	log  *slog.Logger
	then string // what becomes of entries that are not taken

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

// set says how the last attempt went.
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

// watch says which store is open; nil for none.
func (t *trouble) watch(s store.Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.store = s
}

// status is the trouble in words, or what the store says of itself, "" if all is well.
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

// tally counts for an outlet and overall; the counters are made when there is something to count.
type tally struct {
	set           *stats.Set
	name, counter string
}

func newTally(j *Journal, name, counter string) tally {
	return tally{set: j.o.Stats, name: name, counter: counter}
}

func (t tally) add(n int64) {
	t.set.Category(t.name, t.counter).Add(n)
	t.set.Overall(t.counter).Add(n)
}
