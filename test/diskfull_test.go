package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/test/harness"
)

// disk is a small file system of the test's own, in memory.
type disk string

// newDisk mounts a tmpfs of megabytes MB, which is there until the processes that the test starts from now on have ended.
func newDisk(t *testing.T, megabytes int) disk {
	t.Helper()
	d := disk(filepath.Join(t.TempDir(), "disk"))
	if err := os.Mkdir(string(d), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", string(d), "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		t.Fatalf("mount a tmpfs: %v (this test needs a user who may mount: root)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(string(d), 0); err != nil {
			t.Errorf("unmount %s: %v", d, err)
		}
	})
	return d
}

// grow makes room.
func (d disk) grow(t *testing.T, megabytes int) {
	t.Helper()
	if err := unix.Mount("", string(d), "", unix.MS_REMOUNT, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		t.Fatal(err)
	}
}

func (d disk) at(name string) string { return filepath.Join(string(d), name) }

const (
	fullSource = "full"
	fullCall   = 500 // lines of a call, some 100 kB
)

// insistent sends calls, and each again until it is answered OK.
type insistent struct {
	refused atomic.Int64 // TRY_LATERs
	taken   atomic.Int64 // lines that were acknowledged
	done    chan error
}

func insist(addr string, calls int) *insistent {
	s := &insistent{done: make(chan error, 1)}
	go func() { s.done <- s.send(addr, calls) }()
	return s
}

func (s *insistent) send(addr string, calls int) error {
	conn, err := harness.DialScribe(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	for call := range calls {
		entries := make([]harness.Entry, fullCall)
		for i := range entries {
			entries[i] = harness.Entry{Category: "full", Message: string(harness.AppendLine(nil, fullSource, call*fullCall+i))}
		}
		for {
			code, err := conn.Log(entries...)
			if err != nil {
				return fmt.Errorf("call %d: %w", call, err)
			}
			if code == harness.OK {
				s.taken.Add(fullCall)
				break
			}
			s.refused.Add(1)
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// TestCollectorWithFullDisk fills the disk of the journal, of the output, and the one that both are on. What was answered OK must come
// out once; what was answered TRY_LATER must not, but for its repetition; the work must go on by itself when there is room.
func TestCollectorWithFullDisk(t *testing.T) {
	t.Parallel()
	const size, calls = 12, 300 // 30 MB
	for _, test := range []struct {
		name  string
		flags func(d disk, elsewhere string) (dir string, flags []string)
	}{
		{"journal", func(d disk, elsewhere string) (string, []string) {
			return elsewhere, []string{"--state", d.at("state")}
		}},
		{"output", func(d disk, elsewhere string) (string, []string) {
			return d.at("out"), []string{"--state", elsewhere, "--journal-max", "4MB"}
		}},
		{"both", func(d disk, _ string) (string, []string) { return d.at("out"), nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDisk(t, size)
			dir, flags := test.flags(d, t.TempDir())
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if test.name == "journal" { // what is drained makes room: leave none
				harness.WriteFile(t, d.at("ballast"), string(make([]byte, (size-1)<<20)))
			}
			c := ink.Collect(t, dir, append(flags, "--compress", "none")...)
			s := insist(c.Addr, calls)
			harness.Until(t, "senders are told to try later", func() bool { return s.refused.Load() > 20 })
			if details, err := dialScribe(t, c.Addr).Call("getStatusDetails", []byte{0}); err != nil || !bytes.Contains(details, []byte("no space left")) && test.name == "both" {
				t.Errorf("the status says %q, %v", details, err)
			}
			d.grow(t, 200)
			if err := <-s.done; err != nil {
				t.Fatal(err)
			}
			drainedJournal(t, c)
			c.Stop(t)
			harness.Clean(t, dir)
			harness.Audit(t, dir, "full").Exactly(t, map[string]int{fullSource: calls * fullCall})
		})
	}
}

// drainedJournal waits until all that was acknowledged is in the files: work goes on by itself.
func drainedJournal(t *testing.T, c *harness.Collector) {
	t.Helper()
	harness.Until(t, "the journal comes into the files", func() bool { return c.Counter(t, "journal entries") == 0 })
}

// TestCollectorKilledWithFullDisk ends the collector in the worst of moments; the next one begins with a disk that is still full.
func TestCollectorKilledWithFullDisk(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 12)
	dir := d.at("out")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := ink.Collect(t, dir, "--compress", "none")
	s := insist(c.Addr, 300)
	harness.Until(t, "senders are told to try later", func() bool { return s.refused.Load() > 20 })
	c.Kill()
	if err := <-s.done; err == nil {
		t.Error("300 calls went onto a disk of 12 MB")
	}
	c.Begin(t)
	harness.Until(t, "the collector says that it cannot work, or works", func() bool {
		return c.Ended() || bytes.Contains([]byte(c.Stderr()), []byte("collecting"))
	})
	if c.Ended() { // to refuse is fine, if it says why
		if c.Wait(t) != 1 || !bytes.Contains([]byte(c.Stderr()), []byte("Make room")) {
			t.Errorf("%s\n%s", c, c.Stderr())
		}
		d.grow(t, 200)
		c.Restart(t)
	} else {
		d.grow(t, 200)
	}
	drainedJournal(t, c)
	c.Stop(t)
	harness.Clean(t, dir)
	l := harness.Audit(t, dir, "full")
	l.All(t, fullSource, max(int(s.taken.Load()), l.Lines())) // the last call can be in though its answer was lost
	if twice := l.Of(fullSource).Twice; twice > 0 {
		t.Errorf("%d lines are there twice", twice)
	}
}

// collectorThatIsAway is a collector that has ended, to be started again.
func collectorThatIsAway(t *testing.T, dir string) *harness.Collector {
	t.Helper()
	c := ink.Collect(t, dir)
	c.Counter(t, "received good") // it listens before it knows signals, and answers behind that
	c.Stop(t)
	return c
}

func TestForwarderWithFullSpool(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"disk", "bound"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDisk(t, 6)
			var flags []string
			if name == "bound" {
				d.grow(t, 200)
				flags = []string{"--spool-max", "3MB"}
			}
			const lines = 60_000 // 12 MB
			path := filepath.Join(t.TempDir(), "app.log")
			harness.WriteFile(t, path, string(harness.Lines(fullSource, 0, lines)))
			dir := t.TempDir()
			c := collectorThatIsAway(t, dir)
			f := ink.Start(t, harness.Command{Args: append([]string{"forward", "--to", c.Addr, "--state", d.at("state"), "full=" + path}, flags...)})
			harness.Until(t, "the forwarder says that its spool is full", func() bool {
				return bytes.Contains([]byte(f.Stderr()), []byte("no space left")) || bytes.Contains([]byte(f.Stderr()), []byte("spool is full"))
			})
			if f.Ended() {
				t.Fatalf("%s\n%s", f, f.Stderr())
			}
			c.Restart(t)
			c.Received(t, lines)
			f.Stop(t)
			c.Stop(t)
			harness.Clean(t, dir)
			harness.Audit(t, dir, "full").Exactly(t, map[string]int{fullSource: lines})
		})
	}
}

var countsLine = regexp.MustCompile(`read (\d+), delivered (\d+), spooled (\d+), dropped (\d+)`)

// lastWords are the counts at the end of a pipe.
func lastWords(t *testing.T, p *harness.Process) (read, delivered, spooled, dropped int) {
	t.Helper()
	found := countsLine.FindStringSubmatch(p.Stderr())
	if found == nil {
		t.Fatalf("%s prints no counts:\n%s", p, p.Stderr())
	}
	var n [4]int
	for i, text := range found[1:] {
		n[i], _ = strconv.Atoi(text)
	}
	return n[0], n[1], n[2], n[3]
}

// pipeIntoFull starts a pipe without a collector and a writer that has more for it than memory and spool can hold. The writer tells how
// much it got rid of, and then that it is done.
func pipeIntoFull(t *testing.T, lines int, args ...string) (p *harness.Process, written *atomic.Int64, done chan error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p = ink.Start(t, harness.Command{Args: args, Stdin: r})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	written, done = new(atomic.Int64), make(chan error, 1)
	go func() {
		for from := 0; from < lines; from += 100 {
			if _, err := w.Write(harness.Lines(fullSource, from, from+100)); err != nil {
				done <- err
				return
			}
			written.Add(100)
		}
		done <- w.Close()
	}()
	return p, written, done
}

func TestPipeWithFullSpoolBlocks(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 6)
	dir := t.TempDir()
	c := collectorThatIsAway(t, dir)
	const lines = 150_000 // 30 MB
	p, written, done := pipeIntoFull(t, lines, "pipe", "--to", c.Addr, "--spool", d.at("spool"), "--drain-timeout", "2m", "full")
	last, since := int64(-1), time.Now()
	harness.Until(t, "the writer is blocked", func() bool {
		if n := written.Load(); n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) > 3*time.Second
	})
	if last >= lines || p.Ended() {
		t.Fatalf("%d lines went into a pipe that leads nowhere: %s\n%s", last, p, p.Stderr())
	}
	c.Restart(t)
	if err := <-done; err != nil {
		t.Error(err)
	}
	p.Expect(t, 0)
	if read, delivered, spooled, dropped := lastWords(t, p); read != lines || delivered != lines || spooled != 0 || dropped != 0 {
		t.Errorf("the pipe says: read %d, delivered %d, spooled %d, dropped %d; want %d delivered", read, delivered, spooled, dropped, lines)
	}
	c.Stop(t)
	harness.Clean(t, dir)
	harness.Audit(t, dir, "full").Exactly(t, map[string]int{fullSource: lines})
}

func TestPipeWithFullSpoolDrops(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 6)
	dir := t.TempDir()
	c := collectorThatIsAway(t, dir)
	const lines = 150_000
	spool := d.at("spool")
	p, _, done := pipeIntoFull(t, lines, "pipe", "--to", c.Addr, "--spool", spool, "--when-full", "drop", "--drain-timeout", "1s", "full")
	if err := <-done; err != nil {
		t.Error(err)
	}
	p.Expect(t, 75)
	read, delivered, spooled, dropped := lastWords(t, p)
	if read != lines || delivered != 0 || spooled == 0 || dropped == 0 || spooled+dropped != lines {
		t.Errorf("the pipe says: read %d, delivered %d, spooled %d, dropped %d; want %d spooled or dropped", read, delivered, spooled, dropped, lines)
	}
	if !bytes.Contains([]byte(p.Stderr()), []byte("bytes in "+spool)) {
		t.Errorf("the pipe does not say where the rest is:\n%s", p.Stderr())
	}
	c.Restart(t)
	if again := ink.Run(t, "pipe", "--to", c.Addr, "--spool", spool, "--drain-timeout", "2m", "full"); again.Code != 0 {
		t.Errorf("the next pipe ended with %d\n%s", again.Code, again.Stderr)
	}
	c.Stop(t)
	harness.Clean(t, dir)
	l := harness.Audit(t, dir, "full")
	l.Known(t, func(source string) bool { return source == fullSource })
	if a := l.Of(fullSource); a.Lines != spooled || a.Twice > 0 || a.Late > 0 {
		t.Errorf("%d lines came out, %d twice, %d out of order; want the %d that were spooled", a.Lines, a.Twice, a.Late, spooled)
	}
}
