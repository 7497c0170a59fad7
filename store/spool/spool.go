// Package spool is a segmented, checksummed, append-only log on disk: the forwarder's buffer and the collector's
// journal are the same type.
//
//	Append ─► group (one write, one fsync, one checksum) ─► segment 0000000000000000.log, 00000000040001a8.log, …
//	Reader ◄── everything durable, in order                 Ack ─► ack file; segments below are removed or reused
//
// A position is a logical offset: the number of bytes written since the log was created. The name of a segment is the
// offset at which it begins, and each group contains its own offset. docs/format.md describes every byte.
//
// Commits need no timer: the first caller writes its group, and callers that arrive during its fsync form the next one.
//
// When a log is opened, only its last segment is read, whatever the backlog. A group is valid if its checksum is right
// and it is at the offset that it contains. A bad group at the end of the last segment belongs to an Append that was
// never confirmed: its bytes are saved in a file (.torn) and cut off. The reader returns any other damaged range as a
// CorruptError and continues behind it; when that segment is acknowledged, it is renamed (.corrupt) and kept. A segment
// is valid at most up to the base of the next one.
//
// A failed fsync is not repeated on the same file: the segment is closed, and the group, which is still in memory, is
// written to a new segment.
//
// Limitations: one process at a time (lock). Acknowledgements are written at once, but synced only when a segment is
// removed and at Close: after a power cut, the entries that were acknowledged last may be delivered again. A record has
// at most MaxRecord bytes.
package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
)

// Durability says when Append returns.
type Durability int

// The values share one code path and differ in when Append is released.
const (
	Sync   Durability = iota // when the group was synced
	Write                    // when it was written: survives the end of the process, not a power cut
	Memory                   // immediately: a bounded number of bytes waits in memory to be written
)

// ParseDurability reads sync, write or memory.
func ParseDurability(s string) (Durability, error) {
	for d := Sync; d <= Memory; d++ {
		if d.String() == s {
			return d, nil
		}
	}
	return 0, fmt.Errorf("durability %q: must be sync, write or memory", s)
}

// String returns the word that ParseDurability accepts.
func (d Durability) String() string { return [...]string{"sync", "write", "memory"}[d] }

// Options configure a log; the zero value of a field is its default.
type Options struct {
	// A group that would make a segment larger than this begins a new one. Default: 64 MiB, or an eighth of MaxBytes if
	// that is less.
	SegmentBytes int64
	MaxBytes     int64      // limit of unacknowledged bytes, with headers; 0 = unbounded
	MaxRecord    int        // largest record in bytes; default: 256 MiB
	Durability   Durability // default: Sync
	// Floor is an offset that the owner has seen: offsets below it were assigned and are not assigned again, even if
	// the files are gone.
	Floor  uint64
	Logger *slog.Logger // nil = none

	Synced func(took time.Duration) // called after each fsync of a group; may be nil
}

// Errors of Append, for errors.Is. Errors of the operating system are wrapped.
var (
	ErrFull   = errors.New("spool is full")
	ErrClosed = errors.New("spool is closed")
)

const (
	memoryBytes = 64 << 20 // limit of bytes waiting to be written with Memory
	maxSpares   = 4        // files kept for reuse
	maxOffset   = 1 << 62  // no log grows so large; a greater offset is a mistake
)

// Log is an open log. All methods are safe for concurrent use.
type Log struct {
	dir     *faultfs.Dir
	o       Options
	log     *slog.Logger
	lock    *faultfs.File
	writers sync.WaitGroup // goroutines that write with Memory

	mu        sync.Mutex
	changed   *sync.Cond // signalled when end or closed changed, or memory was freed
	closed    bool
	queue     []*waiter // waiters that are not in a group yet, in order
	queued    int64     // bytes of the queue with headers
	writing   bool      // there is a leader
	memoryErr error     // with Memory: the error of a group whose Appends had returned before
	segments  []segment // oldest first; the last one is active unless the leader gave it up
	spares    []string
	end       uint64 // everything below is durable
	entries   uint64 // number of the entry that will be written at end
	acked     position
	delivered []position // ends of records that were read and not acknowledged, in order
	filled    time.Time  // since when Backlog has not been zero; zero: it is

	// These belong to the leader, or to the holder of mu while there is no leader.
	active *faultfs.File // nil: the next group creates a segment
	groups leaderScratch

	ackMu sync.Mutex // serializes writes of the acknowledgement
	ack   *ackFile
}

// Open opens the log in dir, creating it if dir is empty, and recovers it after a crash. The error is faultfs.ErrLocked
// when another process has the log open, and a *VersionError when the log has another version. The caller keeps dir and
// closes it after the log.
func Open(dir *faultfs.Dir, o Options) (_ *Log, err error) {
	o.SegmentBytes = cmp.Or(o.SegmentBytes, killpoint.Tuned(killpoint.SegmentBytes, segmentBytes(o.MaxBytes)))
	o.MaxRecord = cmp.Or(o.MaxRecord, 256<<20)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Floor > maxOffset {
		return nil, fmt.Errorf("open log in %s: no log has ever come to offset %d, which its owner says it has seen "+
			"(move the owner's state away, or give it its own)", dir.Path(), o.Floor)
	}
	l := &Log{dir: dir, o: o, log: o.Logger}
	l.changed = sync.NewCond(&l.mu)
	if l.lock, err = dir.Lock("lock"); err != nil {
		return nil, err
	}
	if err = l.recover(); err != nil {
		if l.ack != nil {
			err = errors.Join(err, l.ack.f.Close())
		}
		return nil, errors.Join(err, l.lock.Close())
	}
	return l, nil
}

// segmentBytes returns the default size of a segment for a log of at most so many bytes (0 = unbounded). Acknowledged
// data is removed by whole segments, so a small log needs small segments.
func segmentBytes(most int64) int64 {
	if most <= 0 {
		return 64 << 20
	}
	return min(64<<20, max(most/8, 64<<10))
}

// Bounds returns two offsets: everything below acked is acknowledged, and everything below end is durable.
func (l *Log) Bounds() (acked, end uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked.offset, l.end
}

// Backlog returns how much is not acknowledged, in bytes with headers and in entries. It is zero if all that is left is
// the header of a segment whose first record never came, because the process died between the two.
func (l *Log) Backlog() (bytes, entries int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.backlog()
}

// backlog is Backlog. The caller holds mu.
func (l *Log) backlog() (bytes, entries int64) {
	n, acked := len(l.segments), l.acked.offset
	if acked >= l.end || n > 0 && l.segments[n-1].base == acked && l.end == acked+segmentHeader {
		return 0, 0
	}
	return int64(l.end - l.acked.offset), int64(l.entries - l.acked.entries)
}

// Since returns since when there has been a backlog, zero if there is none. Of a backlog that an earlier process left
// it is the time at which its oldest segment was last written to: some entries are older.
func (l *Log) Since() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.filled
}

// setFilled updates filled when the backlog may have begun or ended, now or at an earlier time. The caller holds mu.
func (l *Log) setFilled(at time.Time) {
	switch bytes, _ := l.backlog(); {
	case bytes == 0:
		l.filled = time.Time{}
	case l.filled.IsZero():
		l.filled = at
	}
}

// Limit returns how many bytes may wait; 0 = there is no limit.
func (l *Log) Limit() int64 { return l.o.MaxBytes }

// Flush waits until readers see everything whose Append has returned. Only with Memory does it have to wait.
func (l *Log) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
}

// flush is Flush. The caller holds mu.
func (l *Log) flush() {
	for l.writing || len(l.queue) > 0 {
		l.changed.Wait()
	}
}

// Sync makes durable what was appended with the durability Write or Memory. It syncs the last segment through a
// descriptor of its own, so that no Append is held up; earlier segments were synced when they were full.
func (l *Log) Sync() error {
	last := ""
	l.mu.Lock()
	if n := len(l.segments); n > 0 {
		last = l.segments[n-1].name()
	}
	l.mu.Unlock()
	if l.o.Durability == Sync || last == "" {
		return nil
	}
	f, err := l.dir.OpenFile(last, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) { // it was acknowledged and removed meanwhile
		return nil
	}
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", l.dir.Path(), err)
	}
	return nil
}

// Ack acknowledges everything below end, which must be the End of a record. The acknowledgement is written at once (see
// the package comment for its durability), and segments that are completely below end are removed. After an error
// either nothing has changed, or segments are left that a later Ack or Open removes.
func (l *Log) Ack(end uint64) error {
	l.ackMu.Lock()
	defer l.ackMu.Unlock()
	p, err := l.positionFor(end)
	if err != nil || p.offset <= l.acked.offset { // only Ack writes acked
		return err
	}
	killpoint.Reach("spool.ack.begun")
	if err := l.ack.write(p); err != nil {
		return fmt.Errorf("write acknowledgement: %w", err)
	}
	killpoint.Reach("spool.ack.written")
	return l.retire(l.advance(p))
}

// positionFor returns the position that results from acknowledging everything below end.
func (l *Log) positionFor(end uint64) (position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return position{}, ErrClosed
	}
	if end >= l.end {
		return position{offset: l.end, entries: l.entries}, nil
	}
	p := position{offset: end, entries: l.acked.entries}
	for _, d := range l.delivered {
		if d.offset > end {
			break
		}
		p.entries = max(p.entries, d.entries)
	}
	return p, nil
}

// advance sets the acknowledged position to p and takes the segments below it off the list.
func (l *Log) advance(p position) (gone []segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = p
	l.setFilled(time.Now())
	l.delivered = slices.DeleteFunc(l.delivered, func(d position) bool { return d.offset <= p.offset })
	done := 0
	for done+1 < len(l.segments) && l.segments[done+1].base <= p.offset {
		done++
	}
	gone = slices.Clone(l.segments[:done])
	l.segments = slices.Delete(l.segments, 0, done)
	return gone
}

// retire removes acknowledged segments, or keeps their files for reuse. It makes the acknowledgement durable first.
func (l *Log) retire(gone []segment) error {
	if len(gone) == 0 {
		return nil
	}
	if err := l.ack.sync(); err != nil {
		return fmt.Errorf("sync acknowledgement: %w", err)
	}
	killpoint.Reach("spool.retire.synced")
	var errs []error
	for _, s := range gone {
		var err error
		l.mu.Lock()
		keep := len(l.spares) < maxSpares
		l.mu.Unlock()
		switch spare := fmt.Sprintf("%016x%s", s.base, spareSuffix); {
		case s.damaged:
			err = setAside(l.dir, s.name())
		case keep:
			if err = l.dir.Rename(s.name(), spare); err == nil {
				killpoint.Reach("spool.retire.kept")
				l.mu.Lock()
				l.spares = append(l.spares, spare)
				l.mu.Unlock()
			}
		default:
			err = l.dir.Remove(s.name())
			killpoint.Reach("spool.retire.unlinked")
		}
		errs = append(errs, err)
	}
	errs = append(errs, l.dir.Sync())
	killpoint.Reach("spool.retire.done")
	return errors.Join(errs...)
}

// Close waits for pending Appends, makes everything durable and releases the files. Readers get the remaining records
// and then io.EOF.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.flush()
	l.changed.Broadcast()
	end, spares := l.end, slices.Clone(l.spares)
	last := segment{}
	if len(l.segments) > 0 {
		last = l.segments[len(l.segments)-1]
	}
	err := l.memoryErr
	l.mu.Unlock()
	l.writers.Wait()
	errs := []error{err}
	if l.active != nil { // cut off the older content of a reused file
		errs = append(errs, l.active.Truncate(int64(end-last.base)), l.active.Sync(), l.active.Close())
	}
	for _, name := range spares {
		// a spare may be missing: a segment was created from it and failed
		if err := l.dir.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	l.ackMu.Lock()
	defer l.ackMu.Unlock()
	return errors.Join(append(errs, l.ack.sync(), l.ack.f.Close(), l.dir.Sync(), l.lock.Close())...)
}
