package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/config"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/queue"
	"inkwell/store/spool"
)

// Routed says how entries are routed by a configuration.
type Routed struct {
	Load      func() *config.Config // reads it, at the start and at each reload
	StateDir  string                // journal and checkpoint
	StateRoot string                // StateDir lies beneath it, and no link is followed on the way; "" = StateDir
	Listen    []string              // where this server listens: no store may send there

	gate *gate // gets the rules of each configuration
}

// stopLimit bounds the time that stores get to take what is in the journal when the collector ends, reloadLimit when it gets a new
// configuration. What they do not take stays in the journal.
const (
	stopLimit   = 60 * time.Second
	reloadLimit = 5 * time.Second
)

// routed is the destination that a configuration describes. Safe for concurrent use.
//
// A call holds mu for reading from its first look at the routes until its entries are in the journal, so that the routes by which it
// was judged are those by which it is dispatched.
type routed struct {
	o       Routed
	log     *slog.Logger
	stats   *stats.Set
	journal *queue.Journal
	limiter limiter

	good, bytes         *atomic.Int64
	blank, bad          *atomic.Int64
	deniedRate, deniedQ *atomic.Int64
	visits              sync.Pool // *visit

	mu      sync.RWMutex
	routes  *routes
	refused string // why the last reload was not taken
	closed  bool
}

func openRouted(o Routed, log *slog.Logger, set *stats.Set) (*routed, error) {
	c := o.Load()
	durability, err := spool.ParseDurability(c.Durability)
	if err != nil {
		return nil, fmt.Errorf("durability=: %w", err)
	}
	j, err := queue.Open(queue.Options{StateRoot: o.StateRoot, StateDir: o.StateDir, MaxBytes: c.JournalMax, StreamTTL: c.StreamTTL, Durability: durability, Logger: log, Stats: set})
	if err != nil {
		return nil, err
	}
	d := &routed{o: o, log: log, stats: set, journal: j,
		good: set.Overall("received good"), bytes: set.Overall("received good bytes"), blank: set.Overall("received blank category"),
		bad: set.Overall("received bad"), deniedRate: set.Overall("denied for rate"), deniedQ: set.Overall("denied for queue size"),
		visits: sync.Pool{New: func() any { return new(visit) }}}
	d.use(c)
	return d, nil
}

// use begins to route by c. The caller holds mu, or is the only one who knows d.
func (d *routed) use(c *config.Config) {
	c.RefuseLoops(d.o.Listen)
	d.o.gate.rules.Store(c.Allow)
	for _, p := range c.Problems {
		level := slog.LevelWarn
		if p.Error {
			level = slog.LevelError
		}
		d.log.Log(context.Background(), level, "configuration: "+p.String())
	}
	d.limiter.set(c.MaxMessagesPerSecond)
	d.routes = newRoutes(c, d.journal, newOpener(c, d.o.StateDir, d.log, d.stats), d.stats)
	if c.Status != "" { // what is in the journal waits for a better one
		d.log.Error("nothing of the configuration is used: correct it and reload it", "reason", c.Status)
		return
	}
	d.journal.Start(d.routes.prepare, func(category []byte) []*queue.Queue {
		t := d.routes.find(category)
		return append(t.queues[:len(t.queues):len(t.queues)], t.waiting...)
	})
}

// visit is what one call brings; it is used again.
type visit struct {
	runs    []proto.Run
	targets []*target // of the runs; nil for a blank category
	homed   proto.Batch
}

// Log takes the entries of b, as a whole or not at all: OK says that those with a store are durable in the journal. It implements
// rpc.Handler.
func (d *routed) Log(ctx context.Context, b *proto.Batch) (proto.ResultCode, error) {
	if !d.limiter.admit(b.Count(), time.Now()) {
		d.deniedRate.Add(1)
		return proto.TryLater, nil
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return proto.TryLater, nil
	}
	v := d.visits.Get().(*visit)
	defer d.visits.Put(v)
	whole := d.look(v, b)
	if full := d.full(v); full != nil {
		d.deniedQ.Add(1)
		d.stats.Category(full.Name(), "denied for queue size").Add(1)
		return proto.TryLater, nil
	}
	if !whole {
		v.filter(b)
		b = &v.homed
	}
	v.expect(1)
	if err := d.journal.Append(ctx, b); err != nil {
		v.expect(-1)
		if errors.Is(err, store.ErrTryLater) { // the journal is full, or cannot be written
			d.deniedQ.Add(1)
			return proto.TryLater, nil
		}
		return proto.TryLater, err
	}
	d.count(v)
	return proto.OK, nil
}

// look finds where the entries of b go, and says whether all of them have a place.
func (d *routed) look(v *visit, b *proto.Batch) (whole bool) {
	v.runs, v.targets, whole = b.AppendRuns(v.runs[:0]), v.targets[:0], true
	for _, r := range v.runs {
		var t *target
		if len(r.Category) > 0 {
			t = d.routes.find(r.Category)
		}
		v.targets = append(v.targets, t)
		whole = whole && t != nil && len(t.queues) > 0
	}
	return whole
}

// full returns the first queue of the call's categories in which too much waits, nil if there is none.
func (d *routed) full(v *visit) *queue.Queue {
	limit := d.routes.conf.MaxQueueSize
	for _, t := range v.targets {
		if t == nil {
			continue
		}
		for _, q := range t.queues {
			if q.Full(limit) {
				return q
			}
		}
	}
	return nil
}

// filter leaves in v.homed the entries of b that have a store, with their numbers.
func (v *visit) filter(b *proto.Batch) {
	v.homed.Reset()
	for i, r := range v.runs {
		if t := v.targets[i]; t != nil && len(t.queues) > 0 {
			v.homed.AppendRun(b, r)
		}
	}
}

// expect tells the queues what is about to come to them (sign 1), or does not come after all (-1).
func (v *visit) expect(sign int64) {
	for i, t := range v.targets {
		if t == nil {
			continue
		}
		for _, q := range t.queues {
			q.Expect(sign * v.runs[i].Bytes)
		}
	}
}

// count adds up a call that was taken.
func (d *routed) count(v *visit) {
	var good, bytes, bad, blank int64
	for i, t := range v.targets {
		r := v.runs[i]
		switch {
		case t == nil:
			blank += int64(r.Count)
		case len(t.queues) == 0:
			bad += int64(r.Count)
			t.bad.Add(int64(r.Count))
			t.complain(d.log)
		default:
			good += int64(r.Count)
			bytes += r.Bytes
			t.good.Add(int64(r.Count))
			t.bytes.Add(r.Bytes)
		}
	}
	for _, sum := range []struct {
		to *atomic.Int64
		n  int64
	}{{d.good, good}, {d.bytes, bytes}, {d.bad, bad}, {d.blank, blank}} {
		if sum.n > 0 {
			sum.to.Add(sum.n)
		}
	}
}

// reload reads the configuration again and uses it, unless something in it is wrong: then the one of before stays in use. Calls wait
// meanwhile; nothing that was taken is lost or forgotten.
func (d *routed) reload() error {
	c := d.o.Load()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	if why := flaw(c); why != "" {
		d.refused = "reload refused, the former configuration stays in use: " + why
		d.log.Error("configuration was not reloaded: the former one stays in use", "reason", why)
		return errors.New(d.refused)
	}
	if c.Port != d.routes.conf.Port {
		d.log.Warn("the port is changed by a restart only", "in use", d.routes.conf.Port, "configured", c.Port)
	}
	if old := d.routes.conf; c.TLS != old.TLS || !slices.Equal(c.Listen, old.Listen) {
		d.log.Warn("where and how the server listens is changed by a restart only", "in use", old.Listen, "configured", c.Listen)
	}
	began := time.Now()
	d.journal.Stop(reloadLimit)
	d.use(c)
	d.refused = ""
	d.log.Info("configuration reloaded", "stores", len(c.Stores), "after", time.Since(began).Round(time.Millisecond))
	return nil
}

// flaw is why a configuration should not replace one that works, "" if it may.
func flaw(c *config.Config) string {
	if c.Status != "" {
		return c.Status
	}
	for _, p := range c.Problems {
		if p.Error {
			return p.String()
		}
	}
	return badStore(c)
}

// badStore is the text of the last block that is no store, as the original tells it.
func badStore(c *config.Config) string {
	text := ""
	for _, s := range c.Stores {
		if s.Sink == nil {
			text = s.Status
		}
	}
	return text
}

// badPart is what is wrong in the first store of which no queue can tell: because it runs without a part of it, or is a model.
func badPart(c *config.Config) string {
	for _, s := range c.Stores {
		if s.Status != "" {
			return s.Status
		}
	}
	return ""
}

func (d *routed) trouble() string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, text := range []string{d.refused, d.routes.conf.Status, badStore(d.routes.conf), d.journal.Status()} {
		if text != "" {
			return text
		}
	}
	if text := d.journal.StoreStatus(); text != "" {
		return text
	}
	return badPart(d.routes.conf)
}

func (d *routed) figures() Status {
	backlog, _ := d.journal.Backlog()
	d.mu.RLock()
	defer d.mu.RUnlock()
	return Status{Entries: d.good.Load(), Bytes: d.bytes.Load(), Backlog: backlog, Categories: d.routes.count()}
}

// Close brings what is in the journal to the stores, as far as they take it.
func (d *routed) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	d.journal.Stop(stopLimit)
	if bytes, entries := d.journal.Backlog(); entries > 0 {
		d.log.Warn("not everything could be delivered: it stays in the journal for the next start", "entries", entries, "bytes", bytes, "state", d.o.StateDir)
	}
	return d.journal.Close()
}
