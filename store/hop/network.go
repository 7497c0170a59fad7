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

	"inkwell/internal/discovery"
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

// NetworkOptions configure where and how a Network sends.
type NetworkOptions struct {
	// Addrs are HOST:PORT, tls://HOST:PORT or unix:PATH, the preferred address first, or sources of such addresses (see
	// package discovery); at least one.
	Addrs []string
	// Directory looks the sources up; nil = one of the Network's own.
	Directory *discovery.Directory
	// Spread is the name of this sender, which is the same after a restart, among those that share the addresses: they
	// are divided among the senders (see choose). "" = the first address that works is used.
	Spread  string
	Memory  Memory        // what a Network that spreads remembers; it can also be given later
	TLS     rpc.TLSFiles  // for addresses with tls://
	Timeout time.Duration // of a call; dialing takes at most 5 s of it; 0 = 30 s
	MaxCall int           // bytes of entries in a call; a larger entry is sent in a call of its own; 0 = 4 MiB
	MaxAge  time.Duration // after which a connection is replaced, or up to a quarter earlier; 0 = unlimited
	// Shuffle says that no address is preferred: each connection is made to a random one, and the others are tried when
	// it fails or answers TRY_LATER.
	Shuffle bool
	// Probe sends an empty call before a call of more than probeBytes to a peer that is no Inkwell, so that a TRY_LATER
	// costs little.
	Probe       bool
	IgnoreError bool // failures to connect, to send or to get an answer do not show in the status
	// Source returns the source of a stream, which an Inkwell is told; nil = no source is known.
	Source func(stream [16]byte) (proto.Source, bool)
	Logger *slog.Logger // nil = discard
	// Stats counts "sent" (entries, also by category), "failed calls" (including TRY_LATER) and "calls made smaller";
	// nil = a new set.
	Stats *stats.Set
	Peers *Peers // lists the Network until it is closed; may be nil
}

// Network sends batches to the next inkwell or scribed. It has one connection, made when it is first needed, and one
// call in progress. Batches that are appended during a call wait and are sent together in the next one:
//
//	Append ─► queue ─► call ─► sender: Log ─► Appends whose last entry was taken return
//	                   in order of arrival, as large as the peer takes
//
// A batch that is larger than a call is sent in several (see capacity). The sender is a goroutine that lives as long as
// batches wait. It offers a call to each address once, beginning with the current one, and continues with the next
// address when one is unreachable, fails or answers TRY_LATER. Addresses that answered TRY_LATER are then offered
// smaller and smaller calls, down to a single entry. A preferred address that failed is probed after about ten seconds,
// concurrently with calls. A peer that refuses a call with an exception stays the current one, because the others would
// refuse the call as well; it is offered smaller calls until it is known which entry it refuses.
//
// Delivery is at least once: a call whose answer was lost is sent again, by the Network (to the next address, or once
// over a new connection if the peer hung up before it answered, as after a restart) and by the caller.
type Network struct {
	o       NetworkOptions
	sent    *categoryCounter
	failed  *atomic.Int64
	smaller *atomic.Int64
	thrown  *atomic.Int64 // entries that a peer has thrown away
	waiters sync.Pool
	running sync.WaitGroup // the sender

	mu      sync.Mutex
	closed  bool
	sending bool               // the sender runs
	queue   []*waiter          // waiters with entries to send, in order of arrival
	inCall  int                // how many waiters at the head of queue are in the current call
	wanted  int                // how many of these still wait
	ctx     context.Context    // of connecting and of the call
	cancel  context.CancelFunc // ends ctx
	next    size               // expected size of the next call
	report  []byte             // to be sent to the peer; nil = nothing
	poked   bool               // the link has something to do
	call    call

	link   *link // used only by the sender
	memory memory
	doubts *doubts
}

// waiter is one Append in progress.
type waiter struct {
	batch *proto.Batch
	taken proto.Place // entries of the batch before this place were taken
	until proto.Place // entries from taken to here are in the current call
	left  bool        // its context ended while its entries were in a call
	err   error
	done  chan struct{} // has a capacity of one; err is valid when it is filled
}

// errLeft is the result of a waiter whose context ended. Append replaces it by a better error.
var errLeft = errors.New("given up by its caller")

// NewNetwork returns a Network that has no connection yet.
func NewNetwork(o NetworkOptions) (*Network, error) {
	if len(o.Addrs) == 0 {
		return nil, errors.New("no address to send to: give HOST:PORT")
	}
	o.MaxCall = cmp.Or(o.MaxCall, defaultMaxCall)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Stats = cmp.Or(o.Stats, stats.New())
	if o.Directory == nil {
		o.Directory = discovery.NewDirectory(o.Logger)
	}
	credentials, err := credentialsFor(o)
	if err != nil {
		return nil, err
	}
	watch, err := o.Directory.Watch(o.Addrs, nil)
	if err != nil {
		return nil, err
	}
	n := &Network{
		o:       o,
		sent:    newCategoryCounter(o.Stats, "sent"),
		failed:  o.Stats.Overall("failed calls"),
		smaller: o.Stats.Overall("calls made smaller"),
		thrown:  o.Stats.Overall(Thrown),
		waiters: sync.Pool{New: func() any { return &waiter{done: make(chan struct{}, 1)} }},
		link: newLink(o, watch, rpc.ClientOptions{Timeout: o.Timeout, DialTimeout: min(o.Timeout, maxDial),
			TLS:    credentials,
			Source: o.Source}),
	}
	n.next = newCapacity(o.MaxCall, o.Timeout).next
	n.link.poke = n.poke
	n.doubts = newDoubts(n)
	if err := n.Remember(o.Memory); err != nil {
		return nil, errors.Join(err, n.link.close())
	}
	o.Peers.add(n)
	return n, nil
}

// Append sends b, alone or together with the batches of other callers, and returns when a peer has taken all of it. The
// error is a *store.PartialError if the first entries were taken. It wraps store.ErrTryLater when every address
// answered that, even to a call of a single entry, and a *proto.ApplicationError when a peer refused an entry with an
// exception.
//
// When ctx ends, a batch that is not in a call is withdrawn at once. If it is in a call, the call is cancelled if no
// other caller is in it, and it is unknown whether the peer took the entries; otherwise Append waits for the result, at
// most Timeout.
func (n *Network) Append(ctx context.Context, b *proto.Batch) error {
	taken, err := n.deliver(ctx, b)
	switch {
	case err == nil:
		n.sent.add(b)
	case taken > 0:
		n.sent.add(b.Section(0, taken))
		err = &store.PartialError{Left: b.Count() - taken, InOrder: true, Err: err}
	}
	return err
}

// sendAnywhere is Append for entries that count as sent already.
func (n *Network) sendAnywhere(ctx context.Context, b *proto.Batch) error {
	_, err := n.deliver(ctx, b)
	return err
}

// deliver is Append without counting; it returns how many entries were taken.
func (n *Network) deliver(ctx context.Context, b *proto.Batch) (taken int, err error) {
	if b.Count() == 0 {
		return 0, nil
	}
	w := n.waiters.Get().(*waiter)
	defer n.waiters.Put(w)
	w.batch, w.taken, w.until, w.left, w.err = b, proto.Place{}, proto.Place{}, false, nil
	if err := n.join(ctx, w); err != nil {
		return 0, err
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
	if err = w.err; err == errLeft {
		err = fmt.Errorf("send %d entries: %w", b.Count(), ctx.Err())
	}
	return w.taken.Entries, err
}

// Close waits for pending Appends, then closes the connection.
func (n *Network) Close() error {
	n.o.Peers.remove(n)
	err := n.doubts.close() // which may send
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.running.Wait()
	if failed := n.link.close(); failed != nil {
		err = errors.Join(err, fmt.Errorf("close connection: %w", failed))
	}
	return errors.Join(err, n.memory.close())
}

// Peer returns the address in use, "" if there is no connection. It may be called at any time.
func (n *Network) Peer() string {
	n.link.mu.Lock()
	defer n.link.mu.Unlock()
	if n.link.at == nil {
		return ""
	}
	return n.link.at.name
}

// Portion returns how much the next call will hold, as far as is known. A caller that has to record what was taken
// should append no more than that at a time.
func (n *Network) Portion() (entries, bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.next.entries, n.next.bytes
}

// join queues w and starts a sender if there is none.
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
	n.ensureSender()
	return nil
}

// ensureSender starts the sender if there is none. The caller holds mu.
func (n *Network) ensureSender() {
	if !n.sending {
		n.sending = true
		n.running.Go(n.send)
	}
}

// poke makes the sender look after the link, although there may be nothing to send.
func (n *Network) poke() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.poked = true
		n.ensureSender()
	}
}

// leave withdraws w and reports whether that was possible. If not, the result comes through w.done.
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

// send is the goroutine of the sender.
func (n *Network) send() {
	for n.hasWork() {
		if !n.midway() {
			n.link.improve()
			n.remember()
		}
		n.sendReport()
		if n.hasQueued() {
			n.offer()
		}
	}
}

// midway reports whether a part of a batch was taken. The rest goes to the same peer, if that takes it: when the caller
// is killed, it sends all of the batch again.
func (n *Network) midway() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.queue) > 0 && n.queue[0].taken.Entries > 0
}

// hasQueued reports whether batches are queued.
func (n *Network) hasQueued() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.queue) > 0
}

// hasWork reports whether there is something to send. If not, it records that the sender ends.
func (n *Network) hasWork() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == 0 && n.report == nil && !n.poked {
		n.sending = false
		return false
	}
	n.poked = false
	if n.ctx == nil || n.ctx.Err() != nil {
		n.ctx, n.cancel = context.WithCancel(context.Background())
	}
	return true
}

// Connect checks whether any of the addresses is reachable. Nothing is sent.
func (n *Network) Connect(ctx context.Context) error {
	n.link.watch.Wait(ctx)
	n.link.update()
	addresses, failures := n.link.addresses(), []error{}
	for _, t := range addresses {
		c, err := rpc.Dial(ctx, t.name, n.link.options)
		if err == nil {
			err = c.Close()
		}
		if err == nil {
			return nil
		}
		failures = append(failures, n.unreachable(err))
	}
	if ctx.Err() == nil {
		n.link.unreachable(addresses, failures)
	}
	if len(failures) == 0 {
		return n.unreachable(fmt.Errorf("no collector is known: %s", n.link.watch.Trouble()))
	}
	return joinFailures(failures)
}
