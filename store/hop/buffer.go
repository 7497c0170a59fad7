package hop

import (
	"cmp"
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

// replayBytes is how many bytes of the spool are replayed in one call of the primary.
const replayBytes = 4 << 20

// busyTime is how long a peer that answers TRY_LATER counts as merely busy after it took something.
const busyTime = 5 * time.Second

// directTime limits how long a batch is sent to the primary in parts without going through the spool. When the process
// is killed, all parts may be sent again, whereas the replay acknowledges each part.
const directTime = 100 * time.Millisecond

// closeGrace is how long Close lets a call of the replay finish before it cancels the call.
const closeGrace = 5 * time.Second

// BufferOptions configure a Buffer.
type BufferOptions struct {
	Logger *slog.Logger // nil = discard
	// Stats counts "spooled", "replayed" and "refused" (entries; see Refused) and "bytes lost" (unreadable in the
	// spool), all overall, and has the gauges "spool bytes" and "spool entries". nil = a new set.
	Stats *stats.Set
	Retry store.Schedule // for attempts after the primary failed; nil = rpc.Backoff, 100 ms to 10 s
	// Name is a category for which "retries" (failed attempts) are counted besides overall. The gauges are those of the
	// category instead of overall, because there may be other buffers.
	Name string
	// FlushStreaming lets new batches overtake the replay while the primary accepts entries.
	FlushStreaming bool
	// Refused is the directory for records of the spool that contain no valid entries: they are kept in a spool named
	// "refused" in it, for a person to look into. nil = they are counted as lost.
	Refused *faultfs.Dir
	Spools  *Spools // lists the spool until Close; may be nil
}

// Buffer stands in front of another store, the primary, and keeps on disk what the primary does not take:
//
//	Append ─┬─ spool empty ─► primary ── fails ─┐
//	        └─ spool not empty ─────────────────┴─► spool ─► replay ─► primary ─► ack
//
// There is no stored mode: while the spool holds anything, everything goes through it. Therefore the batches of each
// caller reach the primary in the order of its Appends. After a failure, Append does not try the primary again: the
// batch is in the spool, and only the replay tries, with growing pauses, until it has delivered everything. (If the
// spool could not take that batch, Append failed, and the next Append tries the primary, as there is nothing that it
// could overtake.)
//
// When the replay succeeds and little is left, Appends are held back during its last one or two calls. Otherwise a busy
// Buffer would never empty its spool. The first failure releases them.
//
// Delivery is at least once: when the result of a call is unknown, the entries are spooled and sent again with their
// spans, by which an Inkwell recognizes duplicates. When the primary took a part of a batch (store.PartialError), it is
// offered the rest. An entry that the primary does not take blocks those behind it; a Quarantine in front of a Network
// limits for how long.
type Buffer struct {
	name     string // for Spools
	spools   *Spools
	primary  store.Store
	spool    *spool.Log
	log      *slog.Logger
	health   *stats.Health
	spooled  *atomic.Int64
	retries  []*atomic.Int64
	flush    bool
	stop     context.CancelFunc // ends the replay after its current call
	abort    context.CancelFunc // cancels the current call of the replay
	replayed sync.WaitGroup     // the replay
	appends  sync.WaitGroup
	kick     chan struct{} // ends a pause of the replay

	replayErr error // result of the replay; valid when replayed is done

	mu     sync.Mutex
	retry  store.Schedule
	until  time.Time // no attempt at the primary before this time
	err    error     // of the last attempt, nil after a success
	took   time.Time // when the primary last took something
	closed bool
	gate   chan struct{} // Appends wait until it is closed; nil = they need not wait
	done   chan struct{} // closed, and replaced by a new channel, whenever the replay has emptied the spool
}

// OpenBuffer returns a Buffer that owns primary and sp, and starts to replay the content of sp.
func OpenBuffer(primary store.Store, sp *spool.Log, o BufferOptions) *Buffer {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Stats = cmp.Or(o.Stats, stats.New())
	if o.Retry == nil {
		o.Retry = new(rpc.Backoff)
	}
	b := &Buffer{
		name:    o.Name,
		spools:  o.Spools,
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
		b.log.Info("spool holds entries of an earlier run", "entries", entries, "bytes", bytes)
	}
	life, stop := context.WithCancel(context.Background())
	calls, abort := context.WithCancel(context.Background())
	b.stop, b.abort = stop, abort
	r := newReplay(b, o)
	b.replayed.Go(func() { b.replayErr = r.loop(life, calls) })
	b.spools.add(b)
	return b
}

// Append returns nil when the primary has taken the batch, or the spool holds it durably. ctx only bounds the wait for
// the primary; when it ends, the batch goes to the spool. The errors are those of the spool: spool.ErrFull, or an error
// of its disk. The batch may then be offered again.
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
	if _, err := b.spool.AppendParts(context.WithoutCancel(ctx), appendRecords(nil, batch)); err != nil {
		return fmt.Errorf("keep %d entries in the spool: %w", batch.Count(), err)
	}
	b.spooled.Add(int64(batch.Count()))
	return nil
}

// pass sends a batch to the primary and returns the part of it for the spool: nothing, unless the primary fails, or
// takes so little per call that it has not taken everything within directTime.
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
			b.primaryWorked()
			if time.Since(began) < directTime {
				continue
			}
			break
		}
		switch {
		case ctx.Err() != nil:
		case isRefusal(err):
			b.primaryRefused(err, 0)
		default:
			b.primaryFailed(err)
		}
		break
	}
	if done == batch.Count() {
		return new(proto.Batch)
	}
	return batch.Section(done, batch.Count()-done)
}

// enter registers an Append and returns the gate that it has to wait for.
func (b *Buffer) enter() (gate chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, store.ErrClosed
	}
	b.appends.Add(1)
	return b.gate, nil
}

// direct reports whether a batch may go to the primary without passing through the spool.
func (b *Buffer) direct() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil && time.Now().Before(b.until) {
		return false
	}
	return b.empty() || b.flush && b.err == nil
}

// primaryWorked records that the primary took something.
func (b *Buffer) primaryWorked() {
	b.mu.Lock()
	b.err, b.until, b.took = nil, time.Time{}, time.Now()
	b.retry.Reset()
	b.mu.Unlock()
	b.health.Set("next hop", nil)
}

// primaryFailed records that the primary failed, and when it is tried again.
func (b *Buffer) primaryFailed(err error) {
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

// primaryRefused records that the primary is reachable but refuses what it was offered. It is tried again after a
// pause, which is no longer than after a failure.
func (b *Buffer) primaryRefused(err error, pause time.Duration) {
	b.mu.Lock()
	if pause > 0 {
		pause = min(pause, b.retry.Next())
	}
	b.err, b.until = err, time.Now().Add(pause)
	b.mu.Unlock()
	b.health.Set("next hop", fmt.Errorf("%w; it is offered again", err))
}

// Status returns why the primary is not in use, in the words of the original if it has any.
func (b *Buffer) Status() string {
	b.mu.Lock()
	err := b.err
	b.mu.Unlock()
	if err != nil {
		return store.StatusText(err)
	}
	return store.Status(b.primary)
}

// Connect checks whether the primary is reachable, before the first batch or while there is none.
func (b *Buffer) Connect(ctx context.Context) {
	c, ok := b.primary.(store.Connector)
	if !ok {
		return
	}
	if err := c.Connect(ctx); err != nil {
		b.primaryFailed(err)
		return
	}
	b.primaryWorked()
}

// Check tries a failed primary when there is nothing to replay, and calls its periodic work.
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

// empty reports whether the spool is empty.
func (b *Buffer) empty() bool {
	bytes, _ := b.spool.Backlog()
	return bytes == 0
}

// Backlog returns how much the spool holds for the primary.
func (b *Buffer) Backlog() (bytes, entries int64) { return b.spool.Backlog() }

// Since returns since when the spool has held something; zero = it is empty.
func (b *Buffer) Since() time.Time { return b.spool.Since() }

// Drain waits until the spool is empty. It ends a pause of the replay, so that the primary is tried at once. It does
// not wait for Appends in progress.
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
			return fmt.Errorf("deliver what is in the spool: %d entries (%d bytes) are left: %w", entries, bytes,
				ctx.Err())
		}
	}
}

// Abort ends the replay and cancels its current call. The Close that must follow then only waits for the disk.
func (b *Buffer) Abort() {
	b.stop()
	b.abort()
}

// Close ends the replay (its current call gets a few seconds), waits for pending Appends, and closes the primary and
// the spool. The content of the spool stays there for the next Buffer.
func (b *Buffer) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return store.ErrClosed
	}
	b.closed = true
	b.mu.Unlock()
	b.spools.remove(b)
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
