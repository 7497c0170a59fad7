package hop

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/store"
)

// link is the connection of a Network, to one of several addresses. Its methods may only be called by one goroutine at
// a time, the sender; a probe of another address runs concurrently.
type link struct {
	options rpc.ClientOptions
	log     *slog.Logger
	health  *stats.Health
	life    context.Context // cancelled to end the probe
	end     context.CancelFunc
	probes  sync.WaitGroup

	client *rpc.Client // used only by the sender; nil: no connection
	at     int         // index of the address of client, -1 without a connection
	room   []*capacity // by address
	took   time.Time   // when a call was last taken
	age    age         // of the connection

	mu      sync.Mutex
	addrs   addresses
	info    []addressInfo // by address
	peer    string        // address of client, "" without a connection
	last    string        // previous value of peer
	probing bool
	spare   *rpc.Client // the connection made by a probe, to be used from the next call on
	spareAt int
}

func newLink(n NetworkOptions, o rpc.ClientOptions) *link {
	l := &link{options: o, log: n.Logger, health: addressHealth(n), at: -1, addrs: newAddresses(n.Addrs)}
	l.addrs.shuffle = n.Shuffle
	l.info, l.age.most = make([]addressInfo, len(n.Addrs)), n.MaxAge
	for range n.Addrs {
		l.room = append(l.room, newCapacity(n.MaxCall, n.Timeout))
	}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// addressHealth returns the health that records which addresses fail. With a single address, its failure is the error
// of the call, and the caller logs it together with what happens to the entries; so an outage is one line of the log.
// With several addresses, the failure of each is logged as a warning, because the caller gets no error as long as one
// of them works.
func addressHealth(n NetworkOptions) *stats.Health {
	if len(n.Addrs) == 1 {
		return stats.NewHealth(slog.New(slog.DiscardHandler))
	}
	return stats.NewHealthAt(n.Logger, slog.LevelWarn)
}

// round returns the addresses to try, in order.
func (l *link) round() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addrs.round(l.at, time.Now())
}

// name returns address i as text.
func (l *link) name(i int) string { return l.addrs.list[i].name }

// capacity returns the capacity of the peer at address i.
func (l *link) capacity(i int) *capacity { return l.room[i] }

// connect makes sure that client is connected to address i, and reports whether it had to dial. An existing connection
// is kept until the new one is made.
func (l *link) connect(ctx context.Context, i int) (fresh bool, err error) {
	if l.client != nil && l.at == i {
		return false, nil
	}
	c, err := rpc.Dial(ctx, l.name(i), l.options)
	if err != nil {
		return false, err
	}
	l.use(c, i)
	return true, nil
}

// use replaces the connection by another one.
func (l *link) use(c *rpc.Client, i int) {
	l.drop()
	l.client, l.at = c, i
	now := time.Now()
	l.age.start(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peer, l.info[i].connected = l.name(i), now
	if l.peer != l.last {
		attrs := []any{"peer", l.peer}
		if l.last != "" {
			attrs = append(attrs, "before", l.last)
		}
		l.log.Info("connected", attrs...)
		l.last = l.peer
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
	l.info[l.at].connected = time.Time{}
	l.client, l.at, l.peer = nil, -1, ""
}

// discard closes a connection to address i. An error of that is not important, because only an answer makes a call
// good.
func (l *link) discard(c *rpc.Client, i int) {
	if err := c.Close(); err != nil {
		l.log.Debug("close connection", "peer", l.name(i), "error", err)
	}
}

// worked records that address i answered.
func (l *link) worked(i int) {
	l.mu.Lock()
	l.addrs.worked(i)
	l.info[i].ours = l.room[i].ours
	l.mu.Unlock()
	l.took = time.Now()
	l.health.Set(l.name(i), nil)
}

// failed records that address i did not take a call.
func (l *link) failed(i int, err error) {
	l.mu.Lock()
	now := time.Now()
	l.addrs.failed(i, now)
	l.info[i].err, l.info[i].failed = err, now
	l.mu.Unlock()
	if !errors.Is(err, store.ErrTryLater) || time.Since(l.took) >= busyTime {
		l.health.Set(l.name(i), err)
	}
}

// improve replaces the connection by the one a probe has made, to a preferred address or to the same one, if it is
// still useful. Then it starts a probe if it is time for one.
func (l *link) improve() {
	l.mu.Lock()
	spare, i := l.spare, l.spareAt
	l.spare = nil
	l.mu.Unlock()
	switch {
	case spare == nil:
	case l.client == nil || i < l.at || i == l.at && l.age.renewing:
		l.use(spare, i)
	default: // the sender has reached the address by itself
		l.discard(spare, i)
	}
	if l.client == nil {
		return
	}
	now := time.Now()
	if l.age.expired(now) && l.addrs.shuffle { // choose an address at random, as for a first call
		l.drop()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.probing {
		return
	}
	j, ok := l.addrs.better(l.at, now)
	if !ok && l.age.expired(now) {
		l.age.renew(now)
		j, ok = l.at, true
	}
	if ok {
		l.probing = true
		l.probes.Go(func() { l.probe(j) })
	}
}

// probe dials address i while calls continue over the existing connection.
func (l *link) probe(i int) {
	c, err := rpc.Dial(l.life, l.name(i), l.options)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probing = false
	if err != nil {
		now := time.Now()
		l.addrs.failed(i, now)
		l.info[i].err, l.info[i].failed = err, now
		return
	}
	l.spare, l.spareAt = c, i
}

// close closes the connection and ends the probe. No call may be in progress.
func (l *link) close() error {
	l.end()
	l.probes.Wait()
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
		l.client, l.at = nil, -1
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
