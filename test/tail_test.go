package test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"inkwell/test/harness"
)

// logger writes numbered lines to a file and rotates it as a web server and logrotate do together.
type logger struct {
	path   string
	source string
	next   int // number of the next line
	rng    *rand.Rand
	file   *os.File
	old    int // rotated files
}

func newLogger(t *testing.T, path, source string) *logger {
	l := &logger{path: path, source: source, rng: rand.New(rand.NewPCG(uint64(len(path)), uint64(len(source))))}
	l.open(t)
	t.Cleanup(func() { l.close(t) })
	return l
}

func (l *logger) open(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Error(err)
		return
	}
	l.file = f
}

func (l *logger) close(t *testing.T) {
	t.Helper()
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

// write appends n lines in a few writes, which are cut anywhere if torn is set.
func (l *logger) write(t *testing.T, n int, torn bool) {
	t.Helper()
	for n > 0 {
		k := min(n, 1+l.rng.IntN(500))
		text := harness.Lines(l.source, l.next, l.next+k)
		parts := [][]byte{text}
		if torn {
			cut := l.rng.IntN(len(text))
			parts = [][]byte{text[:cut], text[cut:]}
		}
		for _, part := range parts {
			if _, err := l.file.Write(part); err != nil {
				t.Error(err)
				return
			}
		}
		l.next += k
		n -= k
	}
}

// rotate renames the file, goes on writing to it under its new name for a while, as servers do until they are told, and begins a new
// one. With create the new file stands at once, and empty.
func (l *logger) rotate(t *testing.T, hold time.Duration, create bool) {
	t.Helper()
	for i := l.old; i >= 1; i-- {
		if err := os.Rename(l.path+"."+strconv.Itoa(i), l.path+"."+strconv.Itoa(i+1)); err != nil {
			t.Error(err)
		}
	}
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		t.Error(err)
	}
	l.old++
	if create {
		if err := os.WriteFile(l.path, nil, 0o644); err != nil {
			t.Error(err)
		}
	}
	for end := time.Now().Add(hold); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		l.write(t, 20, false)
	}
	l.close(t)
	l.open(t)
}

// forward starts a forwarder that follows files for ever.
func forward(t *testing.T, to, state string, inputs ...string) *harness.Process {
	t.Helper()
	return ink.Start(t, harness.Command{Args: append([]string{"forward", "--to", to, "--state", state}, inputs...)})
}

// forwardOnce runs a forwarder to the end of the files; all must be delivered.
func forwardOnce(t *testing.T, to, state string, inputs ...string) {
	t.Helper()
	ink.Start(t, harness.Command{Args: append([]string{"forward", "--once", "--to", to, "--state", state}, inputs...)}).Expect(t, 0)
}

// TestTailUnderRotation sends 1 GB (times scale) through three files that are rotated all the time, the forwarder being restarted now
// and then with rotations in between.
func TestTailUnderRotation(t *testing.T) {
	t.Parallel()
	const averageLine = 200
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir, append(bulk, "--max-size", "8MiB")...)
	input := "app=" + filepath.Join(in, "app?.log")
	var loggers []*logger
	for i := range 3 {
		loggers = append(loggers, newLogger(t, filepath.Join(in, fmt.Sprintf("app%d.log", i)), fmt.Sprintf("app%d", i)))
	}
	const phases = 3
	perPhase := amount(1<<30) / averageLine / len(loggers) / phases
	f := forward(t, c.Addr, state, input) // what is rotated away before a first start is nobody's
	for _, l := range loggers {
		l.write(t, 1000, true)
	}
	c.Received(t, 1000*len(loggers))
	f.Stop(t)
	for range phases {
		// While no forwarder runs: lines, two rotations, lines.
		for _, l := range loggers {
			l.write(t, 1000, true)
			l.rotate(t, 0, false)
			l.write(t, 1000, true)
			l.rotate(t, 50*time.Millisecond, true)
			l.write(t, 100, true)
		}
		f = forward(t, c.Addr, state, input)
		var writers sync.WaitGroup
		for _, l := range loggers {
			writers.Go(func() { l.busy(t, perPhase) })
		}
		writers.Wait()
		f.Stop(t) // in the middle of it: the rest is for the next phase
	}
	f = forward(t, c.Addr, state, input)
	want, sum := map[string]int{}, 0
	for _, l := range loggers {
		l.write(t, 10, false)
		want[l.source] = l.next
		sum += l.next
		if l.old < 8*phases {
			t.Errorf("%s was rotated %d times only", l.path, l.old)
		}
	}
	c.Received(t, sum)
	f.Stop(t)
	c.Stop(t)
	harness.Clean(t, dir)
	harness.Audit(t, dir, "app").Exactly(t, want)
}

// busy writes at least n lines and rotates in all styles meanwhile: alone, and several times in a second.
func (l *logger) busy(t *testing.T, n int) {
	holds := []time.Duration{0, 30 * time.Millisecond, 300 * time.Millisecond}
	for end := l.next + n; l.next < end; {
		l.write(t, n/4, true)
		time.Sleep(200 * time.Millisecond)
		l.rotate(t, 300*time.Millisecond, l.rng.IntN(2) == 0)
		l.write(t, n/20, true)
		if l.rng.IntN(2) == 0 {
			continue
		}
		for range 4 { // a second at most
			l.rotate(t, holds[l.rng.IntN(2)], l.rng.IntN(2) == 0)
			l.write(t, 1+l.rng.IntN(n/50+1), true)
		}
	}
}

// TestRotatedNamesThatMatch rotates to names that the pattern matches too: a file is known by what it is, not by its name.
func TestRotatedNamesThatMatch(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	input := "app=" + filepath.Join(in, "app*.log")
	l := newLogger(t, filepath.Join(in, "app.log"), "app")
	f := forward(t, c.Addr, state, input)
	for i := range 6 {
		l.write(t, 2000, true)
		if i == 3 {
			f.Stop(t)
		}
		if err := os.Rename(l.path, filepath.Join(in, fmt.Sprintf("app-2026112%d.log", i))); err != nil {
			t.Fatal(err)
		}
		l.write(t, 100, false)
		l.close(t)
		l.open(t)
		if i == 3 {
			f = forward(t, c.Addr, state, input)
		}
		time.Sleep(time.Duration(l.rng.IntN(400)) * time.Millisecond)
	}
	l.write(t, 10, false)
	c.Received(t, l.next)
	f.Stop(t)
	c.Stop(t)
	// A rotated file that matches can be read before or after its successor, if both are new: lines are complete, order is per file.
	ledger := harness.Audit(t, dir, "app")
	ledger.Known(t, func(source string) bool { return source == "app" })
	for seq := range l.next {
		if n := ledger.Of("app").Count(seq); n != 1 {
			t.Fatalf("line %d is there %d times", seq, n)
		}
	}
}

// TestCopytruncateAtRest copies and truncates a file while nobody writes to it, with the forwarder running and without.
func TestCopytruncateAtRest(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	input := "app=" + filepath.Join(in, "app.log")
	l := newLogger(t, filepath.Join(in, "app.log"), "app")
	f := forward(t, c.Addr, state, input)
	for i, n := range []int{5000, 50, 8000, 1, 3000, 3001, 200} { // what follows is shorter than what was there, and longer
		l.write(t, n, true)
		c.Received(t, l.next)
		down := i%2 == 1
		if down {
			f.Stop(t)
		}
		harness.Tool(t, "cp", "-p", l.path, l.path+"."+strconv.Itoa(i))
		if err := os.Truncate(l.path, 0); err != nil {
			t.Fatal(err)
		}
		if down {
			l.write(t, 100, true)
			f = forward(t, c.Addr, state, input)
		}
	}
	l.write(t, 10, true)
	c.Received(t, l.next)
	f.Stop(t)
	c.Stop(t)
	harness.Clean(t, dir)
	harness.Audit(t, dir, "app").Exactly(t, map[string]int{"app": l.next})
}

// TestForwardOnce reads what is there, the last line without its end included, and nothing again the next time.
func TestForwardOnce(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	harness.WriteFile(t, filepath.Join(in, "a.log"), "one\ntwo\nthree without an end")
	harness.WriteFile(t, filepath.Join(in, "b.log"), "\n\nlines that are empty\n\n")
	harness.WriteFile(t, filepath.Join(in, "empty.log"), "")
	inputs := []string{"a=" + in + "/a.log", "b=" + in + "/b*", "e=" + in + "/empty.log"}
	for range 2 {
		forwardOnce(t, c.Addr, state, inputs...)
	}
	c.Stop(t)
	for category, want := range map[string]string{"a": "one\ntwo\nthree without an end\n", "b": "\n\nlines that are empty\n\n", "e": ""} {
		if got := string(harness.Contents(t, dir, category)); got != want {
			t.Errorf("category %s: %q, want %q", category, got, want)
		}
	}
}

// TestFromEnd leaves alone what was there before the forwarder was first started.
func TestFromEnd(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	harness.WriteFile(t, filepath.Join(in, "app.log"), "was there before\n")
	f := ink.Start(t, harness.Command{Args: []string{"forward", "--from", "end", "--to", c.Addr, "--state", state, "app=" + in + "/*.log", "sign=" + in + "/sign"}})
	// A file that comes after the start is read from its start: it tells that the forwarder has begun.
	sign := newLogger(t, filepath.Join(in, "sign"), "sign")
	harness.Until(t, "the forwarder has begun", func() bool {
		sign.write(t, 1, false)
		return c.Counter(t, "sign:received good") > 0
	})
	l, fresh := newLogger(t, filepath.Join(in, "app.log"), "app"), newLogger(t, filepath.Join(in, "new.log"), "new")
	l.write(t, 500, false)
	fresh.write(t, 500, false)
	harness.Until(t, "all lines arrive", func() bool { return c.Counter(t, "app:received good") >= 1000 })
	f.Stop(t)
	c.Stop(t)
	harness.Audit(t, dir, "app").Exactly(t, map[string]int{"app": 500, "new": 500})
}

// TestForwarderMovesOn sends to the second address while the first is away, and what was read is there once, whoever took it.
func TestForwarderMovesOn(t *testing.T) {
	t.Parallel()
	in, state, dirs := t.TempDir(), t.TempDir(), []string{t.TempDir(), t.TempDir()}
	first, second := ink.Collect(t, dirs[0]), ink.Collect(t, dirs[1])
	l := newLogger(t, filepath.Join(in, "app.log"), "app")
	f := forward(t, first.Addr+","+second.Addr, state, "app="+l.path)
	l.write(t, 1000, true)
	first.Received(t, 1000)
	first.Stop(t)
	l.write(t, 1000, true)
	second.Received(t, 1000)
	f.Stop(t)
	second.Stop(t)
	ledger := harness.NewLedger()
	for _, dir := range dirs {
		for _, path := range harness.Published(t, dir, "app") {
			data, err := harness.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			ledger.Bytes(data)
		}
	}
	ledger.Exactly(t, map[string]int{"app": 2000})
}

// TestManyFiles follows files of many directories that come, grow a little and go.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	f := forward(t, c.Addr, state, "app="+filepath.Join(in, "*", "app.log"))
	want := map[string]int{}
	for i := range 300 {
		sub := filepath.Join(in, fmt.Sprintf("host%03d", i))
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		source := fmt.Sprintf("host%03d", i)
		l := newLogger(t, filepath.Join(sub, "app.log"), source)
		l.write(t, 1+i%7, false)
		want[source] = l.next
		l.close(t)
	}
	sum := 0
	for _, n := range want {
		sum += n
	}
	c.Received(t, sum)
	f.Stop(t)
	c.Stop(t)
	harness.Audit(t, dir, "app").Exactly(t, want)
}
