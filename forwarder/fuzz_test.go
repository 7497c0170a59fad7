package forwarder

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"
)

// sealed puts its checksum before a line.
func sealed(rest []byte) []byte {
	return append(fmt.Appendf(nil, "%08x ", crc32.Checksum(rest, castagnoli)), rest...)
}

// FuzzPosition: a line with a right checksum is a position that is written the same again, or none.
func FuzzPosition(f *testing.F) {
	p := position{id: identity{dev: 1, ino: 2}, state: active, offset: 5, number: 2, category: "c", path: "/a b\n"}
	f.Add(appendPosition(nil, &p)[crcDigits+1:])
	f.Add([]byte(`a 1:2 0:0 0:0 -5 2 00000000000000000000000000000000 "c" "/x"`))
	f.Add([]byte(`f ffffffffffffffff:2 1024:ff 9999999:0 5 2 00000000000000000000000000000000 "\x00" "`))
	f.Fuzz(func(t *testing.T, rest []byte) {
		rest = bytes.TrimSuffix(rest, []byte{'\n'})
		p, err := parsePosition(sealed(rest), false)
		if err != nil {
			if !errors.Is(err, errBadPosition) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		line := appendPosition(nil, &p)
		again, err := parsePosition(bytes.TrimSuffix(line, []byte{'\n'}), false)
		if err != nil || again != p {
			t.Errorf("%q: %+v came back as %+v, %v", rest, p, again, err)
		}
		if p.offset < 0 || bytes.Count(line, []byte{'\n'}) != 1 {
			t.Errorf("%+v is written as %q", p, line)
		}
	})
}

// FuzzPositions: what is read of a positions file, older places included, is there again after it was written anew.
func FuzzPositions(f *testing.F) {
	one := position{id: identity{dev: 1, ino: 2}, state: active, offset: 5, category: "c", path: "/x"}
	gone := position{id: identity{dev: 1, ino: 2}, state: removed, path: "/x"}
	file := appendPosition([]byte(positionsHeader), &one)
	f.Add(file)
	f.Add(appendPosition(file, &gone))
	for _, off := range []int64{1 << 20, 2 << 20, 4 << 20, 5 << 20, 3 << 20} {
		one.offset = off
		file = appendPosition(file, &one)
		f.Add(file)
	}
	f.Add(file[:len(file)-3])
	f.Add([]byte("inkwell positions 2\n"))
	f.Add([]byte("inkwell pos"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newPositions(discard)
		if err := p.parse(data); err != nil {
			if bytes.HasPrefix(data, []byte(positionsHeader)) {
				t.Errorf("%q: %v", data, err)
			}
			return
		}
		if len(p.live) > len(data)/20 {
			t.Errorf("%d positions in %d bytes", len(p.live), len(data))
		}
		again := newPositions(discard)
		if err := again.parse(p.appendTo([]byte(positionsHeader))); err != nil || len(again.live) != len(p.live) {
			t.Fatalf("%d positions came back as %d, %v", len(p.live), len(again.live), err)
		}
		for id, pos := range p.live {
			if again.live[id] != pos {
				t.Errorf("%+v came back as %+v", pos, again.live[id])
			}
			if !slices.Equal(again.past[id], p.past[id]) {
				t.Errorf("%+v came back as %+v", p.past[id], again.past[id])
			}
		}
	})
}
