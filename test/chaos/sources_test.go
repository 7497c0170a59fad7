package chaos

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	clients []*harness.Caller
	found   map[string]int64 // by the judge

	stop chan struct{}
	once sync.Once
	work sync.WaitGroup
}

func newSources(f *fleet, dir string) *sources {
	logged := map[string]*atomic.Int64{"syslogged": new(atomic.Int64)}
	if f.journal != nil {
		logged["journaled"] = new(atomic.Int64)
	}
	stubborn := newClient(f, "stubborn")
	stubborn.Stubborn = true
	return &sources{t: f.t, f: f, logged: logged, stop: make(chan struct{}), tailed: harness.NewRotated("tailed", filepath.Join(dir, "in", "app.log")),
		clients: []*harness.Caller{newClient(f, "modest0"), newClient(f, "modest1"), stubborn}}
}

func newClient(f *fleet, source string) *harness.Caller {
	return &harness.Caller{Addr: f.clientsTo, Source: source, Category: "called", Most: 11, Pause: 20 * time.Millisecond}
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
	s.t.Cleanup(s.quiet)
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
	s.work.Go(func() { s.check(harness.Feed(w, "piped", &s.piped, s.going)) })
	for _, c := range s.clients {
		s.work.Go(func() { c.Run(s.t.Context(), s.stop) })
	}
	s.syslog = s.f.listening()
	harness.Until(s.t, "somebody listens for syslog: on a disk that is full it could not make its state", func() bool {
		return strings.Contains(s.syslog.Stderr(), "listening for syslog")
	})
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

// quiet ends the sources.
func (s *sources) quiet() {
	s.once.Do(func() { close(s.stop) })
	s.work.Wait()
}

// livesOn waits until every source gets through again.
func (s *sources) livesOn() {
	s.t.Helper()
	for _, c := range s.clients {
		before := c.Answered.Load()
		harness.Until(s.t, c.Source+" gets answers again", func() bool { s.f.supervise(); return c.Answered.Load() >= before+5 })
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
		text += fmt.Sprintf(", %s %d calls", c.Source, c.Answered.Load())
	}
	return text
}
