package chaos

import (
	"encoding/json"
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

// fleet is all processes, the disks that they write to, and the proxies between them.
type fleet struct {
	t         *testing.T
	dir       string
	a, b      *harness.Collector
	relay     *harness.Scribed // the clients' forwarder
	members   []*member
	disks     []*harness.Disk
	proxies   []*harness.Proxy
	bounds    []*harness.Bound // that take only so much at once
	follow    func(flags ...string) *harness.Process
	piping    func(stdin *os.File) *harness.Process
	listening func() *harness.Process // for syslog
	syslog    string                  // its socket
	journal   *harness.Journal        // nil = there is none
	clientsTo string
	clock     string // the file that sets the collectors' clock
}

// member is a process that is broken now and then.
type member struct {
	name  string
	begin func() *harness.Process
	frail bool // may be killed
	disk  *harness.Disk

	mu      sync.Mutex // held while it is being broken
	p       *harness.Process
	refused atomic.Int64 // starts that failed for want of room
}

// environment makes checkpoints and segments small enough to see many.
func (f *fleet) environment() []string {
	return []string{"INKWELL_CUT_EVERY=300000000", "INKWELL_BLOCK_WAIT=500000000", "INKWELL_SEGMENT_BYTES=262144", "INKWELL_CLOCK=" + f.clock}
}

func newFleet(t *testing.T, dir string) *fleet {
	f := &fleet{t: t, dir: dir, clock: filepath.Join(dir, "clock")}
	for _, name := range []string{"a", "b", "forward", "pipe", "relay", "syslog"} {
		f.disks = append(f.disks, harness.NewDisk(t, filepath.Join(dir, name)))
	}
	f.a = ink.NewCollector(t, filepath.Join(f.disks[0].Path, "out"), "--rotate", "20s", "--max-size", "300000")
	f.b = ink.NewConfigured(t, filepath.Join(f.disks[1].Path, "out"), `
<store>
category=default
type=file
file_path={DIR}
compress=gzip
rotate_period=20s
max_size=300000
</store>
<store>
category=piped
type=file
file_path={DIR}/piped
publish=yes
rotate_period=20s
max_size=300000
</store>
`)
	f.a.Env(f.environment()...)
	f.b.Env(f.environment()...)
	toA, toB := f.proxy(f.a.Addr), f.proxy(f.b.Addr)
	f.follow = func(flags ...string) *harness.Process {
		args := append([]string{"forward", "--to", toA + "," + toB, "--state", filepath.Join(f.disks[2].Path, "state")}, flags...)
		if f.journal != nil {
			args = append(args, "--journal", "all format=message category={identifier} namespace="+f.journal.Namespace)
		}
		return ink.Start(t, harness.Command{Args: append(args, "tailed="+filepath.Join(dir, "in", "app.log")), Env: f.environment()})
	}
	pipeA, pipeB := f.proxy(f.bound(f.a, 7, 64<<10)), f.proxy(f.bound(f.b, 1000, 700))
	f.piping = func(stdin *os.File) *harness.Process {
		args := []string{"pipe", "--to", pipeB + "," + pipeA, "--spool", filepath.Join(f.disks[3].Path, "spool"), "--drain-timeout", "4m", "piped"}
		return ink.Start(t, harness.Command{Args: args, Stdin: stdin, Env: f.environment()})
	}
	syslogA, syslogB := f.proxy(f.a.Addr), f.proxy(f.b.Addr)
	f.syslog = filepath.Join(dir, "log.socket")
	f.listening = func() *harness.Process {
		return ink.Start(t, harness.Command{Env: f.environment(), Args: []string{"forward", "--to", syslogA + "," + syslogB,
			"--state", f.syslogState(), "--syslog", "unixgram:" + f.syslog + " format=message category={app}"}})
	}
	if os.Geteuid() == 0 {
		f.journal = ink.Journal(t, "chaos")
	}
	servers := f.proxy(f.bound(f.a, 20, 64<<10)) + " " + f.proxy(f.bound(f.b, 1000, 2000))
	f.relay = ink.NewScribed(t, "port={PORT}\ncheck_interval=1\nmax_queue_size=100000000\n"+
		harness.RelayStore("service_list="+servers+"\nservice_order=listed", filepath.Join(f.disks[4].Path, "buffer")))
	f.relay.Env(append(f.environment(), "INKWELL_STATE="+filepath.Join(f.disks[4].Path, "state"))...)
	f.clientsTo = f.proxy(f.relay.Addr)
	return f
}

func (f *fleet) syslogState() string { return filepath.Join(f.disks[5].Path, "state") }

// bound is a next hop before a collector that takes calls of so many entries and bytes.
func (f *fleet) bound(c *harness.Collector, entries, bytes int) string {
	b := harness.NewBound(f.t, c.Addr, entries, bytes)
	f.bounds = append(f.bounds, b)
	return b.Addr
}

func (f *fleet) proxy(to string) string {
	p := harness.NewProxy(f.t, to)
	f.proxies = append(f.proxies, p)
	return p.Addr
}

// start starts everything but the pipe and the forwarder of syslog, which their sources start.
func (f *fleet) start() {
	for _, c := range []*harness.Collector{f.a, f.b, f.relay.Collector} {
		c.Restart(f.t)
	}
	restart := func(c *harness.Collector) func() *harness.Process {
		return func() *harness.Process { c.Begin(f.t); return c.Process }
	}
	harness.WriteFile(f.t, filepath.Join(f.dir, "in", "app.log"), "")
	f.members = []*member{
		{name: "collector A", begin: restart(f.a), frail: true, disk: f.disks[0], p: f.a.Process},
		{name: "collector B", begin: restart(f.b), frail: true, disk: f.disks[1], p: f.b.Process},
		{name: "forward", begin: func() *harness.Process { return f.follow() }, frail: true, disk: f.disks[2], p: f.follow()},
		{name: "relay", begin: restart(f.relay.Collector), frail: true, disk: f.disks[4], p: f.relay.Process},
	}
	harness.Until(f.t, "the forwarder follows", func() bool { // a file that is rotated before the first look is none of its own
		return strings.Contains(f.members[2].p.Stderr(), "following files")
	})
}

// supervise starts members again that have ended by themselves: without room a start may fail, at other times none may. The pipe is not one
// of them: it ends when its input does, and drain looks at how.
func (f *fleet) supervise() {
	for _, m := range f.members {
		if m.begin == nil || !m.mu.TryLock() {
			continue
		}
		if m.p.Ended() {
			if m.disk == nil || time.Since(m.disk.LastFull()) > 5*time.Second {
				f.t.Errorf("%s has ended by itself: %s\n%s", m.name, m.p, m.p.Stderr())
			}
			m.refused.Add(1)
			m.p = m.begin()
		}
		m.mu.Unlock()
	}
}

// drain ends everything in order, the senders first; all that was taken goes into the files.
func (f *fleet) drain(s *sources) {
	f.t.Helper()
	f.supervise()
	s.pipe.Expect(f.t, 0)
	s.syslog.Stop(f.t) // what it holds goes into its spool, from where the next one delivers it
	again := f.listening()
	harness.Until(f.t, "the spool of syslog is empty", func() bool {
		if !strings.Contains(again.Stderr(), "listening for syslog") {
			return false
		}
		out := ink.Run(f.t, "spool", "verify", filepath.Join(f.syslogState(), "spool")).Stdout
		return strings.Contains(strings.Join(strings.Fields(out), " "), "waiting 0 entries")
	})
	again.Stop(f.t)
	f.members[2].p.Stop(f.t)
	f.follow("--once").Expect(f.t, 0)
	harness.Until(f.t, "the relay has delivered everything", func() bool {
		if f.relay.Counter(f.t, "journal entries") > 0 {
			return false
		}
		for name, n := range f.relay.Counters(f.t) {
			if strings.HasSuffix(name, ":spool entries") && n > 0 {
				return false
			}
		}
		return true
	})
	f.relay.Stop(f.t)
	f.a.Stop(f.t)
	f.b.Stop(f.t)
}

// audit has the program itself look for what is missing.
func (f *fleet) audit() {
	r := ink.Run(f.t, "audit", "--verify", f.a.Dir, f.b.Dir, "--state", filepath.Join(f.disks[2].Path, "state"), "--state", filepath.Join(f.disks[3].Path, "spool"),
		"--state", f.syslogState())
	f.t.Logf("inkwell audit ends with %d\n%s", r.Code, strings.TrimSpace(r.Stdout))
	if r.Code != 0 {
		f.t.Errorf("inkwell audit: %d\n%s", r.Code, r.Stderr)
	}
	f.named()
}

// named counts the streams of which the collectors know where they come from. A name that had no room on a full disk
// goes with a kill, if nothing more is sent of its stream.
func (f *fleet) named() {
	var a struct {
		Categories map[string]struct {
			Streams map[string]struct{ Host, Path string }
		}
	}
	text := ink.Run(f.t, "audit", "--json", f.a.Dir, f.b.Dir).Stdout
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		f.t.Errorf("inkwell audit --json: %v", err)
	}
	all, named := 0, 0
	for _, c := range a.Categories {
		for _, s := range c.Streams {
			all++
			if s.Host != "" && s.Path != "" {
				named++
			}
		}
	}
	f.t.Logf("%d of %d streams have a name", named, all)
	if 2*named < all {
		f.t.Errorf("%d of %d streams have no name", all-named, all)
	}
}

// dedupe has the program itself print what it is to count as one, and wants every line of a source once.
func (f *fleet) dedupe(category string, n int) {
	f.t.Helper()
	r := ink.Run(f.t, "cat", "--dedupe", filepath.Join(f.a.Dir, category), filepath.Join(f.b.Dir, category))
	if r.Code != 0 {
		f.t.Errorf("inkwell cat --dedupe: %d\n%s", r.Code, r.Stderr)
	}
	seen := make([]bool, n)
	left := n
	for line := range strings.Lines(r.Stdout) {
		_, seq, err := harness.ParseLine([]byte(line))
		if err != nil || seq >= n || seen[seq] {
			f.t.Errorf("inkwell cat --dedupe prints what was not sent, or again: %q %v", line, err)
			return
		}
		seen[seq] = true
		left--
	}
	if left > 0 {
		f.t.Errorf("inkwell cat --dedupe does not print %d of %d lines of %s", left, n, category)
	}
}

// kill ends a member and starts it again after a pause.
func (m *member) kill(pause time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Kill()
	time.Sleep(pause)
	m.p = m.begin()
}

// freeze stops a member for a while.
func (m *member) freeze(hold time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Signal(syscall.SIGSTOP)
	time.Sleep(hold)
	m.p.Signal(syscall.SIGCONT)
}

// frail are those that may be killed.
func (f *fleet) frail() []*member {
	return slices.DeleteFunc(slices.Clone(f.members), func(m *member) bool { return !m.frail })
}
