package test

import (
	"fmt"
	"io/fs"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/test/harness"
)

// world is a program that is to die, with what sends to it and what it sends to:
//
//	collector, configured, scribed: clients, and a forwarder that follows a rotated file ──► victim ──► files
//	forwarder:          file ──► victim ──► proxy that refuses now and then ──► collector ──► files
//	relay:           clients ──► victim, a scribed with a buffer ──► such a proxy ──► collector ──► files
type world struct {
	t       *testing.T
	program harness.Inkwell
	role    string

	server  *harness.Collector // what writes the files
	front   *harness.Collector // what the clients send to: the same, or the relay
	out     string             // where the files are
	depot   string             // where the compressed ones go from there; "": nowhere
	tailed  *logger            // nil: nothing is followed
	follow  func(env ...string) *harness.Process
	tail    *harness.Process
	proxy   *harness.Proxy
	clients []*harness.Caller

	stop    chan struct{}
	once    sync.Once
	work    sync.WaitGroup
	figures figures
}

// configured is a configuration with each kind of files; those of collector and scribed are not in partitions.
const configured = `
<store>
category=default
type=file
file_path={DIR}
max_size=8000
compress=gzip
layout=hive
rotate_period=hourly
publish={DEPOT}
who=w1
</store>
<store>
category=packed
type=file
file_path={DIR}
max_size=8000
publish=yes
</store>
<store>
category=raw
type=file
file_path={DIR}
max_size=8000
</store>
`

func newWorld(t *testing.T, program harness.Inkwell, role string) *world {
	w := &world{t: t, program: program, role: role, stop: make(chan struct{})}
	w.client("raw", "raw")
	w.client("stubborn", "raw").Stubborn = true
	switch role {
	case "configured":
		w.out = t.TempDir()
		w.depot = t.TempDir()
		w.server = program.NewConfigured(t, w.out, strings.ReplaceAll(configured, "{DEPOT}", w.depot))
		w.client("packed", "packed")
	case "scribed":
		conf := "port={PORT}\ncheck_interval=1\nmax_queue_size=1000000000\n" +
			"<store>\ncategory=default\ntype=file\nfile_path={DIR}/out\nmax_size=8000\nmax_write_size=3000\nwrite_stats=yes\n</store>\n" +
			"<store>\ncategory=packed\ntype=file\nfile_path={DIR}/out\nmax_size=8000\ncompress=gzip\n</store>\n"
		s := program.NewScribed(t, conf)
		w.server, w.out = s.Collector, filepath.Join(s.Dir, "out")
		w.client("packed", "packed")
	default:
		w.out = t.TempDir()
		w.server = program.NewCollector(t, w.out, "--max-size", "8000", "--rotate", "never")
	}
	w.front = w.server
	to := w.server.Addr
	if role == "relay" || role == "forwarder" {
		w.proxy = harness.NewProxy(t, w.server.Addr)
		to = w.proxy.Addr
	}
	if role == "relay" {
		_, port, _ := net.SplitHostPort(to)
		w.front = program.NewScribed(t, "port={PORT}\ncheck_interval=1\nmax_queue_size=1000000000\n"+
			harness.RelayStore("remote_host=127.0.0.1\nremote_port="+port, "{DIR}/buf")).Collector
	} else {
		w.tailing(to)
	}
	for _, c := range w.clients {
		c.Addr = w.front.Addr
	}
	return w
}

// client adds a client.
func (w *world) client(source, category string) *harness.Caller {
	c := &harness.Caller{Source: source, Category: category, Most: 25, Pause: 2 * time.Millisecond}
	w.clients = append(w.clients, c)
	return c
}

// tailing adds a forwarder that follows a file.
func (w *world) tailing(to string) {
	in, state := w.t.TempDir(), w.t.TempDir()
	w.tailed = newLogger(w.t, filepath.Join(in, "app.log"), "app")
	w.follow = func(env ...string) *harness.Process {
		flags := []string{"forward", "--to", to, "--state", state, "app=" + filepath.Join(in, "app.log")}
		for len(env) > 0 && strings.HasPrefix(env[0], "--") {
			flags, env = append(flags, env[0]), env[1:]
		}
		return w.program.Start(w.t, harness.Command{Args: flags, Env: append(slices.Clone(tuned), env...)})
	}
}

// start starts the victim.
func (w *world) start(env ...string) *harness.Process {
	w.t.Helper()
	if w.role == "forwarder" {
		w.tail = w.follow(env...)
		return w.tail
	}
	w.front.Env(append(slices.Clone(tuned), env...)...)
	w.front.Begin(w.t)
	return w.front.Process
}

// ready waits until the victim works.
func (w *world) ready() {
	w.t.Helper()
	harness.Until(w.t, "the "+w.role+" works", w.works)
}

// works says whether the victim has started.
func (w *world) works() bool {
	if w.role == "forwarder" {
		return follows(w.tail)
	}
	return w.front.Answers()
}

// wrote says whether files of the kind that a point is about (rotate.…: compressed ones, plain.…: plain ones) were written to since the
// victim was started. Without files it says yes.
func (w *world) wrote(p *harness.Process, point string) bool {
	if w.role == "forwarder" || w.role == "relay" {
		return true
	}
	stage, _, _ := strings.Cut(point, ".")
	written := false
	_ = filepath.WalkDir(w.out, func(path string, e fs.DirEntry, err error) error { // files come and go
		switch {
		case err != nil:
		case e.IsDir() && e.Name() == ".inkwell":
			return fs.SkipDir
		case stage == "rotate" && !strings.Contains(e.Name(), ".gz"), stage == "plain" && strings.Contains(e.Name(), ".gz"):
		case e.Type().IsRegular() && !harness.IsMetadata(e.Name()):
			info, err := e.Info()
			written = written || err == nil && info.ModTime().After(p.Started)
		}
		return nil
	})
	return written
}

// follows says whether a forwarder has looked at its files.
func follows(p *harness.Process) bool { return strings.Contains(p.Stderr(), "following files") }

// begin starts what is no victim, and the traffic.
func (w *world) begin() {
	w.t.Cleanup(w.quiet)
	if w.proxy != nil {
		w.server.Env(tuned...)
		w.server.Restart(w.t)
		w.met()
		w.work.Go(w.flap)
	} else {
		w.tail = w.follow()
		harness.Until(w.t, "the file is followed", func() bool { return follows(w.tail) })
	}
	for _, c := range w.clients {
		w.work.Go(func() { c.Run(w.t.Context(), w.stop) })
	}
	if w.tailed != nil {
		w.work.Go(func() {
			for turn := 1; w.going(4 * time.Millisecond); turn++ {
				w.tailed.write(w.t, 15, true)
				if turn%150 == 0 {
					w.tailed.rotate(w.t, 30*time.Millisecond, turn%300 == 0)
				}
			}
		})
	}
}

// met lets the forwarder meet its file before it is killed for the first time: what was rotated away before that is none
// of its business.
func (w *world) met() {
	if w.tailed == nil {
		return
	}
	w.tailed.write(w.t, 15, true)
	p := w.follow()
	harness.Until(w.t, "the first lines arrive", func() bool { return w.server.Counter(w.t, "app:received good") >= 15 })
	p.Kill()
}

// flap takes the network from the forwarder now and then, so that its spool is in use, and answers, so that it sends again.
func (w *world) flap() {
	for turn := 0; w.going(150 * time.Millisecond); turn++ {
		w.proxy.Set([]harness.Fault{harness.Pass, harness.Pass, harness.Refuse, harness.Pass, harness.Pass, harness.LoseAnswers}[turn%6])
	}
	w.proxy.Set(harness.Pass)
}

// going waits a moment and says whether the traffic goes on.
func (w *world) going(d time.Duration) bool {
	select {
	case <-w.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// livesOn waits until everybody gets through again.
func (w *world) livesOn() {
	w.t.Helper()
	for _, c := range w.clients {
		before := c.Answered.Load()
		harness.Until(w.t, c.Source+" gets answers again", func() bool { return c.Answered.Load() >= before+5 })
	}
	if w.tailed != nil {
		before := w.server.Counter(w.t, "app:received good")
		harness.Until(w.t, "the forwarder delivers again", func() bool { return w.server.Counter(w.t, "app:received good") > before })
	}
}

// quiet ends the traffic.
func (w *world) quiet() {
	w.once.Do(func() { close(w.stop) })
	w.work.Wait()
}

// end ends the traffic and brings everything into the files.
func (w *world) end() {
	w.t.Helper()
	w.quiet()
	if w.tail != nil {
		w.tail.Stop(w.t)
		w.follow("--once").Expect(w.t, 0)
	}
	if w.front != w.server {
		harness.Until(w.t, "the relay has delivered everything", func() bool {
			return w.front.Counter(w.t, "journal entries") == 0 && w.front.Counter(w.t, "raw:spool entries") == 0
		})
		w.front.Stop(w.t)
	}
	w.server.Stop(w.t)
}

// read reads the files of every category, in the order of their names. A rotation that scribe_stats tells of must be told once.
func (w *world) read() (l *harness.Ledger, files int) {
	w.t.Helper()
	l = harness.NewLedger()
	err := filepath.WalkDir(w.out, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == ".inkwell":
			return fs.SkipDir
		case !e.Type().IsRegular() || harness.IsMetadata(e.Name()):
			return nil
		}
		data, err := harness.Read(path)
		switch {
		case strings.HasPrefix(e.Name(), "."):
			w.t.Errorf("%s is left", path)
		case err != nil:
			w.t.Error(err)
		case e.Name() == "scribe_stats":
			w.told(string(data))
		default:
			l.Bytes(data)
			files++
		}
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
	return l, files
}

func (w *world) told(text string) {
	w.t.Helper()
	seen := make(map[string]bool)
	for line := range strings.Lines(text) {
		_, file, _ := strings.Cut(line, " events to file ")
		if file == "" || seen[file] {
			w.t.Errorf("scribe_stats: %q is no line of it, or there again", line)
		}
		seen[file] = true
	}
}

// judge compares what is in the files with what was sent: nothing that was acknowledged is missing, nothing is there that was not
// sent, byte for byte, and nothing is there twice but what a client has sent twice.
func (w *world) judge() {
	w.t.Helper()
	ledger, files := w.read()
	known := map[string]int{}
	for _, c := range w.clients {
		known[c.Source] = c.Next()
		w.figures.count(c, c.Judge(w.t, ledger.Of(c.Source)))
		if c.Later > 0 {
			w.t.Errorf("%s: %d answers TRY_LATER", c.Source, c.Later)
		}
	}
	if w.tailed != nil {
		known["app"] = w.tailed.next
		ledger.All(w.t, "app", w.tailed.next)
		a := ledger.Of("app")
		w.figures.entries += w.tailed.next
		w.figures.duplicates += a.Twice
		if a.Twice > 0 {
			w.t.Errorf("app: %d lines came twice: %v", a.Twice, a.Resent[:min(len(a.Resent), 10)])
		}
	}
	ledger.Known(w.t, func(source string) bool { _, ok := known[source]; return ok })
	for source, n := range known {
		if a := ledger.Of(source); len(a.Seen) > n && slices.Max(a.Seen[n:]) > 0 {
			w.t.Errorf("%s: lines came that were never sent", source)
		}
	}
	if w.proxy != nil {
		w.figures.lost += int(w.proxy.Lost.Load())
	}
	w.figures.files += files
	if w.depot != "" {
		w.compareDepot()
	}
}

// compareDepot sees that the depot has each compressed file once, as it is, and its manifest, and nothing else.
func (w *world) compareDepot() {
	w.t.Helper()
	want, got, manifests := make(map[string]string), make(map[string]string), 0
	gather := func(root string, into map[string]string) {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil || !e.Type().IsRegular() || strings.HasPrefix(e.Name(), "_SUCCESS"):
			case filepath.Ext(path) == ".manifest" && !strings.HasPrefix(e.Name(), "."):
				manifests++
			case filepath.Ext(path) == ".gz":
				name := strings.Replace(e.Name(), "_w1_", "_", 1)
				var data []byte
				data, err = harness.Read(path)
				into[name] = string(data)
			case root == w.depot:
				w.t.Errorf("%s is left in the depot", path)
			}
			return err
		})
		if err != nil {
			w.t.Error(err)
		}
	}
	gather(w.out, want)
	gather(w.depot, got)
	if !maps.Equal(got, want) || manifests != len(want) || len(want) == 0 {
		w.t.Errorf("%d files are here, %d in the depot, with %d manifests", len(want), len(got), manifests)
	}
}

// figures are what was seen, added up.
type figures struct {
	mu                    sync.Mutex
	kills, entries, files int
	lost                  int // answers, or whole calls
	resent                int // entries that are there again because their client sent them again
	duplicates, missing   int
}

// count adds what became of the calls of a client.
func (f *figures) count(c *harness.Caller, found harness.Found) {
	f.entries += found.Lines
	f.lost += c.Lost
	f.resent += found.Resent
	f.duplicates += found.Doubled
	f.missing += found.Missing
}

func (f *figures) add(o *figures) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kills += o.kills
	f.entries += o.entries
	f.files += o.files
	f.lost += o.lost
	f.resent += o.resent
	f.duplicates += o.duplicates
	f.missing += o.missing
}

func (f *figures) String() string {
	return fmt.Sprintf("%d entries acknowledged, in %d files; %d answers lost, %d entries there again because their client sent them again, %d duplicates, %d missing",
		f.entries, f.files, f.lost, f.resent, f.duplicates, f.missing)
}

func (f *figures) log(t *testing.T) { t.Logf("%d kills; %s", f.kills, f) }

// enough fails the test if there was too little to mean anything.
func (f *figures) enough(t *testing.T, kills int) {
	if f.kills < kills || f.entries < 200*kills || f.lost < kills/4 || f.resent == 0 && kills >= 100 {
		t.Errorf("too little was seen to mean much: %d kills, %d entries, %d answers lost, %d resent", f.kills, f.entries, f.lost, f.resent)
	}
}
