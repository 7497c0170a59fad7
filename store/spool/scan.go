package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"inkwell/internal/faultfs"
)

// readAhead is how many bytes a scanner reads at a time.
const readAhead = 1 << 20

// CorruptError describes a damaged range of a log: the bytes of a segment with the logical offsets Start ≤ x < End are
// missing or are not those that were written.
type CorruptError struct {
	Segment    string // file name
	Start, End uint64
}

// Error describes the range.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("damaged: %d bytes of segment %s from offset %d on", e.End-e.Start, e.Segment, e.Start)
}

// errTail says that there is no intact group at or behind the position of the scanner.
var errTail = errors.New("end of the groups")

// scanner iterates over the groups of one segment. The bytes of a group are valid until the next call.
type scanner struct {
	f      *faultfs.File
	name   string
	base   uint64
	pos    uint64 // logical offset of the next group
	buf    []byte // content of the file from the logical offset window on
	window uint64
}

// fill returns up to n bytes from pos on, fewer if limit or the file ends before.
func (s *scanner) fill(n int, limit uint64) ([]byte, error) {
	n = int(min(uint64(n), limit-min(s.pos, limit)))
	if s.pos >= s.window && s.pos+uint64(n) <= s.window+uint64(len(s.buf)) {
		return s.buf[s.pos-s.window:][:n], nil
	}
	want := int(min(uint64(max(n, readAhead)), limit-s.pos))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	s.window, s.buf = s.pos, s.buf[:want]
	got, err := s.f.ReadAt(s.buf, int64(s.pos-s.base))
	s.buf = s.buf[:got]
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return s.buf[:min(n, got)], nil
}

// next returns the group at pos with its body and advances behind it. Nothing behind limit is read. If there is no
// intact group at pos, next returns a CorruptError and advances to the next intact group; if there is none either, it
// returns errTail and does not advance.
func (s *scanner) next(limit uint64) (g group, body []byte, err error) {
	g, body, err = s.readGroup(limit)
	if !errors.Is(err, errTail) || s.pos >= limit {
		return g, body, err
	}
	start := s.pos
	found, err := s.search(limit)
	if err != nil {
		return group{}, nil, err
	}
	if !found {
		s.pos = start
		return group{}, nil, errTail
	}
	return group{}, nil, &CorruptError{Segment: s.name, Start: start, End: s.pos}
}

// readGroup returns the group at pos, or errTail if it is not intact.
func (s *scanner) readGroup(limit uint64) (g group, body []byte, err error) {
	head, err := s.fill(groupHeader, limit)
	if err != nil {
		return group{}, nil, err
	}
	g, ok := parseGroup(head, s.pos)
	if !ok || g.end() > limit || g.end() < s.pos {
		return group{}, nil, errTail
	}
	whole, err := s.fill(groupHeader+int(g.length), limit)
	if err != nil {
		return group{}, nil, err
	}
	if len(whole) < groupHeader+int(g.length) || !intact(whole) {
		return group{}, nil, errTail
	}
	s.pos = g.end()
	return g, whole[groupHeader:], nil
}

// isComplete reports whether the groups from pos on that belong to an earlier group are all there, up to the last.
func (s *scanner) isComplete(limit uint64) bool {
	ahead := scanner{f: s.f, name: s.name, base: s.base, pos: s.pos}
	for {
		g, _, err := ahead.next(limit)
		if errors.As(err, new(*CorruptError)) {
			continue
		}
		if err != nil || !g.more {
			return err == nil
		}
	}
}

// search advances pos to the next intact group. A group contains its own logical offset, so neither the content of a
// message nor older content of a reused file can be mistaken for one.
func (s *scanner) search(limit uint64) (found bool, err error) {
	magic := binary.LittleEndian.AppendUint32(nil, groupMagic)
	for s.pos++; s.pos < limit; {
		b, err := s.fill(readAhead, limit)
		if err != nil {
			return false, err
		}
		i := bytes.Index(b, magic)
		if i < 0 {
			if len(b) < len(magic) {
				return false, nil
			}
			s.pos += uint64(len(b) - len(magic) + 1)
			continue
		}
		s.pos += uint64(i)
		at := s.pos
		switch _, _, err := s.readGroup(limit); {
		case err == nil:
			s.pos = at
			return true, nil
		case !errors.Is(err, errTail):
			return false, err
		}
		s.pos = at + 1
	}
	return false, nil
}
