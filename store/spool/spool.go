// Package spool is a segmented, checksummed, append-only log on disk: the forwarder's buffer and the collector's
// journal are the same type.
//
//	Append ─► group (one write, one fsync, one checksum) ─► segment 0000000000000000.log, 00000000040001a8.log, …
//	Reader ◄── everything durable, in order                 Ack ─► ack file; segments below it are used again or removed
//
// A position is a logical offset: the number of bytes written since the log was made. A segment's name is the offset it
// begins at, a group carries its own. docs/format.md has every byte.
//
// Commits have no timer: the first caller writes its group; whoever comes while its fsync runs is in the next one.
//
// Recovery is by rule. Only the last segment is looked at when a log is opened, whatever the backlog. A group is
// trusted if its checksum is right and it stands where it says. A bad group at the end of the last segment was never
// acknowledged: its bytes are kept aside (.torn) and cut off. A bad place anywhere else is a CorruptError of the
// reader, which goes on behind it; the segment is kept aside (.corrupt) when it is done with. What a following
// segment's base says bounds what is trusted of the one before.
//
// An fsync that failed is not tried again on that file: the segment is closed and the group, still in memory, goes to a
// new one.
//
// Limitations: one process at a time (lock). Acknowledgements are written at once but fsynced only when a segment goes
// away and at Close: a power cut can bring back what was acknowledged last. A record is at most MaxRecord bytes.
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

// One code path, three release points.
const (
	Sync   Durability = iota // when the group was fsynced
	Write                    // when it was written: survives a killed process, not a power cut
	Memory                   // at once: bounded bytes wait in memory to be written
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

// String is the word that ParseDurability reads.
func (d Durability) String() string { return [...]string{"sync", "write", "memory"}[d] }

// Options are the choices of a log; the zero value of a field is its default.
type Options struct {
	SegmentBytes int64        // 64 MiB, or an eighth of MaxBytes if that is less; a new segment begins when this would be passed
	MaxBytes     int64        // not acknowledged, with headers; 0 = unbounded
	MaxRecord    int          // bytes of a record, 256 MiB
	Durability   Durability   // Sync
	Floor        uint64       // offsets below are known to have been given out, whatever is left here: they are not given out again
	Logger       *slog.Logger // nil = none

	Synced func(took time.Duration) // called after each fsync of a group; nil = nobody wants to know
}

// Errors of Append, to be told apart with errors.Is. Those of the operating system come back wrapped.
var (
	ErrFull   = errors.New("spool is full")
	ErrClosed = errors.New("spool is closed")
)

const (
	memoryBytes = 64 << 20 // that may wait to be written with Memory
	maxSpares   = 4        // files that are kept to be used again
	maxOffset   = 1 << 62  // no log comes so far
)

// Log is an open log. All methods are safe for concurrent use.
type Log struct {
	dir     *faultfs.Dir
	o       Options
	log     *slog.Logger
	lock    *faultfs.File
	writers sync.WaitGroup // of Memory

	mu        sync.Mutex
	changed   *sync.Cond // end or closed moved, or memory was freed
	closed    bool
	queue     []*waiter // not yet in a group, in order
	queued    int64     // their bytes with headers
	writing   bool      // there is a leader
	memoryErr error     // of a group that was released before it failed
	segments  []segment // oldest first; the last is being written unless the leader has given it up
	spares    []string
	end       uint64 // durable
	entries   uint64 // number of the entry that comes next at end
	acked     position
	delivered []position // behind records that readers delivered and nobody acknowledged, in order

	// The leader's, or whoever holds mu while there is none.
	active *faultfs.File // nil: the next group begins a segment
	groups leaderScratch

	ackMu sync.Mutex // orders writes of the acknowledgement
	ack   *ackFile
}

// Open opens the log in dir, made if it is empty, and brings it in order after a crash. The error is faultfs.ErrLocked
// when another process has it and a *VersionError when it is of another version. The log does not own dir.
func Open(dir *faultfs.Dir, o Options) (_ *Log, err error) {
	o.SegmentBytes = cmp.Or(o.SegmentBytes, killpoint.Tuned("INKWELL_SEGMENT_BYTES", segmentBytes(o.MaxBytes)))
	o.MaxRecord = cmp.Or(o.MaxRecord, 256<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Floor > maxOffset {
		return nil, fmt.Errorf("open log in %s: no log has ever come to offset %d, which its owner says it has seen (move the owner's state away, or give it its own)", dir.Path(), o.Floor)
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

// segmentBytes is how large segments are in a log of so many bytes (0 = unbounded): what is acknowledged goes away by
// the segment, and a log that is to be small must not keep much of it.
func segmentBytes(most int64) int64 {
	if most <= 0 {
		return 64 << 20
	}
	return min(64<<20, max(most/8, 64<<10))
}

// Bounds returns the offsets below which everything is acknowledged, and durable.
func (l *Log) Bounds() (acked, end uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked.offset, l.end
}

// Backlog is what is not acknowledged, in bytes with headers and in entries.
func (l *Log) Backlog() (bytes, entries int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.acked.offset >= l.end {
		return 0, 0
	}
	return int64(l.end - l.acked.offset), int64(l.entries - l.acked.entries)
}

// Sync makes durable what Write or Memory has written. It does not hold up an Append: it syncs the segment through a
// file of its own. Those before were synced when they were full.
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
	if errors.Is(err, fs.ErrNotExist) { // acknowledged meanwhile
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

// Ack says that everything below end, the End of a record, is done. It is written at once (see the package for its
// durability); segments that are wholly below go away. After an error nothing has changed, or only segments are left
// that a later Ack or Open removes.
func (l *Log) Ack(end uint64) error {
	l.ackMu.Lock()
	defer l.ackMu.Unlock()
	p, err := l.position(end)
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

// position is what acknowledging everything below end comes to.
func (l *Log) position(end uint64) (position, error) {
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

// advance makes p what is acknowledged and takes out the segments below.
func (l *Log) advance(p position) (gone []segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = p
	l.delivered = slices.DeleteFunc(l.delivered, func(d position) bool { return d.offset <= p.offset })
	done := 0
	for done+1 < len(l.segments) && l.segments[done+1].base <= p.offset {
		done++
	}
	gone = slices.Clone(l.segments[:done])
	l.segments = slices.Delete(l.segments, 0, done)
	return gone
}

// retire removes segments that are done with, or keeps their files to be used again. The acknowledgement is durable
// before.
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

// Close waits for pending Appends, makes everything durable and releases the files. Readers get what is left and then
// io.EOF.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	for l.writing || len(l.queue) > 0 {
		l.changed.Wait()
	}
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
	if l.active != nil { // what a file that was used again holds behind the end is cut off
		errs = append(errs, l.active.Truncate(int64(end-last.base)), l.active.Sync(), l.active.Close())
	}
	for _, name := range spares {
		if err := l.dir.Remove(name); !errors.Is(err, fs.ErrNotExist) { // gone: a segment was made of it, and then failed
			errs = append(errs, err)
		}
	}
	l.ackMu.Lock()
	defer l.ackMu.Unlock()
	return errors.Join(append(errs, l.ack.sync(), l.ack.f.Close(), l.dir.Sync(), l.lock.Close())...)
}
