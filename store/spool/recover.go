package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
)

// recover finds the log's bounds. Nobody else uses l yet.
func (l *Log) recover() error {
	began := time.Now()
	segments, spares, err := segmentsIn(l.dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", l.dir.Path(), err)
	}
	l.segments, l.spares = segments, spares
	ack, acked, known, err := openAck(l.dir)
	if err != nil {
		return fmt.Errorf("open acknowledgement in %s: %w", l.dir.Path(), err)
	}
	l.ack = ack
	if err := l.recoverLast(); err != nil {
		return err
	}
	killpoint.Reach("spool.recover.scanned")
	beyond, err := behindAside(l.dir, l.end)
	if err != nil {
		return fmt.Errorf("list what was set aside in %s: %w", l.dir.Path(), err)
	}
	oldest, err := l.oldest()
	if err != nil {
		return err
	}
	if !known && oldest.offset > 0 {
		l.log.Warn("no acknowledgement found: everything that is there is read again", "directory", l.dir.Path())
	}
	if known && acked.offset >= oldest.offset {
		oldest = acked
	}
	l.acked = oldest
	next := max(l.acked.offset, beyond)
	if l.o.Floor > max(next, l.end) {
		l.log.Warn("the log ends before what its owner has seen of it (files were removed or damaged, or lost in a power cut without sync): what it held behind that is lost",
			"directory", l.dir.Path(), "end", l.end, "seen", l.o.Floor)
		next = l.o.Floor
	}
	if next > l.end { // offsets are never given out twice
		l.giveUp()
		l.end, l.entries = next, max(l.entries, l.acked.entries)
	}
	if len(l.segments) == 0 { // nothing is left that anyone could read, and acknowledge
		l.acked = position{offset: l.end, entries: l.entries}
	}
	l.acked.entries = min(l.acked.entries, l.entries)
	for range 2 { // both slots have their place on disk before it is full
		if err := l.ack.write(l.acked); err != nil {
			return fmt.Errorf("write acknowledgement in %s: %w", l.dir.Path(), err)
		}
	}
	killpoint.Reach("spool.recover.done")
	if bytes, entries := l.Backlog(); bytes > 0 {
		l.log.Info("spool holds a backlog", "directory", l.dir.Path(), "bytes", bytes, "entries", entries, "after", time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// oldest is the position at which the oldest segment begins.
func (l *Log) oldest() (position, error) {
	if len(l.segments) == 0 {
		return position{}, nil
	}
	s := l.segments[0]
	f, err := l.dir.OpenFile(s.name(), os.O_RDONLY, 0)
	if err != nil {
		return position{}, fmt.Errorf("open segment: %w", err)
	}
	first, err := readSegmentHeader(l.dir, f, s.base)
	if errors.Is(err, errBadSegment) { // the reader will say so when it comes there
		err = nil
	}
	return position{offset: s.base, entries: first}, errors.Join(err, f.Close())
}

// recoverLast opens the last segment for writing, behind its last intact group. Files that are no segments are set
// aside.
func (l *Log) recoverLast() error {
	for len(l.segments) > 0 {
		last := l.segments[len(l.segments)-1]
		f, err := l.dir.OpenFile(last.name(), os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("open segment: %w", err)
		}
		err = l.resume(f, last)
		if err == nil {
			return nil
		}
		if err = errors.Join(err, f.Close()); !errors.Is(err, errBadSegment) {
			return err
		}
		l.log.Error("segment is damaged, set aside", "directory", l.dir.Path(), "segment", last.name())
		if err := setAside(l.dir, last.name()); err != nil {
			return err
		}
		l.segments = l.segments[:len(l.segments)-1]
	}
	return nil
}

// resume makes f, the segment s, the active one, cuts off what stands behind its last intact group and makes the rest
// durable.
func (l *Log) resume(f *faultfs.File, s segment) error {
	first, err := readSegmentHeader(l.dir, f, s.base)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	l.entries = first
	scan := scanner{f: f, name: s.name(), base: s.base, pos: s.base + segmentHeader}
	limit := s.base + uint64(info.Size())
	whole := scan.pos // behind the last group that is followed by all that belongs to it
	for {
		g, _, err := scan.next(limit)
		var corrupt *CorruptError
		switch {
		case err == nil && g.more:
			continue
		case err == nil:
			l.entries, whole = g.first+g.entries, scan.pos
			continue
		case errors.As(err, &corrupt):
			continue // the reader will say so
		case !errors.Is(err, errTail):
			return fmt.Errorf("read segment %s: %w", s.name(), err)
		}
		break
	}
	scan.pos = whole
	l.end = whole
	if err := l.cutTail(&scan, limit); err != nil {
		return fmt.Errorf("cut the torn end of segment %s: %w", s.name(), err)
	}
	if err := f.Sync(); err != nil { // a process that was killed before its fsync left groups that are trusted from now on
		return fmt.Errorf("sync segment %s: %w", s.name(), err)
	}
	l.active = f
	return nil
}

// cutTail cuts off what stands behind the last intact group. Unless nothing was written there it is kept aside first.
func (l *Log) cutTail(scan *scanner, limit uint64) error {
	if scan.pos >= limit {
		return nil
	}
	tail, err := scan.fill(maxGroup+groupHeader, limit)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(terminator[:], tail[:min(len(tail), len(terminator))]) {
		if g, ok := parseGroup(tail, scan.pos); ok && g.end() < scan.pos+uint64(len(tail)) {
			tail = tail[:g.end()-scan.pos]
		}
		aside, err := asideName(l.dir, fmt.Sprintf("%s.%d", scan.name, scan.pos), tornSuffix)
		if err != nil {
			return err
		}
		l.log.Warn("end of the last segment is torn: it was never acknowledged; kept aside", "directory", l.dir.Path(), "file", aside, "bytes", len(tail))
		if err := l.dir.WriteFile(aside, tail); err != nil {
			return err
		}
	}
	return scan.f.Truncate(int64(scan.pos - scan.base))
}
