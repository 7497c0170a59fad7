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

// link is the one connection of a Network, to one of several addresses. connect, drop, improve, round, worked, failed
// and close are for one goroutine at a time, the sender; a probe of a better address runs beside it.
type link struct {
	options rpc.ClientOptions
	log     *slog.Logger
	health  *stats.Health
	life    context.Context // ends the probe
	end     context.CancelFunc
	probes  sync.WaitGroup

	client *rpc.Client // the sender's, nil when there is none
	at     int         // index of client's address, -1 when there is none
	room   []*capacity // by address
	took   time.Time   // when a call was taken last
	age    age         // of client

	mu      sync.Mutex
	addrs   addresses
	known   []known // of the addresses
	peer    string  // address of client
	last    string  // peer before
	probing bool
	spare   *rpc.Client // what a probe found, to be taken over before the next call
	spareAt int
}

func newLink(n NetworkOptions, o rpc.ClientOptions) *link {
	l := &link{options: o, log: n.Logger, health: addressHealth(n), at: -1, addrs: newAddresses(n.Addrs)}
	l.addrs.shuffle = n.Shuffle
	l.known, l.age.most = make([]known, len(n.Addrs)), n.MaxAge
	for range n.Addrs {
		l.room = append(l.room, newCapacity(n.MaxCall, n.Timeout))
	}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// addressHealth remembers which addresses fail. That an only address fails is the error of a call, which is logged by
// whoever made the call, together with what becomes of the entries: an outage is one line of the log. Of several
// addresses each is logged as a warning, because the caller hears nothing as long as one of them works.
func addressHealth(n NetworkOptions) *stats.Health {
	if len(n.Addrs) == 1 {
		return stats.NewHealth(slog.New(slog.DiscardHandler))
	}
	return stats.NewHealthAt(n.Logger, slog.LevelWarn)
}

// round lists the addresses to try, in order.
func (l *link) round() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addrs.round(l.at, time.Now())
}

// name is the text of address i.
func (l *link) name(i int) string { return l.addrs.list[i].name }

// capacity is what is known of how much the peer at address i takes.
func (l *link) capacity(i int) *capacity { return l.room[i] }

// connect makes address i the one that client talks to and says whether it had to be dialed. The connection that stood
// before stands until the new one does.
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

// use puts a connection in the place of the one before.
func (l *link) use(c *rpc.Client, i int) {
	l.drop()
	l.client, l.at = c, i
	now := time.Now()
	l.age.begin(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peer, l.known[i].connected = l.name(i), now
	if l.peer != l.last {
		l.log.Info("connected", "peer", l.peer, "before", l.last)
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
	l.known[l.at].connected = time.Time{}
	l.client, l.at, l.peer = nil, -1, ""
}

// discard closes a connection to address i. Nobody depends on what close could tell: only an answer makes a call good.
func (l *link) discard(c *rpc.Client, i int) {
	if err := c.Close(); err != nil {
		l.log.Debug("close connection", "peer", l.name(i), "error", err)
	}
}

// worked notes that address i answered.
func (l *link) worked(i int) {
	l.mu.Lock()
	l.addrs.worked(i)
	l.known[i].ours = l.room[i].ours
	l.mu.Unlock()
	l.took = time.Now()
	l.health.Set(l.name(i), nil)
}

// failed notes that address i did not take a call.
func (l *link) failed(i int, err error) {
	l.mu.Lock()
	now := time.Now()
	l.addrs.failed(i, now)
	l.known[i].err, l.known[i].failed = err, now
	l.mu.Unlock()
	if !errors.Is(err, store.ErrTryLater) || time.Since(l.took) >= busyTime {
		l.health.Set(l.name(i), err)
	}
}

// improve takes over a connection to a better address, or a younger one, if a probe found it, else starts a probe when
// it is time for one.
func (l *link) improve() {
	l.mu.Lock()
	spare, i := l.spare, l.spareAt
	l.spare = nil
	l.mu.Unlock()
	switch {
	case spare == nil:
	case l.client == nil || i < l.at || i == l.at && l.age.renewing:
		l.use(spare, i)
	default: // the sender found its way back by itself
		l.discard(spare, i)
	}
	if l.client == nil {
		return
	}
	now := time.Now()
	if l.age.over(now) && l.addrs.shuffle { // another one may be chosen, as for a first call
		l.drop()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.probing {
		return
	}
	j, ok := l.addrs.better(l.at, now)
	if !ok && l.age.over(now) {
		l.age.renew(now)
		j, ok = l.at, true
	}
	if ok {
		l.probing = true
		l.probes.Go(func() { l.probe(j) })
	}
}

// probe dials address i while calls go on with the connection that stands.
func (l *link) probe(i int) {
	c, err := rpc.Dial(l.life, l.name(i), l.options)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probing = false
	if err != nil {
		now := time.Now()
		l.addrs.failed(i, now)
		l.known[i].err, l.known[i].failed = err, now
		return
	}
	l.spare, l.spareAt = c, i
}

// close gives up connection and probe. No call may be in progress.
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

// refused notes that the peer said TRY_LATER: of equals another one may be chosen next.
func (l *link) refused() {
	if l.addrs.shuffle {
		l.drop()
	}
}
