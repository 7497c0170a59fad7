package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"inkwell/store"
)

// However categories move between outlets of their own and a shared one, and whatever fails meanwhile, everything is
// delivered once. Only after a crash, entries in files that are not opened again may be delivered twice.
func TestCategoriesMoveBetweenQueues(t *testing.T) {
	for i := range 4 {
		seed := rand.Uint64()
		m := &mover{t: t, random: rand.New(rand.NewPCG(seed, 1)), dies: i%2 == 1}
		m.l, m.w = joined(t)
		for range 6 {
			m.phase()
		}
		m.l.use(together)
		m.l.end(t)
		m.check()
		if t.Failed() {
			t.Fatalf("seed %d, dies %v:\n%s", seed, m.dies, strings.Join(m.did, "\n"))
		}
	}
}

var movers = []string{"a", "b", "c", "d"}

type mover struct {
	t      *testing.T
	random *rand.Rand
	dies   bool
	l      *life
	w      *writer
	did    []string
}

// some returns a random part of the names.
func (m *mover) some(names ...string) (some []string) {
	for _, n := range names {
		if m.random.IntN(2) == 0 {
			some = append(some, n)
		}
	}
	return some
}

// phase runs one configuration while some stores fail.
func (m *mover) phase() {
	own, away := m.some(movers...), m.some(append(movers, "all")...)
	m.did = append(m.did, fmt.Sprintf("own %v away %v", own, away))
	m.l.use(but(own...), away...)
	for range m.random.IntN(6) {
		m.w.write(m.t, m.l, movers[m.random.IntN(len(movers))], 1+m.random.IntN(3))
		time.Sleep(time.Duration(m.random.IntN(5)) * time.Millisecond) // spreads the load over checkpoints
	}
	if !m.dies || m.random.IntN(2) == 0 {
		m.l.j.Stop(10 * time.Second)
		return
	}
	m.did = append(m.did, "dies")
	dir := m.t.TempDir()
	left := m.l.crash(m.t, dir)
	m.l.end(m.t)
	m.l = opened(m.t, dir)
	m.l.j.o.SaveEvery, m.l.j.o.Retry = 20*time.Millisecond, 2*time.Millisecond
	m.l.shelf = left
}

func (m *mover) check() {
	var all strings.Builder
	for _, file := range append(movers, "all") {
		all.WriteString(m.l.shelf.get(file))
	}
	there := make(map[string]int)
	for line := range strings.Lines(all.String()) {
		there[line]++
	}
	for _, c := range movers {
		for i := range m.w.acked[c] {
			if n := there[lines(c, i, i+1)]; n == 0 || n > 1 && !m.dies {
				m.t.Errorf("%q is there %d times", lines(c, i, i+1), n)
			}
		}
	}
}

// A second store is configured next to one that fails, and the failing store is removed later. What it had not taken
// goes to the second one, which gets nothing twice.
func TestAStoreIsReplacedInTwoSteps(t *testing.T) {
	l, w := joined(t)
	use := func(stores ...string) {
		route := func([]byte) (all []*Outlet) {
			for _, path := range stores {
				all = append(all, l.j.NewOutlet(OutletOptions{Name: "a", Category: "a", Store: path, Target: 1,
					Interval: time.Millisecond, Check: time.Hour,
					Open: func(saved store.States) (store.Store, error) {
						if path == "away" {
							return nil, errors.New("away")
						}
						return l.shelf.open(path, saved, noFault)
					}}))
			}
			return all
		}
		l.j.Start(routes(func() { route(nil) }, route, "a"))
	}
	use("away")
	w.write(t, l, "a", 5)
	l.j.Stop(10 * time.Second)
	use("away", "good")
	w.write(t, l, "a", 5)
	l.j.Stop(10 * time.Second)
	expect(t, l.shelf, "good", lines("a", 5, 10))
	use("good")
	w.write(t, l, "a", 5)
	l.end(t)
	expect(t, l.shelf, "good", lines("a", 5, 10)+lines("a", 0, 5)+lines("a", 10, 15))
	if _, entries := l.j.Backlog(); entries != 0 {
		t.Errorf("%d entries are left in the journal", entries)
	}
}
