// Package bench measures the whole program: real processes on loopback, on the disk that holds the temporary directory, beside small
// programs that do the bare part of the same work in the same run.
//
//	go test ./test/bench -run xxx -bench . -benchtime 1x      about ten minutes; a table of all figures and of what is to be reached is last
//
// The environment makes the load smaller or larger:
//
//	INKWELL_BENCH_MB=500             MB of the access log that is shipped, and of what BenchmarkIngest and BenchmarkScribed send
//	INKWELL_BENCH_MESSAGES=400000    messages of 200 bytes for each line of the table of shapes
//	INKWELL_BENCH_LIMIT=30s          how long one line may take: what is not done then is killed, and told as "> what it had taken"
//
// A quick look, in two minutes: INKWELL_BENCH_MB=50 INKWELL_BENCH_MESSAGES=100000 INKWELL_BENCH_LIMIT=8s. Thousands of categories need
// as many open files: where the limit (ulimit -n) cannot be raised, the column dirs says how many had files of their own.
//
// What counts is CPU time of processes, and ratios of it: rates depend on how busy the machine is. On a virtual machine the first touch
// of memory that the host took back costs ten times as much as the work done in it; so before each measured side a file of the size
// of its load is written and removed, the sides take turns, and of each the best is taken.
//
// What came out is compared with what went in, byte by byte; a benchmark that ends has proved that.
package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

const (
	roleVariable = "INKWELLBENCH_ROLE" // none of the program's own, which processes do not inherit
	rounds       = 2                   // of each measured side
)

var (
	// ink is the program under test.
	ink harness.Inkwell
	// megabytes is the size of the load.
	megabytes = 500
	// shapeMessages is how many messages a line of the table of shapes takes, about.
	shapeMessages = 400_000
	// cellLimit is how long it may take.
	cellLimit = 30 * time.Second
	// outputs is a directory for what collectors write, which is removed at the end.
	outputs string
	// accessLog is a file of that size.
	accessLog string
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, role, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	err := prepare(func() int { return m.Run() })
	if code, ended := err.(exitCode); ended {
		return int(code)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

type exitCode int

func (c exitCode) Error() string { return "exit code " + strconv.Itoa(int(c)) }

func prepare(run func() int) (err error) {
	if text := os.Getenv("INKWELL_BENCH_MB"); text != "" {
		if megabytes, err = strconv.Atoi(text); err != nil || megabytes < 1 {
			return fmt.Errorf("INKWELL_BENCH_MB=%q: must be a whole number above 0", text)
		}
	}
	if text := os.Getenv("INKWELL_BENCH_MESSAGES"); text != "" {
		if shapeMessages, err = strconv.Atoi(text); err != nil || shapeMessages < 1 {
			return fmt.Errorf("INKWELL_BENCH_MESSAGES=%q: must be a whole number above 0", text)
		}
	}
	if text := os.Getenv("INKWELL_BENCH_LIMIT"); text != "" {
		if cellLimit, err = time.ParseDuration(text); err != nil || cellLimit <= 0 {
			return fmt.Errorf("INKWELL_BENCH_LIMIT=%q: must be a duration above 0, as 40s", text)
		}
	}
	dir, err := os.MkdirTemp("", "inkwell-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if ink, err = harness.Build(dir, false); err != nil {
		return err
	}
	accessLog, outputs = filepath.Join(dir, "access.log"), dir
	before := loadAverage()
	code := run()
	if err := printReport(os.Stdout, before); err != nil {
		return err
	}
	return exitCode(code)
}

// load makes the access log if it is not there yet, and says how many bytes and lines it has.
func load(b *testing.B) (size int64, lines int) {
	b.Helper()
	if _, err := os.Stat(accessLog); err != nil {
		f, err := os.Create(accessLog)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(f, harness.AccessLog(1, int64(megabytes)*1e6)); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	f, err := os.Open(accessLog)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := f.Read(buf)
		size += int64(n)
		lines += bytes.Count(buf[:n], []byte("\n"))
		if err == io.EOF {
			return size, lines
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

// warm writes size bytes to a file beside those to come, and removes it: the memory of the page cache is there then.
func warm(b *testing.B, size int64) {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "warm"))
	if err != nil {
		b.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(block)) {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		b.Fatal(err)
	}
}

// cost is what one side took.
type cost struct {
	cpu  time.Duration // of all its processes
	wall time.Duration
	rss  []int64 // the most that each process had in memory, in bytes
	note string
}

// best runs the sides in turns, each on warm memory, and returns the cheapest run of each.
func best(b *testing.B, size int64, sides ...func() cost) []cost {
	b.Helper()
	costs := make([]cost, len(sides))
	for round := range rounds {
		for i, side := range sides {
			warm(b, size)
			if c := side(); round == 0 || c.cpu < costs[i].cpu {
				costs[i] = c
			}
		}
	}
	return costs
}

// tell prints what a side took for size bytes and lines lines.
func (c cost) tell(b *testing.B, name string, size int64, lines int) {
	b.Helper()
	mib := make([]string, len(c.rss))
	for i, n := range c.rss {
		mib[i] = fmt.Sprintf("%d MiB", n>>20)
	}
	seconds := c.wall.Seconds()
	b.Logf("%-28s %6.0f MB/s %9.0f lines/s %6.2f CPU s (%.2f per GB) in %.2f s, peak memory %v %s",
		name, float64(size)/1e6/seconds, float64(lines)/seconds, c.cpu.Seconds(), c.cpu.Seconds()/(float64(size)/1e9), seconds, mib, c.note)
}

// use adds an ended process and the most memory that it had.
func (c *cost) use(p *harness.Process, memory *peak) {
	cpu, _ := p.Usage()
	c.cpu += cpu
	c.rss = append(c.rss, memory.most())
}

// peak is the most memory that a process has. The system's own account of an ended process will not do: it begins with the memory of
// whoever started it.
type peak struct {
	bytes int64
	done  chan struct{}
}

// watch looks at a process until it ends.
func watch(p *harness.Process) *peak {
	k := &peak{done: make(chan struct{})}
	go func() {
		defer close(k.done)
		for !p.Ended() {
			k.look(p.PID())
			time.Sleep(10 * time.Millisecond)
		}
	}()
	return k
}

// look reads the high-water mark. Of a process that has just ended there is none any more.
func (k *peak) look(pid int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			k.bytes = max(k.bytes, kb<<10)
		}
	}
}

// most is what was seen, once the process has ended.
func (k *peak) most() int64 {
	<-k.done
	return k.bytes
}
