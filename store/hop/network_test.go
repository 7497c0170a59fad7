package hop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"go.uber.org/goleak"

	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/internal/testkit"
	"inkwell/proto"
	"inkwell/store"
)

const patience = 30 * time.Second // for what must happen some time

// inbox is a peer's Log handler that keeps the messages it accepted.
type inbox struct {
	answer func(call int) (proto.ResultCode, error)       // nil: OK
	judge  func(b *proto.Batch) (proto.ResultCode, error) // nil: OK
	gate   chan struct{}                                  // calls wait for it to be closed; nil: they do not
	begun  atomic.Int32                                   // calls

	mu       sync.Mutex
	messages []string
	sizes    []int // bytes of each call
	refused  []int // entries of each call that judge did not like
}

func (in *inbox) Log(ctx context.Context, b *proto.Batch) (proto.ResultCode, error) {
	call := int(in.begun.Add(1))
	if in.gate != nil {
		select {
		case <-in.gate:
		case <-ctx.Done():
		}
	}
	if in.answer != nil {
		if code, err := in.answer(call); err != nil || code != proto.OK {
			return code, err
		}
	}
	if in.judge != nil {
		if code, err := in.judge(b); err != nil || code != proto.OK {
			in.mu.Lock()
			in.refused = append(in.refused, b.Count())
			in.mu.Unlock()
			return code, err
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.sizes = append(in.sizes, b.Size())
	for c := b.Cursor(); c.Next(); {
		in.messages = append(in.messages, string(c.Message()))
	}
	return proto.OK, nil
}

func (in *inbox) got() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]string(nil), in.messages...)
}

func (in *inbox) calls() []int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]int(nil), in.sizes...)
}

// countingListener counts the connections it accepts.
type countingListener struct {
	net.Listener
	accepted atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}

// peer is a real server on loopback.
type peer struct {
	addr string
	ln   *countingListener
	stop func()
}

// startPeer serves h at addr ("" = anywhere) until stop or the end of the test.
func startPeer(t testing.TB, addr string, h rpc.Handler) *peer {
	t.Helper()
	return startPeerWith(t, addr, h, nil)
}

// startPeerWith is startPeer with a service for the methods beside Log.
func startPeerWith(t testing.TB, addr string, h rpc.Handler, other thrift.TProcessor) *peer {
	t.Helper()
	return startLimited(t, addr, rpc.NewServer(rpc.ServerOptions{}, h, other))
}

// startLimited is startPeer for a server with limits of its own.
func startLimited(t testing.TB, addr string, srv *rpc.Server) *peer {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{addr: ln.Addr().String(), ln: &countingListener{Listener: ln}}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(p.ln) }()
	p.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // calls in progress are cut off
		_ = srv.Shutdown(ctx)
		<-done
	})
	t.Cleanup(p.stop)
	return p
}

// startRaw serves each connection with f, which is to return when its connection is closed: at the end of the test at
// the latest.
func startRaw(t testing.TB, f func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { c.Close() })
			wg.Go(func() {
				defer stop()
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

// silent reads and never answers.
func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// closedAddr returns an address on which nothing listens.
func closedAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// noLeaks checks at the end of the test, after later cleanups, that no goroutine is left.
func noLeaks(t testing.TB) {
	t.Cleanup(func() {
		err := goleak.Find()
		for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end); err = goleak.Find() {
			time.Sleep(10 * time.Millisecond) // on a busy machine what was closed takes its time to end
		}
		if err != nil {
			t.Error(err)
		}
	})
}

func openNetwork(t testing.TB, o NetworkOptions) *Network {
	t.Helper()
	n, err := NewNetwork(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func batchOf(messages ...string) *proto.Batch { return testkit.Batch("web", messages...) }

// mustSend may be called from any goroutine.
func mustSend(t *testing.T, s store.Store, messages ...string) {
	t.Helper()
	if err := s.Append(t.Context(), batchOf(messages...)); err != nil {
		t.Error(err)
	}
}

// until waits until f holds.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (n *Network) queued() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.queue) - n.inCall
}

// wide makes n send large calls from the beginning.
func wide(n *Network) *Network {
	for _, t := range n.link.addrs.list {
		t.room.next = t.room.most
	}
	n.next = n.link.addrs.list[0].room.next
	return n
}

func wantMessages(t *testing.T, in *inbox, want ...string) {
	t.Helper()
	if got := in.got(); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Fatalf("arrived: %q, want %q", got, want)
	}
}

func TestNetworkOptions(t *testing.T) {
	for _, addrs := range [][]string{nil, {"localhost"}, {"127.0.0.1:1463", ":"}, {"a:1:2"}} {
		if _, err := NewNetwork(NetworkOptions{Addrs: addrs}); err == nil ||
			!strings.Contains(err.Error(), "HOST:PORT") {
			t.Errorf("%q: %v", addrs, err)
		}
	}
}

func TestNetworkDelivers(t *testing.T) {
	noLeaks(t)
	in := new(inbox)
	p := startPeer(t, "", in)
	set := stats.New()
	n := openNetwork(t, NetworkOptions{Addrs: []string{p.addr}, Stats: set})
	if n.Peer() != "" {
		t.Fatalf("peer %q before the first call", n.Peer())
	}
	b := batchOf("one", "two")
	b.Append([]byte("mail"), []byte("three"))
	b.Append([]byte("web"), []byte("four"))
	if err := n.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	mustSend(t, n, "five")
	mustSend(t, n)
	wantMessages(t, in, "one", "two", "three", "four", "five")
	if n.Peer() != p.addr {
		t.Errorf("peer %q, want %q", n.Peer(), p.addr)
	}
	if got := p.ln.accepted.Load(); got != 1 {
		t.Errorf("%d connections", got)
	}
	for name, want := range map[string]int64{"scribe_overall:sent": 5, "web:sent": 4, "mail:sent": 1,
		"scribe_overall:failed calls": 0} {
		if got := set.Get(name); got != want {
			t.Errorf("%s = %d, want %d", name, got, want)
		}
	}
}

func TestNetworkMerges(t *testing.T) {
	noLeaks(t)
	in := &inbox{gate: make(chan struct{})}
	p := startPeer(t, "", in)
	n := wide(openNetwork(t, NetworkOptions{Addrs: []string{p.addr}}))
	const callers = 50
	var wg sync.WaitGroup
	wg.Go(func() { mustSend(t, n, "first") })
	until(t, "the first call is with the peer", func() bool { return in.begun.Load() == 1 })
	for i := range callers {
		wg.Go(func() { mustSend(t, n, fmt.Sprint(i, "a"), fmt.Sprint(i, "b")) })
	}
	until(t, "all others wait", func() bool { return n.queued() == callers })
	close(in.gate)
	wg.Wait()
	if got := len(in.calls()); got != 2 {
		t.Errorf("%d calls for %d appends, want 2", got, callers+1)
	}
	if got := len(in.got()); got != 1+2*callers {
		t.Errorf("%d messages arrived, want %d", got, 1+2*callers)
	}
}

func TestNetworkBoundsCalls(t *testing.T) {
	noLeaks(t)
	in := &inbox{gate: make(chan struct{})}
	p := startPeer(t, "", in)
	small, large := batchOf(strings.Repeat("s", 80)), batchOf(strings.Repeat("l", 1000))
	n := wide(openNetwork(t, NetworkOptions{Addrs: []string{p.addr}, MaxCall: 3*small.Size() + 1}))
	var wg sync.WaitGroup
	put := func(b *proto.Batch) {
		before := n.queued()
		wg.Go(func() {
			if err := n.Append(t.Context(), b); err != nil {
				t.Error(err)
			}
		})
		until(t, "it waits", func() bool { return n.queued() == before+1 })
	}
	wg.Go(func() { mustSend(t, n, "first") })
	until(t, "the first call is with the peer", func() bool { return in.begun.Load() == 1 })
	for _, b := range []*proto.Batch{small, small, small, small, large, small, small} {
		put(b)
	}
	close(in.gate)
	wg.Wait()
	s := small.Size()
	if got, want := fmt.Sprint(in.calls()[1:]), fmt.Sprint([]int{3 * s, s, large.Size(), 2 * s}); got != want {
		t.Errorf("calls of %s bytes, want %s", got, want)
	}
}

func TestNetworkKeepsOrderPerCaller(t *testing.T) {
	noLeaks(t)
	in := new(inbox)
	p := startPeer(t, "", in)
	n := wide(openNetwork(t, NetworkOptions{Addrs: []string{p.addr}, MaxCall: 200}))
	const callers, each = 8, 200
	appendAll(t, n, callers, each)
	checkOrder(t, in.got(), callers, each)
	if calls := len(in.calls()); calls >= callers*each {
		t.Errorf("%d calls for %d appends", calls, callers*each)
	}
}

// appendAll has each caller append its messages "caller n" one by one, repeating each until it is taken.
func appendAll(t *testing.T, s store.Store, callers, each int) {
	t.Helper()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				b := batchOf(fmt.Sprint(c, " ", i))
				for end := time.Now().Add(patience); s.Append(t.Context(), b) != nil; {
					if time.Now().After(end) {
						t.Errorf("caller %d: append %d fails all the time", c, i)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// checkOrder checks that every message of every caller arrived, and that the first arrivals of each caller are in
// order.
func checkOrder(t *testing.T, messages []string, callers, each int) {
	t.Helper()
	next := make([]int, callers)
	for _, m := range messages {
		var c, i int
		if _, err := fmt.Sscan(m, &c, &i); err != nil {
			t.Fatalf("message %q: %v", m, err)
		}
		if i > next[c] {
			t.Fatalf("caller %d: %d arrived before %d", c, i, next[c])
		}
		if i == next[c] {
			next[c]++
		}
	}
	for c, n := range next {
		if n != each {
			t.Errorf("caller %d: %d of %d arrived", c, n, each)
		}
	}
}

func TestNetworkFailsOverAndReturns(t *testing.T) {
	noLeaks(t)
	first, second := new(inbox), new(inbox)
	p1, p2 := startPeer(t, "", first), startPeer(t, "", second)
	set := stats.New()
	n := openNetwork(t, NetworkOptions{Addrs: []string{p1.addr, p2.addr}, Stats: set})
	n.link.addrs.rest = 20 * time.Millisecond
	mustSend(t, n, "a")
	p1.stop()
	mustSend(t, n, "b")
	if n.Peer() != p2.addr {
		t.Fatalf("peer %s, want the second, %s", n.Peer(), p2.addr)
	}
	if set.Get("scribe_overall:failed calls") == 0 {
		t.Error("the failed attempt is not counted")
	}
	startPeer(t, p1.addr, first)
	until(t, "the first is used again", func() bool {
		mustSend(t, n, "c")
		return n.Peer() == p1.addr
	})
	mustSend(t, n, "d")
	if got := first.got(); got[0] != "a" || got[len(got)-1] != "d" {
		t.Errorf("the first got %q", got)
	}
	if got := second.got(); got[0] != "b" {
		t.Errorf("the second got %q", got)
	}
}

func TestNetworkStaysWhileThePreferredIsAway(t *testing.T) {
	noLeaks(t)
	in := new(inbox)
	p := startPeer(t, "", in)
	n := openNetwork(t, NetworkOptions{Addrs: []string{closedAddr(t), p.addr}})
	n.link.addrs.rest = time.Millisecond
	for i := range 100 {
		mustSend(t, n, fmt.Sprint(i))
		time.Sleep(time.Millisecond)
	}
	if got := len(in.got()); got != 100 {
		t.Errorf("%d messages", got)
	}
	if got := p.ln.accepted.Load(); got != 1 {
		t.Errorf("%d connections: the one that works was given up for a probe", got)
	}
}

func TestNetworkTryLater(t *testing.T) {
	noLeaks(t)
	later := func(int) (proto.ResultCode, error) { return proto.TryLater, nil }
	busy1, busy2, free := &inbox{answer: later}, &inbox{answer: later}, new(inbox)
	p1, p2, p3 := startPeer(t, "", busy1), startPeer(t, "", busy2), startPeer(t, "", free)

	n := openNetwork(t, NetworkOptions{Addrs: []string{p1.addr, p2.addr, p3.addr}})
	mustSend(t, n, "a")
	wantMessages(t, free, "a")
	if busy1.begun.Load() != 1 || busy2.begun.Load() != 1 {
		t.Error("not every address was asked once, in order")
	}

	all := openNetwork(t, NetworkOptions{Addrs: []string{p1.addr, p2.addr}})
	if err := all.Append(t.Context(), batchOf("b")); !errors.Is(err, store.ErrTryLater) {
		t.Errorf("all say try later: %v", err)
	}

	one := openNetwork(t, NetworkOptions{Addrs: []string{p1.addr}})
	before := p1.ln.accepted.Load()
	for range 3 {
		if err := one.Append(t.Context(), batchOf("b")); !errors.Is(err, store.ErrTryLater) {
			t.Errorf("the only one says try later: %v", err)
		}
	}
	if got := p1.ln.accepted.Load() - before; got != 1 {
		t.Errorf("%d connections for three calls", got)
	}

	mixed := openNetwork(t, NetworkOptions{Addrs: []string{p1.addr, closedAddr(t)}})
	err := mixed.Append(t.Context(), batchOf("b"))
	if err == nil || errors.Is(err, store.ErrTryLater) || !strings.Contains(err.Error(), p1.addr) {
		t.Errorf("one says try later, one is away: %v", err)
	}
}

func TestNetworkException(t *testing.T) {
	noLeaks(t)
	in := &inbox{answer: func(call int) (proto.ResultCode, error) {
		if call == 1 {
			return 0, errors.New("poison")
		}
		return proto.OK, nil
	}}
	other := new(inbox)
	p, q := startPeer(t, "", in), startPeer(t, "", other)
	n := openNetwork(t, NetworkOptions{Addrs: []string{p.addr, q.addr}})
	err := n.Append(t.Context(), batchOf("a"))
	var refusal *proto.ApplicationError
	if !errors.As(err, &refusal) || errors.Is(err, store.ErrTryLater) {
		t.Fatalf("error %v, want an ApplicationError", err)
	}
	mustSend(t, n, "b")
	wantMessages(t, in, "b")
	wantMessages(t, other)
	if n.Peer() != p.addr {
		t.Errorf("peer %s, want %s, which works", n.Peer(), p.addr)
	}
}

func TestNetworkSilentPeer(t *testing.T) {
	noLeaks(t)
	in := new(inbox)
	p := startPeer(t, "", in)
	quiet := startRaw(t, silent)
	alone := openNetwork(t, NetworkOptions{Addrs: []string{quiet}, Timeout: 50 * time.Millisecond})
	err := alone.Append(t.Context(), batchOf("a"))
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("error %v, want a timeout", err)
	}
	n := openNetwork(t, NetworkOptions{Addrs: []string{quiet, p.addr}, Timeout: 50 * time.Millisecond})
	mustSend(t, n, "b")
	wantMessages(t, in, "b")
}

func TestNetworkPeerThatBreaksOff(t *testing.T) {
	noLeaks(t)
	for name, f := range map[string]func(net.Conn){
		"at once":         func(net.Conn) {},
		"within the call": func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 10)) },
		"within the answer": func(c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 30))
			_,
				_ = c.Write([]byte{0, 0, 0, 20, 0, 0})
		},
		"with junk": func(c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 30))
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := new(inbox)
			bad := startRaw(t, f)
			p := startPeer(t, "", in)
			alone := openNetwork(t, NetworkOptions{Addrs: []string{bad}, Timeout: patience})
			for range 3 {
				if err := alone.Append(t.Context(), batchOf("a")); err == nil || !strings.Contains(err.Error(), bad) {
					t.Fatalf("error %v", err)
				}
			}
			n := openNetwork(t, NetworkOptions{Addrs: []string{bad, p.addr}, Timeout: patience})
			mustSend(t, n, "b")
			wantMessages(t, in, "b")
		})
	}
}

func TestNetworkReconnectsInSilence(t *testing.T) {
	noLeaks(t)
	in := new(inbox)
	p := startPeer(t, "", in)
	set := stats.New()
	n := openNetwork(t, NetworkOptions{Addrs: []string{p.addr}, Stats: set})
	for i := range 3 {
		mustSend(t, n, fmt.Sprint(i))
		p.stop()
		p = startPeer(t, p.addr, in)
	}
	mustSend(t, n, "last")
	wantMessages(t, in, "0", "1", "2", "last")
	if got := set.Get("scribe_overall:failed calls"); got != 0 {
		t.Errorf("%d retries for a peer that was restarted while nothing was sent", got)
	}
}

// TestNetworkLogsChangesOnce: the failure of an only address is left to the caller, who gets the error; the failures of
// several addresses are logged by the Network.
func TestNetworkLogsChangesOnce(t *testing.T) {
	noLeaks(t)
	for name, c := range map[string]struct {
		dead []string
		want map[string]int
	}{
		"one": {nil, map[string]int{"connected": 1, "trouble": 0, "recovered": 0, "level=ERROR": 0}},
		"several": {[]string{closedAddr(t)}, map[string]int{"connected": 1, "trouble": 2, "recovered": 1, "after=": 1,
			"level=ERROR": 0}},
	} {
		t.Run(name, func(t *testing.T) { checkChangesOnce(t, c.dead, c.want) })
	}
}

func checkChangesOnce(t *testing.T, dead []string, wants map[string]int) {
	in := new(inbox)
	p := startPeer(t, "", in)
	log, lines := captureLog()
	n := openNetwork(t, NetworkOptions{Addrs: append([]string{p.addr}, dead...), Logger: log})
	mustSend(t, n, "a")
	p.stop()
	for range 5 {
		if err := n.Append(t.Context(), batchOf("b")); err == nil {
			t.Fatal("nobody listens, but it was sent")
		}
	}
	startPeer(t, p.addr, in)
	for range 5 {
		mustSend(t, n, "c")
	}
	text := lines()
	for what, want := range wants {
		if got := strings.Count(text, what); got != want {
			t.Errorf("%q %d times, want %d:\n%s", what, got, want, text)
		}
	}
}
