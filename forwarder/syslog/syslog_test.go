package syslog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/internal/stats"
	"inkwell/proto"
)

const waitMax = 60 * time.Second

// rig is an input that listens on all kinds of sockets.
type rig struct {
	t     *testing.T
	in    *Input
	addr  string // of UDP and TCP
	dir   string
	stats *stats.Set
	stop  context.CancelFunc
	done  chan error

	mu    sync.Mutex
	lines []string
	block chan struct{} // deliveries wait for it; nil = they do not
}

func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), stats: stats.New(), done: make(chan error, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if o.Listen == nil {
		o.Listen = []string{"udp://" + r.addr, "tcp://" + r.addr, "unix:" + r.at("stream"), "unixgram:" + r.at("dgram")}
	}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	if r.in, err = Listen(o); err != nil {
		t.Fatal(err)
	}
	r.in.Use(slog.New(slog.DiscardHandler), r.stats)
	if err := r.in.Open(nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) at(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	r.t.Cleanup(cancel)
	go func() { r.done <- r.in.Run(ctx, context.Background(), r.deliver) }()
}

func (r *rig) deliver(ctx context.Context, b *proto.Batch) error {
	if r.block != nil {
		<-r.block
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := b.Cursor(); c.Next(); {
		r.lines = append(r.lines, string(c.Category())+"|"+string(c.Message()))
	}
	return nil
}

func (r *rig) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(waitMax); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for: %s; %d lines", what, len(r.got()))
		}
	}
}

func (r *rig) end() {
	r.t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Error(err)
		}
	case <-time.After(waitMax):
		r.t.Fatal("the input does not end")
	}
	if err := r.in.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) dial(network, at string) net.Conn {
	r.t.Helper()
	c, err := net.Dial(network, at)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

func (r *rig) send(c net.Conn, text string) {
	r.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		r.t.Fatal(err)
	}
}

func TestEverySocket(t *testing.T) {
	r := newRig(t, Options{Format: Message, Category: "{facility}.{app}.{peer}"})
	r.start()
	r.send(r.dial("udp", r.addr), "<13>Nov 29 10:00:00 web1 app[1]: udp\nof two lines\n")
	r.send(r.dial("tcp", r.addr), "<13>Nov 29 10:00:00 web1 app[1]: tcp\n")
	r.send(r.dial("unix", r.at("stream")), "<13>Nov 29 10:00:00 app[1]: stream\x00")
	r.send(r.dial("unixgram", r.at("dgram")), "<13>Nov 29 10:00:00 app[1]: dgram")
	r.until("the messages", func() bool { return len(r.got()) == 4 })
	r.end()
	got := r.got()
	slices.Sort(got)
	want := []string{"user.app.127.0.0.1|tcp\n", "user.app.127.0.0.1|udp\nof two lines\n", "user.app.local|dgram\n", "user.app.local|stream\n"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if left, err := os.ReadDir(r.dir); err != nil || len(left) > 1 { // datagram sockets stay, as everybody's do
		t.Errorf("%v, %v", left, err)
	}
}

// TestStopReadsWhatWasSent ends the input while what senders have sent is in the kernel, and connections stand.
func TestStopReadsWhatWasSent(t *testing.T) {
	r := newRig(t, Options{Format: Message, Category: "c"})
	tcp, udp, dgram := r.dial("tcp", r.addr), r.dial("udp", r.addr), r.dial("unixgram", r.at("dgram"))
	idle := r.dial("tcp", r.addr)
	var want []string
	for i := range 100 {
		r.send(tcp, fmt.Sprintf("<13>Nov 29 10:00:00 h app: tcp %d\n", i))
		r.send(udp, fmt.Sprintf("<13>Nov 29 10:00:00 h app: udp %d", i))
		want = append(want, fmt.Sprintf("c|tcp %d\n", i), fmt.Sprintf("c|udp %d\n", i))
	}
	r.send(dgram, "<13>Nov 29 10:00:00 app: dgram")
	r.send(tcp, "<13>Nov 29 10:00:00 h app: no end")
	want = append(want, "c|dgram\n", "c|no end\n")
	r.start()
	r.until("the connections", func() bool { return len(r.in.conns) == 2 })
	r.end()
	got := r.got()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d messages of %d", len(got), len(want))
	}
	if n, err := idle.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("an idle connection stands: %d, %v", n, err)
	}
}

// TestBadStreams sends what is no syslog over some connections: the others, and the input, go on.
func TestBadStreams(t *testing.T) {
	r := newRig(t, Options{Format: Message, Category: "c", MaxLine: 1024})
	r.start()
	good := r.dial("tcp", r.addr)
	bad := []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "999999999 <13>short", "d196 <13>x\n", "\x16\x03\x01\x02\x00\x01\x00\x01", strings.Repeat("x", 100_000)}
	for _, text := range bad {
		c := r.dial("tcp", r.addr)
		r.send(c, text)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		r.send(good, "<13>Nov 29 10:00:00 h app: good\n")
	}
	r.until("the good ones", func() bool {
		n := 0
		for _, line := range r.got() {
			if line == "c|good\n" {
				n++
			}
		}
		return n == len(bad)
	})
	r.until("the end of the bad ones", func() bool { return len(r.in.conns) == 1 })
	r.end()
	size := 0
	for _, line := range r.got() {
		size += strings.Count(line, "x")
		if len(line) > 1024+len("c|\n") {
			t.Errorf("a message of %d bytes", len(line))
		}
	}
	if size < 100_000 {
		t.Errorf("%d bytes of the long one came", size)
	}
	if r.stats.Get("scribe_overall:messages split") < 90 {
		t.Errorf("%d splits are counted", r.stats.Get("scribe_overall:messages split"))
	}
}

// TestTooManyConnections closes surplus ones at once, counts them, and takes others when there is room again.
func TestTooManyConnections(t *testing.T) {
	r := newRig(t, Options{Category: "c", MaxConnections: 2})
	r.start()
	first, second := r.dial("tcp", r.addr), r.dial("unix", r.at("stream"))
	r.until("two connections", func() bool { return len(r.in.conns) == 2 })
	third := r.dial("tcp", r.addr)
	if n, err := third.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a connection too many stands: %d, %v", n, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	r.until("room", func() bool { return len(r.in.conns) == 1 })
	fourth := r.dial("tcp", r.addr)
	r.send(fourth, "<13>Nov 29 10:00:00 h app: fourth\n")
	r.send(second, "<13>Nov 29 10:00:00 app: second\n")
	r.until("the messages", func() bool { return len(r.got()) == 2 })
	r.end()
	if n := r.stats.Get("scribe_overall:connections refused"); n != 1 {
		t.Errorf("%d refused", n)
	}
}

// TestManyCategories has a sender make up programs: those that are too many share one category.
func TestManyCategories(t *testing.T) {
	r := newRig(t, Options{Format: Message, Category: "x.{app}", MaxCategories: 10})
	r.start()
	c := r.dial("tcp", r.addr)
	for i := range 100 {
		r.send(c, fmt.Sprintf("<13>Nov 29 10:00:00 h app%d: m\n<13>1 - ../../etc - - - - m\n", i))
	}
	r.until("the messages", func() bool { return len(r.got()) == 200 })
	r.end()
	categories := make(map[string]int)
	for _, line := range r.got() {
		category, _, _ := strings.Cut(line, "|")
		categories[category]++
	}
	if len(categories) != 11 || categories["x.other"] == 0 {
		t.Errorf("%v", categories)
	}
}

// TestSlowNextHop holds so much in memory and no more: streams wait, and datagrams that the kernel drops are counted.
func TestSlowNextHop(t *testing.T) {
	r := newRig(t, Options{Format: Message, Category: "c"})
	r.block = make(chan struct{})
	r.start()
	c := r.dial("tcp", r.addr)
	line := "<13>Nov 29 10:00:00 h app: " + strings.Repeat("x", 1000) + "\n"
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for sent < 1<<20 {
		if _, err := io.WriteString(c, line); err != nil {
			break // it has to wait
		}
		sent++
	}
	if sent == 1<<20 {
		t.Fatal("a gigabyte was taken")
	}
	u := r.dial("udp", r.addr)
	for range 30_000 {
		if _, err := io.WriteString(u, line); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
	}
	close(r.block)
	r.until("what was sent", func() bool { return len(r.got()) >= sent })
	r.until("what was dropped", func() bool {
		r.send(u, line) // what was dropped is told with the next that is not
		return r.stats.Get("scribe_overall:datagrams dropped") > 0
	})
	r.end()
}

// TestSocketOfOthers takes over a socket that a process left, and no other.
func TestSocketOfOthers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	for _, network := range []string{"unix", "unixgram"} {
		o := Options{Listen: []string{network + ":" + path}}
		first, err := Listen(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(o); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a second one: %v", err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
			t.Errorf("%v, %v", info, err)
		}
		if l, ok := first.sockets[0].(*streams); ok {
			l.listener.(*net.UnixListener).SetUnlinkOnClose(false) // as if it were killed
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		again, err := Listen(o)
		if err != nil {
			t.Fatalf("%s: %v", network, err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		_ = os.Remove(path) // a stream's is gone
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(Options{Listen: []string{"unixgram:" + path}}); err == nil {
		t.Error("a file was taken for a socket")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{
		{}, {Listen: []string{"127.0.0.1:514"}}, {Listen: []string{"udp://h"}}, {Listen: []string{"tcp:h:1"}}, {Listen: []string{"unix:relative"}},
		{Listen: []string{"tls://h:1"}}, {Listen: []string{"udp://h:1"}, Category: "{unit}"},
	} {
		if err := o.Validate(); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
