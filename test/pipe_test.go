package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

// pipe starts `inkwell pipe` with a pipe that the test writes to.
func pipe(t *testing.T, args ...string) (*harness.Process, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := ink.Start(t, harness.Command{Args: append([]string{"pipe"}, args...), Stdin: r})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return p, w
}

// feed writes lines from … to-1 of a source, a few at a time and cut anywhere.
func feed(t *testing.T, w *os.File, source string, from, to int) {
	t.Helper()
	text := harness.Lines(source, from, to)
	for i := 0; len(text) > 0; i++ {
		n := min(len(text), 100+i*7919%5000)
		if _, err := w.Write(text[:n]); err != nil {
			t.Errorf("write to the pipe: %v", err)
			return
		}
		text = text[n:]
	}
}

// finish closes the pipe and waits for the end, which must be with code.
func finish(t *testing.T, p *harness.Process, w *os.File, code int) counts {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p.Expect(t, code)
	return said(t, p)
}

// counts is what a pipe says at its end.
type counts struct{ read, delivered, spooled, dropped int }

func said(t *testing.T, p *harness.Process) (c counts) {
	t.Helper()
	m := regexp.MustCompile(`read (\d+), delivered (\d+), spooled (\d+), dropped (\d+)`).FindStringSubmatch(p.Stderr())
	if m == nil {
		t.Fatalf("%s does not say its counts:\n%s", p, p.Stderr())
	}
	for i, to := range []*int{&c.read, &c.delivered, &c.spooled, &c.dropped} {
		*to, _ = strconv.Atoi(m[i+1])
	}
	return c
}

func TestPipeDelivers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	p, w := pipe(t, "--to", c.Addr, "cat")
	if _, err := w.WriteString("one\n\ntwo \x00\xff\nno end"); err != nil {
		t.Fatal(err)
	}
	if got, want := finish(t, p, w, 0), (counts{read: 4, delivered: 4}); got != want {
		t.Errorf("says %+v, want %+v", got, want)
	}
	p, w = pipe(t, "--to", c.Addr, "--spool", t.TempDir(), "cat")
	if got := finish(t, p, w, 0); got != (counts{}) {
		t.Errorf("says %+v of nothing", got)
	}
	c.Stop(t)
	if got, want := string(harness.Contents(t, dir, "cat")), "one\n\ntwo \x00\xff\nno end\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestPipeLeavesTheRestForTheNextRun ends with 75 while nobody listens; the next run with the same spool delivers it first.
func TestPipeLeavesTheRestForTheNextRun(t *testing.T) {
	t.Parallel()
	dir, spool, addr := t.TempDir(), t.TempDir(), harness.FreeAddr(t)
	n := amount(50_000)
	for run := range 2 {
		p, w := pipe(t, "--to", addr, "--spool", spool, "--drain-timeout", "500ms", "cat")
		feed(t, w, "pipe", run*n, (run+1)*n)
		got := finish(t, p, w, 75)
		if got.read != n || got.delivered != 0 || got.dropped != 0 {
			t.Errorf("run %d says %+v", run, got)
		}
		if !strings.Contains(p.Stderr(), spool) {
			t.Errorf("does not say where the rest is:\n%s", p.Stderr())
		}
	}
	c := ink.Collect(t, dir, bulk...)
	p, w := pipe(t, "--to", c.Addr, "--spool", spool, "--drain-timeout", "100s", "cat")
	feed(t, w, "pipe", 2*n, 2*n+10)
	finish(t, p, w, 0)
	c.Stop(t)
	harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"pipe": 2*n + 10})
}

// TestPipeWithoutSpool holds lines in memory; what cannot be delivered is said to be lost, not passed over.
func TestPipeWithoutSpool(t *testing.T) {
	t.Parallel()
	p, w := pipe(t, "--to", harness.FreeAddr(t), "--drain-timeout", "500ms", "cat")
	feed(t, w, "pipe", 0, 100)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if code := p.Wait(t); code == 0 || code == 75 {
		t.Errorf("ended with %d though the lines are lost", code)
	}
	if got := said(t, p); got.read != 100 || got.delivered != 0 || got.dropped != 100 {
		t.Errorf("says %+v", got)
	}
}

// TestPipeWhileTheCollectorComesAndGoes has a writer that never waits for the network: all of it arrives, once and in order.
func TestPipeWhileTheCollectorComesAndGoes(t *testing.T) {
	t.Parallel()
	dir, n := t.TempDir(), 0
	p, w, c := (*harness.Process)(nil), (*os.File)(nil), (*harness.Collector)(nil)
	addr := harness.FreeAddr(t)
	p, w = pipe(t, "--to", addr, "--spool", t.TempDir(), "--drain-timeout", "100s", "cat")
	batch := func() {
		feed(t, w, "pipe", n, n+amount(20_000))
		n += amount(20_000)
	}
	batch()
	c = ink.Collect(t, dir, append(bulk, "--listen", addr)...)
	for range 4 {
		batch()
		harness.Until(t, "something arrives", func() bool { return c.Counter(t, "received good") > 0 })
		batch()
		c.Stop(t) // under way: calls in progress are finished
		batch()
		c.Restart(t)
	}
	batch()
	got := finish(t, p, w, 0)
	if got.read != n || got.delivered != n || got.dropped != 0 {
		t.Errorf("says %+v, sent were %d", got, n)
	}
	c.Stop(t)
	harness.Clean(t, dir)
	harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"pipe": n})
}

// TestPipeSpoolHasOneOwner gives a second pipe the spool of one that goes on: it sends all the same, and takes the spool over when the
// first has ended.
func TestPipeSpoolHasOneOwner(t *testing.T) {
	t.Parallel()
	dir, spool := t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	p, w := pipe(t, "--to", c.Addr, "--spool", spool, "cat")
	feed(t, w, "first", 0, 10)
	c.Received(t, 10)
	second, w2 := pipe(t, "--to", c.Addr, "--spool", spool, "cat")
	feed(t, w2, "second", 0, 10)
	c.Received(t, 20)
	c.Stop(t)
	feed(t, w, "first", 10, 20)
	feed(t, w2, "second", 10, 20)
	if got := finish(t, p, w, 75); got.read != 20 || got.spooled != 10 {
		t.Errorf("the first says %+v", got)
	}
	harness.Until(t, "the second takes the spool", func() bool { return strings.Contains(second.Stderr(), "took over the spool") })
	c.Restart(t)
	if got := finish(t, second, w2, 0); got.read != 20 || got.delivered != 30 {
		t.Errorf("the second says %+v", got)
	}
	c.Stop(t)
	harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"first": 20, "second": 20})
}

// TestPipeWithoutItsSpool cannot deliver, and its spool belongs to another to the end: it says how much is lost, and why.
func TestPipeWithoutItsSpool(t *testing.T) {
	t.Parallel()
	spool, addr := t.TempDir(), harness.FreeAddr(t)
	p, w := pipe(t, "--to", addr, "--spool", spool, "--drain-timeout", "0s", "cat")
	feed(t, w, "first", 0, 10)
	harness.Until(t, "the first has the spool", func() bool { return strings.Contains(p.Stderr(), "go to the spool") })
	second, w2 := pipe(t, "--to", addr, "--spool", spool, "--drain-timeout", "100ms", "cat")
	feed(t, w2, "second", 0, 10)
	if got := finish(t, second, w2, 111); got != (counts{read: 10, dropped: 10}) {
		t.Errorf("says %+v", got)
	}
	if !strings.Contains(second.Stderr(), spool) {
		t.Errorf("does not name the spool:\n%s", second.Stderr())
	}
	finish(t, p, w, 75)
}

// farewell is a daemon that says something more when it is told to end.
const farewell = `trap 'echo finishing; sleep 0.3; echo connections closed; sleep 0.3; printf bye; exit 0' TERM INT
i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done`

// TestPipeAndItsDaemonAreToldToEnd gives the signal to the whole group, once as systemd does and twice as timeout(1) does.
func TestPipeAndItsDaemonAreToldToEnd(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, 2} {
		t.Run(strconv.Itoa(times), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := ink.Collect(t, dir, "--compress", "none")
			script := fmt.Sprintf("(%s) | (exec %s pipe --to %s cat); exit 7", farewell, ink.Path, c.Addr)
			p := ink.Start(t, harness.Command{Program: "/bin/sh", Args: []string{"-c", "trap : TERM; " + script}, Group: true})
			harness.Until(t, "the daemon is at work", func() bool { return c.Counter(t, "received good") >= 3 })
			for range times {
				if err := syscall.Kill(-p.PID(), syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			p.Expect(t, 7)
			c.Stop(t)
			text := string(harness.Contents(t, dir, "cat"))
			if !strings.HasSuffix(text, "finishing\nconnections closed\nbye\n") {
				t.Errorf("the last lines are missing: %q", text[max(0, len(text)-60):])
			}
			if got := said(t, p); got.read != strings.Count(text, "\n") || got.delivered != got.read || got.dropped != 0 {
				t.Errorf("says %+v", got)
			}
		})
	}
}

// TestPipeAlwaysSaysWhatItDropped is told to end by timeout(1), which signals twice, and by somebody who loses patience.
func TestPipeAlwaysSaysWhatItDropped(t *testing.T) {
	t.Parallel()
	addr := harness.FreeAddr(t)
	for range 2 { // three seconds: a busy machine needs its time to start a program at all
		p := ink.Start(t, harness.Command{Program: "/bin/sh", Args: []string{"-c", fmt.Sprintf(
			"seq 5 | timeout 3 %s pipe --to %s --drain-timeout 600ms cat", ink.Path, addr)}, Group: true})
		p.Wait(t)
		if got := said(t, p); got != (counts{read: 5, dropped: 5}) {
			t.Errorf("says %+v", got)
		}
	}
	p, w := pipe(t, "--to", addr, "--drain-timeout", "1h", "cat")
	feed(t, w, "pipe", 0, 5)
	harness.Until(t, "the lines are tried", func() bool { return strings.Contains(p.Stderr(), "lines cannot be delivered") })
	p.Signal(syscall.SIGTERM)
	harness.Until(t, "the signal is taken", func() bool { return strings.Contains(p.Stderr(), "ending") })
	p.Signal(syscall.SIGINT)
	p.Expect(t, 1)
	if got := said(t, p); got != (counts{read: 5, dropped: 5}) {
		t.Errorf("says %+v", got)
	}
}

// TestPipeStopsAtANewline is stopped again and again while a FIFO is written to; each successor goes on with the line behind the last.
func TestPipeStopsAtANewline(t *testing.T) {
	t.Parallel()
	dir, tmp := t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	fifo := filepath.Join(tmp, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(fifo, os.O_RDWR, 0) // keeps the FIFO open
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan int)
	stop := make(chan struct{})
	go func() {
		n := 0
		defer func() { sent <- n }()
		for {
			select {
			case <-stop:
				return
			default:
				feed(t, w, "fifo", n, n+50)
				n += 50
				time.Sleep(2 * time.Millisecond) // it writes on for five seconds after each notice
			}
		}
	}()
	start := func() *harness.Process {
		r, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		return ink.Start(t, harness.Command{Args: []string{"pipe", "--to", c.Addr, "--spool", filepath.Join(tmp, "spool"), "cat"}, Stdin: r})
	}
	read, delivered := 0, 0
	end := func(p *harness.Process) {
		p.Stop(t)
		got := said(t, p)
		read, delivered = read+got.read, delivered+got.delivered
	}
	for range 2 { // of five seconds each: the FIFO has a writer that does not end
		before := c.Counter(t, "received good")
		p := start()
		harness.Until(t, "lines arrive", func() bool { return c.Counter(t, "received good") > before+100 })
		end(p)
	}
	p := start()
	close(stop)
	n := <-sent
	c.Received(t, n)
	end(p)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if read != n || delivered != n {
		t.Errorf("they say %d read and %d delivered of %d", read, delivered, n)
	}
	c.Stop(t)
	harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"fifo": n})
}

// TestPipeFull fills the spool while nobody listens. With drop the writer never waits and what is thrown away is counted; with block
// the writer waits and nothing is lost.
func TestPipeFull(t *testing.T) {
	t.Parallel()
	const n = 200_000 // about 40 MB: more than memory and spool hold
	t.Run("drop", func(t *testing.T) {
		dir, spool, addr := t.TempDir(), t.TempDir(), harness.FreeAddr(t)
		p, w := pipe(t, "--to", addr, "--spool", spool, "--spool-max", "4MiB", "--when-full", "drop", "--drain-timeout", "1s", "cat")
		feed(t, w, "pipe", 0, n)
		got := finish(t, p, w, 75)
		if got.read != n || got.spooled+got.dropped != n || got.delivered != 0 || got.spooled == 0 || got.dropped == 0 {
			t.Errorf("says %+v, sent were %d", got, n)
		}
		c := ink.Collect(t, dir, bulk...)
		p, w = pipe(t, "--to", c.Addr, "--spool", spool, "--drain-timeout", "100s", "cat")
		finish(t, p, w, 0)
		c.Stop(t)
		ledger := harness.Audit(t, dir, "cat")
		ledger.Known(t, func(source string) bool { return source == "pipe" })
		if a := ledger.Of("pipe"); a.Lines != got.spooled || a.Twice != 0 || a.Late != 0 {
			t.Errorf("%d lines came, %d of them twice, %d out of order; said to be in the spool: %d", a.Lines, a.Twice, a.Late, got.spooled)
		}
	})
	t.Run("block", func(t *testing.T) {
		dir, addr := t.TempDir(), harness.FreeAddr(t)
		p, w := pipe(t, "--to", addr, "--spool", t.TempDir(), "--spool-max", "4MiB", "--drain-timeout", "100s", "cat")
		fed := make(chan struct{})
		go func() { feed(t, w, "pipe", 0, n); close(fed) }()
		select {
		case <-fed:
			t.Error("the writer was not made to wait")
		case <-time.After(3 * time.Second):
		}
		c := ink.Collect(t, dir, append(bulk, "--listen", addr)...)
		<-fed
		if got, want := finish(t, p, w, 0), (counts{read: n, delivered: n}); got.read != want.read || got.delivered != want.delivered || got.dropped != 0 {
			t.Errorf("says %+v, want %+v", got, want)
		}
		c.Stop(t)
		harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"pipe": n})
	})
}

func TestPipeEcho(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := ink.Start(t, harness.Command{Args: []string{"pipe", "--echo", "--to", c.Addr, "cat"}, Stdin: r, Stdout: &out})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	feed(t, w, "pipe", 0, 5000)
	finish(t, p, w, 0)
	if want := harness.Lines("pipe", 0, 5000); !bytes.Equal(out.Bytes(), want) {
		t.Errorf("%d bytes were echoed, want the %d of the input", out.Len(), len(want))
	}
	c.Stop(t)
	harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"pipe": 5000})
}

// TestPipeLongLines sends lines far longer than a pipe holds.
func TestPipeLongLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	var text []byte
	for i, n := range []int{1 << 20, 10, 15 << 20, 70_000, 0} {
		text = append(append(text, bytes.Repeat([]byte{byte('a' + i)}, n)...), '\n')
	}
	p, w := pipe(t, "--to", c.Addr, "--spool", t.TempDir(), "--drain-timeout", "100s", "cat")
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if got, want := finish(t, p, w, 0), (counts{read: 5, delivered: 5}); got != want {
		t.Errorf("says %+v, want %+v", got, want)
	}
	c.Stop(t)
	if got := harness.Contents(t, dir, "cat"); !bytes.Equal(got, text) {
		t.Errorf("%d bytes came out, want the %d that went in (%s)", len(got), len(text), fmt.Sprint(firstDifference(got, text)))
	}
}

// firstDifference is where two texts begin to differ.
func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
