package archive

import (
	"bytes"
	"slices"
)

// maxCarry is the most bytes of a line that is collected from several chunks; a longer one is split.
const maxCarry = 256 << 20

// Lines regroups chunks so that each ends with a line. The zero value is ready. Not safe for concurrent use.
type Lines struct{ carry []byte }

// Add returns the complete lines so far, nil if there are none. It may keep and return data.
func (l *Lines) Add(data []byte) []byte {
	end := bytes.LastIndexByte(data, '\n') + 1
	if len(l.carry) == 0 && end == len(data) {
		return data
	}
	if end == 0 && len(l.carry)+len(data) < maxCarry {
		l.carry = append(l.carry, data...)
		return nil
	}
	if end == 0 {
		end = len(data)
	}
	whole := slices.Concat(l.carry, data[:end])
	l.carry = append(l.carry[:0], data[end:]...)
	return whole
}

// withoutEnd returns a line without its newline and what carriage returns are before that.
func withoutEnd(line []byte) []byte {
	for n := len(line); n > 0; n-- {
		if c := line[n-1]; c != '\n' && c != '\r' {
			return line[:n]
		}
	}
	return nil
}

// Rest returns the last line, which has no newline.
func (l *Lines) Rest() []byte {
	rest := l.carry
	l.carry = nil
	return rest
}
