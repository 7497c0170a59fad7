package hop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"
)

// sink is a primary that does what fault says: nil takes the batch, errLost takes it and loses the answer, another
// error does not take it.
type sink struct {
	mu       sync.Mutex
	fault    func(*proto.Batch) error
	messages []string
	appends  int
}

var errLost, errAway = errors.New("answer lost"), errors.New("away")

func (s *sink) Append(ctx context.Context, b *proto.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.appends++
	var err error
	if s.fault != nil {
		err = s.fault(b)
	}
	if err == nil || err == errLost {
		for c := b.Cursor(); c.Next(); {
			s.messages = append(s.messages, string(c.Message()))
		}
	}
	return err
}

func (s *sink) Close() error { return nil }

func (s *sink) set(fault func(*proto.Batch) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func (s *sink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.messages...)
}

func (s *sink) tries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appends
}

func always(err error) func(*proto.Batch) error { return func(*proto.Batch) error { return err } }

// stuck is a primary that returns only when its call is cancelled.
type stuck struct{ begun chan struct{} }

func (s stuck) Append(ctx context.Context, _ *proto.Batch) error {
	s.begun <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

func (stuck) Close() error { return nil }

// soon returns the short pauses of tests.
func soon() store.Schedule { return &rpc.Backoff{Min: time.Millisecond, Max: 5 * time.Millisecond} }

// toggled makes the operations op fail while it is on.
type toggled struct {
	mu   sync.Mutex
	ops  []faultfs.Op
	err  error
	hits int
}

func (i *toggled) Inject(op faultfs.Op, name string, n int) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, o := range i.ops {
		if o == op {
			i.hits++
			return n / 2, i.err
		}
	}
	return n, nil
}

func (i *toggled) set(err error, ops ...faultfs.Op) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.err, i.ops = err, ops
}

func openSpool(t *testing.T, path string, o spool.Options, inj faultfs.Injector) (*spool.Log, *faultfs.Dir) {
	t.Helper()
	dir, err := faultfs.OpenDir(path, inj)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	l, err := spool.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return l, dir
}

func newBuffer(t *testing.T, primary store.Store, sp *spool.Log, o BufferOptions) *Buffer {
	t.Helper()
	if o.Retry == nil {
		o.Retry = soon()
	}
	b := OpenBuffer(primary, sp, o)
	t.Cleanup(func() {
		if err := b.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return b
}

// onDisk opens a Buffer with a spool in a new directory.
func onDisk(t *testing.T, primary store.Store, o BufferOptions) *Buffer {
	t.Helper()
	sp, _ := openSpool(t, t.TempDir(), spool.Options{}, nil)
	return newBuffer(t, primary, sp, o)
}

func mustDrain(t *testing.T, b *Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}

func wantSink(t *testing.T, s *sink, want ...string) {
	t.Helper()
	if got := s.got(); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Fatalf("arrived: %q, want %q", got, want)
	}
}

func TestBufferPassesThrough(t *testing.T) {
	noLeaks(t)
	s, set := new(sink), stats.New()
	b := onDisk(t, s, BufferOptions{Stats: set})
	mustSend(t, b, "a", "b")
	mustSend(t, b)
	mustSend(t, b, "c")
	wantSink(t, s, "a", "b", "c")
	if got := set.Get("scribe_overall:spooled"); got != 0 {
		t.Errorf("%d spooled", got)
	}
	if _, end := b.spool.Bounds(); end != 0 {
		t.Errorf("the spool was used: end %d", end)
	}
	mustDrain(t, b)
}

func TestBufferSpoolsAndReplays(t *testing.T) {
	noLeaks(t)
	s, set := &sink{fault: always(errAway)}, stats.New()
	log, lines := captureLog()
	b := onDisk(t, s, BufferOptions{Stats: set, Logger: log})
	mustSend(t, b, "a")
	mustSend(t, b, "b", "c")
	if bytes, entries := b.Backlog(); entries != 3 || bytes < int64(batchOf("a", "b", "c").Size()) {
		t.Errorf("backlog of %d bytes, %d entries", bytes, entries)
	}
	if got := set.Get("scribe_overall:spool entries"); got != 3 {
		t.Errorf("gauge of %d entries", got)
	}
	if set.Get("scribe_overall:spool bytes") <= 0 {
		t.Error("gauge of bytes is 0")
	}
	until(t, "the replay tries several times", func() bool { return s.tries() > 5 })
	s.set(nil)
	mustDrain(t, b)
	wantSink(t, s, "a", "b", "c")
	mustSend(t, b, "d")
	wantSink(t, s, "a", "b", "c", "d")
	for name, want := range map[string]int64{"spooled": 3, "replayed": 3, "bytes lost": 0, "spool entries": 0} {
		if got := set.Get("scribe_overall:" + name); got != want {
			t.Errorf("%s = %d, want %d", name, got, want)
		}
	}
	text := lines()
	for what, want := range map[string]int{"trouble": 1, "recovered": 1, "away": 2} {
		if got := strings.Count(text, what); got != want {
			t.Errorf("%q %d times, want %d:\n%s", what, got, want, text)
		}
	}
}

func TestBufferTriesThePrimaryOnlyByReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{fault: always(errAway)}
		sp, _ := openSpool(t, t.TempDir(), spool.Options{}, nil)
		b := OpenBuffer(s, sp, BufferOptions{Retry: &rpc.Backoff{Min: time.Hour, Max: time.Hour}})
		mustSend(t, b, "a") // one try
		synctest.Wait()     // the replay pauses now
		for range 100 {
			mustSend(t, b, "b")
		}
		if got := s.tries(); got != 1 {
			t.Errorf("%d attempts at a primary that is away", got)
		}
		// Drain does not wait for the pause to end.
		s.set(nil)
		before := time.Now()
		mustDrain(t, b)
		if time.Since(before) != 0 {
			t.Errorf("drained after %v", time.Since(before))
		}
		if got := len(s.got()); got != 101 {
			t.Errorf("%d arrived", got)
		}
		if got := s.tries(); got > 5 {
			t.Errorf("%d attempts: the records were not merged", got)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestBufferBoundsReplayedCalls(t *testing.T) {
	noLeaks(t)
	s := &sink{fault: always(errAway)}
	b := onDisk(t, s, BufferOptions{})
	var sizes []int
	message := strings.Repeat("m", replayBytes/3)
	for i := range 7 {
		mustSend(t, b, fmt.Sprint(i)+message)
	}
	mustSend(t, b, "7"+strings.Repeat("m", 2*replayBytes))
	mustSend(t, b, "8")
	s.set(func(b *proto.Batch) error {
		sizes = append(sizes, b.Size())
		return nil
	})
	mustDrain(t, b)
	for i, m := range s.got() {
		if m[0] != byte('0'+i) {
			t.Fatalf("%d. is %q", i, m[:1])
		}
	}
	if len(s.got()) != 9 {
		t.Errorf("%d arrived", len(s.got()))
	}
	for _, size := range sizes {
		if size > replayBytes && size != batchOf("7"+strings.Repeat("m", 2*replayBytes)).Size() {
			t.Errorf("a call of %d bytes", size)
		}
	}
}

func TestBufferKeepsOrderPerCaller(t *testing.T) {
	noLeaks(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	s := &sink{fault: func(*proto.Batch) error { // serialized by the sink
		switch rnd.IntN(6) {
		case 0:
			return errAway
		case 1:
			return errLost
		case 2:
			return store.ErrTryLater
		}
		return nil
	}}
	b := onDisk(t, s, BufferOptions{})
	const callers, each = 8, 300
	appendAll(t, b, callers, each)
	mustDrain(t, b)
	checkOrder(t, s.got(), callers, each)
}

// moody answers at random, but does not refuse calls that begin with the same entry three times: after that, others pass
// the entry, which is what a Quarantine is for.
func moody() func(*proto.Batch) (proto.ResultCode, error) {
	var mu sync.Mutex
	refused := make(map[string]int) // by the first message
	return func(b *proto.Batch) (proto.ResultCode, error) {
		mu.Lock()
		defer mu.Unlock()
		c := b.Cursor()
		c.Next()
		answer, first := rand.IntN(8), string(c.Message())
		if answer > 1 || refused[first] == provedRefusals-1 {
			return proto.OK, nil
		}
		refused[first]++
		if answer == 0 {
			return proto.TryLater, nil
		}
		return 0, errors.New("no")
	}
}

// relay passes bytes between c and addr and breaks both connections somewhere in the middle.
func relay(c net.Conn, addr string) {
	up, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer up.Close()
	there := make(chan struct{})
	go func() {
		defer close(there)
		_, _ = io.CopyN(up, c, rand.Int64N(10000))
		c.Close()
		up.Close()
	}()
	_, _ = io.CopyN(c, up, rand.Int64N(1000))
	c.Close()
	up.Close()
	<-there
}

func TestBufferOverNetworkKeepsOrderWhilePeersComeAndGo(t *testing.T) {
	noLeaks(t)
	in := &inbox{judge: moody()}
	addr := startPeer(t, "", in).addr
	n, err := NewNetwork(NetworkOptions{Addrs: []string{addr}, MaxCall: 1000})
	if err != nil {
		t.Fatal(err)
	}
	sp, dir := openSpool(t, t.TempDir(), spool.Options{Durability: spool.Write}, nil)
	q, err := OpenQuarantine(n, QuarantineOptions{Dir: dir.Path()})
	if err != nil {
		t.Fatal(err)
	}
	b := newBuffer(t, q, sp, BufferOptions{Refused: dir})
	// Connections are broken through the proxy in the middle of calls and answers.
	n.link.addrs.list[0].name = startRaw(t, func(c net.Conn) { relay(c, addr) })
	const callers, each = 6, 200
	appendAll(t, b, callers, each)
	mustDrain(t, b)
	checkOrder(t, in.got(), callers, each)
}

// A peer that takes only small calls hangs up on larger ones: a record is sent to it in parts, each entry once and in
// order.
func TestBufferOverNetworkToAPeerOfSmallFrames(t *testing.T) {
	noLeaks(t)
	in := &inbox{}
	addr := startLimited(t, "", rpc.NewServer(rpc.ServerOptions{MaxFrame: 2000}, in, nil)).addr
	n, err := NewNetwork(NetworkOptions{Addrs: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	b := onDisk(t, n, BufferOptions{})
	var messages []string
	for i := range 200 {
		messages = append(messages, fmt.Sprintf("%d %s", i, strings.Repeat("x", 40)))
	}
	if err := b.Append(t.Context(), batchOf(messages...)); err != nil {
		t.Fatal(err)
	}
	mustDrain(t, b)
	if got := in.got(); !slices.Equal(got, messages) {
		t.Errorf("%d messages arrived, want %d: %.300q", len(got), len(messages), got)
	}
}

func TestBufferTakesOverWhenTheContextEnds(t *testing.T) {
	noLeaks(t)
	p := stuck{begun: make(chan struct{}, 10)}
	b := onDisk(t, p, BufferOptions{})
	a := startAppend(t, b, batchOf("a", "b"))
	<-p.begun
	a.cancel()
	if err := <-a.err; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Append(ctx, batchOf("c")); err != nil {
		t.Fatal(err)
	}
	if _, entries := b.Backlog(); entries != 3 {
		t.Errorf("%d entries in the spool", entries)
	}
	if err := b.Drain(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "3 entries") {
		t.Errorf("drain: %v", err)
	}
	b.abort() // the replay is stuck in the primary, too
}

func TestBufferCloseBreaksOffAStuckReplay(t *testing.T) {
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		sp, dir := openSpool(t, path, spool.Options{}, nil)
		p := stuck{begun: make(chan struct{}, 10)}
		b := OpenBuffer(p, sp, BufferOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Append(ctx, batchOf("a")); err != nil {
			t.Fatal(err)
		}
		<-p.begun
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Append(t.Context(), batchOf("b")); !errors.Is(err, store.ErrClosed) {
			t.Errorf("append after close: %v", err)
		}
		if err := b.Close(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
		if err := b.Drain(t.Context()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("drain after close: %v", err)
		}
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
	})
	s := new(sink)
	sp, _ := openSpool(t, path, spool.Options{}, nil)
	mustDrain(t, newBuffer(t, s, sp, BufferOptions{}))
	wantSink(t, s, "a")
}

func TestBufferFullSpool(t *testing.T) {
	noLeaks(t)
	s := &sink{fault: always(errAway)}
	sp, _ := openSpool(t, t.TempDir(), spool.Options{SegmentBytes: 4096, MaxBytes: 16384}, nil)
	b := newBuffer(t, s, sp, BufferOptions{})
	var want []string
	for i := 0; ; i++ {
		m := fmt.Sprint(i, strings.Repeat("x", 1000))
		err := b.Append(t.Context(), batchOf(m))
		if err == nil {
			want = append(want, m)
			continue
		}
		if !errors.Is(err, spool.ErrFull) {
			t.Fatal(err)
		}
		break
	}
	if len(want) == 0 {
		t.Fatal("nothing fits")
	}
	s.set(nil)
	mustDrain(t, b)
	wantSink(t, s, want...)
	mustSend(t, b, "there is room")
}

func TestBufferDiskFull(t *testing.T) {
	noLeaks(t)
	s, inj := &sink{fault: always(errAway)}, new(toggled)
	sp, _ := openSpool(t, t.TempDir(), spool.Options{}, inj)
	b := newBuffer(t, s, sp, BufferOptions{})
	inj.set(syscall.ENOSPC, faultfs.OpWrite)
	if err := b.Append(t.Context(), batchOf("a")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v, want ENOSPC", err)
	}
	inj.set(nil)
	mustSend(t, b, "a")
	inj.set(syscall.ENOSPC, faultfs.OpWrite)
	if err := b.Append(t.Context(), batchOf("b")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v, want ENOSPC", err)
	}
	// The disk stays full: the ack cannot be written, but what is there arrives, and all comes right when there is
	// room.
	s.set(nil)
	until(t, "the entry arrives", func() bool { return len(s.got()) > 0 })
	inj.set(nil)
	mustDrain(t, b)
	mustSend(t, b, "b")
	wantSink(t, s, "a", "b")
}

func TestBufferOutlivesReadErrors(t *testing.T) {
	noLeaks(t)
	s, inj, set := &sink{fault: always(errAway)}, new(toggled), stats.New()
	sp, _ := openSpool(t, t.TempDir(), spool.Options{SegmentBytes: 4096}, inj)
	b := newBuffer(t, s, sp, BufferOptions{Stats: set})
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint(i, strings.Repeat("x", 1000)))
		mustSend(t, b, want[i])
	}
	inj.set(syscall.EIO, faultfs.OpRead, faultfs.OpOpen)
	s.set(nil)
	until(t, "the spool cannot be read", func() bool {
		inj.mu.Lock()
		defer inj.mu.Unlock()
		return inj.hits > 3
	})
	inj.set(nil)
	mustDrain(t, b)
	wantSink(t, s, want...)
	if got := set.Get("scribe_overall:bytes lost"); got != 0 {
		t.Errorf("%d bytes were given up for an error that went away", got)
	}
}

func TestBufferReplaysAfterACrash(t *testing.T) {
	noLeaks(t)
	s := &sink{fault: always(errAway)}
	path := t.TempDir()
	sp, _ := openSpool(t, path, spool.Options{}, nil)
	b := newBuffer(t, s, sp, BufferOptions{})
	for i := range 10 {
		mustSend(t, b, fmt.Sprint(i))
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(path)); err != nil {
		t.Fatal(err)
	}
	next := new(sink)
	sp2, _ := openSpool(t, copied, spool.Options{}, nil)
	b2 := newBuffer(t, next, sp2, BufferOptions{})
	mustSend(t, b2, "new")
	mustDrain(t, b2)
	wantSink(t, next, "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "new")
}

func TestBufferPassesOverDamage(t *testing.T) {
	noLeaks(t)
	s, set := &sink{fault: always(errAway)}, stats.New()
	path := t.TempDir()
	sp, _ := openSpool(t, path, spool.Options{}, nil)
	b := OpenBuffer(s, sp, BufferOptions{Retry: soon()})
	for i := range 3 {
		mustSend(t, b, fmt.Sprint("message ", i))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, path, "message 1")
	s.set(nil)
	sp, _ = openSpool(t, path, spool.Options{}, nil)
	b = newBuffer(t, s, sp, BufferOptions{Stats: set})
	mustDrain(t, b)
	mustSend(t, b, "new")
	wantSink(t, s, "message 0", "message 2", "new")
	if set.Get("scribe_overall:bytes lost") <= 0 {
		t.Error("the loss is not counted")
	}
}

// damage flips a bit of text in the segments below path.
func damage(t *testing.T, path, text string) {
	t.Helper()
	found := false
	err := filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if i := strings.Index(string(data), text); err == nil && i >= 0 {
			found = true
			data[i] ^= 1
			return os.WriteFile(name, data, 0o640)
		}
		return err
	})
	if err != nil || !found {
		t.Fatalf("damage %q: found %v, %v", text, found, err)
	}
}

// TestBufferSetsPoisonAside: only the entries that a peer refuses for good are set aside, not the records that contain
// them.
func TestBufferSetsPoisonAside(t *testing.T) {
	noLeaks(t)
	for _, messages := range [][]string{
		{"poison"}, {"poison", "a"}, {"a", "poison"}, {"a", "b", "poison", "c", "d", "e", "poison"}, {"a", "b", "c",
			"poison", "poison", "d"}, {"poison", "poison", "poison"},
	} {
		in, set, path := &inbox{judge: refusePoison}, stats.New(), t.TempDir()
		sp, _ := openSpool(t, path, spool.Options{}, nil)
		q, err := OpenQuarantine(network(t, in), QuarantineOptions{Dir: path, Stats: set})
		if err != nil {
			t.Fatal(err)
		}
		b := newBuffer(t, q, sp, BufferOptions{Stats: set})
		if err := b.Append(t.Context(), batchOf(messages...)); err != nil {
			t.Fatal(err)
		}
		mustSend(t, b, "z")
		mustDrain(t, b)
		good := slices.DeleteFunc(slices.Clone(messages), func(m string) bool { return m == "poison" })
		wantMessages(t, in, append(good, "z")...)
		kept := recordsIn(t, path, refusedDir)
		if got, want := set.Get("scribe_overall:refused"), len(messages)-len(good); got != int64(want) ||
			len(kept) != want {
			t.Errorf("%q: %d refused, %q kept, want %d", messages, got, kept, want)
		}
	}
}

// TestBufferIsPatientWithRefusals: an entry that is refused a few times and then taken is not set aside.
func TestBufferIsPatientWithRefusals(t *testing.T) {
	noLeaks(t)
	var refused atomic.Int64
	in, set, path := new(inbox), stats.New(), t.TempDir()
	in.judge = func(b *proto.Batch) (proto.ResultCode, error) {
		code, err := refusePoison(b)
		if err != nil && b.Count() == 1 && refused.Add(1) >= maxRefusals {
			return proto.OK, nil
		}
		return code, err
	}
	sp, _ := openSpool(t, path, spool.Options{}, nil)
	q, err := OpenQuarantine(network(t, in), QuarantineOptions{Dir: path, Stats: set})
	if err != nil {
		t.Fatal(err)
	}
	b := newBuffer(t, q, sp, BufferOptions{Stats: set})
	mustSend(t, b, "poison")
	mustSend(t, b, "z")
	mustDrain(t, b)
	wantMessages(t, in, "poison", "z")
	if got := set.Get("scribe_overall:refused"); got != 0 || refused.Load() != maxRefusals {
		t.Errorf("%d are set aside after %d attempts", got, refused.Load())
	}
}

func TestBufferWithoutAPlaceForPoisonKeepsIt(t *testing.T) {
	noLeaks(t)
	var good atomic.Bool
	in := new(inbox)
	in.judge = func(b *proto.Batch) (proto.ResultCode, error) {
		if good.Load() {
			return proto.OK, nil
		}
		return refusePoison(b)
	}
	q, err := OpenQuarantine(network(t, in), QuarantineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b := onDisk(t, q, BufferOptions{})
	for _, m := range []string{"a", "poison", "b"} {
		mustSend(t, b, m)
	}
	until(t, "it is offered on and on", func() bool { return in.begun.Load() > 3*maxRefusals })
	wantMessages(t, in, "a")
	good.Store(true)
	mustDrain(t, b)
	wantMessages(t, in, "a", "poison", "b")
}

func TestBufferFindsItsWayOutOfTheSpool(t *testing.T) {
	noLeaks(t)
	s, set := &sink{fault: always(errAway)}, stats.New()
	b := onDisk(t, s, BufferOptions{Stats: set})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	t.Cleanup(func() {
		close(stop)
		wg.Wait()
	})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := b.Append(context.Background(), batchOf("x")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	until(t, "all goes to the spool", func() bool { return set.Get("scribe_overall:spooled") > 100 })
	s.set(func(*proto.Batch) error { // long enough for Appends to come while the replay is at it
		time.Sleep(2 * time.Millisecond)
		return nil
	})
	until(t, "appends go straight again", func() bool {
		before := set.Get("scribe_overall:spooled")
		direct := s.tries()
		until(t, "appends go on", func() bool { return s.tries() > direct+20 })
		return set.Get("scribe_overall:spooled") == before
	})
}

// smallCalls is a sink that takes two entries a call, and waits with the first.
type smallCalls struct {
	sink
	first, release chan struct{}
}

func (s *smallCalls) Portion() (entries, bytes int) { return 2, 1 << 20 }

func (s *smallCalls) Append(ctx context.Context, b *proto.Batch) error {
	if s.tries() == 0 {
		close(s.first)
		<-s.release
	}
	return s.sink.Append(ctx, b)
}

// TestBufferCloseSendsARecordToItsEnd: a record that is partly sent when the Buffer is closed is not sent again by the
// next one, which would be twice for a peer that knows no numbers.
func TestBufferCloseSendsARecordToItsEnd(t *testing.T) {
	noLeaks(t)
	path := t.TempDir()
	sp, dir := openSpool(t, path, spool.Options{}, nil)
	s := &smallCalls{first: make(chan struct{}), release: make(chan struct{})}
	b := OpenBuffer(s, sp, BufferOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	messages := numbers(20)
	for _, part := range [][]string{messages[:8], messages[8:]} {
		if err := b.Append(ctx, batchOf(part...)); err != nil {
			t.Fatal(err)
		}
	}
	<-s.first
	closed := make(chan error)
	go func() { closed <- b.Close() }()
	until(t, "the buffer is closed", func() bool { return errors.Is(b.Drain(ctx), store.ErrClosed) })
	close(s.release)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	next := new(sink)
	sp, _ = openSpool(t, path, spool.Options{}, nil)
	mustDrain(t, newBuffer(t, next, sp, BufferOptions{}))
	if got := strings.Join(append(s.got(), next.got()...), " "); got != strings.Join(messages, " ") {
		t.Errorf("sent: %s", got)
	}
	if len(s.got()) == 0 || len(next.got()) == 0 {
		t.Errorf("%d entries were sent before the end and %d after it: each should have some", len(s.got()), len(next.got()))
	}
}

// TestBufferGoesOnBehindAnEmptySegment: a process that died after it had begun a segment, and before it wrote a record
// into it, leaves a spool that is empty though it has bytes. What comes next is delivered.
func TestBufferGoesOnBehindAnEmptySegment(t *testing.T) {
	noLeaks(t)
	path := t.TempDir()
	sp, dir := openSpool(t, path, spool.Options{SegmentBytes: 200}, nil)
	for _, text := range []string{"a", "lost with the process"} {
		b := batchOf(text + strings.Repeat(".", 100))
		part := spool.Part{Data: b.Entries(), Tail: b.AppendRecordTail(nil), Count: b.Count()}
		if _, err := sp.AppendParts(t.Context(), []spool.Part{part}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(sp.Close(), dir.Close()); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(path, "*.log"))
	if err != nil || len(segments) != 2 {
		t.Fatalf("segments: %q, %v", segments, err)
	}
	if err := os.Truncate(segments[1], 64); err != nil {
		t.Fatal(err)
	}
	s := new(sink)
	sp, _ = openSpool(t, path, spool.Options{SegmentBytes: 200}, nil)
	b := newBuffer(t, s, sp, BufferOptions{})
	mustDrain(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Append(ctx, batchOf("b")); err != nil {
		t.Fatal(err)
	}
	if bytes, entries := b.Backlog(); bytes != 0 || entries != 0 {
		t.Errorf("%d bytes and %d entries are in the spool: it was not sent at once", bytes, entries)
	}
	wantSink(t, s, "a"+strings.Repeat(".", 100), "b")
}
