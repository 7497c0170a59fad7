// Package queue stands between a Log call and stores of the original's kind: it makes a call durable once, in a journal, and from there
// brings every entry to the stores of its category, each at its own pace.
//
//	Append ─► journal (one fsync a group; Append returns)
//	             └─ dispatcher ─┬─► queue ─► store        one goroutine a queue
//	                            ├─► queue ─► store  ──► Mark ─┐
//	                            └─► queue ─► store  ──► Mark ─┴─► checkpoint ─► Publish · ack the journal
//
// A queue is what the original calls a store thread: it takes what came for it as one batch when enough came or enough time went by,
// and offers a batch that failed again, alone, until the store takes it. What waits is in the journal; memory holds the next batch
// only. A queue that fails or hangs falls behind: the dispatcher passes it over, and it reads the journal by itself until it has
// caught up, so that it holds back neither the others nor the callers.
//
// The checkpoint says for each queue up to which journal offset its store has everything (through), and how its files stood then. After
// a crash, a failed fsync, or whenever a store says that it is broken, it is opened with the marks of the last checkpoint and the journal
// is read again from there: for files nothing is lost and nothing is written twice. What was sent over a network since the checkpoint is
// sent again: that is a tenth of a second's.
//
// A new configuration is a stop and a start over the same journal: what the old stores could not take goes to the new ones.
//
// Limitations: a queue that never succeeds holds the journal back until Options.MaxBytes; then Append returns store.ErrTryLater for all.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

// Options says where the journal is. The zero value of a field is its default.
type Options struct {
	StateDir   string           // journal and checkpoint; made if it is missing
	StateRoot  string           // StateDir lies beneath it, and no link is followed on the way; "" = StateDir
	MaxBytes   int64            // of journal that waits, 0 = 32 GiB
	Durability spool.Durability // of Append
	StreamTTL  time.Duration    // a stream that was silent for so long is forgotten, 0 = 30 days
	Logger     *slog.Logger     // nil = none
	Stats      *stats.Set       // nil = an own one
	Injector   faultfs.Injector // faults for tests

	saveEvery, retry time.Duration // for tests, 0 = the constants
}

const (
	saveEvery = 2 * time.Second        // between checkpoints
	sentWait  = 100 * time.Millisecond // between something sent and a checkpoint that knows it
	retryWait = time.Second            // before a store that failed is tried again, at least
)

// Journal holds what was acknowledged and is not in its stores yet, and the queues that bring it there. Safe for concurrent use, but for
// Start, Stop and Close, which are one goroutine's.
type Journal struct {
	o     Options
	log   *slog.Logger
	state *faultfs.Dir
	lock  *faultfs.File
	spool *spool.Log
	saver *saver
	gate  sync.RWMutex // Appends hold it for reading

	reserve store.Reserve
	loads   sync.Pool // *load
	streams *stream.Table
	lanes   *stream.Lanes

	mu  sync.Mutex
	run *run // of the configuration in use; nil between two
}

// Open locks the state directory and reads what a former run left there. The error is faultfs.ErrLocked when another process has it.
func Open(o Options) (_ *Journal, err error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = 32 << 30
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	if o.saveEvery == 0 {
		o.saveEvery, o.retry = time.Duration(killpoint.Tuned("INKWELL_CUT_EVERY", int64(saveEvery))), retryWait
	}
	j := &Journal{o: o, log: o.Logger, loads: sync.Pool{New: func() any { return new(load) }}, lanes: stream.NewLanes()}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.release())
		}
	}()
	if j.state, err = faultfs.OpenBeneath(o.StateRoot, o.StateDir, o.Injector); err != nil {
		return nil, fmt.Errorf("open state directory %s (it must be a directory this user can write; choose another with state_dir= or INKWELL_STATE): %w", o.StateDir, err)
	}
	if j.lock, err = j.state.Lock("lock"); err != nil {
		return nil, fmt.Errorf("open state directory %s (end the other daemon, or give this one its own with state_dir= or INKWELL_STATE): %w", o.StateDir, err)
	}
	saved, err := loadCheckpoint(j.state, j.log)
	if err != nil {
		return nil, err
	}
	dir, err := j.state.Sub("journal")
	if err != nil {
		return nil, fmt.Errorf("open journal in %s: %w", o.StateDir, err)
	}
	j.spool, err = spool.Open(dir, spool.Options{MaxBytes: o.MaxBytes, Durability: o.Durability, Floor: saved.end(), Logger: o.Logger})
	if err != nil {
		return nil, fmt.Errorf("open journal in %s: %w", o.StateDir, err)
	}
	acked, _ := j.spool.Bounds()
	saved.begin(acked)
	j.streams, err = stream.Open(j.state, stream.Options{TTL: o.StreamTTL, Own: j.lanes.Own(), Logger: o.Logger, Stats: o.Stats})
	if err != nil {
		return nil, fmt.Errorf("open table of streams: %w", err)
	}
	if err := j.streams.Recover(j.spool, saved.Drained); err != nil {
		return nil, fmt.Errorf("read journal in %s: %w", o.StateDir, err)
	}
	j.reserve = store.Reserve{Dir: j.state, Log: j.log}
	j.reserve.Keep()
	j.saver = newSaver(j, saved)
	o.Stats.Gauge(stats.Overall+":journal bytes", func() int64 { b, _ := j.spool.Backlog(); return b })
	o.Stats.Gauge(stats.Overall+":journal entries", func() int64 { _, n := j.spool.Backlog(); return n })
	return j, nil
}

// Append makes b durable in the journal, but for entries whose numbers say that they are there already. ErrTryLater wraps the reason when the journal is full or cannot be written; nothing of b is
// taken then.
func (j *Journal) Append(ctx context.Context, b *proto.Batch) error {
	if b.Count() == 0 {
		return nil
	}
	j.gate.RLock()
	defer j.gate.RUnlock()
	if err := j.streams.Append(ctx, b, j.write); err != nil {
		return fmt.Errorf("%w: append to the journal in %s: %w", store.ErrTryLater, j.o.StateDir, err)
	}
	return nil
}

// write appends what is not there yet. Entries without numbers get some, so that the next hop knows what it has.
func (j *Journal) write(ctx context.Context, b *proto.Batch) error {
	err := j.lanes.Append(b, func(numbered *proto.Batch) error { return stream.Keep(ctx, j.spool, numbered) })
	if ctx.Err() == nil {
		j.saver.health.Set("journal", err)
	}
	return err
}

// quiet runs do while no Append is in progress.
func (j *Journal) quiet(do func() error) error {
	j.gate.Lock()
	defer j.gate.Unlock()
	return do()
}

// Backlog is what the journal holds that no checkpoint covers yet, in bytes and entries.
func (j *Journal) Backlog() (bytes, entries int64) { return j.spool.Backlog() }

// Status is what is wrong with the journal itself, "" if nothing is.
func (j *Journal) Status() string { return j.saver.health.Status() }

// Close releases journal and state directory; Stop comes first.
func (j *Journal) Close() error { return j.release() }

func (j *Journal) release() error {
	var errs []error
	if j.spool != nil {
		errs = append(errs, j.spool.Close())
	}
	if j.streams != nil {
		errs = append(errs, j.streams.Close())
	}
	if j.lock != nil {
		errs = append(errs, j.lock.Close())
	}
	if j.state != nil {
		errs = append(errs, j.state.Close())
	}
	return errors.Join(errs...)
}
