package collector

import (
	"cmp"
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"inkwell/internal/access"
	"inkwell/internal/config"
	"inkwell/internal/rpc"
	"inkwell/internal/status"
	"inkwell/internal/web"
	"inkwell/store/hop"
	"inkwell/store/journal"
)

// newMonitor returns the monitor that collects what a status contains.
func (c *Collector) newMonitor(o *Options) *status.Monitor {
	m := status.NewMonitor(o.Stats, o.Events, status.Daemon{
		Role: status.Collector, Version: o.Version, Listen: c.addresses(), State: o.StateDir,
	})
	m.Disks.Watch(o.StateDir, "journal")
	return m
}

// Document returns the complete status of the collector. It waits for no store, but it does wait for a reload in
// progress, and for disks that appeared with that reload, five seconds at most.
func (c *Collector) Document() *status.Status {
	now := time.Now()
	open := c.intake.inUse()
	for _, dir := range outputs(open.conf) {
		c.monitor.Disks.Watch(dir, "files")
	}
	s := c.monitor.Begin(now)
	s.Daemon.Ready, s.Daemon.Trouble = c.control.ready()
	s.Journal = journalStatus(c.intake.journal, now)
	s.Topic = c.intake.topicDocument()
	spools := open.spools.List()
	s.Spool = spoolStatus(spools, now)
	s.Categories = withWaits(s.Categories, withSpools(c.intake.journal.Waiting(now), spools, now))
	s.Hops = hops(open.peers.List())
	s.Senders = senders(c.Fleet())
	s.Certificates = append(s.Certificates, status.CertificateOf(c.secret.Certificate())...)
	s.Finish()
	return s
}

// addresses lists the listeners as they are written in a configuration; those for HTTP alone as URLs.
func (c *Collector) addresses() []string {
	calls := rpc.Addresses(c.listeners[:c.calls], c.listen, false)
	return append(calls, rpc.Addresses(c.listeners[c.calls:], c.listen[c.calls:], true)...)
}

// handler answers HTTP requests.
func (c *Collector) handler() http.Handler {
	return web.Handler(web.Options{
		Status: func(context.Context) *status.Status { return c.Document() },
		Reads:  func(caller *access.Caller) bool { return c.gate.rules.Load().MayRead(caller) },
		Listen: c.listen, Stats: c.stats, Files: files{c.intake}, Count: files{c.intake}.count,
	})
}

// inUse returns what has opened the stores that are in use: it knows their configuration, their spools, and the peers
// to which they send.
func (i *intake) inUse() *opener {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.router.opener
}

// outputs lists the directories beneath which stores write files.
func outputs(c *config.Config) (dirs []string) {
	for _, b := range c.Stores {
		if b.Sink == nil {
			continue
		}
		config.Walk(b.Sink, func(s config.Sink) {
			if f, ok := s.(config.File); ok {
				dirs = append(dirs, cmp.Or(f.Root, f.Dir))
			}
		})
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// journalStatus describes the journal.
func journalStatus(j *journal.Journal, now time.Time) *status.Store {
	s := &status.Store{
		Dir: filepath.Join(j.Dir(), "journal"), Limit: j.Limit(), Oldest: j.Oldest(now).Seconds(),
		Pending: j.Pending(), Trouble: j.Status(),
	}
	s.Bytes, s.Entries = j.Backlog()
	return s
}

// spoolStatus describes all spools together; nil = there are none. There is a limit if each of them has one.
func spoolStatus(spools []hop.Spool, now time.Time) *status.Store {
	if len(spools) == 0 {
		return nil
	}
	s := new(status.Store)
	limited := true
	for _, one := range spools {
		s.Bytes, s.Entries, s.Limit = s.Bytes+one.Bytes, s.Entries+one.Entries, s.Limit+one.Limit
		s.Oldest = max(s.Oldest, spoolAge(one, now).Seconds())
		limited = limited && one.Limit > 0
	}
	if !limited {
		s.Limit = 0
	}
	return s
}

// spoolAge returns how long a spool has not been empty.
func spoolAge(s hop.Spool, now time.Time) time.Duration {
	if s.Since.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.Since))
}

// withSpools adds what waits in the spools of stores to what waits for the stores in the journal.
func withSpools(all map[string]journal.Waits, spools []hop.Spool, now time.Time) map[string]journal.Waits {
	if all == nil {
		all = make(map[string]journal.Waits)
	}
	for _, s := range spools {
		w := all[s.Name]
		w.Bytes, w.Oldest = w.Bytes+s.Bytes, max(w.Oldest, spoolAge(s, now))
		all[s.Name] = w
	}
	return all
}

// withWaits adds to each category what waits for its stores. A queue that several categories share is listed under its
// own name.
func withWaits(list []status.Category, all map[string]journal.Waits) []status.Category {
	enter := func(c *status.Category, w journal.Waits) {
		c.Backlog, c.Oldest, c.Trouble = w.Bytes, w.Oldest.Seconds(), w.Status
	}
	for i := range list {
		if w, ok := all[list[i].Name]; ok {
			enter(&list[i], w)
			delete(all, list[i].Name)
		}
	}
	for name, w := range all {
		c := status.Category{Name: name}
		enter(&c, w)
		list = append(list, c)
	}
	return list
}

// hops describes the addresses to which stores send.
func hops(peers []hop.Peer) []status.Hop {
	list := make([]status.Hop, 0, len(peers))
	for _, p := range peers {
		h := status.Hop{Address: p.Address, Up: p.Down.IsZero(), Inkwell: p.Inkwell}
		since := cmp.Or(p.Down, p.Connected)
		if !since.IsZero() {
			h.Since = &since
		}
		if p.Err != nil {
			h.LastError, h.Failed = p.Err.Error(), &p.Failed
		}
		list = append(list, h)
	}
	return list
}
