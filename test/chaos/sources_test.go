package chaos

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/test/harness"
)

// sources is everything that makes entries, with its ledgers.
type sources struct {
	t       *testing.T
	f       *fleet
	tailed  *harness.Rotated
	piped   atomic.Int64 // lines written
	pipe    *harness.Process
	syslog  *harness.Process
	logged  map[string]*atomic.Int64 // by category of a logger: its messages
	clients []*client
	found   map[string]int64 // by the judge

	stop chan struct{}
	over atomic.Bool // nobody waits for an answer any more
	once sync.Once
	work sync.WaitGroup
}

func newSources(f *fleet, dir string) *sources {
	logged := map[string]*atomic.Int64{"syslogged": new(atomic.Int64)}
	if f.journal != nil {
		logged["journaled"] = new(atomic.Int64)
	}
	return &sources{t: f.t, f: f, logged: logged, stop: make(chan struct{}), tailed: harness.NewRotated("tailed", filepath.Join(dir, "in", "app.log")),
		clients: []*client{{source: "modest0"}, {source: "modest1"}, {source: "stubborn", stubborn: true}}}
}

// going waits a moment and says whether more is wanted.
func (s *sources) going(d time.Duration) bool {
	select {
	case <-s.stop:
		return false
	case <-time.After(d):
		return true
	}
}

func (s *sources) start() {
	s.t.Cleanup(func() { s.over.Store(true); s.quiet() })
	s.work.Go(func() { s.check(s.tailed.Run(s.going)) })
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.pipe = s.f.piping(r)
	s.f.members = append(s.f.members, &member{name: "pipe", p: s.pipe}) // which nothing can start again
	if err := r.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.work.Go(func() { s.check(s.feed(w)) })
	for _, c := range s.clients {
		s.work.Go(func() { c.run(s) })
	}
	s.syslog = s.f.listening()
	s.f.members = append(s.f.members, &member{name: "syslog", p: s.syslog}) // which must not be killed
	s.work.Go(func() { s.check(s.logSyslog()) })
	if s.f.journal != nil {
		s.work.Go(func() { s.check(s.log("journaled", s.f.journal.Log)) })
	}
}

// log has a logger send a few messages every now and then.
func (s *sources) log(category string, send func(source string, from, to int) error) error {
	for next := 0; s.going(50 * time.Millisecond); {
		if err := send(category, next, next+10); err != nil {
			return err
		}
		next += 10
		s.logged[category].Store(int64(next))
	}
	return nil
}

// logSyslog is a program that logs to the socket of syslog.
func (s *sources) logSyslog() error {
	var conn net.Conn
	for conn == nil && s.going(50*time.Millisecond) {
		conn, _ = net.Dial("unixgram", s.f.syslog) // until it is there
	}
	if conn == nil {
		return errors.New("nobody listens for syslog")
	}
	defer conn.Close()
	return s.log("syslogged", func(source string, from, to int) error {
		for i := from; i < to; i++ {
			if _, err := fmt.Fprintf(conn, "<13>Nov 29 10:00:00 %s: %s", source, harness.AppendLine(nil, source, i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// categories are those of all sources.
func (s *sources) categories() []string {
	return append([]string{"tailed", "piped", "called"}, slices.Sorted(maps.Keys(s.logged))...)
}

func (s *sources) check(err error) {
	if err != nil {
		s.t.Error(err)
	}
}

// feed writes to the pipe.
func (s *sources) feed(w *os.File) (err error) {
	defer func() { err = errors.Join(err, w.Close()) }()
	for next := 0; s.going(50 * time.Millisecond); {
		if _, err := w.Write(harness.Lines("piped", next, next+10)); err != nil {
			return fmt.Errorf("the pipe does not take lines: %w", err)
		}
		next += 10
		s.piped.Store(int64(next))
	}
	return nil
}

// quiet ends the sources.
func (s *sources) quiet() {
	s.once.Do(func() { close(s.stop) })
	s.work.Wait()
}

// livesOn waits until every source gets through again.
func (s *sources) livesOn() {
	s.t.Helper()
	for _, c := range s.clients {
		before := c.answered.Load()
		harness.Until(s.t, c.source+" gets answers again", func() bool { s.f.supervise(); return c.answered.Load() >= before+5 })
	}
	taken := func(category string) (n int64) {
		for _, c := range []*harness.Collector{s.f.a, s.f.b} {
			n += c.Counter(s.t, category+":received good")
		}
		return n
	}
	for _, category := range s.categories() {
		before := taken(category)
		harness.Until(s.t, category+" gets through again", func() bool { s.f.supervise(); return taken(category) > before })
	}
}

// progress is a line about what was done so far.
func (s *sources) progress() string {
	text := fmt.Sprintf("%d lines tailed (%d rotations), %d piped", s.tailed.Lines(), s.tailed.Rotations(), s.piped.Load())
	for _, category := range slices.Sorted(maps.Keys(s.logged)) {
		text += fmt.Sprintf(", %d %s", s.logged[category].Load(), category)
	}
	for _, c := range s.clients {
		text += fmt.Sprintf(", %s %d calls", c.source, c.answered.Load())
	}
	return text
}

// client makes Log calls. A modest one never sends anything again, so that it knows of every line what may have become of it; a
// stubborn one sends a call until it is answered OK, as old clients do, so that it can double its lines itself.
type client struct {
	source   string
	stubborn bool
	answered atomic.Int64

	next    int
	calls   []call
	later   int // answers TRY_LATER
	nothing int // calls without an answer
}

// call is one Log call and how often it was sent.
type call struct {
	harness.Run
	sent  int
	acked bool
}

func (c *client) run(s *sources) {
	var conn *harness.Scribe
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for again := false; ; {
		if on := s.going(20 * time.Millisecond); !on && (!again || s.over.Load()) {
			return
		}
		if conn == nil {
			var err error
			if conn, err = harness.DialScribe(s.f.clientsTo); err != nil {
				conn = nil
				continue
			}
		}
		if !again {
			c.calls = append(c.calls, call{Run: harness.Run{First: c.next, Lines: 1 + c.next%11}})
			c.next += c.calls[len(c.calls)-1].Lines
		}
		one := &c.calls[len(c.calls)-1]
		one.sent++
		var entries []harness.Entry
		for i := range one.Lines {
			entries = append(entries, harness.Entry{Category: "called", Message: string(harness.AppendLine(nil, c.source, one.First+i))})
		}
		code, err := conn.Log(entries...)
		switch {
		case err != nil:
			c.nothing++
			conn.Close()
			conn = nil
		case code != harness.OK:
			c.later++
		default:
			one.acked = true
			c.answered.Add(1)
		}
		again = c.stubborn && !one.acked
	}
}
