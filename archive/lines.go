package archive

import (
	"bytes"
	"slices"
)

// maxCarry bounds a line that goes on from chunk to chunk: beyond, it is cut.
const maxCarry = 256 << 20

// Lines gathers chunks so that each ends with a line. The zero value is ready. Not safe for concurrent use.
type Lines struct{ carry []byte }

// Add returns the whole lines that there are now, nil for none; it takes data over.
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

// Rest returns the line that has no end.
func (l *Lines) Rest() []byte {
	rest := l.carry
	l.carry = nil
	return rest
}
