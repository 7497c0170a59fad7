package forwarder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/internal/stats"
)

// pipeRig is a pipe whose store is in memory.
type pipeRig struct {
	t      *testing.T
	w      *os.File
	r      *os.File
	store  *memStore
	pipe   *Pipe
	cancel context.CancelFunc
	abort  context.CancelFunc
	done   chan error
	counts Counts
}

func newPipeRig(t *testing.T, o PipeOptions) *pipeRig {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	o.To, o.Category, o.Stats = []string{"127.0.0.1:1"}, "c", stats.New()
	p, err := OpenPipe(r, o)
	if err != nil {
		t.Fatal(err)
	}
	g := &pipeRig{t: t, r: r, w: w, store: newMemStore(), pipe: p, done: make(chan error, 1)}
	p.queue.store = g.store
	p.queue.pause.Min, p.queue.pause.Max = time.Millisecond, 10*time.Millisecond
	return g
}

func (g *pipeRig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	abort, now := context.WithCancel(context.Background())
	g.cancel, g.abort = cancel, now
	g.t.Cleanup(cancel)
	g.t.Cleanup(now)
	go func() {
		counts, err := g.pipe.Run(ctx, abort)
		g.counts = counts
		g.done <- err
	}()
}

func (g *pipeRig) write(data string) {
	g.t.Helper()
	if err := g.w.SetWriteDeadline(time.Now().Add(waitMax)); err != nil {
		g.t.Fatal(err)
	}
	if _, err := io.WriteString(g.w, data); err != nil {
		g.t.Fatal(err)
	}
}

func (g *pipeRig) end() error {
	g.t.Helper()
	if err := g.w.Close(); err != nil {
		g.t.Fatal(err)
	}
	return g.wait()
}

func (g *pipeRig) wait() error {
	g.t.Helper()
	select {
	case err := <-g.done:
		return err
	case <-time.After(waitMax):
		g.t.Fatal("the pipe does not end")
		return nil
	}
}

func (g *pipeRig) until(what string, ok func() bool) {
	g.t.Helper()
	for end := time.Now().Add(waitMax); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			g.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func TestPipeDeliversEverything(t *testing.T) {
	g := newPipeRig(t, PipeOptions{})
	want := []string{"a\n", "\n", "nul\x00\xff\r\n", strings.Repeat("x", 1<<20) + "\n"}
	want = append(want, numbered("l", 0, 100_000)...)
	g.start()
	g.write(joined(want) + "no end")
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	want = append(want, "no end\n")
	if got := g.store.get("c"); !slices.Equal(got, want) {
		t.Fatalf("got %d lines, want %d", len(got), len(want))
	}
	n := int64(len(want))
	if g.counts != (Counts{Read: n, Delivered: n}) {
		t.Errorf("counts = %+v", g.counts)
	}
}

func TestPipeSplitsLongLines(t *testing.T) {
	g := newPipeRig(t, PipeOptions{})
	g.start()
	line := strings.Repeat("y", defaultLine+10) + "\n"
	g.write(line + "z\n")
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	if got, want := g.store.get("c"), []string{line[:defaultLine], line[defaultLine:], "z\n"}; !slices.Equal(got, want) {
		t.Errorf("got %d entries", len(got))
	}
}

func TestPipeShipsWithoutWaitingForMore(t *testing.T) {
	g := newPipeRig(t, PipeOptions{})
	g.start()
	for i := range 10 {
		g.write(fmt.Sprintf("%d\n", i))
		g.until("the line", func() bool { return g.store.count("c") == i+1 })
	}
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
}

// TestPipeReadsOnUntilItsWritersEnd is told to end while a daemon has still something to say, the last of it without a
// newline.
func TestPipeReadsOnUntilItsWritersEnd(t *testing.T) {
	g := newPipeRig(t, PipeOptions{})
	g.start()
	g.write("one\ntw")
	g.until("the line", func() bool { return g.store.count("c") == 1 })
	g.cancel()
	g.write("o\nthree\n")
	g.until("the lines", func() bool { return g.store.count("c") == 3 })
	g.write("bye")
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	if got := g.store.get("c"); !slices.Equal(got, []string{"one\n", "two\n", "three\n", "bye\n"}) {
		t.Errorf("got %q", got)
	}
}

// TestPipeIsAborted reads no further, hands on what there is of a line, and does not wait for a next hop that takes
// nothing.
func TestPipeIsAborted(t *testing.T) {
	g := newPipeRig(t, PipeOptions{DrainTimeout: time.Hour})
	g.start()
	g.write("one\ntw")
	g.until("the line", func() bool { return g.store.count("c") == 1 })
	g.store.mu.Lock()
	g.store.fail = func(int) (error, error) { return errFault, nil }
	g.store.mu.Unlock()
	g.cancel()
	g.abort()
	if err := g.wait(); err == nil || !strings.Contains(err.Error(), "1 entries") {
		t.Errorf("err = %v", err)
	}
	if g.counts != (Counts{Read: 2, Delivered: 1, Dropped: 1}) {
		t.Errorf("counts = %+v", g.counts)
	}
}

func TestPipeBlocksWhenFull(t *testing.T) {
	g := newPipeRig(t, PipeOptions{})
	g.store.block = make(chan struct{})
	g.start()
	want := numbered("l", 0, 2_000_000)
	data := joined(want)
	go func() {
		g.write(data)
		g.w.Close()
	}()
	g.until("a full memory", func() bool {
		g.pipe.queue.mu.Lock()
		defer g.pipe.queue.mu.Unlock()
		return len(g.pipe.queue.free) == 0 && g.pipe.queue.current.batch.Size() >= shipmentFull
	})
	if n := g.pipe.queue.left(); n >= int64(len(want)) {
		t.Errorf("%d entries in memory", n)
	}
	close(g.store.block)
	if err := g.wait(); err != nil {
		t.Fatal(err)
	}
	if got := g.store.get("c"); !slices.Equal(got, want) {
		t.Errorf("got %d lines, want %d", len(got), len(want))
	}
}

func TestPipeDropsWhenFull(t *testing.T) {
	g := newPipeRig(t, PipeOptions{WhenFull: Drop})
	broken := true
	g.store.fail = func(int) (error, error) {
		if broken {
			return errFault, nil
		}
		return nil, nil
	}
	g.start()
	lines := numbered("l", 0, 2_000_000)
	g.write(joined(lines))
	g.until("everything read", func() bool {
		g.pipe.queue.mu.Lock()
		defer g.pipe.queue.mu.Unlock()
		return g.pipe.queue.read == int64(len(lines))
	})
	g.store.mu.Lock()
	broken = false
	g.store.mu.Unlock()
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	c := g.counts
	if c.Dropped == 0 || c.Delivered == 0 || c.Dropped+c.Delivered != c.Read || c.Read != int64(len(lines)) {
		t.Errorf("counts = %+v", c)
	}
	got := g.store.get("c")
	if int64(len(got)) != c.Delivered || !slices.IsSorted(got) {
		t.Errorf("%d lines", len(got))
	}
}

func TestPipeWithoutSpoolLosesOnlyAfterTheTimeout(t *testing.T) {
	g := newPipeRig(t, PipeOptions{DrainTimeout: 100 * time.Millisecond})
	g.store.fail = func(int) (error, error) { return errFault, nil }
	g.start()
	g.write("a\nb\n")
	err := g.end()
	if err == nil || errors.Is(err, ErrLeftInSpool) || !strings.Contains(err.Error(), "2 entries") {
		t.Errorf("err = %v", err)
	}
	if g.counts != (Counts{Read: 2, Dropped: 2}) {
		t.Errorf("counts = %+v", g.counts)
	}
}

type brokenWriter struct {
	bytes.Buffer
	left int
}

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.left--; b.left < 0 {
		return 0, unix.EPIPE
	}
	return b.Buffer.Write(p)
}

func TestPipeEchoes(t *testing.T) {
	echo := &brokenWriter{left: 2}
	g := newPipeRig(t, PipeOptions{Echo: echo})
	g.start()
	var want []string
	for i := range 4 {
		want = append(want, fmt.Sprintf("%d\n", i))
		g.write(want[i])
		g.until("the line", func() bool { return g.store.count("c") == i+1 })
	}
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	if echo.String() != "0\n1\n" {
		t.Errorf("echo = %q", echo.String())
	}
	if got := g.store.get("c"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestPipeReadsARegularFile(t *testing.T) {
	g := newPipeRig(t, PipeOptions{})
	name := t.TempDir() + "/in"
	want := numbered("l", 0, 1000)
	if err := os.WriteFile(name, []byte(joined(want)), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g.pipe.in = f
	g.start()
	if err := g.wait(); err != nil {
		t.Fatal(err)
	}
	if got := g.store.get("c"); !slices.Equal(got, want) {
		t.Errorf("got %d lines", len(got))
	}
}

func TestPipeOptionsAreChecked(t *testing.T) {
	if _, err := OpenPipe(os.Stdin, PipeOptions{To: []string{"127.0.0.1:1"}}); err == nil {
		t.Error("no category was accepted")
	}
}
