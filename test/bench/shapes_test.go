package bench

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

// What is sent to a collector for the table of shapes.
const (
	messageBytes = 200
	callMessages = 1000
	connections  = 4
)

// messages is how many are sent for a cell of the table: whole calls, as many over each connection.
func messages() int {
	return max(1, shapeMessages/(callMessages*connections)) * callMessages * connections
}

// cell is one line of the table: what a collector takes for all messages.
type cell struct {
	codec      string
	road       road
	categories int

	cpu    float64 // µs a message, user and system, until everything is in the files and the process has ended
	steady float64 // µs for one more message, when the files of all categories exist
	fixed  float64 // µs for each of several categories, to begin and finish its files
	done   bool    // in time; otherwise cpu and wall are what it had taken by then
	wall   time.Duration
	acked  time.Duration // until every call was answered OK
	output int64         // bytes of the finished files
	rss    int64         // peak
	dirs   int           // categories with files of their own
	note   string
}

// least says of a figure that it is the least that it can be.
func (c *cell) least() string {
	if c.done {
		return ""
	}
	return "> "
}

// BenchmarkShapes measures what the number of categories costs whose messages come interleaved, by both roads and both
// kinds of files. -bench 'Shapes/gzip/^(1|100)$' measures some of the shapes.
func BenchmarkShapes(b *testing.B) {
	for _, codec := range []string{"gzip", "none"} {
		for _, categories := range []int{1, 100, 2000, 10000} {
			b.Run(fmt.Sprintf("%s/%d", codec, categories), func(b *testing.B) {
				for b.Loop() {
					benchmarkShape(b, codec, categories)
				}
			})
		}
	}
}

func benchmarkShape(b *testing.B, codec string, categories int) {
	frames := callFrames(categories)
	more := slices.Repeat(frames, steadyTimes)
	found, long := make([]*cell, len(both)), (*cell)(nil)
	cheaper := func(c, than *cell) bool { return than == nil || c.cpu < than.cpu }
	worth := func(c *cell) bool { return c == nil || c.done && c.wall < worthAnother }
	for range rounds {
		for i, r := range both {
			if !worth(found[i]) {
				continue
			}
			shape := cell{codec: codec, road: r, categories: categories}
			if c := measure(b, shape, frames, nil); cheaper(c, found[i]) {
				found[i] = c
			}
		}
		if found[flags].done && worth(long) {
			if c := measure(b, cell{codec: codec, categories: categories}, more, nil); cheaper(c, long) {
				long = c
			}
		}
	}
	if long != nil && long.done {
		found[flags].compare(long)
	}
	for _, c := range found {
		b.Logf("%s, %s, %d categories: %s%.2f µs a message%s, %.1f s, %d MB, output %.1f MB %s",
			codec, c.road, categories, c.least(), c.cpu, c.parts(), c.wall.Seconds(), c.rss>>20, float64(c.output)/1e6, c.note)
	}
	report.mu.Lock()
	defer report.mu.Unlock()
	report.cells = append(report.cells, found...)
}

// steadyTimes is how many times the messages of a shape are sent to find out what more messages cost when the files of
// all categories exist.
const steadyTimes = 4

// compare divides what the messages of c cost into what each message costs, of which long had more, and the rest, for
// each category; with one category that is the start of the program.
func (c *cell) compare(long *cell) {
	c.steady = (long.cpu*steadyTimes - c.cpu) / (steadyTimes - 1)
	if c.categories > 1 {
		c.fixed = (c.cpu - c.steady) * float64(messages()) / float64(c.categories)
	}
}

// parts tells what compare found.
func (c *cell) parts() string {
	if c.steady == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.2f steady, %.0f µs a category)", c.steady, c.fixed)
}

// worthAnother is how long a run may take to be done a second time.
const worthAnother = 12 * time.Second

// measure has a collector take all frames and end.
func measure(b *testing.B, c cell, frames [][]byte, env []string, more ...string) *cell {
	b.Helper()
	sent := len(frames) * callMessages
	warm(b, 2*int64(sent)*messageBytes)
	dir, err := os.MkdirTemp(outputs, "out")
	if err != nil {
		b.Fatal(err)
	}
	args := []string{"--compress", c.codec, "--max-categories", "20000"}
	if c.codec == "gzip" {
		args = append(args, "--level", "1")
	}
	s := c.road.collect(b, dir, env, append(args, more...)...)
	memory := watch(s.Process)
	l := limit(s.Process)
	again := l.send(b, s.Addr, connections, frames, 0)
	c.acked = time.Since(l.began)
	l.end(b)
	c.wall, c.done, c.rss = time.Since(l.began), !l.late(), memory.most()
	cpu, _ := s.Usage()
	if !c.done {
		cpu, c.note = time.Duration(l.cpu.Load()), fmt.Sprintf("not done after %v", cellLimit)
	}
	c.cpu = float64(cpu.Nanoseconds()) / 1e3 / float64(sent)
	if again > 0 {
		c.note += fmt.Sprintf(" %d calls were told to try later", again)
	}
	var lines int
	c.output, c.dirs, lines = outputOf(b, dir)
	if c.done && lines != sent {
		b.Fatalf("%s, %s, %d categories: the files hold %d lines, want %d", c.codec, c.road, c.categories, lines, sent)
	}
	if err := emptyFiles(dir); err != nil {
		b.Fatal(err)
	}
	return &c
}

// emptyFiles gives back the room of the files below a directory. It does not remove them: for minutes after that, ext4
// looks for other inodes than theirs, one by one, whenever a file is made, and the next run would pay for it.
func emptyFiles(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			err = os.Truncate(path, 0)
		}
		return err
	})
}

// limited is a process that is killed when it has taken cellLimit.
type limited struct {
	p     *harness.Process
	began time.Time
	timer *time.Timer
	cpu   atomic.Int64 // nanoseconds that it had taken when it was killed; 0: it was not
}

func limit(p *harness.Process) *limited {
	l := &limited{p: p, began: time.Now()}
	l.timer = time.AfterFunc(cellLimit, func() {
		l.cpu.Store(int64(max(1, processCPU(p.PID()))))
		p.Kill()
	})
	return l
}

// late says whether it was killed because it took too long.
func (l *limited) late() bool { return l.cpu.Load() != 0 }

// end ends the process in good order: then everything is in the files.
func (l *limited) end(b *testing.B) {
	b.Helper()
	l.p.Signal(syscall.SIGTERM)
	if code := l.p.Wait(b); code != 0 && !l.late() {
		b.Fatalf("%s: ended with %d\n%s", l.p, code, l.p.Stderr())
	}
	l.timer.Stop()
}

// kill ends it with SIGKILL.
func (l *limited) kill() {
	l.timer.Stop()
	l.p.Kill()
}

// send sends calls over several connections at once, each of them at most once in pace, and those that are told to try later again. It
// returns how many were.
func (l *limited) send(b *testing.B, addr string, conns int, frames [][]byte, pace time.Duration) (again int64) {
	b.Helper()
	var senders sync.WaitGroup
	var later atomic.Int64
	for n := range conns {
		senders.Go(func() {
			if err := sendFrames(addr, n, conns, frames, pace, &later); err != nil && !l.late() {
				b.Error(err)
			}
		})
	}
	senders.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return later.Load()
}

// sendFrames sends every conns-th call, from the n-th on.
func sendFrames(addr string, n, conns int, frames [][]byte, pace time.Duration, later *atomic.Int64) error {
	s, err := harness.DialScribe(addr)
	if err != nil {
		return err
	}
	defer s.Close()
	began := time.Now()
	for f := n; f < len(frames); {
		time.Sleep(time.Until(began.Add(time.Duration(f/conns) * pace)))
		if _, err := s.Conn.Write(frames[f]); err != nil {
			return err
		}
		code, err := s.LogReply(1)
		if err != nil {
			return err
		}
		if code == harness.OK {
			f += conns
			continue
		}
		later.Add(1)
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// pool is the text of all messages: an access log, cut into pieces of one length, so that sizes can be compared.
var pool = sync.OnceValues(func() ([]byte, error) {
	n := messages() * (messageBytes - 1)
	text := make([]byte, n)
	if _, err := io.ReadFull(harness.AccessLog(7, int64(n)+4096), text); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(text, []byte("\n"), []byte(" ")), nil
})

// callFrames are all calls. Messages go to the categories in turn.
func callFrames(categories int) [][]byte {
	text, err := pool()
	if err != nil {
		panic(err) // a reader that never fails
	}
	frames := make([][]byte, messages()/callMessages)
	entries := make([]harness.Entry, callMessages)
	names := make([]string, categories)
	for i := range names {
		names[i] = fmt.Sprintf("category%05d", i)
	}
	for f := range frames {
		for i := range entries {
			n := f*callMessages + i
			entries[i] = harness.Entry{Category: names[n%categories], Message: string(text[n*(messageBytes-1):][:messageBytes-1]) + "\n"}
		}
		frames[f] = new(harness.Scribe).LogCall(nil, entries) // number 1, every time
	}
	return frames
}

// processCPU is the CPU time of a running process with all its threads, ended ones too.
func processCPU(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0
	}
	return time.Duration(user+system) * (time.Second / 100) // USER_HZ is 100 on every Linux
}

// outputOf adds up the finished files below a directory.
func outputOf(b *testing.B, dir string) (size int64, dirs, lines int) {
	b.Helper()
	seen := make(map[string]bool)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == ".inkwell":
			return fs.SkipDir
		case !e.Type().IsRegular() || strings.HasPrefix(e.Name(), "."):
			return nil
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		size += st.Size()
		if own := filepath.Dir(path); !seen[own] && !strings.HasPrefix(filepath.Base(own), "_") {
			seen[own] = true
			dirs++
		}
		data, err := harness.Read(path)
		lines += bytes.Count(data, []byte("\n"))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return size, dirs, lines
}
