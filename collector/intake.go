package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/access"
	"inkwell/internal/config"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/books"
	"inkwell/store/depot"
	"inkwell/store/journal"
	"inkwell/store/spool"
)

// stopLimit bounds the time that stores get to take what is in the journal when the collector ends, and reloadLimit
// when it gets a new configuration. What they do not take stays in the journal. depotLimit bounds the time that a depot
// gets at the end to take finished files; the rest is brought there after the next start.
const (
	stopLimit   = 60 * time.Second
	reloadLimit = 5 * time.Second
	depotLimit  = 20 * time.Second
)

// intake handles calls according to the configuration: it finds out where their entries go, makes them durable in the
// journal and counts them. Safe for concurrent use.
//
// A call holds mu for reading from its first look at the routes until its entries are in the journal. So the engine
// delivers the entries by the same routes by which the call was accepted.
type intake struct {
	o       *Options
	gate    *gate // gets the rules of each configuration
	log     *slog.Logger
	stats   *stats.Set
	journal *journal.Journal
	topic   *topic // takes what is new in the place of journal; nil = there is none
	host    string // the name of this machine; "" if it cannot be found out
	limiter limiter
	taps    taps

	good, bytes         *atomic.Int64
	blank, bad, unsafe  *atomic.Int64
	deniedRate, deniedQ *atomic.Int64
	visits              sync.Pool // *visit
	appending           *stats.Histogram

	mu      sync.RWMutex
	router  *router
	depots  *depot.Shipper // nil = finished files stay where they are
	refused string         // why the last reload was refused
	closed  bool
}

func openIntake(o *Options, g *gate) (*intake, error) {
	c, log, set := o.Load(), o.Logger, o.Stats
	durability, err := spool.ParseDurability(c.Durability)
	if err != nil {
		return nil, fmt.Errorf("durability=: %w", err)
	}
	host := c.Host
	if host == "" {
		if host, err = os.Hostname(); err != nil {
			log.Warn("the name of this machine cannot be found out: give host=", "error", err)
		}
	}
	client := func(ctx context.Context) string { return peerKey(access.FromContext(ctx)) }
	j, err := journal.Open(journal.Options{
		Host: host, Client: client, StateRoot: o.StateRoot, StateDir: o.StateDir,
		MaxBytes: c.JournalMax, StreamTTL: c.StreamTTL, Durability: durability, Logger: log, Stats: set,
		Tuning: o.tuning.journal, Injector: o.tuning.injector,
	})
	if err != nil {
		return nil, err
	}
	i := &intake{
		o: o, gate: g, log: log, stats: set, journal: j, host: host,
		good: set.Overall("received good"), bytes: set.Overall("received good bytes"),
		blank: set.Overall("received blank category"), bad: set.Overall("received bad"),
		unsafe:     set.Overall("received unsafe category"),
		deniedRate: set.Overall("denied for rate"), deniedQ: set.Overall("denied for queue size"),
		appending: set.Histogram("append"), visits: sync.Pool{New: func() any { return new(visit) }},
	}
	i.use(c)
	if c.Topic != nil && c.Status == "" {
		if err := i.openTopic(); err != nil {
			return nil, errors.Join(err, i.Close())
		}
	}
	return i, nil
}

// use starts routing by c. The caller holds mu, or is the only one who knows i.
func (i *intake) use(c *config.Config) {
	c.RefuseLoops(i.o.Listen)
	i.gate.rules.Store(c.Allow)
	for _, p := range c.Problems {
		level := slog.LevelWarn
		if p.Error {
			level = slog.LevelError
		}
		i.log.Log(context.Background(), level, "configuration: "+p.String())
	}
	i.limiter.set(c.MaxMessagesPerSecond)
	opener := newOpener(c, i.o.StateDir, i.journal, i.o)
	opener.sender = i.host + " " + opener.sender
	i.router = newRouter(c, i.journal, opener, i.stats)
	if c.Status != "" { // entries wait in the journal for a usable configuration
		i.log.Error("nothing of the configuration is used: correct it and reload it", "reason", c.Status)
		return
	}
	routes := i.router.routes()
	routes.Depot = i.openDepots()
	i.journal.Start(routes)
}

// visit is the data of one call; it is reused.
type visit struct {
	runs      []proto.Run
	targets   []*target       // of the runs; nil for a blank category
	withStore proto.Batch     // the entries that have a store
	dropped   []books.Refusal // the others
}

// Log takes the entries of b all together or not at all. OK says that those with a store are durable in the journal. It
// implements rpc.Handler.
func (i *intake) Log(ctx context.Context, b *proto.Batch) (proto.ResultCode, error) {
	if !i.limiter.admit(b.Count(), time.Now()) {
		i.deniedRate.Add(1)
		return proto.TryLater, nil
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	if i.closed {
		return proto.TryLater, nil
	}
	v := i.visits.Get().(*visit)
	defer i.visits.Put(v)
	whole := i.findTargets(v, b)
	if full := i.full(v); full != nil {
		i.deniedQ.Add(1)
		i.stats.Category(full.Name(), "denied for queue size").Add(1)
		return proto.TryLater, nil
	}
	if i.depots != nil && i.depots.Full() != nil {
		i.deniedQ.Add(1)
		return proto.TryLater, nil
	}
	all := b
	if !whole {
		v.filter(b)
		b = &v.withStore
	}
	expected := int64(0) // the outlets wait for nothing of what goes to the topic
	if i.topic == nil {
		expected = 1
	}
	v.expect(expected)
	began := time.Now()
	if err := i.append(ctx, b); err != nil {
		v.expect(-expected)
		if errors.Is(err, store.ErrTryLater) { // the journal is full, or cannot be written
			i.deniedQ.Add(1)
			return proto.TryLater, nil
		}
		return proto.TryLater, err
	}
	i.appending.Observe(time.Since(began))
	i.count(v)
	i.taps.show(all, v)
	if !whole {
		i.account(v.dropped)
	}
	return proto.OK, nil
}

// findTargets finds the targets of the entries of b, and says whether all of them have a store.
func (i *intake) findTargets(v *visit, b *proto.Batch) (whole bool) {
	v.runs = b.AppendRuns(v.runs[:0])
	v.targets = i.router.findAll(v.targets[:0], v.runs)
	return !slices.ContainsFunc(v.targets, func(t *target) bool { return t == nil || !t.stored })
}

// full returns the first outlet of the call's categories whose queue is too long, nil if there is none.
func (i *intake) full(v *visit) *journal.Outlet {
	limit := i.router.conf.MaxQueueSize
	if limit == config.NoLimit {
		return nil
	}
	for _, t := range v.targets {
		if t == nil {
			continue
		}
		for _, o := range t.Outlets {
			if o.Full(limit) {
				return o
			}
		}
	}
	return nil
}

// filter puts the entries of b that have a store into v.withStore, with their numbers, and the others into v.dropped.
func (v *visit) filter(b *proto.Batch) {
	v.withStore.Reset()
	v.withStore.ShareNamings(b)
	v.dropped = v.dropped[:0]
	for k, r := range v.runs {
		t := v.targets[k]
		if t != nil && t.stored {
			v.withStore.AppendRun(b, r)
			continue
		}
		why := "no category"
		if t != nil {
			why = "no store"
		}
		cur := b.CursorAt(r.From)
		for range r.Count {
			cur.Next()
			v.dropped = drop(v.dropped, r.Category, cur.Number(), why)
		}
	}
}

// account records refused entries for audits.
func (i *intake) account(list []books.Refusal) {
	for _, r := range list {
		i.journal.Refused(r)
	}
}

// expect announces the bytes of the call to the outlets (sign 1), or takes that back (-1).
func (v *visit) expect(sign int64) {
	for i, t := range v.targets {
		if t == nil {
			continue
		}
		for _, o := range t.Outlets {
			o.Expect(sign * v.runs[i].Bytes)
		}
	}
}

// count updates the counters for a call that was accepted.
func (i *intake) count(v *visit) {
	var good, bytes, bad, blank, unsafe int64
	for k, t := range v.targets {
		r := v.runs[k]
		switch {
		case t == nil:
			blank += int64(r.Count)
		case !t.stored:
			bad += int64(r.Count)
			t.bad.Add(int64(r.Count))
			t.complain(i.log)
		default:
			good += int64(r.Count)
			bytes += r.Bytes
			t.good.Add(int64(r.Count))
			t.bytes.Add(r.Bytes)
			if t.name == store.UnsafeCategory {
				unsafe++
			}
		}
	}
	for _, sum := range []struct {
		to *atomic.Int64
		n  int64
	}{{i.good, good}, {i.bytes, bytes}, {i.bad, bad}, {i.blank, blank}, {i.unsafe, unsafe}} {
		if sum.n > 0 {
			sum.to.Add(sum.n)
		}
	}
}

// reload reads the configuration again and uses it, unless something in it is wrong: then the former one stays in use.
// Calls wait meanwhile, and nothing that was accepted is lost.
func (i *intake) reload() error {
	c := i.o.Load()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil
	}
	if why := flaw(c); why != "" {
		i.refused = "reload refused, the former configuration stays in use: " + why
		i.log.Error("configuration was not reloaded: the former one stays in use", "reason", why)
		return errors.New(i.refused)
	}
	if i.topic != nil || c.Topic != nil {
		i.refused = "reload refused: with journal=kafka:// a configuration is changed by a restart"
		return errors.New(i.refused)
	}
	if c.Port != i.router.conf.Port {
		i.log.Warn("the port is changed by a restart only", "in use", i.router.conf.Port, "configured", c.Port)
	}
	if old := i.router.conf; c.TLS != old.TLS || !slices.Equal(c.Listen, old.Listen) ||
		!slices.Equal(c.HTTP, old.HTTP) {
		i.log.Warn("where and how the server listens is changed by a restart only",
			"in use", old.Listen, "configured", c.Listen)
	}
	began := time.Now()
	i.journal.Stop(reloadLimit)
	i.closeDepots(0)
	i.use(c)
	i.refused = ""
	i.log.Info("configuration reloaded", "stores", len(c.Stores), "after", time.Since(began).Round(time.Millisecond))
	return nil
}

func (i *intake) trouble() string {
	i.mu.RLock()
	defer i.mu.RUnlock()
	conf := i.router.conf
	for _, text := range []string{i.refused, conf.Status, badStore(conf), i.journal.Status(), i.topicStatus(),
		i.depotStatus()} {
		if text != "" {
			return text
		}
	}
	if text := i.journal.StoreStatus(); text != "" {
		return text
	}
	return badPart(conf)
}

// takes says whether a call would be accepted: the configuration is usable, and the journal can be written and is not
// full.
func (i *intake) takes() bool {
	i.mu.RLock()
	usable := !i.closed && i.router.conf.Status == ""
	i.mu.RUnlock()
	bytes, _ := i.journal.Backlog()
	if i.topic != nil && !i.topic.Takes() {
		return false
	}
	return usable && i.journal.Status() == "" && bytes < i.journal.Limit()
}

func (i *intake) figures() Status {
	backlog, _ := i.journal.Backlog()
	i.mu.RLock()
	defer i.mu.RUnlock()
	return Status{Entries: i.good.Load(), Bytes: i.bytes.Load(), Backlog: backlog, Categories: i.router.count()}
}

// Close delivers what is in the journal, as far as the stores take it within stopLimit.
func (i *intake) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil
	}
	i.closed = true
	err := i.closeTopic()
	unfinished := i.journal.Stop(stopLimit)
	i.closeDepots(depotLimit)
	if bytes, entries := i.journal.Backlog(); entries > 0 {
		i.log.Warn("not everything could be delivered: it stays in the journal for the next start",
			"entries", entries, "bytes", bytes, "state", i.o.StateDir)
	}
	if unfinished > 0 {
		i.log.Warn("not every file could be finished: they stay open for the next start", "files", unfinished,
			"state", i.o.StateDir)
	}
	return errors.Join(err, i.journal.Close())
}
