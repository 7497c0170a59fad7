package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Collector is a running `inkwell collect`.
type Collector struct {
	*Process
	Addr, Dir string
	inkwell   Inkwell
	args, env []string
	extra     []string // of the environment, see Env
}

// Collect starts a collector that writes to dir on a port of its own, and waits until it listens.
func (k Inkwell) Collect(tb testing.TB, dir string, flags ...string) *Collector {
	tb.Helper()
	c := k.NewCollector(tb, dir, flags...)
	c.Restart(tb)
	return c
}

// NewCollector is Collect without starting the process.
func (k Inkwell) NewCollector(tb testing.TB, dir string, flags ...string) *Collector {
	tb.Helper()
	c := &Collector{Addr: FreeAddr(tb), Dir: dir, inkwell: k}
	c.args = append([]string{"collect", "--dir", dir, "--listen", c.Addr}, flags...)
	return c
}

// NewConfigured prepares an `inkwell collect -c FILE` without starting it. The file has the stores of a text in which
// {DIR} stands for dir. The state is in dir too, at the place for a collector with flags.
func (k Inkwell) NewConfigured(tb testing.TB, dir, stores string) *Collector {
	tb.Helper()
	c := &Collector{Addr: FreeAddr(tb), Dir: dir, inkwell: k}
	file := filepath.Join(tb.TempDir(), "collect.conf")
	WriteFile(tb, file, "inkwell 1\nlisten="+c.Addr+"\nstate="+filepath.Join(dir,
		".inkwell")+"\n"+strings.ReplaceAll(stores, "{DIR}", dir))
	c.args = []string{"collect", "-c", file}
	return c
}

// Restart starts an ended collector again, with the same flags, and waits until it listens.
func (c *Collector) Restart(tb testing.TB) {
	tb.Helper()
	c.Begin(tb)
	c.Listening(tb)
}

// Stop ends the collector with SIGTERM and makes sure that everything is in the files. On a busy machine writing can
// take longer than a collector waits before it exits; then the rest is written by another start.
func (c *Collector) Stop(tb testing.TB) {
	tb.Helper()
	for {
		began := time.Now()
		c.Process.Stop(tb)
		if time.Since(began) < time.Minute || !strings.Contains(c.Stderr(), "for the next start") {
			return
		}
		c.Restart(tb)
	}
}

// Config returns the configuration file of a collector that has one.
func (c *Collector) Config() string { return c.args[len(c.args)-1] }

// Env sets variables for the environment of the next start.
func (c *Collector) Env(env ...string) { c.extra = env }

// Begin is Restart without waiting.
func (c *Collector) Begin(tb testing.TB) {
	tb.Helper()
	c.Process = c.inkwell.Start(tb, Command{Args: c.args, Env: slices.Concat(c.env, c.extra)})
}

// Listening waits until the collector answers calls. It is not enough that it accepts connections, because it does so
// before it handles signals.
func (c *Collector) Listening(tb testing.TB) {
	tb.Helper()
	Until(tb, "the collector listens", func() bool {
		if c.Ended() {
			tb.Fatalf("%s has ended\n%s", c, c.Stderr())
		}
		return c.Answers()
	})
}

// Answers reports whether the collector answers calls.
func (c *Collector) Answers() bool {
	s, err := DialScribe(c.Addr)
	if err != nil {
		return false
	}
	defer s.Close()
	_, err = s.Counter("scribe_overall:received good")
	return err == nil
}

// Counter asks for the counter of a category, or for the overall one if no category is given.
func (c *Collector) Counter(tb testing.TB, name string) int64 {
	tb.Helper()
	if !strings.Contains(name, ":") {
		name = "scribe_overall:" + name
	}
	s, err := DialScribe(c.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer s.Close()
	n, err := s.Counter(name)
	if err != nil {
		tb.Fatalf("counter %q: %v", name, err)
	}
	return n
}

// Distinct returns the number of entries that the collector has taken since its start, without repeated ones. After a
// sender was killed, "received good" is larger, because it counts repeated entries too.
func (c *Collector) Distinct(tb testing.TB) int {
	tb.Helper()
	n := c.Counter(tb, "received good")
	// in this order: what is counted as received is counted as a duplicate before
	return int(n - c.Counter(tb, "duplicates"))
}

// Received waits until the collector has taken n entries since its start. If no more entries come, the test fails but
// continues, so that it can report which ones are missing.
func (c *Collector) Received(tb testing.TB, n int) {
	tb.Helper()
	var last int64
	since := time.Now()
	for last < int64(n) {
		now := c.Counter(tb, "received good")
		if now == last && time.Since(since) > stalled {
			break
		} else if now != last {
			last, since = now, time.Now()
		}
		time.Sleep(20 * time.Millisecond)
	}
	if last != int64(n) {
		tb.Errorf("the collector took %d entries, want %d", last, n)
	}
}

// stalled is the time without any progress after which a wait gives up.
const stalled = 40 * time.Second

var ports struct {
	sync.Mutex
	given map[int]bool
}

// FreeAddr returns an address on which nobody listens.
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = make(map[int]bool)
	}
	for range 1000 {
		port := 10240 + rand.IntN(22000)
		addr := "127.0.0.1:" + strconv.Itoa(port)
		if ports.given[port] {
			continue
		}
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		ports.given[port] = true
		if err := ln.Close(); err != nil {
			tb.Fatal(err)
		}
		return addr
	}
	tb.Fatal("no free port")
	return ""
}

// Memory returns the current and the peak memory of a running process, in bytes.
func (p *Process) Memory(tb testing.TB) (now, most int64) {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			now = kb << 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			most = kb << 10
		}
	}
	return now, most
}
