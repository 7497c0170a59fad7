package forwarder

import (
	"bytes"
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"inkwell/internal/faultfs"
	"inkwell/store/stream"
)

// Position says how much of an input was acknowledged, for an audit that compares it with what arrived.
type Position struct {
	Stream   [16]byte // of its entries
	Category string
	Path     string
	Number   int64 // entries of the stream that the next hop or the spool acknowledged: numbers 0 … Number-1
}

// ReadPositions reads the positions in a forwarder's state directory, which may be in use. The error is fs.ErrNotExist
// if there are none. Each stream is listed once, with the highest number in any of its lines; streams of deleted files
// are included as long as the file has lines of them. bad counts incomplete lines.
func ReadPositions(stateDir string) (list []Position, bad int, err error) {
	// This comes first, because OpenDir would make a missing directory.
	data, err := os.ReadFile(filepath.Join(stateDir, positionsName))
	if err != nil {
		return nil, 0, err
	}
	dir, err := faultfs.OpenDir(stateDir, nil)
	if err != nil {
		return nil, 0, err
	}
	defer dir.Close()
	header, version := positionsHeader, 4
	if first, _, _ := bytes.Cut(data, []byte{'\n'}); string(first) == olderHeader {
		header, version = olderHeader, 2
	}
	type key struct {
		stream   [16]byte
		category string
	}
	known := make(map[key]Position)
	bad, err = faultfs.ReadLines(dir, positionsName, header, func(body []byte) error {
		p, err := parsePosition(body, version)
		if err != nil { // the header may be damaged, so the other version is tried
			p, err = parsePosition(body, 6-version)
		}
		if err != nil {
			return err
		}
		if p.phase == ignored || p.phase == removed || p.stream == (stream.ID{}) { // nothing was taken yet
			return nil
		}
		k := key{stream: p.stream, category: p.category}
		if before, again := known[k]; !again || p.number >= before.Number {
			known[k] = Position{Stream: p.stream, Category: p.category, Path: p.path, Number: p.number}
		}
		return nil
	})
	list = slices.SortedFunc(maps.Values(known), func(a, b Position) int {
		return cmp.Or(cmp.Compare(a.Category, b.Category), cmp.Compare(a.Path, b.Path),
			bytes.Compare(a.Stream[:], b.Stream[:]))
	})
	return list, bad, err
}
