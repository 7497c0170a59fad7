package forwarder

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// parseLine reads a line with its checksum and without its newline.
func parseLine(line []byte) (position, error) {
	crc, body, _ := bytes.Cut(line, []byte{' '})
	if string(crc) != fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli)) {
		return position{}, errBadPosition
	}
	return parsePosition(body, 4)
}

// FuzzPosition: a line with a right checksum is a position that is written the same again, or none.
func FuzzPosition(f *testing.F) {
	p := position{id: identity{dev: 1, ino: 2}, phase: active, offset: 5, number: 2, category: "c", path: "/a b\n"}
	f.Add(appendPosition(nil, &p)[crcDigits+1:])
	f.Add([]byte(`a 1:2 0:0 0:0 -5 0 2 00000000000000000000000000000000 "c" "/x"`))
	f.Add([]byte(`f ffffffffffffffff:2 1024:ff 9999999:0 5 0 2 00000000000000000000000000000000 "\x00" "`))
	f.Fuzz(func(t *testing.T, rest []byte) {
		rest = bytes.TrimSuffix(rest, []byte{'\n'})
		p, err := parsePosition(rest, 4)
		if err != nil {
			if !errors.Is(err, errBadPosition) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		line := appendPosition(nil, &p)
		again, err := parseLine(bytes.TrimSuffix(line, []byte{'\n'}))
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
	one := position{id: identity{dev: 1, ino: 2}, phase: active, offset: 5, category: "c", path: "/x"}
	gone := position{id: identity{dev: 1, ino: 2}, phase: removed, path: "/x"}
	file := appendPosition([]byte(positionsHeader+"\n"), &one)
	f.Add(file)
	f.Add(appendPosition(file, &gone))
	for _, off := range []int64{1 << 20, 2 << 20, 4 << 20, 5 << 20, 3 << 20} {
		one.offset = off
		file = appendPosition(file, &one)
		f.Add(file)
	}
	f.Add(file[:len(file)-3])
	f.Add([]byte("inkwell positions 4\n"))
	f.Add([]byte("inkwell pos"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := t.TempDir()
		name := filepath.Join(path, positionsName)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := openTestPositions(t, path, nil)
		if err != nil {
			if bytes.HasPrefix(data, []byte(positionsHeader+"\n")) {
				t.Errorf("%q: %v", data, err)
			}
			return
		}
		if len(p.live) > len(data)/20 {
			t.Errorf("%d positions in %d bytes", len(p.live), len(data))
		}
		again, err := openTestPositions(t, path, nil)
		if err != nil || len(again.live) != len(p.live) {
			t.Fatalf("%d positions came back, %v", len(p.live), err)
		}
		for id, pos := range p.live {
			if again.live[id] != pos {
				t.Errorf("%+v came back as %+v", pos, again.live[id])
			}
			if !slices.Equal(again.past[id], p.past[id]) {
				t.Errorf("%+v came back as %+v", p.past[id], again.past[id])
			}
		}
		if err := errors.Join(p.close(), again.close()); err != nil {
			t.Fatal(err)
		}
	})
}
