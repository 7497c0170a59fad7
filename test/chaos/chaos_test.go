// Package chaos breaks a small fleet at random for minutes, and then compares what every source has sent with what the collectors have,
// byte by byte:
//
//	rotated log ─┬► inkwell forward ─┐            ┌─► inkwell collect A ─► files
//	journald ────┘                   │            │
//	syslog sender ► inkwell forward ─┤            │
//	pipe ─────────► inkwell pipe ────┼─ proxies ──┤ (from pipe and scribed through next hops that take only so much at once)
//	Thrift clients ► proxy ► scribed ┘            └─► inkwell collect B ─► files
//
//	make chaos MINUTES=20                INKWELL_TEST_SEED=N repeats the dice, not the timing
//
// Processes are killed and stopped, connections cut, half-opened, slowed and robbed of answers, disks fill up, the clock that files are
// named by jumps. Each source keeps a ledger of what it may demand: a followed file, a journal, a pipe and a sender of syslog of every
// line, in order; a client of what was answered OK. Entries that came to both collectors by a fail-over count as one, but only those.
//
// The pipe and the forwarder of syslog are never killed: what a process has read from a pipe or a socket dies with it, that is documented. Full disks are file systems of their
// own, and journald takes root, too: without, there are none, and the table says so. After a violation the directory is kept and named.
package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"inkwell/test/harness"
)

// usual is how long it takes without INKWELL_CHAOS_MINUTES.
const usual = 2 * time.Minute

var ink harness.Inkwell

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "inkwell-chaos-bin-")
	if err == nil {
		defer os.RemoveAll(dir)
		ink, err = harness.Build(dir, raced, "killpoints") // for the clock
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// number reads a variable of the environment.
func number(t *testing.T, name string, otherwise float64) float64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n <= 0 {
		t.Fatalf("%s=%q: must be a number above 0", name, text)
	}
	return n
}

func TestChaos(t *testing.T) {
	harness.ReadSources(t)
	long := time.Duration(number(t, "INKWELL_CHAOS_MINUTES", usual.Minutes()) * float64(time.Minute))
	seed := uint64(number(t, "INKWELL_TEST_SEED", float64(time.Now().UnixNano()>>20)))
	dir, err := os.MkdirTemp("", "inkwell-chaos-")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("INKWELL_TEST_SEED=%d, %v, in %s", seed, long, dir)
	f := newFleet(t, dir)
	t.Cleanup(func() { f.tidy() })
	f.start()
	s := newSources(f, dir)
	s.start()
	w := newWreckers(f, rand.New(rand.NewPCG(seed, 1)))
	w.run(time.Now().Add(long), s.progress)
	s.livesOn()
	s.quiet()
	f.drain(s)
	s.judge()
	f.audit()
	f.dedupe("tailed", s.tailed.Lines())
	f.dedupe("piped", int(s.piped.Load()))
	t.Log(w.table(s))
	w.enough(long)
}

// tidy removes everything, unless there is something to look at.
func (f *fleet) tidy() {
	if f.t.Failed() {
		f.t.Logf("kept for you: %s (its disks are mounted there: umount %s)", f.dir, filepath.Join(f.dir, "*"))
		return
	}
	for _, d := range f.disks {
		d.Release()
	}
	if err := os.RemoveAll(f.dir); err != nil {
		f.t.Error(err)
	}
}
