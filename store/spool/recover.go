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

// recover determines the bounds of the log. It is called before l is shared.
func (l *Log) recover() error {
	began := time.Now()
	filled := lastWrite(l.dir) // before the last segment is cut
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
	beyond, err := endOfAside(l.dir, l.end)
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
		l.log.Warn("the log ends before what its owner has seen of it (files were removed or damaged, or lost in a "+
			"power cut without sync): what it held behind that is lost",
			"directory", l.dir.Path(), "end", l.end, "seen", l.o.Floor)
		next = l.o.Floor
	}
	if next > l.end { // an offset must never be assigned twice
		l.giveUp()
		l.end, l.entries = next, max(l.entries, l.acked.entries)
	}
	if len(l.segments) == 0 { // there is nothing left to read, so nobody would acknowledge it
		l.acked = position{offset: l.end, entries: l.entries}
	}
	l.acked.entries = min(l.acked.entries, l.entries)
	for range 2 { // allocate both slots on the disk before it is full
		if err := l.ack.write(l.acked); err != nil {
			return fmt.Errorf("write acknowledgement in %s: %w", l.dir.Path(), err)
		}
	}
	killpoint.Reach("spool.recover.done")
	l.setFilled(filled)
	if bytes, entries := l.backlog(); bytes > 0 {
		l.log.Info("spool holds a backlog", "directory", l.dir.Path(), "bytes", bytes, "entries", entries,
			"after", time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// lastWrite returns when the oldest segment in dir was last written to. If that is unknown, it is now.
func lastWrite(dir *faultfs.Dir) time.Time {
	segments, _, err := segmentsIn(dir)
	if err != nil || len(segments) == 0 {
		return time.Now()
	}
	info, err := dir.Lstat(segments[0].name())
	if err != nil {
		return time.Now()
	}
	return info.ModTime()
}

// oldest returns the position at which the oldest segment begins.
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
	if errors.Is(err, errBadSegment) { // the reader reports it when it gets there
		err = nil
	}
	return position{offset: s.base, entries: first}, errors.Join(err, f.Close())
}

// recoverLast opens the last segment for writing behind its last intact group. Files without a valid segment header are
// set aside, and the segment before becomes the last.
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

// resume makes f, the file of segment s, the active segment: it cuts off what follows the last intact group and syncs
// the rest.
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
	whole := scan.pos // end of the last group that is complete, with all groups that belong to it
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
			continue // the reader reports it
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
	if err := f.Sync(); err != nil { // a killed process may have left groups that it had not synced
		return fmt.Errorf("sync segment %s: %w", s.name(), err)
	}
	l.active = f
	return nil
}

// cutTail cuts off what follows the last intact group. Data that was written there is first saved in a file.
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
		aside, err := l.dir.FreeName(fmt.Sprintf("%s.%d", scan.name, scan.pos), tornSuffix)
		if err != nil {
			return err
		}
		l.log.Warn("end of the last segment is torn: it was never acknowledged, and is set aside",
			"directory", l.dir.Path(),
			"file", aside, "bytes", len(tail))
		if err := l.dir.WriteFile(aside, tail); err != nil {
			return err
		}
	}
	return scan.f.Truncate(int64(scan.pos - scan.base))
}
