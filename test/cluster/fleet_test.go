package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

const (
	topic      = "logs"
	partitions = 6
	session    = 6 * time.Second // the least that a broker takes
	guestName  = "guest"
)

// topicSettings are those that a collector demands and a broker does not have by itself.
var topicSettings = []string{"max.message.bytes=2000000", "unclean.leader.election.enable=false", "retention.ms=604800000"}

// names are those of the collectors that take calls.
var names = []string{"a", "b", "c"}

// fleet is all processes, the disks of the collectors, and the proxies.
type fleet struct {
	t       *testing.T
	dir     string
	ink     harness.Inkwell
	kafka   *harness.Brokers
	depot   *depot
	disks   []*harness.Disk
	every   time.Duration    // how often an epoch is committed
	senders []*harness.Proxy // from a sender to a collector
	sources *sources

	nodes      []*harness.Collector // those of names, and the guest
	collectors []*member            // of names
	guest      *member
	forwarders []*member
	brokers    []*member

	mu   sync.Mutex
	runs []*harness.Process // of collectors
}

// member is a server or a program that is killed, stopped and started again.
type member struct {
	name        string
	kill, begin func()
	process     func() *harness.Process // nil: it is never stopped, and does not end by itself

	mu     sync.Mutex // held while it is being broken
	failed int        // starts that came to nothing
}

// newFleet starts the brokers and the depot, and prepares the rest, with a build of the program.
func newFleet(t *testing.T, tags ...string) (*fleet, bool) {
	t.Helper()
	k, ok := harness.NewBrokers(t, 3, append(names, guestName)...)
	if !ok {
		return nil, false
	}
	d, ok := newDepot(t)
	if !ok {
		return nil, false
	}
	f := &fleet{t: t, dir: directory(t), kafka: k, depot: d, every: time.Second}
	var err error
	if f.ink, err = harness.Build(t.TempDir(), raced, tags...); err != nil {
		t.Fatal(err)
	}
	k.Topic(t, topic, partitions, topicSettings...)
	for i, b := range k.All {
		f.brokers = append(f.brokers, &member{name: fmt.Sprint("broker ", i+1), kill: func() { b.Kill() },
			begin: func() { b.Begin(t) }, process: func() *harness.Process { return b.Process }})
	}
	for _, name := range append(names, guestName) {
		f.collectors = append(f.collectors, f.collector(name))
	}
	f.guest, f.collectors = f.collectors[len(names)], f.collectors[:len(names)]
	f.sources = newSources(f)
	return f, true
}

// directory returns a directory that stays if the test fails.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "inkwell-cluster-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kept for you: %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// collector prepares a collector on a disk of its own.
func (f *fleet) collector(name string) *member {
	f.t.Helper()
	d := harness.NewDisk(f.t, filepath.Join(f.dir, name))
	f.disks = append(f.disks, d)
	f.t.Cleanup(d.Release)
	journal := fmt.Sprintf("kafka://%s/%s?member=%s&every=%v&session=%v", f.kafka.Addr(name), topic, name, f.every, session)
	c := f.ink.NewCollector(f.t, filepath.Join(d.Path, "out"), "--max-message", "1MiB", "--publish", f.depot.address,
		"--journal", journal)
	c.Env(f.depot.env...)
	f.nodes = append(f.nodes, c)
	return &member{name: "collector " + name, kill: func() { c.Kill() }, process: func() *harness.Process { return c.Process },
		begin: func() {
			c.Begin(f.t)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.runs = append(f.runs, c.Process)
		}}
}

// front returns addresses of all collectors for a sender, through proxies of its own, beginning with collector i.
func (f *fleet) front(i int) []string {
	f.t.Helper()
	var all []string
	for k := range names {
		p := harness.NewProxy(f.t, f.nodes[(i+k)%len(names)].Addr)
		f.senders = append(f.senders, p)
		all = append(all, p.Addr)
	}
	return all
}

// start starts everything that the brokers and the depot are for.
func (f *fleet) start() {
	f.t.Helper()
	for _, m := range f.collectors {
		m.begin()
	}
	f.listening()
	f.sources.start()
}

// listening waits until all collectors answer calls.
func (f *fleet) listening() {
	f.t.Helper()
	for i := range names {
		harness.Until(f.t, "collector "+names[i]+" answers", func() bool { f.supervise(); return f.nodes[i].Answers() })
	}
}

// supervise starts members again that have ended by themselves. A collector may end while it starts, because it needs
// the brokers and room on its disk; nothing else may.
func (f *fleet) supervise() {
	for _, m := range slices.Concat(f.collectors, f.forwarders, f.brokers) {
		if !m.mu.TryLock() {
			continue
		}
		if p := m.process(); p != nil && p.Ended() {
			if !slices.Contains(f.collectors, m) || collected(p) {
				f.t.Errorf("%s has ended by itself: %s\n%s", m.name, p, p.Stderr())
			}
			words := strings.Split(strings.TrimSpace(p.Stderr()), "\n")
			f.t.Logf("%s has not started: %s", m.name, words[len(words)-1])
			m.failed++
			m.begin()
		}
		m.mu.Unlock()
	}
}

// drain ends the senders and waits until the topic has no more entries. The collectors are killed once more, so that the
// last word on each partition is that of a successor.
func (f *fleet) drain() {
	f.t.Helper()
	f.listening()
	f.sources.drain()
	f.forwarders = nil // they have ended
	for _, m := range f.collectors {
		m.kill()
		m.begin()
	}
	f.listening()
	harness.Until(f.t, "everything in the topic is committed", func() bool {
		records, err := f.kafka.Lag(f.t, "inkwell", topic)
		return err == nil && records == 0
	})
	f.t.Log("everything is committed")
	harness.Until(f.t, "all that was acknowledged is in the depot", func() bool {
		time.Sleep(f.every) // each look reads the whole depot
		v := f.read()
		return v.missing == 0
	})
	for i := range names {
		f.nodes[i].Stop(f.t)
		if left, err := os.ReadDir(filepath.Join(f.nodes[i].Dir, ".inkwell", "kafka")); err == nil {
			f.t.Errorf("collector %s has left %d files in its scratch directory", names[i], len(left))
		}
	}
}

// audit has the program itself look for what is missing or there twice.
func (f *fleet) audit() {
	f.t.Helper()
	args := []string{"audit", f.depot.direct}
	for _, state := range f.sources.states() {
		args = append(args, "--state", state)
	}
	r := f.ink.RunCommand(f.t, harness.Command{Args: args, Env: f.depot.env})
	f.t.Logf("inkwell audit ends with %d\n%s", r.Code, strings.TrimSpace(r.Stdout))
	if r.Code != 0 || !strings.Contains(r.Stdout, "duplicated 0, missing 0") {
		f.t.Errorf("inkwell audit: %d\n%s", r.Code, r.Stderr)
	}
}

// seen counts how often the collectors have logged a text.
func (f *fleet) seen(text string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.runs {
		n += strings.Count(p.Stderr(), text)
	}
	return n
}

// die kills a member and starts it again after a pause.
func (m *member) die(pause time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kill()
	time.Sleep(pause)
	m.begin()
}

// freeze stops a member for a while.
func (m *member) freeze(hold time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.process().Signal(syscall.SIGSTOP)
	time.Sleep(hold)
	m.process().Signal(syscall.SIGCONT)
}

// collected reports whether a collector has got so far that it takes calls.
func collected(p *harness.Process) bool { return strings.Contains(p.Stderr(), "msg=collecting ") }

// leave ends a collector in good order. Without brokers it may end with 1, and with a signal before it collects.
func (m *member) leave(t *testing.T) {
	p := m.process()
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(t); code != 0 && code != 1 && collected(p) {
		t.Errorf("%s ended with %d\n%s", m.name, code, p.Stderr())
	}
}
