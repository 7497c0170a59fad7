package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/rotate"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

// FilesOptions says where and how Files writes. The zero value of a field is its default.
type FilesOptions struct {
	Dir           string           // DIR/CATEGORY/CATEGORY-date_number is written
	StateDir      string           // journal and checkpoint; "" = DIR/.inkwell
	Codec         rotate.Codec     // gzip
	Level         int              // 0 = the codec's default
	Period        rotate.Period    // daily
	At            rotate.Clock     // 00:00
	MaxSize       int64            // bytes on disk of a file, 0 = unbounded
	Newlines      Newlines         // never
	Durability    spool.Durability // sync
	MaxCategories int              // at once, 0 = 4096; further ones go to OverflowCategory
	KeepOpen      bool             // Close leaves open files to be continued instead of sealing them
	Keep          time.Duration    // published files older than this are removed, 0 = never
	KeepBytes     int64            // the oldest published files are removed while all take more than this, 0 = never
	JournalMax    int64            // bytes of journal awaiting the files, 0 = 32 GiB
	StreamTTL     time.Duration    // a stream that was silent for so long is forgotten, 0 = 30 days
	DoneMarkers   bool             // say with a file _SUCCESS.PERIOD when the files of a period are all there
	Lateness      time.Duration    // how long that waits for a stream that has not moved on, 0 = 10 minutes
	Logger        *slog.Logger     // nil = none
	Stats         *stats.Set       // nil = an own one
	Injector      faultfs.Injector // faults for tests

	cutEvery, idleWait, retryMin, maxAge time.Duration // for tests, 0 = the constants of the drainer
	segmentBytes                         int64         // of the journal, for tests
	maxSpans                             int           // stretches of numbers in files that are not finished, for tests
}

// Files is the store of the collector: what is appended to it ends in size-bounded, rotated files per category.
//
//	Append ─► journal (one fsync a group; Append returns) ─► drainer ─► chunk per category ─► shard: compress ─► rotate.Series
//	                                                            └──── cut ─────────────────────► fsync ─► checkpoint ─► publish ─► ack
//
// The checkpoint says for every category how far its open file goes and up to which journal offset (through) the file holds the
// category's entries, and from which offset (low) the journal is still needed. After a crash each file is cut back to its mark and
// the journal is read again from low, passing over what a category already has: nothing is in the files twice, nothing acknowledged
// is missing. The same road is taken when writing to a category fails: its series is opened again from the last checkpoint and the
// journal is read again for it alone, while the others go on.
//
// Limitations: one category that cannot be written holds the journal back, so that it grows to JournalMax; then Append returns
// ErrTryLater for all. A single entry larger than MaxSize makes a file of its own that is larger.
type Files struct {
	o       FilesOptions
	log     *slog.Logger
	root    *faultfs.Dir
	state   *faultfs.Dir
	lock    *faultfs.File
	journal *spool.Log
	streams *stream.Table // what is in the journal or was
	ledger  *ledger
	saved   *checkpoint     // the last one; it and unsaved change only while a cut is in progress, or none can be
	unsaved map[string]mark // what shards said for a checkpoint that could not be saved, or was for all that is known; nil = saved is the last
	drain   *drainer
	shards  []*shard
	health  *stats.Health
	reserve Reserve
	buffers buffers

	chunkBytes atomic.Int64  // memory of all chunks, pending and on their way
	early      *atomic.Int64 // files that were finished because there was too much to be remembered
	pruned     time.Time     // of the last retention run; owned by the checkpoint in progress

	pending sync.WaitGroup // Appends
	closeMu sync.RWMutex
	closed  bool
}

func (o *FilesOptions) defaults() {
	if o.StateDir == "" {
		o.StateDir = filepath.Join(o.Dir, ".inkwell")
	}
	o.MaxCategories = cmp.Or(o.MaxCategories, 4096)
	o.JournalMax = cmp.Or(o.JournalMax, 32<<30)
	o.Lateness = cmp.Or(o.Lateness, 10*time.Minute)
	o.cutEvery = cmp.Or(o.cutEvery, time.Duration(killpoint.Tuned("INKWELL_CUT_EVERY", int64(cutInterval))))
	o.idleWait = cmp.Or(o.idleWait, idleWait)
	o.retryMin = cmp.Or(o.retryMin, retryMin)
	o.maxSpans = cmp.Or(o.maxSpans, maxSpans)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
}

// OpenFiles locks the state directory, recovers what a former run left and starts to drain the journal. It fails, before anything was
// changed, when a directory cannot be used, another process has it (faultfs.ErrLocked) or the state is of another version.
func OpenFiles(o FilesOptions) (_ *Files, err error) {
	o.defaults()
	f := &Files{o: o, log: o.Logger, health: stats.NewHealth(o.Logger), early: o.Stats.Overall("files finished early")}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.release())
		}
	}()
	if f.root, err = faultfs.OpenDir(o.Dir, o.Injector); err != nil {
		return nil, fmt.Errorf("open output directory %s (it must be a directory this user can write): %w", o.Dir, err)
	}
	if f.state, err = faultfs.OpenBeneath(o.Dir, o.StateDir, o.Injector); err != nil {
		return nil, fmt.Errorf("open state directory %s (it must be a directory this user can write): %w", o.StateDir, err)
	}
	if f.lock, err = f.state.Lock("lock"); err != nil {
		return nil, fmt.Errorf("open state directory %s (end the other collector, or give this one its own directories): %w", o.StateDir, err)
	}
	found := false
	if f.saved, found, err = loadCheckpoint(f.state, f.log); err != nil {
		return nil, err
	}
	if err := f.root.Sync(); err != nil { // a killed process may have left directories that are not durable
		return nil, fmt.Errorf("sync output directory %s: %w", o.Dir, err)
	}
	journal, err := f.state.Sub("journal")
	if err != nil {
		return nil, fmt.Errorf("open journal in %s: %w", o.StateDir, err)
	}
	f.journal, err = spool.Open(journal, spool.Options{SegmentBytes: o.segmentBytes, MaxBytes: o.JournalMax, Durability: o.Durability, Floor: f.saved.end(), Logger: o.Logger})
	if err != nil {
		return nil, fmt.Errorf("open journal in %s: %w", o.StateDir, err)
	}
	if acked, end := f.journal.Bounds(); !found && (acked > 0 || end == 0) {
		if err := f.setAside(); err != nil {
			return nil, err
		}
	}
	if err := f.start(); err != nil {
		return nil, err
	}
	return f, nil
}

// openBooks reads what is known of streams and contents.
func (f *Files) openBooks() (err error) {
	if f.ledger, err = openLedger(f.root, f.state, f.log, f.saved); err != nil {
		return fmt.Errorf("open ledger in %s: %w", f.o.StateDir, err)
	}
	if f.o.DoneMarkers {
		f.ledger.marks = newMarkers(f.root, &f.o)
		if err := f.ledger.marks.recover(time.Now()); err != nil {
			return fmt.Errorf("look for periods without a done marker below %s: %w", f.o.Dir, err)
		}
		for name, list := range f.ledger.open {
			for _, c := range list {
				f.ledger.marks.wrote(name, c.Spans, c.Last)
			}
		}
	}
	f.streams, err = stream.Open(f.state, stream.Options{TTL: f.o.StreamTTL, Logger: f.log, Stats: f.o.Stats, Twice: f.ledger.none.twice})
	if err != nil {
		return fmt.Errorf("open table of streams: %w", err)
	}
	if err := f.streams.Recover(f.journal, f.saved.Drained); err != nil {
		return fmt.Errorf("read journal in %s: %w", f.o.StateDir, err)
	}
	return nil
}

// setAside keeps the open files of all series from being taken for ones that the journal holds: the state that knew them is gone.
func (f *Files) setAside() error {
	list, err := f.root.ReadDir()
	if err != nil {
		return fmt.Errorf("list output directory %s: %w", f.o.Dir, err)
	}
	for _, e := range list {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		dir, err := f.root.Sub(e.Name())
		if err != nil {
			return fmt.Errorf("open output directory %s: %w", filepath.Join(f.o.Dir, e.Name()), err)
		}
		s, err := rotate.Open(dir, rotate.Options{Base: e.Name(), Logger: f.log}, nil)
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			return fmt.Errorf("set aside the open files in %s: %w", filepath.Join(f.o.Dir, e.Name()), err)
		}
	}
	return nil
}

// start brings the series back to the checkpoint and starts the goroutines.
func (f *Files) start() error {
	if err := f.openBooks(); err != nil {
		return err
	}
	for range max(1, runtime.GOMAXPROCS(0)) {
		s, err := newShard(f)
		if err != nil {
			return err
		}
		f.shards = append(f.shards, s)
	}
	f.reserve = Reserve{Dir: f.state, Log: f.log}
	f.reserve.Keep()
	f.drain = newDrainer(f)
	f.gauges()
	if err := f.drain.restore(); err != nil {
		return err
	}
	for _, s := range f.shards {
		go s.run()
	}
	go f.drain.run()
	return nil
}

func (f *Files) gauges() {
	f.o.Stats.Gauge(stats.Overall+":journal bytes", func() int64 { b, _ := f.Backlog(); return b })
	f.o.Stats.Gauge(stats.Overall+":journal entries", func() int64 { _, n := f.Backlog(); return n })
	f.o.Stats.Gauge(stats.Overall+":chunk bytes", f.chunkBytes.Load)
}

// Append makes b durable in the journal, but for entries whose numbers say that they are there already. ErrTryLater wraps the reason when the journal is full or cannot be written; nothing of b is
// acknowledged then and the caller may offer it again.
func (f *Files) Append(ctx context.Context, b *proto.Batch) error {
	f.closeMu.RLock()
	if f.closed {
		f.closeMu.RUnlock()
		return ErrClosed
	}
	f.pending.Add(1)
	f.closeMu.RUnlock()
	defer f.pending.Done()
	if b.Count() == 0 {
		return nil
	}
	if err := f.streams.Append(ctx, b, f.write); err != nil {
		return fmt.Errorf("%w: append to the journal in %s: %w", ErrTryLater, f.o.StateDir, err)
	}
	return nil
}

// write appends what is not there yet.
func (f *Files) write(ctx context.Context, b *proto.Batch) error {
	err := stream.Keep(ctx, f.journal, b)
	if ctx.Err() == nil {
		f.health.Set("journal", err)
	}
	return err
}

// Refused counts entries that were answered OK and thrown away, for audits.
func (f *Files) Refused(r Refusal) { f.ledger.none.refused(r) }

// Backlog is what the journal holds that no checkpoint covers yet, in bytes and entries.
func (f *Files) Backlog() (bytes, entries int64) { return f.journal.Backlog() }

// Status says what is wrong now, "" if nothing is.
func (f *Files) Status() string { return f.health.Status() }

// Close waits for pending Appends, brings the whole journal into the files, seals and publishes them (unless KeepOpen) and releases
// everything. An error names what could not be written: it stays in the journal for the next start.
func (f *Files) Close() error {
	f.closeMu.Lock()
	if f.closed {
		f.closeMu.Unlock()
		return nil
	}
	f.closed = true
	f.closeMu.Unlock()
	f.pending.Wait()
	err := f.drain.stop()
	for _, s := range f.shards {
		close(s.work)
		<-s.done
	}
	return errors.Join(err, f.release())
}

// release closes what OpenFiles opened.
func (f *Files) release() error {
	var errs []error
	if f.journal != nil {
		errs = append(errs, f.journal.Close())
	}
	if f.streams != nil {
		errs = append(errs, f.streams.Close())
	}
	if f.ledger != nil {
		errs = append(errs, f.ledger.close())
	}
	if f.lock != nil {
		errs = append(errs, f.lock.Close())
	}
	for _, d := range []*faultfs.Dir{f.state, f.root} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}
