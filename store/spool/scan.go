package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"inkwell/internal/faultfs"
)

// readAhead is how much a scanner reads at once.
const readAhead = 1 << 20

// CorruptError is a damaged place in a log: the bytes with the logical offsets Start ≤ x < End of a segment are not
// what was written, or are missing.
type CorruptError struct {
	Segment    string // file name
	Start, End uint64
}

// Error names the place.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("damaged: %d bytes of segment %s from offset %d on", e.End-e.Start, e.Segment, e.Start)
}

// errTail says that no intact group stands at the scanner's position or behind it.
var errTail = errors.New("end of the groups")

// scanner walks the groups of one segment. The bytes of a group are valid until the next call.
type scanner struct {
	f      *faultfs.File
	name   string
	base   uint64
	pos    uint64 // logical offset of the next group
	buf    []byte // the file's bytes from logical offset window on
	window uint64
}

// fill sees to it that buf holds n bytes from pos on, as far as limit and the file allow, and returns what there is.
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

// next returns the group at pos with its body and moves behind it. It looks at nothing behind limit. Without an intact
// group at pos it returns a CorruptError and moves to the next intact one, or, where there is none, errTail and stays.
func (s *scanner) next(limit uint64) (g group, body []byte, err error) {
	g, body, err = s.at(limit)
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

// at returns the group at pos, or errTail.
func (s *scanner) at(limit uint64) (g group, body []byte, err error) {
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

// ends says whether the groups from pos on, which belong to one before them, are there to the last.
func (s *scanner) ends(limit uint64) bool {
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

// search moves pos to the next intact group behind it. A group carries its own logical offset, so that bytes of a
// message, or of the file's former life, are not taken for one.
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
		switch _, _, err := s.at(limit); {
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
