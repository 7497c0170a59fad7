package hop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"
)

// replayBytes is how much of the spool is replayed in one call of the primary.
const replayBytes = 4 << 20

// busyTime is how long after it took something a peer that says TRY_LATER is busy, which is no trouble.
const busyTime = 5 * time.Second

// recordEntries and recordBytes bound a record of the spool, which is acknowledged as a whole: what a slow peer has
// taken of it is sent again when the process is killed.
const (
	recordEntries = 256
	recordBytes   = 64 << 10
)

// directTime is how long a batch is on its way to the primary in parts: what passed then can be sent again when the
// process is killed. The replay acks part by part.
const directTime = 100 * time.Millisecond

// closeGrace is how long Close lets a replay that is under way go on before it breaks it off.
const closeGrace = 5 * time.Second

// BufferOptions are the choices of a Buffer.
type BufferOptions struct {
	Logger *slog.Logger // nil = discard
	// Stats counts "spooled", "replayed" and "refused" (entries; see Refused) and "bytes lost" (unreadable in the
	// spool), all overall, and has the gauges "spool bytes" and "spool entries". nil = own.
	Stats *stats.Set
	Retry store.Schedule // of attempts at a primary that fails; nil = rpc.Backoff, 100 ms to 10 s
	// Name is the category for which "retries" (attempts that failed) and the gauges "spool bytes" and "spool entries"
	// are counted beside overall. With a name the gauges are not overall: there may be other buffers.
	Name string
	// FlushStreaming lets new batches overtake what is replayed, as long as the primary takes it.
	FlushStreaming bool
	// Refused is where records of the spool go that are no entries: a spool in the directory "refused" beneath it, for
	// a person to look into. nil = they are counted as lost.
	Refused *faultfs.Dir
}

// Buffer stands before another store, the primary, and keeps on disk what that does not take:
//
//	Append ─┬─ spool empty ─► primary ── fails ─┐
//	        └─ spool not empty ─────────────────┴─► spool ─► replay ─► primary ─► ack
//
// The mode is not stored but derived: while the spool holds anything, everything goes through it. So each caller's
// batches reach the primary in the order of its Appends, and a primary that failed is not tried again by Append: its
// batch is in the spool, from where the replay, with growing pauses, is the only one who tries until it has delivered
// all. (If the spool could not take that batch, Append failed, and the next one tries the primary: there is nothing
// that it could overtake.)
//
// When the replay runs well and little is left, Appends are held back for the last call or two, so that a busy Buffer
// finds its way out of the spool; the first failure lets them go.
//
// Delivery is at least once: what the outcome of is unknown is spooled and sent again, with its spans, by which an
// Inkwell knows what it has. A primary that took a part of a batch (store.PartialError) is offered the rest. An entry
// that it does not take holds up those behind it; a Quarantine before a Network sees to it that this ends.
type Buffer struct {
	primary  store.Store
	spool    *spool.Log
	log      *slog.Logger
	health   *stats.Health
	spooled  *atomic.Int64
	retries  []*atomic.Int64
	flush    bool
	stop     context.CancelFunc // ends the replay between two calls
	abort    context.CancelFunc // ends its call
	replayed sync.WaitGroup     // the replay
	appends  sync.WaitGroup
	kick     chan struct{} // ends a pause of the replay

	replayErr error // of the replay, to be read when it has ended

	mu     sync.Mutex
	retry  store.Schedule
	until  time.Time // the primary is not tried before
	err    error     // of the last attempt at the primary
	took   time.Time // when the primary took something
	closed bool
	gate   chan struct{} // Appends wait until it is closed; nil = open
	done   chan struct{} // closed and made anew whenever the replay has emptied the spool
}

// OpenBuffer returns a Buffer that owns primary and sp, and starts to replay what sp holds.
func OpenBuffer(primary store.Store, sp *spool.Log, o BufferOptions) *Buffer {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	if o.Retry == nil {
		o.Retry = new(rpc.Backoff)
	}
	b := &Buffer{
		primary: primary,
		retry:   o.Retry,
		flush:   o.FlushStreaming,
		retries: []*atomic.Int64{o.Stats.Overall("retries")},
		spool:   sp,
		log:     o.Logger,
		health:  stats.NewHealth(o.Logger),
		spooled: o.Stats.Overall("spooled"),
		kick:    make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	name := stats.Overall
	if o.Name != "" {
		name = o.Name
		b.retries = append(b.retries, o.Stats.Category(name, "retries"))
	}
	o.Stats.Gauge(name+":spool bytes", func() int64 { bytes, _ := sp.Backlog(); return bytes })
	o.Stats.Gauge(name+":spool entries", func() int64 { _, entries := sp.Backlog(); return entries })
	if bytes, entries := sp.Backlog(); entries > 0 {
		b.log.Info("spool holds entries of before", "entries", entries, "bytes", bytes)
	}
	life, stop := context.WithCancel(context.Background())
	calls, abort := context.WithCancel(context.Background())
	b.stop, b.abort = stop, abort
	r := newReplay(b, o)
	b.replayed.Go(func() { b.replayErr = r.loop(life, calls) })
	return b
}

// Append returns nil when the primary has b or the spool has it durably. ctx bounds only the wait for the primary: when
// it ends, b goes to the spool. Errors are those of the spool: spool.ErrFull when it is full, else of its disk; then b
// may be offered again.
func (b *Buffer) Append(ctx context.Context, batch *proto.Batch) error {
	if batch.Count() == 0 {
		return nil
	}
	gate, err := b.enter()
	if err != nil {
		return err
	}
	defer b.appends.Done()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	if ctx.Err() == nil && b.direct() {
		if batch = b.pass(ctx, batch); batch.Count() == 0 {
			return nil
		}
	}
	var records []spool.Part
	for r := range batch.Parts(recordEntries, recordBytes) {
		records = append(records, spool.Part{Data: r.Entries(), Tail: r.AppendRecordTail(nil), Count: r.Count()})
	}
	if _, err := b.spool.AppendParts(context.WithoutCancel(ctx), records); err != nil {
		return fmt.Errorf("keep %d entries in the spool: %w", batch.Count(), err)
	}
	b.spooled.Add(int64(batch.Count()))
	return nil
}

// pass brings a batch to the primary, and returns what is left of it for the spool: nothing, unless the primary fails,
// or takes so little at once that it has not taken all within directTime.
func (b *Buffer) pass(ctx context.Context, batch *proto.Batch) (left *proto.Batch) {
	began, done := time.Now(), 0
	for at := (proto.Place{}); done < batch.Count(); {
		part := portion(b.primary, batch, at)
		err := b.primary.Append(ctx, part)
		if n := taken(part, err); n > 0 {
			done += n
			at = batch.PlaceBehind(at, n, math.MaxInt)
		}
		if err == nil {
			killpoint.Reach("buffer.direct")
			b.there()
			if time.Since(began) < directTime {
				continue
			}
			break
		}
		switch {
		case ctx.Err() != nil:
		case isRefusal(err):
			b.refused(err, 0)
		default:
			b.away(err)
		}
		break
	}
	if done == batch.Count() {
		return new(proto.Batch)
	}
	return batch.Section(done, batch.Count()-done)
}

// enter counts an Append in and returns what it has to wait for.
func (b *Buffer) enter() (gate chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, store.ErrClosed
	}
	b.appends.Add(1)
	return b.gate, nil
}

// direct says whether a batch may go to the primary without passing through the spool.
func (b *Buffer) direct() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil && time.Now().Before(b.until) {
		return false
	}
	return b.empty() || b.flush && b.err == nil
}

// there notes that the primary took something.
func (b *Buffer) there() {
	b.mu.Lock()
	b.err, b.until, b.took = nil, time.Time{}, time.Now()
	b.retry.Reset()
	b.mu.Unlock()
	b.health.Set("next hop", nil)
}

// away notes that the primary failed, and when it is tried again.
func (b *Buffer) away(err error) {
	b.mu.Lock()
	b.err, b.until = err, time.Now().Add(b.retry.Next())
	busy := errors.Is(err, store.ErrTryLater) && time.Since(b.took) < busyTime
	b.mu.Unlock()
	for _, c := range b.retries {
		c.Add(1)
	}
	if !busy {
		b.health.Set("next hop", fmt.Errorf("%w; entries go to the spool until it works", err))
	}
}

// refused notes that the primary is there and refuses what it was offered; it may be tried again after a pause, for
// which it is not left alone longer than if it were away.
func (b *Buffer) refused(err error, pause time.Duration) {
	b.mu.Lock()
	if pause > 0 {
		pause = min(pause, b.retry.Next())
	}
	b.err, b.until = err, time.Now().Add(pause)
	b.mu.Unlock()
	b.health.Set("next hop", fmt.Errorf("%w; it is offered again", err))
}

// Status is why the primary is not in use, in the original's words where it has any.
func (b *Buffer) Status() string {
	b.mu.Lock()
	err := b.err
	b.mu.Unlock()
	if err != nil {
		return store.StatusText(err)
	}
	return store.Status(b.primary)
}

// Connect finds out whether the primary is there, before the first batch or when there is none.
func (b *Buffer) Connect(ctx context.Context) {
	c, ok := b.primary.(store.Connector)
	if !ok {
		return
	}
	if err := c.Connect(ctx); err != nil {
		b.away(err)
		return
	}
	b.there()
}

// Check tries a primary that failed while there was nothing to replay, and gives the primary its time.
func (b *Buffer) Check(now time.Time) error {
	b.mu.Lock()
	due := b.err != nil && !now.Before(b.until)
	b.mu.Unlock()
	if due && b.empty() {
		ctx, cancel := context.WithTimeout(context.Background(), maxDial)
		defer cancel()
		b.Connect(ctx)
	}
	return store.Check(b.primary, now)
}

// empty says whether the primary has everything.
func (b *Buffer) empty() bool {
	acked, end := b.spool.Bounds()
	return acked >= end
}

// Backlog is what the spool holds for the primary.
func (b *Buffer) Backlog() (bytes, entries int64) { return b.spool.Backlog() }

// Drain waits until the spool is empty; the primary is tried at once, whatever pause the replay was in. An Append in
// progress is no part of it.
func (b *Buffer) Drain(ctx context.Context) error {
	select {
	case b.kick <- struct{}{}:
	default:
	}
	for {
		b.mu.Lock()
		done, closed := b.done, b.closed
		b.mu.Unlock()
		if b.empty() {
			return nil
		}
		if closed {
			return store.ErrClosed
		}
		select {
		case <-done:
		case <-ctx.Done():
			bytes, entries := b.spool.Backlog()
			return fmt.Errorf("deliver what is in the spool: %d entries (%d bytes) are left: %w", entries, bytes, ctx.Err())
		}
	}
}

// Abort ends the replay, and the call that is under way, at once: Close, which is to follow, waits for nothing but the
// disk then.
func (b *Buffer) Abort() {
	b.stop()
	b.abort()
}

// Close ends the replay (a call that is under way gets a few seconds), waits for pending Appends and closes primary and
// spool. What is in the spool stays there for the next Buffer.
func (b *Buffer) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return store.ErrClosed
	}
	b.closed = true
	b.mu.Unlock()
	b.stop()
	grace := time.AfterFunc(closeGrace, b.abort)
	b.replayed.Wait()
	grace.Stop()
	b.abort()
	b.release()
	b.wake()
	b.appends.Wait()
	if bytes, entries := b.spool.Backlog(); entries > 0 {
		b.log.Info("entries wait in the spool until it is opened again", "entries", entries, "bytes", bytes)
	}
	return errors.Join(b.replayErr, b.primary.Close(), b.spool.Close())
}

// hold makes Appends wait until release: the replay is about to empty the spool.
func (b *Buffer) hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gate == nil && !b.closed {
		b.gate = make(chan struct{})
	}
}

// release lets Appends go on.
func (b *Buffer) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gate != nil {
		close(b.gate)
		b.gate = nil
	}
}

// wake makes Drain look again.
func (b *Buffer) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.done)
	b.done = make(chan struct{})
}
