// Package journal is the engine of the collector: it makes a call durable once, in a journal, and delivers every entry
// from there to its outlets, each at its own pace.
//
//	Append ─► journal (one fsync a group; Append returns)
//	             └─ reader ─┬─► outlet ─┐                 ┌─ Append ─► store
//	                        ├─► outlet ─┼─► benches: step ┼─ Mark ────► saver: checkpoint ─► Publish, Ack
//	                        └─► outlet ─┘                 └─ Check
//
// An outlet delivers one category to one destination. The reader reads the journal once, routes each run of entries
// once, and adds it to the pending entries of the outlets of its category. Benches, one goroutine for each processor,
// step the outlets of local files. The outlet of a store that can block, such as a network store, has its own goroutine.
//
// The pending entries of all outlets share one budget of bytes. When it is used up, the reader waits, and the oldest
// pending entries are delivered first, whatever the size of the batch. An outlet that fails or hangs is no longer fed,
// so it holds up neither the other outlets nor the callers: its entries stay in the journal, and when its store works
// again, it reads the journal itself until it has caught up with the reader.
//
// The checkpoint records for each outlet the journal offset up to which the destination has everything (through), and
// the states of its files at that point. After a crash or a failed fsync, or when a store says that it is broken, the
// store is opened with the states of the last checkpoint, and the journal is replayed from there: in files, nothing is
// lost and nothing is written twice. Entries that were sent over a network since the checkpoint, about a tenth of a
// second's, are sent again with the same numbers.
//
// A new configuration is a stop and a start over the same journal; type past determines what happens to entries that
// were not delivered.
//
// Limitations: an outlet that never succeeds keeps the journal from shrinking, until it has Options.MaxBytes; then
// Append returns store.ErrTryLater for all callers. When more than 256 outlets of local files hang at once, the other
// local files wait for them.
package journal

import (
	"cmp"
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
	"inkwell/store/books"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

// Options says where the journal is. The zero value of a field is its default.
type Options struct {
	StateDir   string           // holds the journal and the checkpoint; created if it is missing
	StateRoot  string           // an ancestor of StateDir; symbolic links below it are not followed. "" = StateDir
	MaxBytes   int64            // limit of undelivered bytes in the journal, 0 = 32 GiB
	Durability spool.Durability // of entries when Append returns
	StreamTTL  time.Duration    // a stream without entries for so long is forgotten, 0 = 30 days
	Memory     int64            // bytes of entries pending in all outlets together, 0 = 8 to 64 MiB, by their number
	Host       string           // name of this machine
	Move       string           // what is moved, and where to; "" = nothing: the journal is used by a collector
	// Client returns the name of the client of a call, given the context of the call; nil = unknown. Entries that
	// arrive without numbers and are relayed get numbers in a stream of that name.
	Client   func(context.Context) string
	Logger   *slog.Logger     // nil = none
	Stats    *stats.Set       // nil = a new set
	Injector faultfs.Injector // faults for tests

	Tuning // for tests
}

// Tuning overrides constants for tests; 0 = the constant.
type Tuning struct {
	SaveEvery, Retry time.Duration
	SegmentBytes     int64 // of the journal
	SyncAll          int   // faultfs.Disks.Many
}

const (
	saveEvery = 2 * time.Second        // least time between two regular checkpoints
	sentWait  = 100 * time.Millisecond // from sending entries to the checkpoint that records it
	hurryWait = 2 * time.Millisecond   // delay of an urgent checkpoint, so that one serves many outlets
	retryMin  = time.Second            // delay before a failed store is tried again
	retryMax  = 10 * time.Second       // longest such delay
	memory    = 64 << 20               // bytes pending in all outlets together, if there are many
)

// Journal stores acknowledged entries until they are at their destinations, and owns the outlets that deliver them.
// Safe for concurrent use, except that Start, Stop and Close must be called by one goroutine.
type Journal struct {
	o     Options
	log   *slog.Logger
	state *faultfs.Dir
	lock  *faultfs.File
	spool *spool.Log
	saver *saver
	move  move         // that is not complete; zero = none
	gate  sync.RWMutex // held for reading during Append, for writing to keep Appends out

	ages ages

	reserve store.Reserve
	loads   sync.Pool // *load
	streams *stream.Table
	lanes   *stream.Lanes
	names   *stream.Names

	mu  sync.Mutex
	run *run // the run of the current configuration; nil between two runs
}

func (o *Options) defaults() {
	o.MaxBytes = cmp.Or(o.MaxBytes, 32<<30)
	o.SaveEvery = cmp.Or(o.SaveEvery, time.Duration(killpoint.Tuned(killpoint.CutEvery, int64(saveEvery))))
	o.Retry = cmp.Or(o.Retry, retryMin)
	if o.Client == nil {
		o.Client = func(context.Context) string { return "" }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
}

// Open locks the state directory and reads what an earlier run left in it. The error wraps faultfs.ErrLocked when
// another process has the directory locked.
func Open(o Options) (_ *Journal, err error) {
	o.defaults()
	j := &Journal{o: o, log: o.Logger, loads: sync.Pool{New: func() any { return new(load) }}, lanes: stream.NewLanes()}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.release())
		}
	}()
	if j.state, err = faultfs.OpenBeneath(o.StateRoot, o.StateDir, o.Injector); err != nil {
		return nil, fmt.Errorf("open state directory %s (it must be a directory this user can write; choose another "+
			"with state_dir= or INKWELL_STATE): %w", o.StateDir, err)
	}
	if j.lock, err = j.state.Lock("lock"); err != nil {
		return nil, fmt.Errorf("open state directory %s (end the other daemon, or give this one its own with "+
			"state_dir= or INKWELL_STATE): %w",
			o.StateDir, err)
	}
	if err := j.beginMove(); err != nil {
		return nil, err
	}
	saved, found, err := loadCheckpoint(j.state, j.log)
	if err != nil {
		return nil, err
	}
	dir, err := j.state.Sub("journal")
	if err != nil {
		return nil, fmt.Errorf("open journal in %s: %w", o.StateDir, err)
	}
	j.spool, err = spool.Open(dir, spool.Options{SegmentBytes: o.SegmentBytes, MaxBytes: o.MaxBytes,
		Durability: o.Durability,
		Floor:      saved.end(), Logger: o.Logger, Synced: o.Stats.Histogram("fsync").Observe})
	if err != nil {
		return nil, fmt.Errorf("open journal in %s: %w", o.StateDir, err)
	}
	acked, end := j.spool.Bounds()
	saved.skipAcked(acked)
	if since := j.spool.Since(); !since.IsZero() {
		j.ages.note(since, acked, end)
	}
	if saved.strays = saved.strays || !found && acked == 0 && end > 0; !found && !saved.strays {

		if err := saved.save(j.state); err != nil {
			return nil, fmt.Errorf("save checkpoint in %s: %w", o.StateDir, err)
		}
	}
	if err := j.openStreams(saved.Drained); err != nil {
		return nil, err
	}
	j.reserve = store.Reserve{Dir: j.state, Log: j.log}
	j.reserve.Keep()
	j.saver = newSaver(j, saved)
	o.Stats.Gauge(stats.Overall+":journal bytes", func() int64 { b, _ := j.spool.Backlog(); return b })
	o.Stats.Gauge(stats.Overall+":journal entries", func() int64 { _, n := j.spool.Backlog(); return n })
	o.Stats.Gauge(stats.Overall+":pending bytes", j.Pending)
	return j, nil
}

// openStreams opens the table of streams, which says which numbers the journal has taken, and the names of the sources.
// The table is complete below drained; the rest is read from the journal.
func (j *Journal) openStreams(drained uint64) (err error) {
	o := &j.o
	j.streams, err = stream.Open(j.state, stream.Options{TTL: o.StreamTTL, Own: j.lanes.Own(), Twice: j.twice,
		Logger: o.Logger, Stats: o.Stats})
	if err != nil {
		return fmt.Errorf("open table of streams: %w", err)
	}
	if j.names, err = stream.OpenNames(j.state, o.StreamTTL, o.Logger); err != nil {
		return fmt.Errorf("open the sources of streams: %w", err)
	}
	j.lanes.Name(j.names, o.Host)
	if err := j.streams.Recover(j.spool, drained); err != nil {
		return fmt.Errorf("read journal in %s: %w", o.StateDir, err)
	}
	return nil
}

// Append makes b durable in the journal, except for entries whose numbers show that they were taken before. If the
// journal is full or cannot be written, the error wraps store.ErrTryLater, and nothing of b is taken.
func (j *Journal) Append(ctx context.Context, b *proto.Batch) error {
	if b.Count() == 0 {
		return nil
	}
	j.gate.RLock()
	defer j.gate.RUnlock()
	j.names.Learn(b)
	if err := j.streams.Append(ctx, b, j.write); err != nil {
		return fmt.Errorf("%w: append to the journal in %s: %w", store.ErrTryLater, j.o.StateDir, err)
	}
	return nil
}

// Learn records the sources that came with a batch which is not appended to this journal but to another one.
func (j *Journal) Learn(b *proto.Batch) { j.names.Learn(b) }

// write appends the entries that are new. If the configuration relays entries, those without numbers get some, so that
// the next hop can recognize duplicates.
func (j *Journal) write(ctx context.Context, b *proto.Batch) error {
	write := func(b *proto.Batch) error { return stream.Append(ctx, j.spool, b) }
	var err error
	if r := j.current(); r != nil && r.routes.Relays {
		err = j.lanes.Append(j.o.Client(ctx), b, write)
	} else {
		err = write(b)
	}
	if ctx.Err() == nil {
		j.saver.health.Set("journal", err)
	}
	return err
}

// Refused counts entries that were answered with OK but discarded. Audits need the count.
func (j *Journal) Refused(r books.Refusal) {
	if run := j.current(); run != nil {
		run.counter.Refused(r)
	}
}

// twice counts entries that were received again.
func (j *Journal) twice(id stream.ID, category string, entries int64) {
	if run := j.current(); run != nil {
		run.counter.Twice(id, category, entries)
	}
}

// Own reports whether this journal assigned the numbers of a stream, to entries that arrived without any.
func (j *Journal) Own(id [16]byte) bool { return [8]byte(id[:8]) == j.lanes.Own() }

// Source returns the source of a stream, if its sender announced one.
func (j *Journal) Source(id [16]byte) (stream.Source, bool) { return j.names.Source(id) }

// quiet calls do while no Append is in progress.
func (j *Journal) quiet(do func() error) error {
	j.gate.Lock()
	defer j.gate.Unlock()
	return do()
}

// Backlog returns how much the journal holds beyond the last checkpoint, in bytes and entries.
func (j *Journal) Backlog() (bytes, entries int64) { return j.spool.Backlog() }

// Status describes a problem of the journal itself, "" if there is none.
func (j *Journal) Status() string { return j.saver.health.Status() }

// Dir returns the state directory.
func (j *Journal) Dir() string { return j.o.StateDir }

// Pending returns how many bytes of entries are in memory on their way to outlets.
func (j *Journal) Pending() int64 {
	if r := j.current(); r != nil {
		return r.budget.used.Load()
	}
	return 0
}

// Close releases the journal and the state directory. Stop must have returned.
func (j *Journal) Close() error { return j.release() }

func (j *Journal) release() error {
	var errs []error
	if j.spool != nil {
		errs = append(errs, j.spool.Close())
	}
	if j.streams != nil {
		errs = append(errs, j.streams.Close())
	}
	if j.names != nil {
		errs = append(errs, j.names.Close())
	}
	if j.lock != nil {
		errs = append(errs, j.lock.Close())
	}
	if j.state != nil {
		errs = append(errs, j.state.Close())
	}
	return errors.Join(errs...)
}
