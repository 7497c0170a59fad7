package journal

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/proto"
	"inkwell/store"
)

// An outlet that is behind reads as fast as its store takes entries. max_write_interval only applies to new entries;
// otherwise an outlet that receives more than one batch per interval would never catch up.
func TestCatchingUpWaitsForNoInterval(t *testing.T) {
	s := newShelf()
	l := begin(t, t.TempDir(), s, noFault)
	opening, work := make(chan bool), make(chan bool)
	q := l.j.NewOutlet(OutletOptions{Name: "a", Category: "a", Store: "file a", Target: 1, Interval: time.Hour,
		Check: time.Hour,
		Open: func(saved store.States) (store.Store, error) {
			close(opening)
			<-work
			st, err := s.open("a", saved, noFault)
			return struct{ store.Store }{st}, err // no Keeper: no checkpoint wakes its queue
		}})
	l.mu.Lock()
	l.known["a"] = []*Outlet{q}
	l.mu.Unlock()
	<-opening
	q.mu.Lock()
	q.drop()
	q.mu.Unlock()
	message := bytes.Repeat([]byte("x"), catchBytes)
	for range 4 {
		var b proto.Batch
		b.Append([]byte("a"), message)
		if err := l.j.Append(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the dispatcher passed the queue over", func() bool {
		r := q.run
		r.reading.Lock()
		defer r.reading.Unlock()
		_, end := l.j.spool.Bounds()
		return r.position == end
	})
	close(work)
	until(t, "it has caught up", func() bool { return len(s.get("a")) == 4*catchBytes })
	l.end(t)
}

// A store that broke while it had no pending entries, and cannot be reopened, must not keep the journal from being
// acknowledged.
func TestABrokenStoreForWhichNothingWaits(t *testing.T) {
	s, w := newShelf(), &writer{next: make(map[string]int), acked: make(map[string]int)}
	l := begin(t, t.TempDir(), s, noFault)
	var broken atomic.Bool
	l.known["a"] = []*Outlet{l.j.NewOutlet(OutletOptions{Name: "a", Category: "a", Store: "file a", Target: 1,
		Interval: time.Millisecond, Check: time.Millisecond,
		Open: func(saved store.States) (store.Store, error) {
			if broken.Load() {
				return nil, errors.New("the directory is gone")
			}
			st, err := s.open("a", saved, noFault)
			return breaking{st.(*keeper), &broken}, err
		}})}
	w.write(t, l, "a", 5)
	until(t, "a checkpoint with a", func() bool { return string(l.saved().Outlets["a\x00file a"].Files["a"]) == "20" })
	broken.Store(true)
	until(t, "it is broken", func() bool { return l.j.StoreStatus() != "" })
	w.write(t, l, "b", 5)
	_, end := l.j.spool.Bounds()
	until(t, "the journal is acknowledged", func() bool { acked, _ := l.j.spool.Bounds(); return acked == end })
	w.write(t, l, "a", 5)
	broken.Store(false)
	l.end(t)
	check(t, s, w)
}

// breaking is a keeper that breaks when Mark is called.
type breaking struct {
	*keeper
	broken *atomic.Bool
}

func (b breaking) Check(time.Time) error {
	if b.broken.Load() {
		return store.ErrBroken
	}
	return nil
}
