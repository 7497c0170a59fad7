package forwarder

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/internal/testkit"
	"inkwell/proto"
	"inkwell/store/stream"
)

// TestMain leaves the tests on a disk: a file system in memory gives no inode number twice, as disks do.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitMax bounds every wait of a test.
const waitMax = 30 * time.Second

// memStore keeps what it gets in memory, as a collector does: once.
type memStore struct {
	once   *stream.Table // nil: whatever comes
	mu     sync.Mutex
	lines  map[string][]string
	fail   func(n int) (before, after error) // asked for call n: an error instead of storing, or after it
	calls  int
	block  chan struct{} // not nil: Append waits until it is closed
	inside int
}

var errFault = errors.New("fault")

func newMemStore() *memStore { return &memStore{lines: make(map[string][]string)} }

func (s *memStore) Append(ctx context.Context, b *proto.Batch) error {
	s.mu.Lock()
	block := s.block
	s.inside++
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	var before, after error
	if s.fail != nil {
		before, after = s.fail(s.calls)
	}
	if before != nil {
		return before
	}
	var err error
	if s.once != nil {
		err = s.once.Append(ctx, b, s.keep)
	} else {
		err = s.keep(ctx, b)
	}
	return errors.Join(err, after)
}

func (s *memStore) keep(_ context.Context, b *proto.Batch) error {
	for c := b.Cursor(); c.Next(); {
		category := string(c.Category())
		s.lines[category] = append(s.lines[category], string(c.Message()))
	}
	return nil
}

// knowNumbers makes the store leave out what it has.
func (s *memStore) knowNumbers(t *testing.T) {
	dir, err := faultfs.OpenDir(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.once, err = stream.Open(dir, stream.Options{}); err != nil {
		t.Fatal(err)
	}
	once := s.once
	t.Cleanup(func() {
		if err := errors.Join(once.Close(), dir.Close()); err != nil {
			t.Error(err)
		}
	})
}

func (s *memStore) Close() error { return nil }

func (s *memStore) get(category string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines[category]...)
}

func (s *memStore) count(category string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines[category])
}

// quick is a timing for tests.
var quick = timing{
	poll:     10 * time.Millisecond,
	pollMax:  50 * time.Millisecond,
	rescan:   50 * time.Millisecond,
	linger:   200 * time.Millisecond,
	partial:  400 * time.Millisecond,
	keepOld:  time.Minute,
	keepGone: time.Minute,
	window:   2 * time.Second,
	forget:   time.Minute,
	hang:     2 * time.Second,
}

// rig is a directory with logs, and a follower that can be started and stopped.
type rig struct {
	t      *testing.T
	dir    string
	state  string
	inputs []Input
	opt    Options
	timing timing
	store  *memStore
	stats  *stats.Set
	logs   *testkit.Log
	cancel context.CancelFunc
	done   chan error
	limit  int // descriptors; 0 = those of the process
}

func newRig(t *testing.T, globs ...string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), state: t.TempDir(), store: newMemStore(), timing: quick, stats: stats.New(), logs: new(testkit.Log)}
	r.store.knowNumbers(t)
	for _, g := range globs {
		r.inputs = append(r.inputs, Input{Category: "c", Glob: filepath.Join(r.dir, g)})
	}
	t.Cleanup(r.stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", r.logs.String())
		}
	})
	return r
}

func (r *rig) start() {
	r.t.Helper()
	log := slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	dir, err := faultfs.OpenDir(r.state, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	positions, err := openPositions(dir, log)
	if err != nil {
		r.t.Fatal(err)
	}
	var sources []*source
	for i, in := range r.inputs {
		in.Lines.MaxLine = cmp.Or(in.Lines.MaxLine, r.opt.MaxLine)
		s, err := newSource(in, i)
		if err != nil {
			r.t.Fatal(err)
		}
		sources = append(sources, s)
	}
	ship := newShipper(r.store, log)
	ship.pause.Min, ship.pause.Max = time.Millisecond, 10*time.Millisecond
	ship.first = func(p *shipment) {
		if err := positions.commit(p.born); err != nil {
			r.t.Errorf("commit: %v", err)
		}
	}
	ship.acked = func(p *shipment) {
		if err := positions.commit(p.positions); err != nil {
			r.t.Errorf("commit: %v", err)
		}
	}
	o := r.opt
	o.Stats = r.stats
	f := newFollower(sources, ship, log)
	f.configure(o)
	f.load(positions)
	f.followedUntil = openFollowed(dir, time.Now(), log).before
	f.timing = r.timing
	if r.limit > 0 {
		f.limit = r.limit
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan error, 1)
	go func() {
		shipped := make(chan error, 1)
		go func() { shipped <- ship.run(ctx) }()
		err := f.run(ctx)
		if serr := <-shipped; serr != nil && !errors.Is(serr, errFault) && !errors.Is(serr, context.Canceled) {
			err = errors.Join(err, serr)
		}
		r.done <- errors.Join(err, positions.close(), dir.Close())
	}()
}

// stop ends the follower as a killed process would: what is under way is broken off.
func (r *rig) stop() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	select {
	case err := <-r.done:
		if err != nil && !errors.Is(err, context.Canceled) {
			r.t.Errorf("run: %v", err)
		}
	case <-time.After(waitMax):
		r.t.Error("follower does not stop")
	}
}

// finish waits for a follower that ends by itself.
func (r *rig) finish() {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.cancel()
		r.cancel = nil
		if err != nil {
			r.t.Fatalf("run: %v", err)
		}
	case <-time.After(waitMax):
		r.t.Fatal("follower does not end")
	}
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) write(name, data string) {
	r.t.Helper()
	f, err := os.OpenFile(r.path(name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := f.WriteString(data); err != nil {
		r.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) rename(from, to string) {
	r.t.Helper()
	if err := os.Rename(r.path(from), r.path(to)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) copy(from, to string) {
	r.t.Helper()
	data, err := os.ReadFile(r.path(from))
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path(to), data, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) truncate(name string) {
	r.t.Helper()
	if err := os.Truncate(r.path(name), 0); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) remove(name string) {
	r.t.Helper()
	if err := os.Remove(r.path(name)); err != nil {
		r.t.Fatal(err)
	}
}

// until waits for a condition.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(waitMax)
	for !ok() {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain for: %s; have %d lines", what, r.store.count("c"))
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// wantLines waits until the store has as many lines as want, and for a while longer, and compares.
func (r *rig) wantLines(want ...string) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d lines", len(want)), func() bool { return r.store.count("c") >= len(want) })
	r.settle()
	got := r.store.get("c")
	if len(got) != len(want) {
		r.t.Fatalf("%d lines, want %d: %.60q …", len(got), len(want), got[:min(len(got), 20)])
	}
	for i := range want {
		if got[i] != want[i] {
			r.t.Fatalf("line %d is %.200q, want %.200q", i, got[i], want[i])
		}
	}
}

// settle gives the follower time to do what it should not do.
func (r *rig) settle() { time.Sleep(4 * quick.rescan) }

func (r *rig) counter(name string) int64 { return r.stats.Overall(name).Load() }

// numbered returns lines that tell where they come from.
func numbered(label string, from, to int) (lines []string) {
	for i := from; i < to; i++ {
		lines = append(lines, fmt.Sprintf("%s %06d\n", label, i))
	}
	return lines
}

func joined(lines []string) string {
	var b bytes.Buffer
	for _, l := range lines {
		b.WriteString(l)
	}
	return b.String()
}

var discard = slog.New(slog.DiscardHandler)
