package hop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"inkwell/internal/testkit"
	"inkwell/proto"
	"inkwell/store"
)

// captureLog returns a logger, and a function that returns its output so far.
func captureLog() (*slog.Logger, func() string) {
	w := new(testkit.Log)
	return w.Logger(), w.String
}

// appender is an Append that can be cancelled.
type appender struct {
	cancel context.CancelFunc
	err    chan error
}

func startAppend(t *testing.T, s store.Store, b *proto.Batch) *appender {
	ctx, cancel := context.WithCancel(t.Context())
	a := &appender{cancel: cancel, err: make(chan error, 1)}
	go func() {
		err := s.Append(ctx, b)
		clear(b.Entries()) // Append does not retain b: the race detector looks on
		a.err <- err
	}()
	return a
}

func TestNetworkContextEndedBefore(t *testing.T) {
	noLeaks(t)
	in := new(inbox)
	p := startPeer(t, "", in)
	n := openNetwork(t, NetworkOptions{Addrs: []string{p.addr}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Append(ctx, batchOf("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	mustSend(t, n, "b")
	wantMessages(t, in, "b")
}

func TestNetworkGivenUpInTheQueue(t *testing.T) {
	noLeaks(t)
	in := &inbox{gate: make(chan struct{})}
	p := startPeer(t, "", in)
	n := openNetwork(t, NetworkOptions{Addrs: []string{p.addr}})
	first := startAppend(t, n, batchOf("first"))
	until(t, "the first call is with the peer", func() bool { return in.begun.Load() == 1 })
	given := startAppend(t, n, batchOf("given up"))
	stays := startAppend(t, n, batchOf("stays"))
	until(t, "both wait", func() bool { return n.queued() == 2 })
	given.cancel()
	if err := <-given.err; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	close(in.gate)
	if err := errors.Join(<-first.err, <-stays.err); err != nil {
		t.Error(err)
	}
	wantMessages(t, in, "first", "stays")
}

func TestNetworkCallOfOneIsBrokenOff(t *testing.T) {
	noLeaks(t)
	in := new(inbox)
	p := startPeer(t, "", in)
	took := make(chan struct{}, 1)
	// The peer reads a little and stalls: the client is in the middle of its writev.
	quiet := startRaw(t, func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 10))
		took <- struct{}{}
		<-t.Context().Done()
	})
	n := openNetwork(t, NetworkOptions{Addrs: []string{quiet, p.addr}, Timeout: patience})
	a := startAppend(t, n, batchOf(strings.Repeat("x", 32<<20)))
	<-took
	a.cancel()
	if err := <-a.err; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if n.failed.Load() != 0 {
		t.Error("given up by its caller, but counted against the address")
	}
	wantMessages(t, in)
}

func TestNetworkSharedCallOutlivesWhoLeaves(t *testing.T) {
	noLeaks(t)
	in := &inbox{gate: make(chan struct{})}
	p := startPeer(t, "", in)
	n := openNetwork(t, NetworkOptions{Addrs: []string{p.addr}})
	first := startAppend(t, n, batchOf("first"))
	until(t, "the first call is with the peer", func() bool { return in.begun.Load() == 1 })
	leaves := startAppend(t, n, batchOf("leaves"))
	until(t, "it waits", func() bool { return n.queued() == 1 })
	stays := startAppend(t, n, batchOf("stays"))
	until(t, "both wait", func() bool { return n.queued() == 2 })
	in.gate <- struct{}{}
	until(t, "their call is with the peer", func() bool { return in.begun.Load() == 2 })
	leaves.cancel()
	until(t, "it has left", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.wanted == 1
	})
	close(in.gate)
	if err := errors.Join(<-first.err, <-stays.err); err != nil {
		t.Error(err)
	}
	if err := <-leaves.err; err != nil {
		t.Errorf("its call was answered, but %v", err)
	}
	wantMessages(t, in, "first", "leaves", "stays")
}

func TestNetworkWhoLeftIsNotSentAgain(t *testing.T) {
	noLeaks(t)
	in := new(inbox)
	p := startPeer(t, "", in)
	calls, hangUp := make(chan struct{}, 2), make(chan struct{})
	bad := startRaw(t, func(c net.Conn) { // takes a call and hangs up when told so
		_, _ = io.ReadFull(c, make([]byte, 10))
		calls <- struct{}{}
		<-hangUp
	})
	n := openNetwork(t, NetworkOptions{Addrs: []string{bad, p.addr}, Timeout: patience})
	n.mu.Lock()
	n.sending = true // hold the sender back until both wait
	n.mu.Unlock()
	leaves, stays := startAppend(t, n, batchOf("leaves")), startAppend(t, n, batchOf("stays"))
	until(t, "both wait", func() bool { return n.queued() == 2 })
	n.running.Go(n.send)
	<-calls
	leaves.cancel()
	until(t, "it has left", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.wanted == 1
	})
	close(hangUp)
	if err := <-leaves.err; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := <-stays.err; err != nil {
		t.Error(err)
	}
	wantMessages(t, in, "stays")
}

func TestNetworkCloses(t *testing.T) {
	noLeaks(t)
	in := &inbox{gate: make(chan struct{})}
	p := startPeer(t, "", in)
	n := openNetwork(t, NetworkOptions{Addrs: []string{p.addr}})
	first := startAppend(t, n, batchOf("first"))
	until(t, "the first call is with the peer", func() bool { return in.begun.Load() == 1 })
	second := startAppend(t, n, batchOf("second"))
	until(t, "the second waits", func() bool { return n.queued() == 1 })
	closed := make(chan error, 1)
	go func() { closed <- n.Close() }()
	until(t, "it is closed to new ones", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.closed
	})
	if err := n.Append(t.Context(), batchOf("late")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	close(in.gate)
	if err := errors.Join(<-first.err, <-second.err, <-closed); err != nil {
		t.Error(err)
	}
	wantMessages(t, in, "first", "second")
}

func TestNetworkAllocations(t *testing.T) {
	noLeaks(t)
	p := startPeer(t, "", discard{})
	n := openNetwork(t, NetworkOptions{Addrs: []string{p.addr}})
	per := func(entries int) float64 {
		b := batchOf(strings.Split(strings.Repeat("x|", entries), "|")...)
		return testing.AllocsPerRun(200, func() {
			if err := n.Append(context.Background(), b); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := per(1), per(1000)
	t.Logf("%.0f allocations for an append of 1 entry, %.0f for 1000, the server's included", few, many)
	if few > 20 || many > few+10 {
		t.Errorf("%.0f allocations for an append of 1 entry, %.0f for 1000", few, many)
	}
}

// discard is a peer that takes everything.
type discard struct{}

func (discard) Log(context.Context, *proto.Batch) (proto.ResultCode, error) { return proto.OK, nil }

// BenchmarkNetworkAppend sends batches of 1000 messages of 200 bytes from some callers to a server in the same process.
func BenchmarkNetworkAppend(b *testing.B) {
	for _, callers := range []int{1, 4, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			p := startPeer(b, "", discard{})
			n := openNetwork(b, NetworkOptions{Addrs: []string{p.addr}})
			batch := batchOf(slices.Repeat([]string{strings.Repeat("x", 200)}, 1000)...)
			b.SetBytes(int64(batch.Size()))
			b.ReportAllocs()
			b.SetParallelism(callers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := n.Append(b.Context(), batch); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
