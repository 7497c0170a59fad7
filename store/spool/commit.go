package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"inkwell/internal/killpoint"
)

// waiter is one call of Append. The leader may use parts until it sends to done.
type waiter struct {
	parts []Part
	one   [1]Part     // backs parts of calls with a single record
	done  chan result // has a capacity of one; nil with Memory
}

// Part is one of several records that are appended together. Its content is Data followed by Tail.
type Part struct {
	Data, Tail []byte
	Count      int // entries
}

// size returns the length of the record including its header.
func (p *Part) size() int64 { return recordHeader + int64(len(p.Data)+len(p.Tail)) }

// result tells a waiter that it is the leader now, or the outcome of its Append.
type result struct {
	lead bool
	end  uint64
	err  error
}

// leaderScratch is memory that successive leaders reuse.
type leaderScratch struct {
	waiters []*waiter
	parts   []Part // of all waiters
	headers []byte
	bufs    [][]byte
	ends    []uint64 // offset behind each part
}

// size returns the length of all records including their headers.
func (w *waiter) size() (sum int64) {
	for i := range w.parts {
		sum += w.parts[i].size()
	}
	return sum
}

// Append appends one record of count entries and blocks until it is durable. end is the offset behind the record; with
// Memory it is 0, because it is not known yet. data is not retained. After an error no part of the record will ever be
// read, and a later Append may succeed. Errors: ErrFull at MaxBytes, ErrClosed, the error of ctx if it ended before the
// record was taken into a group, otherwise the error of the operating system.
func (l *Log) Append(ctx context.Context, data []byte, count int) (end uint64, err error) {
	return l.AppendJoined(ctx, data, nil, count)
}

// AppendJoined is Append for a record whose content is data followed by tail.
func (l *Log) AppendJoined(ctx context.Context, data, tail []byte, count int) (end uint64, err error) {
	w := &waiter{one: [1]Part{{Data: data, Tail: tail, Count: count}}}
	w.parts = w.one[:]
	return l.append(ctx, w)
}

// AppendParts is Append for several records: either all of them will be read or none. Together they may be larger than
// a reader should hold in memory; they are then written as several groups.
func (l *Log) AppendParts(ctx context.Context, parts []Part) (end uint64, err error) {
	return l.append(ctx, &waiter{parts: slices.Clone(parts)})
}

func (l *Log) append(ctx context.Context, w *waiter) (end uint64, err error) {
	for i := range w.parts {
		p := &w.parts[i]
		if n := len(p.Data) + len(p.Tail); n > l.o.MaxRecord {
			return 0, fmt.Errorf("record of %d bytes: the largest is %d", n, l.o.MaxRecord)
		}
		if l.o.Durability == Memory {
			p.Data, p.Tail = slices.Concat(p.Data, p.Tail), nil
		}
	}
	if l.o.Durability != Memory {
		w.done = make(chan result, 1)
	}
	lead, err := l.enqueue(ctx, w)
	if err != nil {
		return 0, err
	}
	if w.done == nil {
		return 0, nil
	}
	if !lead {
		select {
		case r := <-w.done:
			if !r.lead {
				return r.end, r.err
			}
		case <-ctx.Done():
			if l.withdraw(w) {
				return 0, ctx.Err()
			}
			if r := <-w.done; !r.lead {
				return r.end, r.err
			}
		}
	}
	l.lead()
	r := <-w.done
	return r.end, r.err
}

// enqueue adds w to the queue and reports whether the caller has to lead.
func (l *Log) enqueue(ctx context.Context, w *waiter) (lead bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := w.size()
	for w.done == nil && l.queued > 0 && l.queued+size > memoryBytes && !l.closed {
		l.changed.Wait()
	}
	switch {
	case l.closed:
		return false, ErrClosed
	case ctx.Err() != nil:
		return false, ctx.Err()
	case w.done == nil && l.memoryErr != nil:
		err, l.memoryErr = l.memoryErr, nil
		return false, fmt.Errorf("entries taken before were lost: %w", err)
	case l.o.MaxBytes > 0 && int64(l.end-l.acked.offset)+l.queued+size+groupHeader > l.o.MaxBytes:
		return false, fmt.Errorf("%w: %d of %d bytes are in use", ErrFull, int64(l.end-l.acked.offset)+l.queued,
			l.o.MaxBytes)
	}
	l.queue = append(l.queue, w)
	l.queued += size
	if l.writing {
		return false, nil
	}
	l.writing = true
	if w.done == nil {
		l.writers.Go(func() { // no caller waits that could lead
			for l.lead() {
			}
		})
	}
	return true, nil
}

// withdraw removes w from the queue. It returns false if a leader has taken w or w was made the leader.
func (l *Log) withdraw(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.queue, w)
	if i < 0 || len(w.done) > 0 {
		return false
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	l.queued -= w.size()
	return true
}

// lead commits one group from the head of the queue, sends the results to its waiters and makes the next waiter the
// leader. It reports whether the queue has more.
func (l *Log) lead() (more bool) {
	l.mu.Lock()
	s := &l.groups
	s.waiters = s.waiters[:0]
	size := int64(0)
	for _, w := range l.queue {
		if n := w.size(); len(s.waiters) == 0 || size+n <= maxGroup {
			s.waiters, size = append(s.waiters, w), size+n
			continue
		}
		break
	}
	l.queue = append(l.queue[:0], l.queue[len(s.waiters):]...)
	end, entries := l.end, l.entries
	l.mu.Unlock()

	err := l.commit(&end, &entries)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.end, l.entries = end, entries
	l.setFilled(time.Now())
	l.queued -= size
	last := -1
	for i, w := range s.waiters {
		last += len(w.parts)
		switch {
		case w.done == nil && err != nil:
			l.memoryErr = err
		case w.done != nil && err != nil:
			w.done <- result{err: err}
		case w.done != nil:
			w.done <- result{end: s.ends[last]}
		}
		s.waiters[i] = nil
	}
	clear(s.bufs)
	clear(s.parts)
	if more = len(l.queue) > 0; !more {
		l.writing = false
	} else if next := l.queue[0]; next.done != nil {
		next.done <- result{lead: true}
	}
	l.changed.Broadcast()
	killpoint.Reach("spool.commit.released")
	return more
}

// commit makes the parts of l.groups.waiters durable and advances end and entries. Only the leader calls it.
func (l *Log) commit(end, entries *uint64) error {
	s := &l.groups
	s.parts = s.parts[:0]
	for _, w := range s.waiters {
		s.parts = append(s.parts, w.parts...)
	}
	for try := 0; ; try++ {
		fresh, err := l.ensureSegment(*end, *entries)
		if err != nil {
			return err
		}
		if fresh {
			*end += segmentHeader
		}
		base := l.base()
		killpoint.Reach("spool.commit.begun")
		behind, count, err := l.write(*end, *entries, base)
		if err != nil {
			return errors.Join(fmt.Errorf("write to %s: %w", l.dir.Path(), err), l.cutBack(*end, base))
		}
		killpoint.Reach("spool.commit.written")
		if l.o.Durability == Sync {
			err = l.sync()
		}
		if err == nil {
			killpoint.Reach("spool.commit.synced")
			*end, *entries = behind, count
			return nil
		}
		// What the file holds now is unknown. Give it up: the next segment begins at the last offset that is known to
		// be good.
		l.log.Error("sync of the spool failed, continuing in a new segment", "directory", l.dir.Path(), "error", err)
		err = errors.Join(fmt.Errorf("sync %s: %w", l.dir.Path(), err), l.cutBack(*end, base))
		l.giveUp()
		if try > 0 {
			return err
		}
	}
}

// sync makes the active segment durable.
func (l *Log) sync() error {
	began := time.Now()
	err := l.active.SyncData()
	if l.o.Synced != nil {
		l.o.Synced(time.Since(began))
	}
	return err
}

// base returns the base of the active segment.
func (l *Log) base() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segments[len(l.segments)-1].base
}

// ensureSegment makes sure that there is an active segment with room for the next group. fresh says that it was just
// created.
func (l *Log) ensureSegment(end, entries uint64) (fresh bool, err error) {
	if l.active != nil {
		if int64(end-l.base()) < l.o.SegmentBytes {
			return false, nil
		}
		if l.o.Durability != Sync { // the log syncs a full segment whatever its Durability
			if err := l.active.SyncData(); err != nil {
				return false, fmt.Errorf("sync %s: %w", l.dir.Path(), err)
			}
		}
		l.giveUp()
	}
	l.mu.Lock()
	spare := ""
	if n := len(l.spares); n > 0 {
		spare = l.spares[n-1]
	}
	l.mu.Unlock()
	f, err := createSegment(l.dir, end, entries, spare)
	if err != nil {
		return false, fmt.Errorf("begin a segment in %s: %w", l.dir.Path(), err)
	}
	l.active = f
	l.mu.Lock()
	l.spares = slices.DeleteFunc(l.spares, func(name string) bool { return name == spare })
	l.segments = append(l.segments, segment{base: end})
	l.mu.Unlock()
	return true, nil
}

// write writes the parts, beginning at the offset end with the entry number entries. Parts that are too large for one
// group are written as several groups, marked as belonging together. It returns the offset and the entry number behind
// them.
func (l *Log) write(end, entries, base uint64) (behind, count uint64, err error) {
	s := &l.groups
	s.ends = s.ends[:0]
	for left := s.parts; len(left) > 0; {
		n, size := 1, left[0].size()
		for n < len(left) && size+left[n].size() <= maxGroup {
			size += left[n].size()
			n++
		}
		g := group{at: end, first: entries, length: uint32(size), records: uint32(n), more: n < len(left)}
		for _, p := range left[:n] {
			g.entries += uint64(p.Count)
		}
		l.encode(&g, left[:n])
		if _, err := l.active.Writev(s.bufs, int64(end-base)); err != nil {
			return 0, 0, err
		}
		left = left[n:]
		end, entries = g.end(), entries+g.entries
	}
	return end, entries, nil
}

// encode lays out a group in l.groups.bufs: the headers, and the callers' data without copying it.
func (l *Log) encode(g *group, parts []Part) {
	s := &l.groups
	need := groupHeader + recordHeader*len(parts)
	s.headers = appendGroup(slices.Grow(s.headers[:0], need), g)
	s.bufs = append(s.bufs[:0], s.headers)
	pos := g.at + groupHeader
	for i := range parts {
		p := &parts[i]
		start := len(s.headers)
		s.headers = appendRecord(s.headers, len(p.Data)+len(p.Tail), p.Count)
		s.bufs = append(s.bufs, s.headers[start:len(s.headers):len(s.headers)])
		for _, bytes := range [2][]byte{p.Data, p.Tail} {
			if len(bytes) > 0 {
				s.bufs = append(s.bufs, bytes)
			}
		}
		pos += uint64(p.size())
		s.ends = append(s.ends, pos)
	}
	sealGroup(s.headers, s.bufs[1:])
	s.bufs = append(s.bufs, terminator[:])
}

// cutBack truncates the segment behind the last good group, because a failed write may have left something there. If
// that fails too, the segment is given up; the base of the next segment then says how far this one is valid.
func (l *Log) cutBack(end, base uint64) error {
	if err := l.active.Truncate(int64(end - base)); err != nil {
		l.giveUp()
		return fmt.Errorf("cut back: %w", err)
	}
	return nil
}

// giveUp closes the active segment. Its content was synced before, or is not needed.
func (l *Log) giveUp() {
	if l.active == nil {
		return
	}
	if err := l.active.Close(); err != nil {
		l.log.Error("close segment", "directory", l.dir.Path(), "error", err)
	}
	l.active = nil
}
