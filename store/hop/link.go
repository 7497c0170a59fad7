package hop

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/discovery"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/store"
)

// link is the connection of a Network, to one of several addresses. Its methods may only be called by one goroutine at
// a time, the sender; a probe of another address, or a review of several, runs concurrently.
type link struct {
	options rpc.ClientOptions
	log     *slog.Logger
	health  *stats.Health
	watch   *discovery.Watch
	poke    func()          // makes the sender call improve soon; not to be called under mu
	life    context.Context // cancelled to end the probe
	end     context.CancelFunc
	probes  sync.WaitGroup

	client *rpc.Client // used only by the sender; nil: no connection
	at     *address    // the address of client, nil without a connection; written by the sender only, under mu
	home   *address    // the previous value of at, for senders that spread
	loyal  time.Time   // until then only home is tried; written under mu, cleared by the first call that is settled
	took   time.Time   // when a call was last taken
	age    age         // of the connection
	choice atomic.Bool // there are several addresses

	mu       sync.Mutex
	addrs    addresses
	version  int // of the list in addrs
	review   review
	last     string // address of the last connection
	probing  bool
	spare    *rpc.Client // the connection made by a probe, to be used from the next call on
	spareAt  *address
	spareFor *address // what was in use when the probe began
}

func newLink(n NetworkOptions, watch *discovery.Watch, o rpc.ClientOptions) *link {
	l := &link{log: n.Logger, health: addressHealth(n), watch: watch, addrs: newAddresses(n)}
	l.age.most = n.MaxAge
	l.review.senders = -1
	l.options = o
	if n.Spread != "" {
		l.options.Asks = &l.choice
	}
	l.life, l.end = context.WithCancel(context.Background())
	l.update()
	return l
}

// addressHealth returns the health that records which addresses fail. With a single address, its failure is the error
// of the call, and the caller logs it together with what happens to the entries; so an outage is one line of the log.
// With several addresses, the failure of each is logged as a warning, because the caller gets no error as long as one
// of them works.
func addressHealth(n NetworkOptions) *stats.Health {
	if len(n.Addrs) == 1 && !discovery.IsSource(n.Addrs[0]) {
		return stats.NewHealth(slog.New(slog.DiscardHandler))
	}
	return stats.NewHealthAt(n.Logger, slog.LevelWarn)
}

// update takes over a list of addresses that has changed.
func (l *link) update() {
	list, version := l.watch.List()
	l.mu.Lock()
	defer l.mu.Unlock()
	if version == l.version && len(l.addrs.list) > 0 || len(list) == 0 {
		return
	}
	l.version = version
	l.choice.Store(len(list) > 1)
	for _, t := range l.addrs.set(list) {
		l.health.Forget(t.name)
	}
	now := time.Now()
	switch {
	case l.at != nil && l.at.gone:
		l.review.leave(now)
	case l.at != nil:
		l.review.soon(reviewSoon, now)
	}
}

// several reports whether there is more than one address.
func (l *link) several() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.addrs.list) > 1
}

// addresses lists all addresses.
func (l *link) addresses() []*address {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.addrs.list)
}

// round returns the addresses to try, in order. A sender that spreads begins with the one that it used last, even if it
// has left the list: what it sends again is recognized there.
func (l *link) round() []*address {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, first := time.Now(), l.at
	if first == nil && now.Before(l.loyal) {
		return []*address{l.home}
	}
	if first == nil && l.home != nil && !l.home.resting(now) {
		first = l.home
	}
	return l.addrs.round(first, now)
}

// connect makes sure that client is connected to t, and reports whether it had to dial. An existing connection is kept
// until the new one is made.
func (l *link) connect(ctx context.Context, t *address) (fresh bool, err error) {
	if l.client != nil && l.at == t {
		if l.addrs.sender == "" || !l.client.HungUp() {
			return false, nil
		}
		l.drop() // before a call of which nobody would know whether it was taken
	}
	c, err := rpc.Dial(ctx, t.name, l.options)
	if err != nil {
		return false, err
	}
	l.use(c, t)
	return true, nil
}

// use replaces the connection by another one.
func (l *link) use(c *rpc.Client, t *address) {
	l.drop()
	now := time.Now()
	l.age.start(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.client, l.at, t.info.connected = c, t, now
	if ours, known := c.Inkwell(); known {
		t.room.ours, t.room.foreign, t.info.ours = ours, !ours, ours
	}
	if t.name != l.last {
		attrs := []any{"peer", t.name}
		if l.last != "" {
			attrs = append(attrs, "before", l.last)
		}
		l.log.Info("connected", attrs...)
		l.last = t.name
	}
	if l.addrs.sender != "" {
		l.home = t
		l.review.urgent, l.review.slow, l.review.senders = false, 0, -1
		l.review.soon(reviewSoon, now)
	}
}

// drop closes the connection, if there is one.
func (l *link) drop() {
	if l.client == nil {
		return
	}
	l.discard(l.client, l.at)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at.info.connected = time.Time{}
	l.client, l.at = nil, nil
}

// discard closes a connection. An error of that is not important, because only an answer makes a call good.
func (l *link) discard(c *rpc.Client, t *address) {
	if err := c.Close(); err != nil {
		l.log.Debug("close connection", "peer", t.name, "error", err)
	}
}

// worked records that t answered.
func (l *link) worked(t *address) {
	l.mu.Lock()
	l.loyal = time.Time{}
	if l.addrs.sender == "" || !l.review.urgent { // a collector that is to be left keeps resting
		t.until = time.Time{}
	}
	t.info.ours = t.room.ours
	l.mu.Unlock()
	l.took = time.Now()
	l.health.Set(t.name, nil)
}

// failed records that t did not take a call.
func (l *link) failed(t *address, err error) {
	l.mu.Lock()
	now := time.Now()
	l.addrs.failed(t, now)
	t.info.err, t.info.failed = err, now
	gone := t.gone
	l.mu.Unlock()
	if !gone && (!errors.Is(err, store.ErrTryLater) || time.Since(l.took) >= busyTime) {
		l.health.Set(t.name, err)
	}
}

// unreachable records why each of the addresses could not be dialed, when nothing was to be sent. They are tried again
// as before.
func (l *link) unreachable(addresses []*address, failures []error) {
	now := time.Now()
	for i, t := range addresses {
		l.mu.Lock()
		t.info.err, t.info.failed = failures[i], now
		gone := t.gone
		l.mu.Unlock()
		if !gone {
			l.health.Set(t.name, failures[i])
		}
	}
}

// improve replaces the connection by the one a probe has made, if what was in use then still is. Then it starts a probe
// or a review if it is time for one.
func (l *link) improve() {
	l.update()
	l.mu.Lock()
	spare, t, instead := l.spare, l.spareAt, l.spareFor
	l.spare = nil
	l.mu.Unlock()
	switch {
	case spare == nil:
	case l.client == nil || l.at == instead:
		l.use(spare, t)
	default: // the sender has reached another address by itself
		l.discard(spare, t)
	}
	if l.client == nil {
		return
	}
	now := time.Now()
	if l.reviewDue(now) {
		l.refresh()
	}
	if l.client == nil {
		return
	}
	if l.age.expired(now) && l.addrs.shuffle { // choose an address at random, as for a first call
		l.drop()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.probing {
		return
	}
	if l.addrs.sender != "" {
		l.consider(now)
	}
	better := l.addrs.better(l.at, now)
	if better == nil && l.age.expired(now) && !l.at.gone {
		l.age.renew(now)
		better = l.at
	}
	if better != nil && !l.probing {
		l.probing = true
		own := l.at
		l.probes.Go(func() { l.probe(better, own) })
	}
}

// probe dials t while calls continue over the existing connection, which is to own.
func (l *link) probe(t, own *address) {
	c, err := rpc.Dial(l.life, t.name, l.options)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probing = false
	if err != nil {
		now := time.Now()
		l.addrs.failed(t, now)
		t.info.err, t.info.failed = err, now
		return
	}
	l.spare, l.spareAt, l.spareFor = c, t, own
}

// close closes the connection and ends the probe. No call may be in progress.
func (l *link) close() error {
	l.end()
	l.probes.Wait()
	l.watch.Close()
	l.mu.Lock()
	spare := l.spare
	l.spare = nil
	l.mu.Unlock()
	var err error
	if spare != nil {
		err = spare.Close()
	}
	if l.client != nil {
		err = errors.Join(err, l.client.Close())
		l.mu.Lock()
		l.client, l.at = nil, nil
		l.mu.Unlock()
	}
	return err
}

// peerBusy is called when the peer answered TRY_LATER. With Shuffle, it closes the connection, so that another address
// may be chosen.
func (l *link) peerBusy() {
	if l.addrs.shuffle {
		l.drop()
	}
}
