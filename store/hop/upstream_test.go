package hop

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"

	"github.com/apache/thrift/lib/go/thrift"
)

func TestSchedulesAreThoseOfTheOriginal(t *testing.T) {
	fixed := FixedSchedule{Interval: 30 * time.Second, Range: 10 * time.Second}
	seen := make(map[time.Duration]bool)
	for range 1000 {
		d := fixed.Next()
		if d < 25*time.Second || d > 34*time.Second || d%time.Second != 0 {
			t.Fatalf("retry_interval=30, range 10: %v", d)
		}
		seen[d] = true
	}
	if len(seen) != 10 {
		t.Errorf("%d different waits, want 10", len(seen))
	}
	if d := (FixedSchedule{Interval: 4 * time.Second}).Next(); d != 4*time.Second {
		t.Errorf("without a range: %v", d)
	}
	s := &AdaptiveSchedule{Min: 5 * time.Second, Max: 100 * time.Second, Offset: time.Second}
	for i, want := range []time.Duration{7, 9, 12, 16, 22, 31, 43, 60, 84, 100, 100} { // int(1.414 × the one before), from 5
		if d := s.Next(); d != want*time.Second {
			t.Errorf("failure %d: %v, want %v", i, d, want*time.Second)
		}
	}
	s.Reset()
	if s.current != 98*time.Second {
		t.Errorf("after a success: %v", s.current)
	}
	for range 100 {
		s.Reset()
	}
	if s.current != 5*time.Second {
		t.Errorf("after many: %v", s.current)
	}
	for _, early := range []*AdaptiveSchedule{{Min: time.Second, Max: 100 * time.Second, Offset: time.Second},
		{Min: 20 * time.Second, Max: 100 * time.Second, Offset: time.Second}} {
		if d := early.Next(); d != 7*time.Second { // it begins at 5, whatever its bounds
			t.Errorf("from %v: %v", early.Min, d)
		}
	}
}

func TestQuarantineKeepsPoisonAside(t *testing.T) {
	dir, set, in := t.TempDir(), stats.New(), &inbox{judge: refusePoison}
	q := quarantine(t, network(t, in), QuarantineOptions{Dir: dir, Again: true, Stats: set})
	messages := []string{"poison 0"}
	var want []string
	for i := range 50 {
		if i == 17 || i == 18 {
			messages = append(messages, fmt.Sprint("poison ", i))
			continue
		}
		messages = append(messages, fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
	}
	b := entriesOf("c", messages...)
	tries := 1
	for ; q.Append(t.Context(), b) != nil; tries++ {
		if tries > 100 {
			t.Fatal("it never ends")
		}
	}
	wantMessages(t, in, want...)
	if n := set.Get("scribe_overall:refused"); n != 3 || tries != 2*(maxRefusals-1)+provedRefusals-1+1 {
		t.Errorf("%d are refused after %d attempts", n, tries)
	}
	if kept := recordsIn(t, dir, refusedDir); !slices.Equal(kept, []string{"poison 0", "poison 17", "poison 18"}) {
		t.Errorf("kept: %q", kept)
	}
}

func TestPoolSharesAConnection(t *testing.T) {
	in := new(inbox)
	p, other := startPeer(t, "", in), startPeer(t, "", new(inbox))
	pool := NewPool()
	var users []store.Store
	for range 4 {
		s, err := pool.Network(NetworkOptions{Addrs: []string{p.addr}})
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, s)
	}
	s, err := pool.Network(NetworkOptions{Addrs: []string{other.addr}})
	if err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, "to another")
	for i, s := range users {
		mustSend(t, s, fmt.Sprint(i))
	}
	if n := p.ln.accepted.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	for _, s := range users[:3] {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	mustSend(t, users[3], "still open")
	wantMessages(t, in, "0", "1", "2", "3", "still open")
	for _, s := range []store.Store{users[3], s} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(pool.networks) != 0 {
		t.Error("the pool still has a Network that nobody uses")
	}
}

func TestEqualsAreChosenAtRandomAndFailOver(t *testing.T) {
	boxes := []*inbox{new(inbox), new(inbox)}
	addrs := []string{startPeer(t, "", boxes[0]).addr, startPeer(t, "", boxes[1]).addr}
	for range 40 {
		n := openNetwork(t, NetworkOptions{Addrs: addrs, Shuffle: true})
		mustSend(t, n, "x")
	}
	if a, b := len(boxes[0].got()), len(boxes[1].got()); a+b != 40 || a < 5 || b < 5 {
		t.Errorf("%d went to one, %d to the other", a, b)
	}
	full := &inbox{answer: func(int) (proto.ResultCode, error) { return proto.TryLater, nil }}
	good := new(inbox)
	n := openNetwork(t, NetworkOptions{Addrs: []string{startPeer(t, "", full).addr, startPeer(t, "", good).addr,
		closedAddr(t)}, Shuffle: true})
	for range 20 {
		mustSend(t, n, "x")
	}
	if got := len(good.got()); got != 20 {
		t.Errorf("%d arrived", got)
	}
}

// TestLargeCallsAreAnnouncedToOthersOnly: a peer that has shown that it is an Inkwell gets no probes, and no peer gets
// calls of other methods than Log.
func TestLargeCallsAreAnnouncedToOthersOnly(t *testing.T) {
	large := strings.Repeat("x", probeBytes)
	for name, c := range map[string]struct {
		numbered bool
		want     []int // entries of each call
	}{"without numbers nothing is known": {false, []int{1, 0, 2}}, "an Inkwell": {true, []int{1, 2}}} {
		var mu sync.Mutex
		var sizes []int
		in := &inbox{judge: func(b *proto.Batch) (proto.ResultCode, error) {
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, b.Count())
			return proto.OK, nil
		}}
		asked := new(others)
		n := wide(openNetwork(t, NetworkOptions{Addrs: []string{startPeerWith(t, "", in, asked).addr}, Probe: true}))
		for i, b := range []*proto.Batch{batchOf("small"), batchOf(large, "x")} {
			if c.numbered {
				b.Number([16]byte{1}, int64(i), b.Count())
			}
			if err := n.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(sizes, c.want) || asked.calls.Load() > 0 {
			t.Errorf("%s: calls of %v, want %v; %d of other methods", name, sizes, c.want, asked.calls.Load())
		}
	}
}

// others counts calls of methods that a server with only Log does not have.
type others struct {
	thrift.TProcessor
	calls atomic.Int32
}

func (o *others) ProcessorMap() map[string]thrift.TProcessorFunction {
	return map[string]thrift.TProcessorFunction{"getOption": unknown{o}, "getStatus": unknown{o},
		"getVersion": unknown{o}, "getName": unknown{o}}
}

// unknown is a method of others.
type unknown struct{ *others }

func (o unknown) Process(context.Context, int32, thrift.TProtocol, thrift.TProtocol) (bool, thrift.TException) {
	o.calls.Add(1)
	return false, thrift.NewTApplicationException(thrift.UNKNOWN_METHOD, "only Log")
}

func TestWhoCannotBeReachedIsToldInTheOriginalsWords(t *testing.T) {
	addr := closedAddr(t)
	n := openNetwork(t, NetworkOptions{Addrs: []string{addr}})
	err := n.Append(t.Context(), entriesOf("c", "x"))
	if store.StatusText(err) != "Failed to connect" || !strings.Contains(err.Error(), addr) {
		t.Errorf("%v", err)
	}
	if err := n.Connect(t.Context()); store.StatusText(err) != "Failed to connect" {
		t.Errorf("Connect: %v", err)
	}
	// A buffer that was opened while the next hop was down has only asked whether that is there.
	asked := openNetwork(t, NetworkOptions{Addrs: []string{addr}})
	if err := asked.Connect(t.Context()); err == nil {
		t.Error("nobody listens there")
	}
	if p := asked.Peers(); len(p) != 1 || p[0].Down.IsZero() || p[0].Err == nil || p[0].Failed.IsZero() {
		t.Errorf("described as %+v", p)
	}
	quiet := openNetwork(t, NetworkOptions{Addrs: []string{addr}, IgnoreError: true})
	if err := quiet.Append(t.Context(), entriesOf("c", "x")); err == nil || store.StatusText(err) != "" {
		t.Errorf("with ignore_network_error: %v, status %q", err, store.StatusText(err))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for _, ignore := range []bool{false, true} {
		n := openNetwork(t, NetworkOptions{Addrs: []string{l.Addr().String()}, IgnoreError: ignore})
		if err := n.Append(t.Context(), entriesOf("c", "x")); err == nil || (store.StatusText(err) == "") != ignore {
			t.Errorf("closed without an answer, ignored %v: %v, status %q", ignore, err, store.StatusText(err))
		}
	}
}

func TestBufferTellsOfItsPrimaryByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{fault: always(&store.StatusError{Text: "Failed to connect", Err: errAway})}
		sp, _ := openSpool(t, t.TempDir(), spool.Options{}, nil)
		set := stats.New()
		b := OpenBuffer(s, sp, BufferOptions{Name: "web", Retry: FixedSchedule{Interval: 30 * time.Second}, Stats: set})
		defer b.Close()
		count := func() int64 { return set.Get("web:retries") }
		mustSend(t, b, "a")
		mustSend(t, b, "b")
		synctest.Wait()
		if got := s.tries(); got != 1 || count() != 1 || b.Status() != "Failed to connect" {
			t.Errorf("%d attempts, %d retries, status %q", got, count(), b.Status())
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if got := s.tries(); got != 2 || count() != 2 || set.Get("scribe_overall:retries") != 2 {
			t.Errorf("after the interval: %d attempts, %d retries", got, count())
		}
		if bytes := set.Get("web:spool entries"); bytes != 2 {
			t.Errorf("%d entries in the spool", bytes)
		}
		s.set(nil)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if b.Status() != "" || set.Get("web:spool entries") != 0 {
			t.Errorf("status %q, %d entries left", b.Status(), set.Get("web:spool entries"))
		}
	})
}
