package forwarder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/internal/testkit"
	"inkwell/proto"
)

// peer is a next hop on loopback that keeps what it gets in memory.
type peer struct {
	t     *testing.T
	store *memStore
	addr  string
	later atomic.Bool // it answers TRY_LATER
	srv   *rpc.Server
	done  chan error
}

func (p *peer) Log(ctx context.Context, b *proto.Batch) (proto.ResultCode, error) {
	if p.later.Load() {
		return proto.TryLater, nil
	}
	return proto.OK, p.store.Append(ctx, b)
}

// newPeer reserves an address; start listens on it.
func newPeer(t *testing.T) *peer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, store: newMemStore(), addr: ln.Addr().String()}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p
}

func (p *peer) start() {
	p.t.Helper()
	var ln net.Listener
	var err error
	for end := time.Now().Add(waitMax); ; time.Sleep(10 * time.Millisecond) {
		if ln, err = net.Listen("tcp", p.addr); err == nil {
			break
		}
		if time.Now().After(end) {
			p.t.Fatal(err)
		}
	}
	p.srv, p.done = rpc.NewServer(rpc.ServerOptions{}, p, nil), make(chan error, 1)
	go func() { p.done <- p.srv.Serve(ln) }()
}

func (p *peer) stop() {
	if p.srv == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := p.srv.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		p.t.Error(err)
	}
	<-p.done
	p.srv = nil
}

// wireRig is a Forwarder with a peer.
type wireRig struct {
	t      *testing.T
	peer   *peer
	dir    string
	o      Options
	fwd    *Forwarder
	cancel context.CancelFunc
	done   chan error
}

func newWireRig(t *testing.T) *wireRig {
	t.Helper()
	g := &wireRig{t: t, peer: newPeer(t), dir: t.TempDir()}
	g.o = Options{
		To: []string{g.peer.addr}, StateDir: filepath.Join(t.TempDir(), "state"), Stats: stats.New(),
		Inputs: []Input{{Category: "c", Glob: filepath.Join(g.dir, "*.log")}},
	}
	t.Cleanup(func() {
		if g.cancel != nil {
			g.cancel()
			<-g.done
		}
	})
	return g
}

func (g *wireRig) start() {
	g.t.Helper()
	f, err := Open(g.o)
	if err != nil {
		g.t.Fatal(err)
	}
	f.follower.timing = quick
	ctx, cancel := context.WithCancel(context.Background())
	g.fwd, g.cancel, g.done = f, cancel, make(chan error, 1)
	go func() { g.done <- f.Run(ctx) }()
}

func (g *wireRig) end(cancel bool) error {
	g.t.Helper()
	if cancel {
		g.cancel()
	}
	select {
	case err := <-g.done:
		g.cancel()
		g.cancel = nil
		return err
	case <-time.After(waitMax):
		g.t.Fatal("the forwarder does not end")
		return nil
	}
}

func (g *wireRig) write(name string, lines []string) {
	g.t.Helper()
	f, err := os.OpenFile(filepath.Join(g.dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := f.WriteString(joined(lines)); err != nil {
		g.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		g.t.Fatal(err)
	}
}

func (g *wireRig) until(what string, ok func() bool) {
	g.t.Helper()
	for end := time.Now().Add(waitMax); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			g.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func TestForwardOnce(t *testing.T) {
	g := newWireRig(t)
	g.o.Once = true
	lines := numbered("a", 0, 100_000)
	g.write("a.log", lines)
	g.peer.start()
	g.start()
	if err := g.end(false); err != nil {
		t.Fatal(err)
	}
	if got := g.peer.store.get("c"); !slices.Equal(got, lines) {
		t.Errorf("%d lines, want %d", len(got), len(lines))
	}
	s := g.fwd.Status()
	size := int64(len(joined(lines)))
	if s.Entries != int64(len(lines)) || s.Bytes != size || s.BytesTotal != size || s.Backlog != 0 {
		t.Errorf("status = %+v", s)
	}
}

func TestForwardThroughTheSpool(t *testing.T) {
	g := newWireRig(t)
	want := numbered("a", 0, 1000)
	g.write("a.log", want)
	g.start() // and no peer
	g.until("a backlog", func() bool { return g.fwd.Status().Backlog > 0 })
	more := numbered("a", 1000, 2000)
	g.write("a.log", more)
	want = append(want, more...)
	g.until("all taken over", func() bool { return g.fwd.Status().Entries == int64(len(want)) })
	if err := g.end(true); err != nil {
		t.Fatal(err)
	}
	g.peer.start()
	g.start()
	more = numbered("a", 2000, 3000)
	g.write("a.log", more)
	want = append(want, more...)
	g.until("everything delivered", func() bool { return g.peer.store.count("c") >= len(want) && g.fwd.Status().Backlog == 0 })
	if err := g.end(true); err != nil {
		t.Fatal(err)
	}
	if got := g.peer.store.get("c"); !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
}

func TestForwardWaitsWhileTheSpoolIsFull(t *testing.T) {
	g := newWireRig(t)
	g.o.SpoolMax = 4 << 20
	logs := new(testkit.Log)
	g.o.Logger = logs.Logger()
	want := numbered("a", 0, 1_000_000)
	g.write("a.log", want)
	g.start()
	g.until("a full spool", func() bool { return strings.Contains(logs.String(), "lines cannot be delivered") })
	g.peer.start()
	g.until("everything delivered", func() bool { return g.peer.store.count("c") >= len(want) })
	if err := g.end(true); err != nil {
		t.Fatal(err)
	}
	if got := g.peer.store.get("c"); !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
	if !strings.Contains(logs.String(), "lines are delivered again") {
		t.Error("the recovery is not logged")
	}
}

func TestForwardOnceThatIsStopped(t *testing.T) {
	g := newWireRig(t)
	g.o.Once = true
	g.write("a.log", numbered("a", 0, 1000))
	g.start()
	g.until("a backlog", func() bool { return g.fwd.Status().Backlog > 0 })
	if err := g.end(true); !errors.Is(err, ErrLeftInSpool) || !strings.Contains(err.Error(), "1000 entries") {
		t.Errorf("err = %v", err)
	}
	g.peer.start()
	g.start()
	if err := g.end(false); err != nil {
		t.Error(err)
	}
	if n := g.peer.store.count("c"); n != 1000 {
		t.Errorf("%d lines", n)
	}
}

func TestForwardStateIsLocked(t *testing.T) {
	g := newWireRig(t)
	g.start()
	if _, err := Open(g.o); !errors.Is(err, faultfs.ErrLocked) {
		t.Errorf("err = %v", err)
	}
	if err := g.end(true); err != nil {
		t.Error(err)
	}
}

func TestForwardOptionsAreChecked(t *testing.T) {
	bad := []Options{
		{},
		{Inputs: []Input{{Category: "", Glob: "x"}}},
		{Inputs: []Input{{Category: "c", Glob: "[x"}}},
		{Inputs: []Input{{Category: "c", Glob: "x"}}, MaxLine: -1},
		{Inputs: []Input{{Category: "c", Glob: "x"}}}, // no address
	}
	for i, o := range bad {
		o.StateDir = t.TempDir()
		if f, err := Open(o); err == nil {
			t.Errorf("%d was accepted", i)
			if err := f.close(); err != nil {
				t.Error(err)
			}
		}
	}
	for _, s := range []string{"", "x", "=x", "x=", "c=[a"} {
		if _, err := ParseInput(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	if in, err := ParseInput("web=/var/log/*.log"); err != nil || in.Category != "web" || in.Glob != "/var/log/*.log" {
		t.Errorf("%+v, %v", in, err)
	}
}

// runPipe feeds data to a pipe until its end.
func runPipe(t *testing.T, o PipeOptions, data string) (Counts, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := OpenPipe(r, o)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if _, err := w.WriteString(data); err != nil {
			t.Error(err)
		}
		w.Close()
	}()
	return p.Run(context.Background(), context.Background())
}

func TestPipeLeavesInTheSpoolWhatTheNextRunDelivers(t *testing.T) {
	peer := newPeer(t)
	o := PipeOptions{To: []string{peer.addr}, SpoolDir: t.TempDir(), Category: "c", DrainTimeout: 200 * time.Millisecond}
	first := numbered("a", 0, 500_000)
	c, err := runPipe(t, o, joined(first))
	if !errors.Is(err, ErrLeftInSpool) || c.Spooled != int64(len(first)) || c.Read != c.Spooled || c.Delivered != 0 || c.Dropped != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	peer.start()
	o.DrainTimeout = waitMax
	c, err = runPipe(t, o, "b\n")
	if err != nil || c.Read != 1 || c.Delivered != int64(len(first))+1 || c.Spooled != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	if got := peer.store.get("c"); !slices.Equal(got, append(first, "b\n")) {
		t.Errorf("%d lines", len(got))
	}
}

func TestPipeWithAPeerThatHangs(t *testing.T) {
	peer := newPeer(t)
	peer.start()
	peer.store.block = make(chan struct{})
	o := PipeOptions{To: []string{peer.addr}, SpoolDir: t.TempDir(), Category: "c", DrainTimeout: 300 * time.Millisecond}
	lines := numbered("a", 0, 2_000_000) // more than memory holds
	c, err := runPipe(t, o, joined(lines))
	close(peer.store.block)
	if !errors.Is(err, ErrLeftInSpool) || c.Read != int64(len(lines)) || c.Dropped != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
}

func TestPipeFullSpool(t *testing.T) {
	for _, when := range []WhenFull{Block, Drop} {
		t.Run(fmt.Sprint(when), func(t *testing.T) {
			peer := newPeer(t)
			peer.store.knowNumbers(t) // on a slow machine a call can end by its timeout, and is sent again
			peer.later.Store(true)
			peer.start()
			set := stats.New()
			o := PipeOptions{
				To: []string{peer.addr}, SpoolDir: t.TempDir(), SpoolMax: 4 << 20, Category: "c",
				WhenFull: when, DrainTimeout: waitMax, Stats: set,
			}
			lines := numbered("a", 0, 2_000_000)
			go func() {
				for end := time.Now().Add(waitMax); set.Overall("lines read").Load() < 500_000 && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(100 * time.Millisecond)
				peer.later.Store(false)
			}()
			c, err := runPipe(t, o, joined(lines))
			if err != nil || c.Read != int64(len(lines)) || c.Delivered+c.Dropped != c.Read || c.Spooled != 0 {
				t.Fatalf("%+v, %v", c, err)
			}
			if when == Block && c.Dropped > 0 {
				t.Errorf("%d dropped", c.Dropped)
			}
			if n := peer.store.count("c"); int64(n) != c.Delivered {
				t.Errorf("%d lines at the peer, %d delivered", n, c.Delivered)
			}
		})
	}
}
