package forwarder

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"inkwell/internal/faultfs"
)

// Position says how much of an input was acknowledged, for those who add up what arrived.
type Position struct {
	Stream   [16]byte // zero: the file was written by a version that gave no numbers
	Category string
	Path     string
	Number   int64 // entries of the stream that the next hop or the spool acknowledged: numbers 0 … Number-1
}

const (
	auditHeader = positionsMagic + "2"
	oldHeader   = positionsMagic + "1"
)

// ReadPositions reads the positions in a forwarder's state directory, which may be in use; fs.ErrNotExist if there are none. A stream
// comes once, with the highest number that any of its lines has: also of files that are gone, as long as the file has lines of them.
// bad counts lines that were not written to their end.
func ReadPositions(stateDir string) (list []Position, bad int, err error) {
	data, err := os.ReadFile(filepath.Join(stateDir, positionsName)) // first, because OpenDir makes what is missing
	if err != nil {
		return nil, 0, err
	}
	dir, err := faultfs.OpenDir(stateDir, nil)
	if err != nil {
		return nil, 0, err
	}
	defer dir.Close()
	header := auditHeader
	if first, _, _ := bytes.Cut(data, []byte{'\n'}); string(first) == oldHeader {
		header = oldHeader
	}
	type key struct {
		stream   [16]byte
		category string
		path     string // only of those without a stream
	}
	known := make(map[key]Position)
	bad, err = faultfs.ReadLines(dir, positionsName, header, func(body []byte) error {
		p, st, err := parseNumbered(string(body))
		old := err != nil
		if old { // whatever the header says: it may be damaged
			p, st, err = parseUnnumbered(string(body))
		}
		if err != nil {
			return err
		}
		if state(st) == ignored || state(st) == removed || !old && p.Stream == [16]byte{} { // nothing was taken yet
			return nil
		}
		k := key{stream: p.Stream, category: p.Category}
		if p.Stream == [16]byte{} {
			k.path = p.Path
		}
		if before, again := known[k]; !again || p.Number >= before.Number {
			known[k] = p
		}
		return nil
	})
	list = slices.SortedFunc(maps.Values(known), func(a, b Position) int {
		return cmp.Or(cmp.Compare(a.Category, b.Category), cmp.Compare(a.Path, b.Path), bytes.Compare(a.Stream[:], b.Stream[:]))
	})
	return list, bad, err
}

// rest is what stands in a line that an audit has no use for: identity, fingerprints, offset.
type rest struct {
	dev, ino, headSum, tailSum uint64
	head, tail                 int
	offset                     int64
}

// parseNumbered reads a line of version 2:
//
//	STATE DEV:INO HEADLEN:HEADSUM TAILLEN:TAILSUM OFFSET NUMBER STREAM "CATEGORY" "PATH"
func parseNumbered(body string) (p Position, st byte, err error) {
	var r rest
	var name string
	n, err := fmt.Sscanf(body, "%c %x:%x %d:%x %d:%x %d %d %s %q %q", &st, &r.dev, &r.ino, &r.head, &r.headSum, &r.tail, &r.tailSum,
		&r.offset, &p.Number, &name, &p.Category, &p.Path)
	if err != nil || n != 12 || p.Number < 0 {
		return Position{}, 0, errBadPosition
	}
	id, err := hex.DecodeString(name)
	if err != nil || len(id) != len(p.Stream) {
		return Position{}, 0, errBadPosition
	}
	copy(p.Stream[:], id)
	return p, st, nil
}

// parseUnnumbered reads a line of version 1, which has no stream.
func parseUnnumbered(body string) (p Position, st byte, err error) {
	var r rest
	n, err := fmt.Sscanf(body, "%c %x:%x %d:%x %d:%x %d %d %q %q", &st, &r.dev, &r.ino, &r.head, &r.headSum, &r.tail, &r.tailSum,
		&r.offset, &p.Number, &p.Category, &p.Path)
	if err != nil || n != 11 || p.Number < 0 {
		return Position{}, 0, errBadPosition
	}
	return p, st, nil
}
