package status

import (
	"cmp"
	"context"
	"crypto/x509"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"inkwell/internal/stats"
)

// Monitor gathers the part of a status that is the same for every daemon: its identity, counters with their history,
// disks and events. The daemon adds the rest. Safe for concurrent use.
type Monitor struct {
	Meter *Meter
	Disks *Disks

	events *Events
	daemon Daemon
}

// NewMonitor returns a monitor of the counters in set. events may be nil. d holds what the daemon knows about itself at
// its start: role, version, listeners, state directory.
func NewMonitor(set *stats.Set, events *Events, d Daemon) *Monitor {
	if events == nil {
		events = new(Events)
	}
	d.Host, _ = os.Hostname() // "" is a host that does not know its name
	d.Go, d.PID, d.Started = runtime.Version(), os.Getpid(), time.Now()
	d.Revision = revision()
	return &Monitor{Meter: NewMeter(set), Disks: new(Disks), events: events, daemon: d}
}

// revision returns the commit that the program was built from, "" if the build does not record it.
func revision() string {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// Run reads the counters and disks until ctx ends, and calls each, unless it is nil, about once a second.
func (m *Monitor) Run(ctx context.Context, each func(now time.Time)) {
	var running sync.WaitGroup
	running.Go(func() { m.Meter.Run(ctx) })
	running.Go(func() { m.Disks.run(ctx) })
	defer running.Wait()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if each != nil {
				each(now)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Begin returns a document with what the monitor knows. The daemon adds its own part and calls Finish.
func (m *Monitor) Begin(now time.Time) *Status {
	s := &Status{Format: Format, Now: now, Daemon: m.daemon, Disks: m.Disks.List(), Events: m.events.List(),
		Categories: []Category{}, Senders: []Sender{}, Hops: []Hop{}, Refused: []Refusal{},
		Certificates: []Certificate{}}
	if s.Daemon.Listen == nil {
		s.Daemon.Listen = []string{}
	}
	s.Daemon.Uptime = now.Sub(s.Daemon.Started).Seconds()
	m.Meter.Fill(s)
	return s
}

// CertificateOf describes a certificate that a daemon presents; nil gives nil.
func CertificateOf(file string, cert *x509.Certificate) []Certificate {
	if cert == nil {
		return nil
	}
	return []Certificate{{File: file, Subject: cert.Subject.String(), Expires: cert.NotAfter}}
}

// Finish sorts the lists and adds the verdict.
func (s *Status) Finish() {
	t := DefaultThresholds()
	slices.SortFunc(s.Categories, func(a, b Category) int {
		return cmp.Or(compareBool(b.behind(t), a.behind(t)), cmp.Compare(b.BytesPerSecond, a.BytesPerSecond),
			cmp.Compare(b.EntriesPerSecond, a.EntriesPerSecond), cmp.Compare(b.Bytes, a.Bytes),
			cmp.Compare(b.Entries, a.Entries), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(s.Senders, func(a, b Sender) int {
		return cmp.Or(cmp.Compare(b.Oldest, a.Oldest), cmp.Compare(b.Lag, a.Lag), cmp.Compare(a.Host, b.Host),
			cmp.Compare(a.Path, b.Path))
	})
	s.CategoryCount = len(s.Categories)
	s.Verdict = s.Judge(t)
}

// behind reports whether something is wrong with a category.
func (c *Category) behind(t Thresholds) bool {
	return c.Trouble != "" || t.Backlog.above(c.Oldest) != Good
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
