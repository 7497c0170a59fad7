package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/store/depot"
)

// errDead is what a process gets from everything that it does after its death.
var errDead = errors.New("the process is dead")

// world is what outlives the processes of a test: the depot and the committed offset of one partition whose records are
// 0, 1, 2, …
type world struct {
	depot  depot.Depot
	dir    string
	offset int64
	books  string
}

// process drains the partition. It dies when it has done so many steps: a step is a change of the depot or the commit.
// The last step may have had its effect, with its answer lost.
type process struct {
	*world
	name    string
	left    int  // steps until it dies
	effect  bool // the last step has its effect
	fenced  bool // another process owns the partition: commits are refused
	scratch string
	uploads int  // at the same time
	moves   bool // the depot can give an object another name

	mu    sync.Mutex
	steps int
}

// step counts a step, and says whether it has its effect and whether the process lives on.
func (p *process) step() (does, lives bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps++
	p.left--
	return p.left > 0 || p.left == 0 && p.effect, p.left > 0
}

func (p *process) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left <= 0
}

// mortal is a depot as a process sees it.
type mortal struct {
	depot.Depot
	p *process
}

func (m mortal) Put(ctx context.Context, name string, data *io.SectionReader) error {
	does, lives := m.p.step()
	if does {
		if err := m.Depot.Put(ctx, name, data); err != nil {
			return err
		}
	}
	if !lives {
		return errDead
	}
	return nil
}

// Move implements depot.Mover.
func (m mortal) Move(_ context.Context, from, to string) error {
	if !m.p.moves {
		return errors.ErrUnsupported
	}
	does, lives := m.p.step()
	if does {
		if _, err := os.Stat(filepath.Join(m.p.dir, to)); err == nil {
			return depot.ErrTaken
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(m.p.dir, to)), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(m.p.dir, from), filepath.Join(m.p.dir, to)); err != nil {
			return err
		}
	}
	if !lives {
		return errDead
	}
	return nil
}

func (m mortal) Remove(ctx context.Context, name string) error {
	does, lives := m.p.step()
	if does {
		if err := m.Depot.(depot.Remover).Remove(ctx, name); err != nil {
			return err
		}
	}
	if !lives {
		return errDead
	}
	return nil
}

func (m mortal) Open(ctx context.Context, name string, r depot.Range) (io.ReadCloser, error) {
	if m.p.dead() {
		return nil, errDead
	}
	return m.Depot.Open(ctx, name, r)
}

func (p *process) Read(context.Context) (int64, string, error) {
	if p.dead() {
		return 0, "", errDead
	}
	return p.offset, p.books, nil
}

func (p *process) Move(_ context.Context, offset int64, books string) error {
	does, lives := p.step()
	if does && p.fenced {
		return errRefused
	}
	if does {
		p.offset, p.books = offset, books
	}
	if !lives {
		return errDead
	}
	return nil
}

// ledger returns the ledger of the process.
func (p *process) ledger() *ledger {
	return &ledger{depot: mortal{p.world.depot, p}, pointer: p, dir: directory("logs", 7), scratch: p.scratch,
		uploads: p.uploads, log: slog.New(slog.DiscardHandler)}
}

// protocol takes the partition over and commits epochs up to an offset, each of size records in two files.
type protocol func(t *testing.T, p *process, to int64, size int64) error

// drain is the protocol.
func drain(t *testing.T, p *process, to, size int64) error {
	l := p.ledger()
	at, err := l.takeOver(t.Context(), 0)
	for err == nil && at.offset < to {
		end := min(at.offset+size, to)
		at, err = l.step(t.Context(), at, end, p.make(t, at, end))
	}
	return err
}

// drainAtOnce is the protocol with files that are put at the same time: which of them is there when the process dies is
// chance.
func drainAtOnce(t *testing.T, p *process, to, size int64) error {
	p.uploads = fileUploads
	return drain(t, p, to, size)
}

// drainByMoving is the protocol with a depot that can give an object another name.
func drainByMoving(t *testing.T, p *process, to, size int64) error {
	p.moves = true
	return drain(t, p, to, size)
}

// drainByTurns is the protocol with collectors of which some move and some put.
func drainByTurns(t *testing.T, p *process, to, size int64) error {
	p.moves = p.name != "second"
	return drain(t, p, to, size)
}

// publishFirst is the order of most sinks: the files get their names, and then the offset is committed.
func publishFirst(t *testing.T, p *process, to, size int64) error {
	l := p.ledger()
	at, err := l.takeOver(t.Context(), 0)
	for err == nil && at.offset < to {
		end := min(at.offset+size, to)
		c := &contents{From: at.offset, To: end}
		for _, f := range p.make(t, at, end).Files {
			s, err := l.stage(t.Context(), &f)
			if err != nil {
				return err
			}
			s.Name += "-" + unique() // an epoch that is made again is cut elsewhere: its files have other names
			c.Files = append(c.Files, s)
		}
		if err = l.publish(t.Context(), c); err == nil {
			err = p.Move(t.Context(), end, "")
		}
		at = mark{offset: end}
	}
	return err
}

// make writes the files of an epoch. How it is cut into files, and the bytes of the files, depend on the process.
func (p *process) make(t *testing.T, at mark, to int64) *Product {
	t.Helper()
	made := &Product{Streams: fmt.Append(nil, "stored below ", to)}
	if want := fmt.Sprint("stored below ", at.offset); at.books != "" && string(at.streams) != want {
		t.Errorf("%s begins at %d with the streams %q", p.name, at.offset, at.streams)
	}
	for half, bounds := range [][2]int64{{at.offset, (at.offset + to) / 2}, {(at.offset + to) / 2, to}} {
		var text strings.Builder
		for r := bounds[0]; r < bounds[1]; r++ {
			fmt.Fprintf(&text, "%d\n", r)
		}
		name := fmt.Sprintf("web/dt=2026-11-29/web_p007-%d_%d.gz", at.offset, half)
		local := filepath.Join(p.scratch, fmt.Sprintf("%d-%d", at.offset, half))
		if err := os.WriteFile(local, fmt.Appendf(nil, "by %s\n%s", p.name, text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		made.Files = append(made.Files, File{Path: local, Name: name, Line: fmt.Append(nil, "about ", name)})
	}
	return made
}

// newWorld returns an empty depot and a partition of which nothing is committed.
func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	d, err := depot.Open(dir, depot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &world{depot: d, dir: dir, offset: -1}
}

// process returns a process that dies after so many steps.
func (w *world) process(t *testing.T, name string, steps int, effect bool) *process {
	t.Helper()
	return &process{world: w, name: name, left: steps, effect: effect, scratch: t.TempDir()}
}

// published counts how often each record is in files that readers see.
func (w *world) published(t *testing.T) map[string]int {
	t.Helper()
	count := make(map[string]int)
	err := w.depot.List(t.Context(), "web", func(o depot.Object) error {
		data, err := os.ReadFile(filepath.Join(w.dir, o.Name))
		for line := range strings.Lines(string(data)) {
			if !strings.HasPrefix(line, "by ") {
				count[strings.TrimSpace(line)]++
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// faults returns how many of the records below to are missing or there more than once.
func (w *world) faults(t *testing.T, to int64) (missing, twice int) {
	t.Helper()
	count := w.published(t)
	for r := range to {
		switch n := count[fmt.Sprint(r)]; {
		case n == 0:
			missing++
		case n > 1:
			twice++
		}
	}
	return missing, twice
}

// deaths lets a process die at each of its steps, with and without the effect of the last one, and then a successor at
// each of its own, before a third one does the rest. It returns the number of deaths and what is missing or twice.
func deaths(t *testing.T, do protocol) (deaths, missing, twice int) {
	const to = 8
	whole := newWorld(t).process(t, "whole", 1<<30, true)
	if err := do(t, whole, to, 4); err != nil {
		t.Fatal(err)
	}
	for first := 1; first <= whole.steps; first++ {
		for second := 1; second <= 14; second++ {
			for _, effect := range []bool{false, true} {
				w := newWorld(t)
				if do(t, w.process(t, "first", first, effect), to, 4) != nil {
					deaths++
				}
				if do(t, w.process(t, "second", second, !effect), to, 5) != nil {
					deaths++
				}
				if err := do(t, w.process(t, "third", 1<<30, true), to, 3); err != nil {
					t.Fatalf("died at steps %d and %d: %v", first, second, err)
				}
				m, n := w.faults(t, to)
				missing, twice = missing+m, twice+n
			}
		}
	}
	return deaths, missing, twice
}

// TestDeathAtEachStepOfACommit has every record published once, whoever dies at which step.
func TestDeathAtEachStepOfACommit(t *testing.T) {
	for name, do := range map[string]protocol{"one upload at a time": drain, "several": drainAtOnce, "moving": drainByMoving,
		"moving or putting": drainByTurns} {
		n, missing, twice := deaths(t, do)
		if n < 300 || missing > 0 || twice > 0 {
			t.Errorf("%s: %d deaths, %d missing, %d twice", name, n, missing, twice)
		}
	}
}

// TestTheOtherOrderIsSeen is the control of TestDeathAtEachStepOfACommit: publishing before the commit writes records
// twice.
func TestTheOtherOrderIsSeen(t *testing.T) {
	if n, missing, twice := deaths(t, publishFirst); twice == 0 || missing > 0 {
		t.Errorf("%d deaths, %d missing, %d twice: the test does not see the difference", n, missing, twice)
	}
}

// TestZombie lets an owner sleep before each of its steps while a successor drains the partition to its end. Then it
// wakes and goes on, with its commits refused.
func TestZombie(t *testing.T) {
	const to = 10
	for steps := 0; steps < 60; steps++ {
		w := newWorld(t)
		old := w.process(t, "old", 1<<30, true)
		sleeper := &sleeping{Depot: mortal{w.depot, old}, until: steps, wake: func() {
			if err := drain(t, w.process(t, "new", 1<<30, true), to, 3); err != nil {
				t.Fatal(err)
			}
			old.fenced = true
		}}
		l := old.ledger()
		l.depot, l.pointer = sleeper, sleeper.pointer(old)
		at, err := l.takeOver(t.Context(), 0)
		for err == nil && at.offset < to {
			end := min(at.offset+4, to)
			at, err = l.step(t.Context(), at, end, old.make(t, at, end))
		}
		sleeper.sleep(1 << 30) // it may have slept through nothing
		if missing, twice := w.faults(t, to); missing > 0 || twice > 0 {
			t.Errorf("asleep before step %d (%v): %d missing, %d twice", steps, err, missing, twice)
		}
	}
}

// sleeping is the world as seen by a process that sleeps once.
type sleeping struct {
	depot.Depot
	done, until int
	wake        func()
}

func (s *sleeping) sleep(steps int) {
	if s.done <= s.until && s.done+steps > s.until {
		s.wake()
	}
	s.done += steps
}

func (s *sleeping) Put(ctx context.Context, name string, data *io.SectionReader) error {
	s.sleep(1)
	return s.Depot.Put(ctx, name, data)
}

func (s *sleeping) Remove(ctx context.Context, name string) error {
	s.sleep(1)
	return s.Depot.(depot.Remover).Remove(ctx, name)
}

func (s *sleeping) Open(ctx context.Context, name string, r depot.Range) (io.ReadCloser, error) {
	s.sleep(1)
	return s.Depot.Open(ctx, name, r)
}

// pointer returns the pointer of a process that may sleep.
func (s *sleeping) pointer(p *process) pointer { return &sleepingPointer{s, p} }

type sleepingPointer struct {
	s *sleeping
	p *process
}

func (s *sleepingPointer) Read(ctx context.Context) (int64, string, error) {
	offset, books, err := s.p.Read(ctx)
	s.s.sleep(1) // what was read is old when it is used
	return offset, books, err
}

func (s *sleepingPointer) Move(ctx context.Context, offset int64, books string) error {
	s.s.sleep(1)
	return s.p.Move(ctx, offset, books)
}

// TestTakeOverRefuses names what is lost or odd, with numbers, and goes on with nothing.
func TestTakeOverRefuses(t *testing.T) {
	committed := func(t *testing.T) *process {
		p := newWorld(t).process(t, "p", 1<<30, true)
		if err := drain(t, p, 10, 5); err != nil {
			t.Fatal(err)
		}
		return p
	}
	remove := func(t *testing.T, p *process, part string) {
		err := p.world.depot.List(t.Context(), "", func(o depot.Object) error {
			if strings.Contains(o.Name, part) {
				return os.Remove(filepath.Join(p.world.dir, o.Name))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(*testing.T, *process)
		start  int64
		want   string
	}{
		"gap":             {func(*testing.T, *process) {}, 25, "offsets 10 to 24"},
		"gap at first":    {func(t *testing.T, p *process) { *p.world = *newWorld(t) }, 3, "offsets 0 to 2"},
		"group forgotten": {func(_ *testing.T, p *process) { p.world.offset = -1 }, 0, "Kafka has forgotten the group"},
		"books gone":      {func(t *testing.T, p *process) { remove(t, p, "/books/") }, 0, "read the books"},
		"offset set back": {func(_ *testing.T, p *process) { p.world.offset = 5 }, 0, "are of offset 10, and 5 is committed"},
		"file gone":       {func(t *testing.T, p *process) { remove(t, p, "web_p007-5") }, 0, "neither the staged file"},
		"file replaced": {func(t *testing.T, p *process) {
			if err := os.WriteFile(filepath.Join(p.world.dir, "web/dt=2026-11-29/web_p007-5_0.gz"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, 0, "is not replaced"},
		"books damaged": {func(t *testing.T, p *process) {
			name := filepath.Join(p.world.dir, p.world.books)
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)-3] ^= 1
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}, 0, "they are damaged"},
		"being moved": {func(t *testing.T, p *process) {
			mover := p.ledger()
			mover.mover = "5eed"
			if err := mover.mark(t.Context(), mark{offset: 10, books: p.world.books}); err != nil {
				t.Fatal(err)
			}
			if at, err := mover.takeOver(t.Context(), 0); err != nil || at.offset != 10 || at.books == "" {
				t.Errorf("who moves it goes on at %+v, %v", at, err)
			}
		}, 0, "where it was begun; its ID is 5eed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := committed(t)
			c.change(t, p)
			at, err := p.ledger().takeOver(t.Context(), c.start)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it went on at %+v, %v", at, err)
			}
		})
	}
}

// TestSweep removes what dead owners have left a day ago, and nothing else.
func TestSweep(t *testing.T) {
	w := newWorld(t)
	if err := drain(t, w.process(t, "dead", 2, true), 10, 5); err == nil {
		t.Fatal("it lives")
	}
	if err := drain(t, w.process(t, "p", 1<<30, true), 10, 5); err != nil {
		t.Fatal(err)
	}
	list := func() []string {
		found := make(map[string]bool)
		err := w.depot.List(t.Context(), "_inkwell/kafka", func(o depot.Object) error {
			found[o.Name] = true
			old := time.Now().Add(-25 * time.Hour)
			return os.Chtimes(filepath.Join(w.dir, o.Name), old, old)
		})
		if err != nil {
			t.Fatal(err)
		}
		return slices.Sorted(maps.Keys(found))
	}
	if before := list(); len(before) < 2 {
		t.Fatalf("the dead one has left nothing: %q", before)
	}
	if _, err := w.process(t, "next", 1<<30, true).ledger().takeOver(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if after := list(); len(after) != 1 || after[0] != w.books {
		t.Errorf("%q are there, want %q", after, w.books)
	}
}
