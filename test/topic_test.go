package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

// shared is a topic with two collectors, a depot, and a forwarder of a file for each category.
type shared struct {
	kafka      *harness.Kafka
	collectors []*harness.Collector
	depot      string
	input      string
	states     []string
	lines      int
}

var sharedCategories = []string{"web", "mail", "app"}

// newShared starts everything.
func newShared(t *testing.T) (s *shared, ok bool) {
	s = &shared{depot: t.TempDir(), input: t.TempDir()}
	if s.kafka, ok = harness.NewKafka(t); !ok {
		return nil, false
	}
	s.kafka.Topic(t, "logs", 4, "max.message.bytes=2000000")
	for _, name := range []string{"a", "b"} {
		s.collectors = append(s.collectors, ink.Collect(t, t.TempDir(), "--max-message", "1MiB", "--publish", s.depot,
			"--journal", fmt.Sprintf("kafka://%s/logs?replicas=1&every=1s&session=6s&member=%s", s.kafka.Addr, name)))
	}
	for i, category := range sharedCategories {
		harness.WriteFile(t, s.file(category), "")
		state := t.TempDir()
		s.states = append(s.states, state)
		to := s.collectors[i%2].Addr + "," + s.collectors[(i+1)%2].Addr
		ink.Start(t, harness.Command{Args: []string{"forward", "--to", to, "--state", state, category + "=" + s.file(category)}})
	}
	return s, true
}

func (s *shared) file(category string) string { return filepath.Join(s.input, category+".log") }

// write appends n lines to the file of each category.
func (s *shared) write(t *testing.T, n int) {
	t.Helper()
	for _, category := range sharedCategories {
		f, err := os.OpenFile(s.file(category), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			fmt.Fprintf(f, "%s %08d %s\n", category, s.lines+i, hexNoise(s.lines+i, 100))
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s.lines += n
}

// arrived reports how many lines are in the depot.
func (s *shared) arrived(t *testing.T) (lines int) {
	for _, category := range sharedCategories {
		data, _ := inDepot(t, s.depot, category)
		lines += bytes.Count(data, []byte("\n"))
	}
	return lines
}

// complete waits until everything that was written is in the depot.
func (s *shared) complete(t *testing.T) {
	t.Helper()
	want := s.lines * len(sharedCategories)
	harness.Until(t, fmt.Sprintf("%d lines are in the depot", want), func() bool { return s.arrived(t) >= want })
}

// some waits until something that was written after a point is in the depot: draining goes on.
func (s *shared) some(t *testing.T, after int, what string) {
	t.Helper()
	harness.Until(t, what, func() bool { return s.arrived(t) > after })
}

// compare compares the depot with the files, byte by byte, and audits it.
func (s *shared) compare(t *testing.T) {
	t.Helper()
	for _, category := range sharedCategories {
		got, files := inDepot(t, s.depot, category)
		want, err := os.ReadFile(s.file(category))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %d files with %d lines (%d bytes) are in the depot, %d lines (%d bytes) were written", category, files,
				bytes.Count(got, []byte("\n")), len(got), bytes.Count(want, []byte("\n")), len(want))
		}
	}
	args := []string{"audit", s.depot}
	for _, state := range s.states {
		args = append(args, "--state", state)
	}
	if r := ink.Run(t, args...); r.Code != 0 || !strings.Contains(r.Stdout, "missing 0") {
		t.Errorf("audit: code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// TestTopicOfTwoCollectors has two collectors share a topic. One is killed, one is stopped for longer than its session,
// and the broker is killed: every line is in the depot once, in the order in which it was written.
func TestTopicOfTwoCollectors(t *testing.T) {
	s, ok := newShared(t)
	if !ok {
		return
	}
	a, b := s.collectors[0], s.collectors[1]
	s.write(t, 3000)
	s.some(t, 0, "the first lines are in the depot")
	a.Kill()
	s.write(t, 3000)
	s.complete(t) // by b alone, when a's session is over
	a.Restart(t)
	s.write(t, 3000)
	s.some(t, s.arrived(t), "more is in the depot")
	b.Signal(syscall.SIGSTOP)
	s.write(t, 3000)
	time.Sleep(9 * time.Second) // its session is over
	before := s.arrived(t)
	s.write(t, 3000)
	s.some(t, before, "the other one goes on")
	b.Signal(syscall.SIGCONT)
	s.write(t, 3000)
	s.some(t, s.arrived(t), "both go on")
	s.kafka.Kill()
	s.write(t, 3000)
	s.kafka.Begin(t)
	s.write(t, 3000)
	s.complete(t)
	for range 20 { // what was written twice would come now
		s.write(t, 50)
		s.complete(t)
	}
	s.compare(t)
	for _, c := range s.collectors {
		c.Stop(t)
	}
	s.compare(t)
}
