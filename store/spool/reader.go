package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// Record is one record as it was appended.
type Record struct {
	Start, End uint64 // offset of the first byte of Data, and offset behind its last byte
	Count      int    // entries
	Data       []byte // valid until the next call
}

// Reader reads the records of a log in order. It sees only durable records. Not safe for concurrent use, but a log may
// have several readers.
type Reader struct {
	l    *Log
	from uint64  // records that end at or below this offset are skipped
	pos  uint64  // offset of the next group
	scan scanner // of the current segment; scan.f is nil before the first
	body []byte  // remaining records of the current group
	at   uint64  // offset of body
	next uint64  // number of the first entry in body
}

// maxDelivered bounds Log.delivered, the list of delivered records that are not acknowledged.
const maxDelivered = 4096

// Reader returns a reader that begins with the first record that ends behind from.
func (l *Log) Reader(from uint64) *Reader { return &Reader{l: l, from: from, pos: from} }

// Next returns the next record, waiting until one is durable. Each damaged range is returned once as a *CorruptError,
// and the next call continues behind it. io.EOF says that the log is closed and everything was read.
func (r *Reader) Next(ctx context.Context) (Record, error) {
	l := r.l
	for {
		rec, ok, err := r.TryNext()
		if ok || err != nil {
			return rec, err
		}
		stop := context.AfterFunc(ctx, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.changed.Broadcast()
		})
		l.mu.Lock()
		for r.pos >= l.end && !l.closed && ctx.Err() == nil {
			l.changed.Wait()
		}
		over := r.pos >= l.end && l.closed && !l.writing
		l.mu.Unlock()
		stop()
		switch {
		case ctx.Err() != nil:
			return Record{}, ctx.Err()
		case over:
			return Record{}, io.EOF
		}
	}
}

// TryNext is Next without waiting: ok is false if there is no further durable record.
func (r *Reader) TryNext() (rec Record, ok bool, err error) {
	for {
		for len(r.body) > 0 {
			length, count, whole := parseRecord(r.body)
			if !whole { // the checksum was right, so the writer was faulty
				damage := &CorruptError{Segment: r.scan.name, Start: r.at, End: r.at + uint64(len(r.body))}
				r.body = nil
				return Record{}, false, damage
			}
			rec = Record{Start: r.at + recordHeader, Count: count, Data: r.body[recordHeader : recordHeader+length]}
			rec.End = rec.Start + uint64(length)
			r.body, r.at, r.next = r.body[recordHeader+length:], rec.End, r.next+uint64(count)
			if rec.End > r.from {
				r.l.deliver(position{offset: rec.End, entries: r.next})
				return rec, true, nil
			}
		}
		if more, err := r.load(); err != nil || !more {
			return Record{}, false, err
		}
	}
}

// deliver records where a record ends, so that Ack can count entries.
func (l *Log) deliver(p position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.delivered); n > 0 && l.delivered[n-1].offset >= p.offset {
		return // another reader has delivered it
	}
	if len(l.delivered) >= maxDelivered { // keep every second: Ack then counts some entries a little later
		kept := l.delivered[:0]
		for i := 1; i < len(l.delivered); i += 2 {
			kept = append(kept, l.delivered[i])
		}
		l.delivered = kept
	}
	l.delivered = append(l.delivered, p)
}

// load reads the next group that contains a record behind from.
func (r *Reader) load() (more bool, err error) {
	for {
		s, limit, ok := r.l.locate(&r.pos)
		if !ok {
			return false, nil
		}
		if r.scan.f == nil || r.scan.base != s.base {
			switch err := r.openSegment(s); {
			case errors.Is(err, fs.ErrNotExist) && !r.l.holds(s):
				continue // it was acknowledged and removed meanwhile
			case errors.Is(err, errBadSegment) || errors.Is(err, fs.ErrNotExist):
				return false, r.damaged(&CorruptError{Segment: s.name(), Start: r.pos, End: limit})
			case err != nil:
				return false, fmt.Errorf("open segment %s: %w", s.name(), err)
			}
		}
		if r.pos < s.base+segmentHeader {
			if r.pos = s.base + segmentHeader; r.pos >= limit {
				continue
			}
		}
		r.scan.pos = r.pos
		g, body, err := r.scan.next(limit)
		var corrupt *CorruptError
		switch {
		case errors.As(err, &corrupt):
			return false, r.damaged(corrupt)
		case errors.Is(err, errTail):
			return false, r.damaged(&CorruptError{Segment: s.name(), Start: r.pos, End: limit})
		case err != nil:
			return false, fmt.Errorf("read segment %s: %w", s.name(), err)
		}
		r.pos = r.scan.pos
		if g.end() > r.from {
			r.body, r.at, r.next = body, g.at+groupHeader, g.first
			return true, nil
		}
	}
}

// openSegment opens segment s. If pos is inside it, groups that end at or below pos are skipped by their headers.
func (r *Reader) openSegment(s segment) error {
	if err := r.Close(); err != nil {
		return err
	}
	f, err := r.l.dir.OpenFile(s.name(), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	if _, err := readSegmentHeader(r.l.dir, f, s.base); err != nil {
		return errors.Join(err, f.Close())
	}
	r.scan.f, r.scan.name, r.scan.base, r.scan.buf = f, s.name(), s.base, r.scan.buf[:0]
	if r.pos <= s.base+segmentHeader {
		return nil
	}
	r.scan.pos = s.base + segmentHeader
	for r.scan.pos < r.pos {
		head, err := r.scan.fill(groupHeader, r.pos)
		if err != nil {
			return errors.Join(err, r.Close())
		}
		g, ok := parseGroup(head, r.scan.pos)
		if !ok || g.end() > r.pos {
			break
		}
		r.scan.pos = g.end()
	}
	r.pos = r.scan.pos
	return nil
}

// damaged skips the range of c and marks its segment, which will be kept.
func (r *Reader) damaged(c *CorruptError) error {
	r.pos = c.End
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	for i := range r.l.segments {
		if r.l.segments[i].name() == c.Segment {
			r.l.segments[i].damaged = true
		}
	}
	return c
}

// Close closes the file of the reader, which must not be used afterwards.
func (r *Reader) Close() error {
	if r.scan.f == nil {
		return nil
	}
	err := r.scan.f.Close()
	r.scan.f = nil
	return err
}

// locate returns the segment that contains pos and the offset up to which it may be read now; ok is false if nothing
// behind pos is durable. A pos in front of the first segment, or in a gap left by a lost one, is moved to the next
// segment.
func (l *Log) locate(pos *uint64) (s segment, limit uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.segments) == 0 || *pos >= l.end {
		return segment{}, 0, false
	}
	i, found := slices.BinarySearchFunc(l.segments, *pos,
		func(s segment, pos uint64) int { return cmp.Compare(s.base, pos) })
	if !found && i > 0 {
		i--
	}
	*pos = max(*pos, l.segments[i].base)
	limit = l.end
	if i+1 < len(l.segments) {
		limit = l.segments[i+1].base
	}
	return l.segments[i], limit, *pos < l.end
}

// holds reports whether s still belongs to the log.
func (l *Log) holds(s segment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.segments, func(t segment) bool { return t.base == s.base })
}
