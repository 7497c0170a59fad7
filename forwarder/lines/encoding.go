package lines

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Encoding is the encoding of a file's text.
type Encoding byte

// Auto means that the byte order mark decides. UTF8 means any bytes: they are passed on unchanged.
const (
	Auto Encoding = iota
	UTF8
	UTF16LE
	UTF16BE
)

var encodings = [...]string{Auto: "auto", UTF8: "utf-8", UTF16LE: "utf-16le", UTF16BE: "utf-16be"}

func (e Encoding) String() string { return encodings[e] }

// ParseEncoding parses auto, utf-8, utf-16le or utf-16be.
func ParseEncoding(s string) (Encoding, error) {
	if i := slices.Index(encodings[:], s); i >= 0 {
		return Encoding(i), nil
	}
	return Auto, fmt.Errorf("encoding %q: must be auto, utf-8, utf-16le or utf-16be", s)
}

var marks = [...]string{UTF8: "\xef\xbb\xbf", UTF16LE: "\xff\xfe", UTF16BE: "\xfe\xff"}

// detect decides by the byte order mark.
func detect(head []byte) Encoding {
	for _, e := range []Encoding{UTF16LE, UTF16BE} {
		if bytes.HasPrefix(head, []byte(marks[e])) {
			return e
		}
	}
	return UTF8
}

// mark is how many bytes at the beginning of the chunk are not text: a byte order mark at the start of the file, or the
// second half of a character if the position is within one. That happens when the position was written before the file
// was read as UTF-16.
func mark(c Chunk) int {
	switch {
	case c.Offset == 0 && len(marks[c.Encoding]) > 0 && bytes.HasPrefix(c.Data, []byte(marks[c.Encoding])):
		return len(marks[c.Encoding])
	case c.Encoding.wide() && c.Offset%2 == 1:
		return 1
	}
	return 0
}

// wide says whether the encoding has two bytes per unit.
func (e Encoding) wide() bool { return e == UTF16LE || e == UTF16BE }

// lineEnd returns the end of the first line of data, newline included. A line longer than longest is cut there, or
// slightly before, and is not whole. 0 means that data does not have the end of the line.
func (e Encoding) lineEnd(data []byte, longest int) (end int, whole bool) {
	if !e.wide() {
		if i := bytes.IndexByte(data[:min(len(data), longest)], '\n'); i >= 0 {
			return i + 1, true
		}
		if len(data) < longest {
			return 0, false
		}
		return longest, false
	}
	longest = max(longest*2/3&^1, 4) // two bytes can become three
	text := data[:min(len(data), longest)]
	if end := e.newline(text); end > 0 {
		return end, true
	}
	if len(data) < longest {
		return 0, false
	}
	if e.unit(data[longest-2:])&0xfc00 == 0xd800 { // the first half of a pair
		return longest - 2, false
	}
	return longest, false
}

// newline returns the index after the first newline of text, 0 if there is none. Half of another character can look
// like a newline: Ċ is 0a 01 in UTF-16LE.
func (e Encoding) newline(text []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(text[from:], '\n')
		if i < 0 {
			return 0
		}
		from += i + 1
		unit := (from - 1) &^ 1
		if unit+2 <= len(text) && e.unit(text[unit:]) == '\n' {
			return unit + 2
		}
	}
}

// LastNewline returns the index after the last newline of data, which is at offset in its file; 0 if there is none.
func (e Encoding) LastNewline(data []byte, offset int64) int {
	for {
		i := bytes.LastIndexByte(data, '\n')
		if !e.wide() || i < 0 {
			return i + 1
		}
		unit := i - int((offset+int64(i))&1)
		if unit >= 0 && unit+2 <= len(data) && e.unit(data[unit:]) == '\n' {
			return unit + 2
		}
		data = data[:i]
	}
}

// Even returns off, or the next offset at which a character can begin.
func (e Encoding) Even(off int64) int64 {
	if e.wide() {
		return (off + 1) &^ 1
	}
	return off
}

func (e Encoding) unit(b []byte) uint16 {
	if e == UTF16LE {
		return uint16(b[0]) | uint16(b[1])<<8
	}
	return uint16(b[1]) | uint16(b[0])<<8
}

// decoders keep no state between lines. A byte order mark within a file is an ordinary character.
var decoders = [...]transform.Transformer{
	UTF16LE: unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder().Transformer,
	UTF16BE: unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder().Transformer,
}

// appendUTF8 decodes text, which has whole units; invalid characters become U+FFFD.
func (e Encoding) appendUTF8(dst, text []byte) []byte {
	need := len(dst) + len(text)/2*utf8.UTFMax + utf8.UTFMax
	if cap(dst) < need {
		dst = append(make([]byte, 0, need), dst...)
	}
	t := decoders[e]
	t.Reset()
	n, read, err := t.Transform(dst[len(dst):cap(dst)], text, true)
	if err != nil || read < len(text) {
		// There was room, and nothing is invalid.
		panic(fmt.Sprintf("decode %d bytes of UTF-16: %d read: %v", len(text), read, err))
	}
	return dst[:len(dst)+n]
}
