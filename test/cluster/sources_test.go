package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/test/harness"
)

// sources is everything that makes entries, and what each may demand.
type sources struct {
	f       *fleet
	logs    []*harness.Rotated // log i is of category categories[i]
	follow  []func(flags ...string) *harness.Process
	pipe    *harness.Process
	piped   atomic.Int64      // lines written
	clients []*harness.Caller // one for each collector

	stop chan struct{}
	once sync.Once
	work sync.WaitGroup
}

// categories are those of the logs.
var categories = []string{"web", "web", "app"}

func newSources(f *fleet) *sources {
	s := &sources{f: f, stop: make(chan struct{})}
	for i, category := range categories {
		source := fmt.Sprint("log", i)
		l := harness.NewRotated(source, filepath.Join(f.dir, source, "app.log"))
		harness.WriteFile(f.t, l.Path, "")
		s.logs = append(s.logs, l)
		to := strings.Join(f.front(i), ",")
		s.follow = append(s.follow, func(flags ...string) *harness.Process {
			args := append([]string{"forward", "--to", to, "--state", s.state(i)}, flags...)
			return f.ink.Start(f.t, harness.Command{Args: append(args, category+"="+l.Path)})
		})
		var p *harness.Process
		f.forwarders = append(f.forwarders, &member{name: fmt.Sprint("forwarder ", i), kill: func() { p.Kill() },
			begin: func() { p = s.follow[i]() }, process: func() *harness.Process { return p }})
	}
	for i := range names {
		s.clients = append(s.clients, &harness.Caller{Source: fmt.Sprint("client", i), Addr: f.front(i)[0],
			Category: "called", Most: 11, Pause: 20 * time.Millisecond})
	}
	return s
}

func (s *sources) state(i int) string { return filepath.Join(s.f.dir, fmt.Sprint("state", i)) }

func (s *sources) spool() string { return filepath.Join(s.f.dir, "spool") }

// states are the directories from which inkwell audit learns what was sent.
func (s *sources) states() (all []string) {
	for i := range s.logs {
		all = append(all, s.state(i))
	}
	return append(all, s.spool())
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
	t := s.f.t
	t.Cleanup(s.quiet)
	check := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	for i, l := range s.logs {
		s.f.forwarders[i].begin()
		s.work.Go(func() { check(l.Run(s.going)) })
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.pipe = s.f.ink.Start(t, harness.Command{Stdin: r, Args: []string{"pipe", "--to", strings.Join(s.f.front(1), ","),
		"--spool", s.spool(), "--drain-timeout", "4m", "piped"}})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	s.work.Go(func() { check(harness.Feed(w, "piped", &s.piped, s.going)) })
	for _, c := range s.clients {
		s.work.Go(func() { c.Run(t.Context(), s.stop) })
	}
}

// quiet ends the sources.
func (s *sources) quiet() {
	s.once.Do(func() { close(s.stop) })
	s.work.Wait()
}

// drain ends the sources and has their senders deliver the rest.
func (s *sources) drain() {
	t := s.f.t
	t.Helper()
	for _, c := range s.clients {
		before := c.Answered.Load()
		harness.Until(t, c.Source+" gets answers again", func() bool { s.f.supervise(); return c.Answered.Load() > before+5 })
	}
	s.quiet()
	s.pipe.Expect(t, 0)
	for i, m := range s.f.forwarders {
		m.process().Stop(t)
		s.follow[i]("--once").Expect(t, 0)
	}
}

// lines returns the number of lines of each source of which every line is wanted.
func (s *sources) lines() map[string]int {
	all := map[string]int{"piped": int(s.piped.Load())}
	for _, l := range s.logs {
		all[l.Source] = l.Lines()
	}
	return all
}

// progress is a line about what was sent so far.
func (s *sources) progress() string {
	text := ""
	for _, l := range s.logs {
		text += fmt.Sprintf("%d lines of %s (%d rotations), ", l.Lines(), l.Source, l.Rotations())
	}
	text += fmt.Sprintf("%d piped", s.piped.Load())
	for _, c := range s.clients {
		text += fmt.Sprintf(", %s %d calls", c.Source, c.Answered.Load())
	}
	return text
}
