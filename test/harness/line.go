package harness

import (
	"bytes"
	"fmt"
	"strconv"
)

// AppendLine appends line number seq of a source, newline included:
//
//	web3 000000000042 kqdjbzvxnr…
//
// The length (the length of the source's name plus 30 to 350 bytes) and the padding are computed from the number, so
// that a damaged line can be detected. A source is a word without blanks.
func AppendLine(dst []byte, source string, seq int) []byte {
	dst = append(append(dst, source...), ' ')
	digits := strconv.Itoa(seq)
	for range 12 - len(digits) {
		dst = append(dst, '0')
	}
	dst = append(append(dst, digits...), ' ')
	x := uint64(seq)*0x9e3779b97f4a7c15 + uint64(len(source))
	for n := 16 + int(x>>40%320); n > 0; n -= 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for i := range min(n, 8) {
			dst = append(dst, 'a'+byte(x>>(8*i)&15))
		}
	}
	return append(dst, '\n')
}

// Entries returns lines from … to-1 of a source as entries of a category.
func Entries(category, source string, from, to int) (entries []Entry) {
	for seq := from; seq < to; seq++ {
		entries = append(entries, Entry{category, string(AppendLine(nil, source, seq))})
	}
	return entries
}

// Lines returns lines from … to-1 of a source.
func Lines(source string, from, to int) []byte {
	var b []byte
	for seq := from; seq < to; seq++ {
		b = AppendLine(b, source, seq)
	}
	return b
}

// ParseLine returns the source and the number of a line, or an error if it is not such a line or is damaged.
func ParseLine(line []byte) (source string, seq int, err error) {
	parts := bytes.SplitN(line, []byte(" "), 3)
	if len(parts) == 3 {
		source = string(parts[0])
		if seq, err = strconv.Atoi(string(parts[1])); err == nil && bytes.Equal(AppendLine(nil, source, seq), line) {
			return source, seq, nil
		}
	}
	return "", 0, fmt.Errorf("not a line that was sent: %q (%d bytes)", line[:min(len(line), 200)], len(line))
}
