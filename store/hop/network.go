package hop

import (
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
	maxDial        = 5 * time.Second
)

// NetworkOptions says where a Network sends.
type NetworkOptions struct {
	Addrs   []string      // HOST:PORT, tls://HOST:PORT or unix:PATH, the preferred first; at least one
	TLS     rpc.TLSFiles  // for those with tls://
	Timeout time.Duration // of one call; dialing takes at most 5 s of it; 0 = 30 s
	MaxCall int           // bytes of entries that are merged into one call; 0 = 4 MiB
	// Shuffle says that the addresses are equals: one is chosen at random for each connection, the others when it fails or says TRY_LATER.
	Shuffle bool
	// Probe sends an empty call before one of more than probeBytes to a peer that is no Inkwell, to hear TRY_LATER before it has cost much.
	Probe       bool
	IgnoreError bool         // failing to connect, to send or to get an answer is nothing that a status should tell
	Logger      *slog.Logger // nil = discard
	Stats       *stats.Set   // nil = own; counts "sent" (entries, also by category) and "failed calls" (TRY_LATER too)
}

// Network sends batches to the next inkwell or scribed. It has one connection, made when it is first needed, and one call in
// progress; batches that come meanwhile wait and go together in the next call:
//
//	Append ─► queue ─► call (≤ MaxCall, in order of arrival) ─► sender: Log ─► all of the call return with its result
//
// The sender is a goroutine that lives as long as anybody waits. It offers a call to every address once, the one that works first:
// on to the next when one cannot be reached, fails or says TRY_LATER. A preferred address that failed is probed again after about a
// minute, beside the calls. A peer that refuses a call with an exception stays the one in use: others would refuse it as well.
//
// Delivery is at least once: a call whose answer got lost is offered again, here (to the next address, or once over a new
// connection when the peer hung up before it answered, as a restarted one does) and by the caller.
type Network struct {
	o       NetworkOptions
	maxCall int
	sent    *tally
	failed  *atomic.Int64
	waiters sync.Pool
	running sync.WaitGroup // the sender

	mu      sync.Mutex
	closed  bool
	sending bool               // the sender runs
	queue   []*waiter          // not taken yet, in order of arrival
	call    []*waiter          // taken by the sender
	inCall  bool               // the bytes of call are in the client's hands
	wanted  int                // members of call whose callers have not left
	ctx     context.Context    // of the call
	cancel  context.CancelFunc // ends ctx
	batches []*proto.Batch     // of call, for the client

	link *link // the sender's
}

// waiter is one Append.
type waiter struct {
	batch *proto.Batch
	left  bool // its context ended while its bytes were in the client's hands
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
	if o.MaxCall == 0 {
		o.MaxCall = defaultMaxCall
	}
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
	client := rpc.ClientOptions{Timeout: o.Timeout, DialTimeout: min(o.Timeout, maxDial), TLS: credentials}
	return &Network{
		o:       o,
		maxCall: o.MaxCall,
		sent:    newTally(o.Stats, "sent"),
		failed:  o.Stats.Overall("failed calls"),
		waiters: sync.Pool{New: func() any { return &waiter{done: make(chan struct{}, 1)} }},
		link:    newLink(slices.Clone(o.Addrs), o.Shuffle, client, o.Logger),
	}, nil
}

// Append sends b, alone or with the batches of others, and returns when a peer has answered. The error is ErrTryLater when every
// address said so and a *proto.ApplicationError when a peer refused the call; the others of the same call get it, too.
//
// When ctx ends, a batch that is not in a call goes at once. One that is in a call is in the connection's hands: the call is broken
// off if nobody else is in it (whether the peer got it is unknown then), else Append waits for its result, at most Timeout.
func (n *Network) Append(ctx context.Context, b *proto.Batch) error {
	if b.Count() == 0 {
		return nil
	}
	w := n.waiters.Get().(*waiter)
	defer n.waiters.Put(w)
	w.batch, w.left, w.err = b, false, nil
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
	if w.err == errLeft {
		return fmt.Errorf("send %d entries: %w", b.Count(), ctx.Err())
	}
	if w.err != nil {
		return w.err
	}
	n.sent.add(b)
	return nil
}

// Close waits for pending Appends, then closes the connection.
func (n *Network) Close() error {
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
	if !n.sending {
		n.sending = true
		n.running.Go(n.send)
	}
	return nil
}

// leave takes w out and says whether that was possible; if not, its result comes through w.done.
func (n *Network) leave(w *waiter) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := slices.Index(n.queue, w); i >= 0 {
		n.queue = slices.Delete(n.queue, i, i+1)
		return true
	}
	i := slices.Index(n.call, w)
	if i < 0 {
		return false
	}
	n.wanted--
	if n.wanted == 0 {
		n.cancel()
	}
	if n.inCall {
		w.left = true
		return false
	}
	n.call = slices.Delete(n.call, i, i+1)
	return true
}

// send is the sender.
func (n *Network) send() {
	for n.take() {
		n.release(n.offer())
	}
}

// take makes the next call of what waits. It returns false, and the sender has to end, when nothing does.
func (n *Network) take() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == 0 {
		n.sending = false
		return false
	}
	size, k := n.queue[0].batch.Size(), 1
	for k < len(n.queue) && size+n.queue[k].batch.Size() <= n.maxCall {
		size += n.queue[k].batch.Size()
		k++
	}
	n.call = append(n.call[:0], n.queue[:k]...)
	n.queue = slices.Delete(n.queue, 0, k)
	n.wanted = k
	if n.ctx == nil || n.ctx.Err() != nil {
		n.ctx, n.cancel = context.WithCancel(context.Background())
	}
	return true
}

// release gives the result to all of the call.
func (n *Network) release(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, w := range n.call {
		n.call[i] = nil
		w.err = err
		w.done <- struct{}{}
	}
	n.call = n.call[:0]
}

// offer offers the call to each address until one answers for good.
func (n *Network) offer() error {
	n.link.improve()
	var failures []error
	for _, i := range n.link.round() {
		err := n.offerTo(i)
		if n.o.IgnoreError && err != nil && !isRefusal(err) {
			err = &store.StatusError{Err: err}
		}
		switch {
		case err == nil || isRefusal(err):
			n.link.worked(i)
			return err
		case n.ctx.Err() != nil: // nobody waits for it any more
			return errLeft
		}
		n.link.failed(i, err)
		n.failed.Add(1)
		failures = append(failures, err)
	}
	return joinFailures(failures)
}

// offerTo offers the call to address i, over the connection that stands if there is one.
func (n *Network) offerTo(i int) error {
	fresh, err := n.link.connect(n.ctx, i)
	if err != nil {
		return n.unreachable(err)
	}
	err = n.once()
	if fresh || !hungUp(err) {
		return err
	}
	if _, err := n.link.connect(n.ctx, i); err != nil {
		return n.unreachable(err)
	}
	return n.once()
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

// once makes the call over the connection.
func (n *Network) once() error {
	batches := n.begin()
	if len(batches) == 0 {
		return errLeft
	}
	code, err := proto.OK, error(nil)
	if n.o.Probe && n.link.large(batches) {
		code, err = n.link.client.Log(n.ctx, nil)
	}
	if err == nil && code == proto.OK {
		code, err = n.link.client.Log(n.ctx, batches)
	}
	n.finish(err == nil && code == proto.OK)
	switch {
	case err != nil:
		n.link.drop() // the client is closed
		if !isRefusal(err) {
			err = brokenCall{err}
		}
	case code == proto.TryLater:
		defer n.link.refused()
		err = fmt.Errorf("%s says: %w", n.link.name(n.link.at), store.ErrTryLater)
	case code != proto.OK:
		err = fmt.Errorf("%s answered with the unknown result %d", n.link.name(n.link.at), code)
	}
	return err
}

// begin puts the bytes of the call into the client's hands.
func (n *Network) begin() []*proto.Batch {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.batches = n.batches[:0]
	for _, w := range n.call {
		n.batches = append(n.batches, w.batch)
	}
	n.inCall = true
	return n.batches
}

// finish takes them back; with a call that was not accepted those who left meanwhile are let go before the next attempt.
func (n *Network) finish(accepted bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.inCall = false
	clear(n.batches)
	if accepted {
		return
	}
	n.call = slices.DeleteFunc(n.call, func(w *waiter) bool {
		if w.left {
			w.err = errLeft
			w.done <- struct{}{}
		}
		return w.left
	})
}
