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
	conf, peers := c.intake.inUse()
	for _, dir := range outputs(conf) {
		c.monitor.Disks.Watch(dir, "files")
	}
	s := c.monitor.Begin(now)
	s.Daemon.Ready, s.Daemon.Trouble = c.control.ready()
	s.Journal = journalStatus(c.intake.journal, now)
	s.Topic = c.intake.topicDocument()
	s.Categories = withWaits(s.Categories, c.intake.journal.Waiting(now))
	s.Hops = hops(peers.List())
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

// inUse returns the configuration that is in use, and the peers to which its stores send.
func (i *intake) inUse() (*config.Config, *hop.Peers) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.router.conf, i.router.opener.peers
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
