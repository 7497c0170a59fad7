package journal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store"
)

// layout says which queue takes a category: the name of the queue, and the patterns of one that is shared.
type layout func(category string) (name string, patterns []string)

// use starts a run in which each outlet has a file of its name on the shelf. The outlets in away take nothing.
func (l *life) use(at layout, away ...string) {
	l.mu.Lock()
	l.known = make(map[string][]*Outlet)
	l.mu.Unlock()
	route := func(category []byte) []*Outlet {
		name, patterns := at(string(category))
		q := l.j.NewOutlet(OutletOptions{Name: name, Category: own(name, patterns), Patterns: patterns,
			Store: "file " + name, Target: 1, Interval: time.Millisecond, Check: time.Hour,
			Open: func(saved store.States) (store.Store, error) {
				return l.shelf.open(name, saved, func(op string) error {
					for _, n := range away {
						if op == "append" && n == name {
							return errors.New("away")
						}
					}
					return nil
				})
			}})
		l.mu.Lock()
		defer l.mu.Unlock()
		l.known[name] = []*Outlet{q}
		return l.known[name]
	}
	var named []string // as a block of a configuration would name them
	for _, c := range []string{"a", "b", "c", "d"} {
		if _, patterns := at(c); patterns == nil {
			named = append(named, c)
		}
	}
	l.j.Start(routes(func() {
		for _, category := range []string{"a", "b", "c", "d", "another"} { // those with a queue of their own first
			if category != "another" {
				if name, patterns := at(category); patterns != nil || name == store.OverflowCategory {
					continue
				}
			}
			route([]byte(category))
		}
	}, route, named...))
}

// own returns the single category of an outlet, "" if it has several.
func own(name string, patterns []string) string {
	if len(patterns) > 0 && name != store.OverflowCategory {
		return ""
	}
	return name
}

// queue returns the outlet of a name, nil if there is none.
func (l *life) queue(name string) *Outlet {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known[name]) == 0 {
		return nil
	}
	return l.known[name][0]
}

// lines returns the lines first … last-1 of a category.
func lines(name string, first, last int) string {
	var b strings.Builder
	for i := first; i < last; i++ {
		fmt.Fprintf(&b, "%s-%d\n", name, i)
	}
	return b.String()
}

func expect(t *testing.T, s *shelf, name, want string) {
	t.Helper()
	if got := s.get(name); got != want {
		t.Errorf("%s holds %q, want %q", name, got, want)
	}
}

func together(string) (string, []string) { return "all", []string{"default"} }

func apart(category string) (string, []string) { return category, nil }

// but returns a layout with a shared outlet, except that some categories have outlets of their own.
func but(names ...string) layout {
	return func(category string) (string, []string) {
		for _, n := range names {
			if n == category {
				return apart(category)
			}
		}
		return together(category)
	}
}

// joined returns an empty journal.
func joined(t *testing.T) (*life, *writer) {
	l := opened(t, t.TempDir())
	l.j.o.SaveEvery, l.j.o.Retry = 20*time.Millisecond, 2*time.Millisecond
	l.shelf = newShelf()
	return l, &writer{next: make(map[string]int), acked: make(map[string]int)}
}

// What a shared outlet could not deliver of a category goes to the new outlet that has this category alone.
func TestACategoryGetsAQueueOfItsOwn(t *testing.T) {
	l, w := joined(t)
	l.use(together, "all")
	w.write(t, l, "a", 5)
	w.write(t, l, "b", 5)
	until(t, "the queue is there", func() bool { return l.queue("all") != nil })
	l.queue("all").Expect(1000)
	if n := l.j.o.Stats.Get("all:queue bytes"); n <= 0 {
		t.Errorf("%d bytes wait for the shared queue", n)
	}
	l.j.Stop(10 * time.Second)
	if n := l.j.o.Stats.Get("all:queue bytes"); n != 0 {
		t.Errorf("%d bytes wait for a queue that is gone", n)
	}
	l.use(but("a"), "all")
	w.write(t, l, "a", 5)
	l.j.Stop(10 * time.Second)
	expect(t, l.shelf, "a", lines("a", 0, 10))
	l.use(but("a"))
	l.end(t)
	expect(t, l.shelf, "a", lines("a", 0, 10))
	expect(t, l.shelf, "all", lines("b", 0, 5))
}

// What a category's own outlet could not deliver goes to the shared outlet that takes it over, however far that one has
// read: nothing is missing, even if the process dies or the store breaks meanwhile, and nothing is delivered twice.
func TestASharedQueueTakesACategoryIn(t *testing.T) {
	l, w := joined(t)
	l.use(but("a"), "a")
	w.write(t, l, "a", 5)
	w.write(t, l, "b", 5)
	until(t, "b", func() bool { return l.shelf.get("all") == lines("b", 0, 5) })
	l.j.Stop(10 * time.Second)
	l.use(but("a"), "a", "all")
	w.write(t, l, "b", 5)
	l.j.Stop(10 * time.Second)
	p := l.saved().history()
	waits := func(category, key string) uint64 {
		all := p.portions(category, []string{key})
		return all[slices.IndexFunc(all, func(h portion) bool { return len(h.due) > 0 })].from
	}
	if all, a := waits("b", "all\x00file all"), waits("a", "a\x00file a"); all <= a {
		t.Fatalf("all waits from %d on, a from %d on: %+v", all, a, p)
	}

	l.use(together, "all") // and it dies before anything was delivered
	until(t, "a checkpoint", func() bool { return l.saved().Outlets["a\x00file a"].Category == "" })
	dir := t.TempDir()
	l.shelf = l.crash(t, dir)
	l.end(t)
	shelf := l.shelf
	l = opened(t, dir)
	l.shelf = shelf
	l.use(together)
	l.end(t)
	expect(t, l.shelf, "all", lines("b", 0, 5)+lines("a", 0, 5)+lines("b", 5, 10))
}

// A shared outlet takes over from outlets some of which had delivered everything: it skips their entries, even if the
// process dies meanwhile.
func TestATakeoverThatDies(t *testing.T) {
	l, w := joined(t)
	l.use(apart, "b")
	w.write(t, l, "b", 5)
	w.write(t, l, "a", 5)
	until(t, "a", func() bool { return l.shelf.get("a") == lines("a", 0, 5) })
	l.j.Stop(10 * time.Second)
	l.use(together, "all")
	until(t, "a checkpoint", func() bool { return l.saved().Outlets["all\x00file all"].Files != nil })
	dir := t.TempDir()
	shelf := l.crash(t, dir)
	l.end(t)
	l = opened(t, dir)
	l.shelf = shelf
	l.use(together)
	w.write(t, l, "c", 1)
	l.end(t)
	expect(t, l.shelf, "all", lines("b", 0, 5)+lines("c", 0, 1))
}

// A category beyond the limit gets an outlet after a restart, which takes its entries from the overflow category.
func TestACategoryThatWasOneTooMany(t *testing.T) {
	l, w := joined(t)
	l.use(func(category string) (string, []string) {
		if category == "a" {
			return store.OverflowCategory, []string{Default}
		}
		return category, nil
	}, store.OverflowCategory)
	w.write(t, l, "a", 5)
	w.write(t, l, "b", 5)
	l.j.Stop(10 * time.Second)
	l.use(apart)
	l.end(t)
	expect(t, l.shelf, "a", lines("a", 0, 5))
	expect(t, l.shelf, "b", lines("b", 0, 5))
}

// Starts while a store is away, with kills among them, are one former run for the next start, whatever their number.
func TestManyStartsWhileAStoreIsAway(t *testing.T) {
	l, w := joined(t)
	for n := range 8 {
		l.use(apart, "b")
		if got := len(l.j.current().past); got > 1 {
			t.Errorf("start %d knows %d former runs, want 1", n+1, got)
		}
		w.write(t, l, "a", 5)
		w.write(t, l, "b", 5)
		if n%2 == 0 {
			l.j.Stop(10 * time.Second)
			continue
		}
		dir := t.TempDir()
		shelf := l.crash(t, dir)
		l.j.Stop(10 * time.Second)
		if err := l.j.Close(); err != nil {
			t.Fatal(err)
		}
		l = opened(t, dir)
		l.j.o.SaveEvery, l.j.o.Retry, l.shelf = 20*time.Millisecond, 2*time.Millisecond, shelf
	}
	expect(t, l.shelf, "b", "")
	l.use(apart)
	l.end(t)
	check(t, l.shelf, w)
}

// faults fail every operation on a checkpoint while they are on.
type faults struct{ on atomic.Bool }

func (f *faults) Inject(_ faultfs.Op, name string, n int) (int, error) {
	if f.on.Load() && strings.Contains(name, checkpointName) {
		return 0, errors.New("injected")
	}
	return n, nil
}

// closingKeeper is a keeper that records when it is closed.
type closingKeeper struct {
	*keeper
	closed func()
}

func (c closingKeeper) Close() error {
	c.closed()
	return nil
}

// If no checkpoint has the last marks of a store before it is closed, the store cannot publish the files in them. The
// next checkpoint must keep them.
func TestTheLastMarksAreSavedBeforeAQueueIsForgotten(t *testing.T) {
	f := new(faults)
	j, err := Open(Options{StateDir: t.TempDir(), Injector: f,
		Tuning: Tuning{SaveEvery: time.Hour, Retry: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	l, w := &life{j: j, shelf: newShelf()}, &writer{next: make(map[string]int), acked: make(map[string]int)}
	route := func([]byte) []*Outlet {
		return []*Outlet{l.j.NewOutlet(OutletOptions{Name: "a", Category: "a", Store: "file a", Target: 1,
			Interval: time.Millisecond, Check: time.Hour,
			Open: func(saved store.States) (store.Store, error) {
				s, err := l.shelf.open("a", saved, noFault)
				return closingKeeper{s.(*keeper), func() { f.on.Store(false) }}, err
			}})}
	}
	l.j.Start(routes(func() { route(nil) }, route))
	until(t, "the store is open", func() bool { return l.saved().Outlets["a\x00file a"].Files != nil })
	f.on.Store(true)
	w.write(t, l, "a", 5)
	until(t, "a", func() bool { return l.shelf.get("a") == lines("a", 0, 5) })
	l.j.Stop(10 * time.Second)
	if p := l.saved().Outlets["a\x00file a"]; string(p.Files["a"]) != "20" {
		t.Errorf("the checkpoint has %+v", p)
	}
	l.use(apart)
	l.end(t)
	check(t, l.shelf, w)
	if left := l.saved().Outlets; len(left) > 0 {
		t.Errorf("%+v is left", left)
	}
}
