package hop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

const (
	defaultMaxCall = 4 << 20
	defaultTimeout = 30 * time.Second
	maxDial        = 5 * time.Second
)

// NetworkOptions says where a Network sends.
type NetworkOptions struct {
	Addrs   []string      // HOST:PORT, tls://HOST:PORT or unix:PATH, the preferred first; at least one
	TLS     rpc.TLSFiles  // for those with tls://
	Timeout time.Duration // of one call; dialing takes at most 5 s of it; 0 = 30 s
	MaxCall int           // bytes of entries in one call; a larger entry has one of its own; 0 = 4 MiB
	MaxAge  time.Duration // of a connection, which is replaced then, or up to a quarter of that before; 0 = any
	// Shuffle says that the addresses are equals: one is chosen at random for each connection, the others when it fails
	// or says TRY_LATER.
	Shuffle bool
	// Probe sends an empty call before one of more than probeBytes to a peer that is no Inkwell, to hear TRY_LATER
	// before it has cost much.
	Probe       bool
	IgnoreError bool // failing to connect, to send or to get an answer is nothing that a status should tell
	// Source says where a stream comes from, which an Inkwell is told; nil = nothing is known.
	Source func(stream [16]byte) (proto.Source, bool)
	Logger *slog.Logger // nil = discard
	// Stats counts "sent" (entries, also by category), "failed calls" (TRY_LATER too) and "calls made smaller"; nil =
	// own.
	Stats *stats.Set
	Peers *Peers // gets to know the Network until it is closed; nil = nobody does
}

// Network sends batches to the next inkwell or scribed. It has one connection, made when it is first needed, and one
// call in progress; batches that come meanwhile wait and go together in the next call:
//
//	Append ─► queue ─► call (in order of arrival, as large as the peer takes) ─► sender: Log ─► Appends whose last entry was taken return
//
// A batch that is larger than a call goes in several (see capacity). The sender is a goroutine that lives as long as
// anybody waits. It offers a call to every address once, the one that works first: on to the next when one cannot be
// reached, fails or says TRY_LATER; those that said TRY_LATER are offered ever smaller calls at once, down to a single
// entry. A preferred address that failed is probed again after about ten seconds, beside the calls. A peer that refuses
// a call with an exception stays the one in use, because others would refuse it as well: it is offered smaller calls,
// until it is known which entry it refuses.
//
// Delivery is at least once: a call whose answer got lost is offered again, here (to the next address, or once over a
// new connection when the peer hung up before it answered, as a restarted one does) and by the caller.
type Network struct {
	o       NetworkOptions
	sent    *tally
	failed  *atomic.Int64
	smaller *atomic.Int64
	refused *atomic.Int64 // entries that a peer has thrown away
	waiters sync.Pool
	running sync.WaitGroup // the sender

	mu      sync.Mutex
	closed  bool
	sending bool               // the sender runs
	queue   []*waiter          // whose batches are not taken wholly, in order of arrival
	inCall  int                // so many of them, the first, have entries in the client's hands
	wanted  int                // members of the call whose callers have not left
	ctx     context.Context    // of connecting and of the call
	cancel  context.CancelFunc // ends ctx
	next    size               // of the next call, as far as is known
	report  []byte             // what the peer is to be told of the sender; nil = nothing
	call    call

	link *link // the sender's
}

// waiter is one Append.
type waiter struct {
	batch *proto.Batch
	taken proto.Place // in the batch: what is before it was taken
	until proto.Place // what is before it is in the call
	left  bool        // its context ended while its bytes were in the client's hands
	err   error
	done  chan struct{} // has room for one; err stands when it is filled
}

// errLeft is the result of a waiter whose context ended; Append has the better error.
var errLeft = errors.New("given up by its caller")

// NewNetwork returns a Network that has not connected yet.
func NewNetwork(o NetworkOptions) (*Network, error) {
	if len(o.Addrs) == 0 {
		return nil, errors.New("no address to send to: give HOST:PORT")
	}
	o.MaxCall = cmp.Or(o.MaxCall, defaultMaxCall)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	credentials, err := credentialsFor(o)
	if err != nil {
		return nil, err
	}
	n := &Network{
		o:       o,
		sent:    newTally(o.Stats, "sent"),
		failed:  o.Stats.Overall("failed calls"),
		smaller: o.Stats.Overall("calls made smaller"),
		refused: o.Stats.Overall(Thrown),
		waiters: sync.Pool{New: func() any { return &waiter{done: make(chan struct{}, 1)} }},
		link: newLink(o, rpc.ClientOptions{Timeout: o.Timeout, DialTimeout: min(o.Timeout, maxDial), TLS: credentials,
			Source: o.Source}),
	}
	n.next = n.link.capacity(0).next
	o.Peers.add(n)
	return n, nil
}

// Append sends b, alone or with the batches of others, and returns when a peer has taken all of it. The error is a
// *store.PartialError when a peer has the entries before one that failed. It wraps store.ErrTryLater when every address
// said so, to a call of a single entry, and a *proto.ApplicationError when a peer refused the entry for good.
//
// When ctx ends, a batch that is not in a call goes at once. One that is in a call is in the connection's hands: the
// call is broken off if nobody else is in it (whether the peer got it is unknown then), else Append waits for its
// result, at most Timeout.
func (n *Network) Append(ctx context.Context, b *proto.Batch) error {
	if b.Count() == 0 {
		return nil
	}
	w := n.waiters.Get().(*waiter)
	defer n.waiters.Put(w)
	w.batch, w.taken, w.until, w.left, w.err = b, proto.Place{}, proto.Place{}, false, nil
	if err := n.join(ctx, w); err != nil {
		return err
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		if n.leave(w) {
			w.err = errLeft
		} else {
			<-w.done
		}
	}
	w.batch = nil
	err, taken := w.err, w.taken.Entries
	switch {
	case err == nil:
		n.sent.add(b)
		return nil
	case err == errLeft:
		err = fmt.Errorf("send %d entries: %w", b.Count(), ctx.Err())
	}
	if taken == 0 {
		return err
	}
	n.sent.add(b.Section(0, taken))
	return &store.PartialError{Left: b.Count() - taken, InOrder: true, Err: err}
}

// Close waits for pending Appends, then closes the connection.
func (n *Network) Close() error {
	n.o.Peers.remove(n)
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.running.Wait()
	if err := n.link.close(); err != nil {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}

// Peer is the address in use, "" when there is no connection. It may be called at any time.
func (n *Network) Peer() string {
	n.link.mu.Lock()
	defer n.link.mu.Unlock()
	return n.link.peer
}

// Portion is how much goes in the next call, as far as is known: whoever has to remember what was taken appends no more
// at once.
func (n *Network) Portion() (entries, bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.next.entries, n.next.bytes
}

// join queues w and sees to it that there is a sender.
func (n *Network) join(ctx context.Context, w *waiter) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("send %d entries: %w", w.batch.Count(), err)
	}
	n.queue = append(n.queue, w)
	n.begun()
	return nil
}

// begun sees to it that there is a sender. The caller holds mu.
func (n *Network) begun() {
	if !n.sending {
		n.sending = true
		n.running.Go(n.send)
	}
}

// leave takes w out and says whether that was possible; if not, its result comes through w.done.
func (n *Network) leave(w *waiter) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch i := slices.Index(n.queue, w); {
	case i < 0:
		return false
	case i < n.inCall:
		w.left = true
		if n.wanted--; n.wanted == 0 {
			n.cancel()
		}
		return false
	default:
		n.queue = slices.Delete(n.queue, i, i+1)
		if len(n.queue) == 0 && n.cancel != nil {
			n.cancel() // the sender may be connecting
		}
		return true
	}
}

// send is the sender.
func (n *Network) send() {
	for n.waiting() {
		n.link.improve()
		n.tell()
		if n.calls() {
			n.offer()
		}
	}
}

// calls says whether there is something to offer.
func (n *Network) calls() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.queue) > 0
}

// waiting says whether there is something to send. If not, the sender has to end.
func (n *Network) waiting() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == 0 && n.report == nil {
		n.sending = false
		return false
	}
	if n.ctx == nil || n.ctx.Err() != nil {
		n.ctx, n.cancel = context.WithCancel(context.Background())
	}
	return true
}

// offer offers what waits to each address until one takes a call of it, or has said what it does not take.
func (n *Network) offer() {
	for round := n.link.round(); len(round) > 0; {
		var failures []error
		var smaller []int // addresses that may take a smaller call
		for _, i := range round {
			err := n.offerTo(i)
			if n.ctx.Err() != nil || err == errLeft { // nobody waits for it any more
				return
			}
			if err == nil || isRefusal(err) {
				n.link.worked(i)
				n.settle(err)
				return
			}
			later := n.call.smaller && errors.Is(err, store.ErrTryLater)
			if later {
				smaller = append(smaller, i)
			}
			if !later || len(n.o.Addrs) > 1 {
				n.link.failed(i, err)
			}
			n.failed.Add(1)
			failures = append(failures, err)
		}
		if round = smaller; len(round) == 0 {
			n.giveUp(joinFailures(failures))
		}
	}
}

// settle is the end of a call that a peer answered: what was taken is done; an entry that was refused alone is its
// caller's again.
func (n *Network) settle(err error) {
	if err == nil || n.call.smaller {
		return
	}
	n.failed.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) > 0 && n.queue[0] == n.call.first { // else its caller left
		n.end(1, err)
	}
}

// giveUp gives the result to all who wait.
func (n *Network) giveUp(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.end(len(n.queue), err)
}

// end gives the result to the first who wait. The caller holds mu.
func (n *Network) end(count int, err error) {
	for _, w := range n.queue[:count] {
		w.err = err
		w.done <- struct{}{}
	}
	n.queue = slices.Delete(n.queue, 0, count)
}

// unreachable is err with what a status is to tell of it.
func (n *Network) unreachable(err error) error {
	if n.o.IgnoreError {
		return &store.StatusError{Err: err}
	}
	return &store.StatusError{Text: "Failed to connect", Err: err}
}

// Connect finds out whether any of the addresses can be reached. Nothing is sent.
func (n *Network) Connect(ctx context.Context) error {
	var failures []error
	for _, addr := range n.o.Addrs {
		c, err := rpc.Dial(ctx, addr, n.link.options)
		if err == nil {
			err = c.Close()
		}
		if err == nil {
			return nil
		}
		failures = append(failures, n.unreachable(err))
	}
	return joinFailures(failures)
}
