package test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/test/harness"
)

// siegeFile is the bound of the files in bytes: small, so that each death finds some that are finished.
const siegeFile = 100_000

// siege is a collector with a forwarder, a pipe and raw clients, of which collector and forwarder are killed again and again.
type siege struct {
	t       *testing.T
	rng     *rand.Rand
	c       *harness.Collector
	forward func() *harness.Process
	f       *harness.Process
	stop    chan struct{}
	work    sync.WaitGroup

	collectorKills, forwarderKills int
	finished                       map[string][32]byte // digests of published files, which never change
}

// TestKilled kills collector and forwarder with SIGKILL, 50 times in all. INKWELL_TEST_SEED repeats the dice of a run.
func TestKilled(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("INKWELL_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("INKWELL_TEST_SEED=%d", seed)
	for _, of := range []struct {
		codec  string
		rounds int
	}{{"gzip", 20}, {"zstd", 15}, {"none", 15}} {
		t.Run(of.codec, func(t *testing.T) {
			t.Parallel()
			besiege(t, rand.New(rand.NewPCG(seed, uint64(of.rounds))), of.codec, of.rounds)
		})
	}
}

func besiege(t *testing.T, rng *rand.Rand, codec string, rounds int) {
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	s := &siege{t: t, rng: rng, stop: make(chan struct{}), finished: map[string][32]byte{}}
	s.c = ink.Collect(t, dir, "--compress", codec, "--max-size", strconv.Itoa(siegeFile), "--rotate", "never")
	input := "app=" + filepath.Join(in, "app.log")
	s.forward = func() *harness.Process { return forward(t, s.c.Addr, state, input) }
	s.f = s.forward()
	p, w := pipe(t, "--to", s.c.Addr, "--spool", t.TempDir(), "--drain-timeout", "100s", "piped")

	l := newLogger(t, filepath.Join(in, "app.log"), "app")
	l.write(t, 50, true)
	// A file that is rotated before a forwarder has saved a position in it belongs to nobody: on a busy machine, the
	// forwarder could be killed before that.
	harness.Until(t, "a position in the file is saved", func() bool {
		text, err := os.ReadFile(filepath.Join(state, "positions"))
		return err == nil && strings.Contains(string(text), "app.log")
	})
	s.work.Go(func() { s.log(l) })
	piped := 0
	s.work.Go(func() {
		for ; s.going(); piped += 20 {
			feed(t, w, "piped", piped, piped+20)
		}
	})
	callers := make([]*harness.Caller, 3)
	for i := range callers {
		callers[i] = &harness.Caller{Addr: s.c.Addr, Source: fmt.Sprintf("raw%d", i), Category: "raw", Most: 60,
			Pause: 5 * time.Millisecond}
		s.work.Go(func() { callers[i].Run(t.Context(), s.stop) })
	}
	for range rounds {
		wait := 50 + rng.IntN(450)
		if rng.IntN(4) == 0 { // long enough for checkpoints, and for files to be finished and published
			wait = 1500 + rng.IntN(3000)
		}
		time.Sleep(time.Duration(wait) * time.Millisecond)
		s.round()
	}
	for len(s.finished) == 0 && codec != "none" { // no life was long enough for that, on a machine that is busy
		harness.Until(t, "a file is published", func() bool { return len(harness.Published(t, dir, "app")) > 0 })
		s.round()
	}
	before := s.c.Counter(t, "app:received good")
	harness.Until(t, "the forwarder works again", func() bool { return s.c.Counter(t, "app:received good") > before })
	close(s.stop)
	s.work.Wait()
	s.f.Stop(t)
	forwardOnce(t, s.c.Addr, state, input)
	finish(t, p, w, 0)
	s.c.Stop(t)

	harness.Clean(t, dir)
	for _, category := range []string{"app", "piped", "raw"} {
		gapless(t, dir, category)
	}
	s.judge(harness.Audit(t, dir, "app"), "app", l.next)
	s.judge(harness.Audit(t, dir, "piped"), "piped", piped)
	ledger := harness.Audit(t, dir, "raw")
	ledger.Known(t, func(source string) bool { return strings.HasPrefix(source, "raw") })
	for _, c := range callers {
		found := c.Judge(t, ledger.Of(c.Source))
		t.Logf("%s: %d lines answered OK, %d answers lost", c.Source, found.Lines, c.Lost)
	}
	if r := ink.Run(t, "audit", "--verify", "--state", state, dir); r.Code != 0 {
		t.Errorf("inkwell audit ends with %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	t.Logf("collector killed %d times, forwarder %d times; %d lines tailed, %d piped", s.collectorKills, s.forwarderKills, l.next, piped)
}

// going waits a moment and says whether the siege still lasts.
func (s *siege) going() bool {
	select {
	case <-s.stop:
		return false
	case <-time.After(5 * time.Millisecond):
		return true
	}
}

// log writes to the file that is followed, and rotates it now and then.
func (s *siege) log(l *logger) {
	for turn := 1; s.going(); turn++ {
		l.write(s.t, 50, true)
		if turn%200 == 0 {
			l.rotate(s.t, 100*time.Millisecond, turn%400 == 0)
		}
	}
}

// round kills one of them or both, looks at what is published, and starts them again.
func (s *siege) round() {
	what := s.rng.IntN(5) // 0, 1, 2: the collector; 3: the forwarder; 4: both
	if what != 3 {
		s.c.Kill()
		s.collectorKills++
		s.published()
	}
	if what >= 3 {
		s.f.Kill()
		s.forwarderKills++
	}
	if what != 3 {
		if s.rng.IntN(4) == 0 { // once more, while it recovers
			s.c.Begin(s.t)
			time.Sleep(time.Duration(s.rng.IntN(100)) * time.Millisecond)
			s.c.Kill()
			s.collectorKills++
			s.published()
		}
		s.c.Restart(s.t)
	}
	if what >= 3 {
		s.f = s.forward()
	}
}

// published checks that what has its final name is whole, and never changes. Plain files take their name while they are written.
func (s *siege) published() {
	var fresh []string
	for _, category := range []string{"app", "piped", "raw"} {
		for _, path := range harness.Published(s.t, s.c.Dir, category) {
			if filepath.Ext(path) == "" {
				continue
			}
			data, err := os.ReadFile(path)
			if err != nil {
				s.t.Error(err)
			}
			digest := sha256.Sum256(data)
			if old, known := s.finished[path]; !known {
				fresh = append(fresh, path)
				s.finished[path] = digest
			} else if old != digest {
				s.t.Errorf("%s has changed since it was published", path)
			}
			if len(data) > siegeFile {
				s.t.Errorf("%s has %d bytes", path, len(data))
			}
		}
	}
	harness.Valid(s.t, fresh)
}

// judge checks that all lines came, once: what was sent again because an answer was lost, or because a forwarder died before it had noted
// it, has the numbers that it had.
func (s *siege) judge(ledger *harness.Ledger, source string, n int) {
	s.t.Helper()
	ledger.Known(s.t, func(name string) bool { return name == source })
	ledger.All(s.t, source, n)
	if a := ledger.Of(source); a.Twice > 0 || a.Late > 0 {
		s.t.Errorf("%s: %d of %d lines came twice, %d out of order: %v", source, a.Twice, n, a.Late, a.Resent)
	}
	s.t.Logf("%s: %d lines", source, n)
}

// gapless checks that the files of a category are numbered without a gap.
func gapless(t *testing.T, dir, category string) {
	t.Helper()
	for i, path := range harness.Published(t, dir, category) {
		if name := fmt.Sprintf("%s_%05d", category, i); !strings.HasPrefix(filepath.Base(path), name) {
			t.Errorf("file %d of %s is %s", i, category, path)
			return
		}
	}
}

// TestKilledCollectorContinuesItsFile has one file for all, however often the collector dies.
func TestKilledCollectorContinuesItsFile(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"gzip", "zstd", "none"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := ink.Collect(t, dir, "--compress", codec, "--rotate", "never")
			n := 0
			for i := range 4 {
				s, err := harness.DialScribe(c.Addr)
				if err != nil {
					t.Fatal(err)
				}
				for range 20 {
					logLines(t, s, "cat", "src", n, n+100)
					n += 100
				}
				if i == 1 { // its lines are in the file, not only in the journal
					harness.Until(t, "the lines are in the file", func() bool { return c.Counter(t, "journal bytes") == 0 })
				}
				s.Close()
				c.Kill()
				c.Restart(t)
			}
			c.Stop(t)
			harness.Clean(t, dir)
			if files := harness.Published(t, dir, "cat"); len(files) != 1 {
				t.Errorf("files %q, want one", files)
			}
			harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"src": n})
		})
	}
}

// logLines sends lines from … to-1 of a source in one call, which must be answered OK.
func logLines(t *testing.T, s *harness.Scribe, category, source string, from, to int) {
	t.Helper()
	if code, err := s.Log(harness.Entries(category, source, from, to)...); err != nil || code != harness.OK {
		t.Fatalf("Log: %d, %v", code, err)
	}
}
