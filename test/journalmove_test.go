package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"inkwell/internal/killpoint"
	"inkwell/test/harness"
)

// mover is a collector whose journal is on its disk, or in a topic.
type mover struct {
	t            *testing.T
	ink          harness.Inkwell
	local, topic *harness.Collector // one directory, with either journal
	dir, depot   string
	address      string // of the topic
	input, state string // of a forwarder
	lines        int
	want         map[string][]string // lines by category
}

func newMover(t *testing.T) *mover {
	program, err := killInk()
	if err != nil {
		t.Fatal(err)
	}
	m := &mover{t: t, ink: program, dir: t.TempDir(), depot: t.TempDir(), state: t.TempDir(), want: make(map[string][]string),
		input: filepath.Join(t.TempDir(), "web.log")}
	harness.WriteFile(t, m.input, "")
	k := harness.NewFakeKafka(t)
	k.Topic(t, "logs", 8, "max.message.bytes=2000000", "unclean.leader.election.enable=false")
	m.address = "kafka://" + k.Addr + "/logs?replicas=1&session=2s&member=a"
	m.local = program.NewCollector(t, m.dir, "--max-message", "1MiB", "--publish", m.depot)
	m.topic = program.NewCollector(t, m.dir, "--max-message", "1MiB", "--publish", m.depot, "--journal", m.address+"&every=1s")
	return m
}

// send sends numbered lines of a forwarder, and entries without numbers.
func (m *mover) send(to *harness.Collector) {
	m.t.Helper()
	var text strings.Builder
	s, err := harness.DialScribe(to.Addr)
	if err != nil {
		m.t.Fatal(err)
	}
	defer s.Close()
	for i := range 200 {
		line := fmt.Sprintf("%08d %s\n", m.lines+i, hexNoise(m.lines+i, 100))
		text.WriteString(line)
		m.want["web"] = append(m.want["web"], line)
		for _, category := range []string{"old", "mail", "app", "db"} {
			if code, err := s.Log(harness.Entry{Category: category, Message: line}); code != harness.OK || err != nil {
				m.t.Fatal(code, err)
			}
			m.want[category] = append(m.want[category], line)
		}
	}
	m.lines += 200
	appendTo(m.t, m.input, text.String())
	m.forward(to, m.state)
}

func (m *mover) forward(to *harness.Collector, state string) {
	m.t.Helper()
	if r := m.ink.Run(m.t, "forward", "--to", to.Addr, "--state", state, "--once", "--wait", "1m", "web="+m.input); r.Code != 0 {
		m.t.Fatal(r.Code, r.Stderr)
	}
}

// die runs a move that dies at a point, and reports whether it came by.
func (m *mover) die(point string, arrival int, args ...string) bool {
	m.t.Helper()
	p := m.ink.Start(m.t, harness.Command{Args: append([]string{"journal", "move"}, args...),
		Env: []string{fmt.Sprintf(killpoint.KillVariable+"=%s:%d", point, arrival), killpoint.MoveBatch + "=5000"}})
	harness.Until(m.t, point, p.Ended)
	return p.Died()
}

// move moves to the end.
func (m *mover) move(args ...string) {
	m.t.Helper()
	r := m.ink.Run(m.t, append([]string{"journal", "move"}, args...)...)
	if r.Code != 0 || !strings.HasPrefix(r.Stdout, "moved ") {
		m.t.Fatalf("%d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// refused checks that a collector does not start while a move is not complete.
func (m *mover) refused(c *harness.Collector) {
	m.t.Helper()
	c.Begin(m.t)
	if code := c.Wait(m.t); code != 1 || !strings.Contains(c.Stderr(), "a move is not complete") {
		m.t.Errorf("it ends with %d:\n%s", code, c.Stderr())
	}
}

// compare compares the depot with what was sent.
func (m *mover) compare() {
	m.t.Helper()
	for category, want := range m.want {
		data, files := inDepot(m.t, m.depot, category)
		got := strings.SplitAfter(string(data), "\n")
		got = got[:len(got)-1]
		slices.Sort(got)
		if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
			m.t.Errorf("%s: %d lines in %d files, want %d, of them %d different ones", category, len(got), files, len(want),
				len(slices.Compact(got)))
		}
	}
}

// complete waits until the depot has as many lines as were sent.
func (m *mover) complete() {
	m.t.Helper()
	harness.Until(m.t, "everything is in the depot", func() bool {
		for category, want := range m.want {
			if data, _ := inDepot(m.t, m.depot, category); bytes.Count(data, []byte("\n")) < len(want) {
				return false
			}
		}
		return true
	})
}

// TestJournalMoveKilled moves the rest of a journal to a topic and the rest of the topic back, dying at every step and as
// often as it comes by. Everything is in the depot once, numbered or not, also what its sender sends again. Meanwhile the
// collector does not start.
func TestJournalMoveKilled(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	m.local.Env(killpoint.CutEvery + "=100000000")
	m.local.Restart(t)
	m.send(m.local)
	if r := m.ink.Run(t, "journal", "move", m.dir, m.address); r.Code != 111 {
		t.Errorf("while the collector runs: %d\n%s", r.Code, r.Stderr)
	}
	harness.Until(t, "a checkpoint has it", func() bool { return m.local.Counter(t, "journal entries") == 0 })
	m.local.Kill()
	m.local.Env(killpoint.CutEvery + "=3600000000000") // what comes now stays in the journal
	m.local.Restart(t)
	before := t.TempDir()
	if err := os.CopyFS(before, os.DirFS(m.state)); err != nil {
		t.Fatal(err)
	}
	m.send(m.local)
	m.local.Kill()
	m.local.Env()
	m.perish([]string{"move.recorded", "move.sent", "move.settled", "move.acked"}, m.topic, m.dir, m.address)

	back := []string{m.address, m.dir, "--publish", m.depot}
	m.move(back...)          // not drained yet: all of it goes back
	m.move(m.dir, m.address) // and there again

	m.topic.Restart(t)
	m.forward(m.topic, before) // what is in the topic, with the same numbers
	m.topic.Stop(t)            // which finishes the files of the first part
	m.topic.Restart(t)
	m.complete()
	m.topic.Stop(t)
	m.compare()

	slow := m.ink.NewCollector(t, m.dir, "--max-message", "1MiB", "--publish", m.depot, "--journal", m.address+"&every=24h")
	slow.Restart(t)
	before = t.TempDir()
	if err := os.CopyFS(before, os.DirFS(m.state)); err != nil {
		t.Fatal(err)
	}
	m.send(slow)
	m.audit("in journal 1,000,")
	slow.Stop(t)
	m.perish([]string{"move.marked", "move.taken", "move.committed"}, m.local, back...)
	m.move(m.dir, m.address) // and the other way round
	m.move(back...)
	m.local.Restart(t)
	m.forward(m.local, before)
	m.local.Stop(t)
	m.local.Restart(t) // which brings the rest into the depot
	m.complete()
	m.local.Stop(t)
	m.compare()
	m.audit("missing 0,")
	if r := m.ink.Run(t, append([]string{"journal", "move"}, back...)...); r.Code != 0 || !strings.HasPrefix(r.Stdout, "moved 0 entries") {
		t.Errorf("when all is done: %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// audit audits the depot with the topic.
func (m *mover) audit(want string) {
	m.t.Helper()
	r := m.ink.Run(m.t, "audit", m.depot, m.address, "--state", m.state)
	if text := strings.Join(strings.Fields(r.Stdout), " "); r.Code != 0 || !strings.Contains(text, want) || !strings.Contains(text, "missing 0,") {
		m.t.Errorf("%d, want %q:\n%s%s", r.Code, want, r.Stdout, r.Stderr)
	}
}

// perish dies at each point, early and late, and moves to the end. c is the collector that is refused meanwhile.
func (m *mover) perish(points []string, c *harness.Collector, args ...string) {
	m.t.Helper()
	for _, name := range points {
		at := slices.IndexFunc(killpoint.Points, func(p killpoint.Point) bool { return p.Name == name })
		for arrival := 1; arrival <= killpoint.Points[at].Most; arrival++ {
			if !m.die(name, arrival, args...) {
				m.t.Fatalf("it does not come by %s for the %d. time", name, arrival)
			}
		}
	}
	m.refused(c)
	m.move(args...)
}
