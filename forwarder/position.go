package forwarder

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"inkwell/store/stream"
)

// phase is what is left to do with a generation.
type phase byte

const (
	active   phase = 'a' // it is being read
	finished phase = 'f' // it was read to its end, and was rotated or deleted; read on if it should grow
	ignored  phase = 'i' // it is not to be read: it existed before its path was first seen, or is a copy of another
	removed  phase = 'r' // it does not exist any more; its position is dropped
)

// position says how much of a generation was acknowledged. The positions file has one line for each:
//
//	CRC STATE DEV:INO HEADLEN:HEADSUM TAILLEN:TAILSUM OFFSET AHEAD UNTIL NUMBER STREAM "CATEGORY" "PATH"\n
//
// STATE is the phase. CRC is the CRC-32C of the bytes between the blank after it and the newline. CRC, DEV, INO, sums
// and STREAM are hexadecimal, the other numbers decimal.
// Version 2, that of Inkwell 0.x up to November 2026, had neither AHEAD nor UNTIL.
type position struct {
	id       identity
	phase    phase
	head     fingerprint // of the file's first bytes
	tail     fingerprint // of the bytes before offset
	offset   int64       // where a message begins: everything before was taken
	ahead    int64       // bytes after offset of which some were already taken: see package lines
	until    int64       // > 0: the message at offset ends here, whatever follows; saved before it is sent
	stream   stream.ID   // of its entries; zero = none was taken
	number   int64       // of the entry that begins at offset
	category string
	path     string // the path to which the generation belongs, where it was first seen
}

// key identifies a position. The identity alone is not enough: when devices are renumbered at a reboot, a file may
// get the identity that another one had.
type key struct {
	identity
	path string
}

func (p *position) key() key { return key{p.id, p.path} }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const crcDigits = 8

func appendPosition(dst []byte, p *position) []byte {
	start := len(dst)
	dst = append(dst, "00000000 "...)
	dst = append(dst, byte(p.phase), ' ')
	dst = strconv.AppendUint(dst, p.id.dev, 16)
	dst = append(dst, ':')
	dst = strconv.AppendUint(dst, p.id.ino, 16)
	dst = appendPrint(dst, p.head)
	dst = appendPrint(dst, p.tail)
	dst = strconv.AppendInt(append(dst, ' '), p.offset, 10)
	dst = strconv.AppendInt(append(dst, ' '), p.ahead, 10)
	dst = strconv.AppendInt(append(dst, ' '), p.until, 10)
	dst = strconv.AppendInt(append(dst, ' '), p.number, 10)
	dst = append(append(dst, ' '), p.stream.String()...)
	dst = strconv.AppendQuote(append(dst, ' '), p.category)
	dst = strconv.AppendQuote(append(dst, ' '), p.path)
	crc := crc32.Checksum(dst[start+crcDigits+1:], castagnoli)
	for i := range crcDigits {
		dst[start+i] = "0123456789abcdef"[crc>>(28-4*i)&15]
	}
	return append(dst, '\n')
}

func appendPrint(dst []byte, p fingerprint) []byte {
	dst = strconv.AppendInt(append(dst, ' '), int64(p.n), 10)
	return strconv.AppendUint(append(dst, ':'), p.sum, 16)
}

var errBadPosition = errors.New("not a position")

// parsePosition parses what follows the checksum in a line of a file of that version.
func parsePosition(body []byte, version int) (p position, err error) {
	var name string
	format, to := "%c %x:%x %d:%x %d:%x %d %d %d %d %s %q %q", []any{&p.phase, &p.id.dev, &p.id.ino,
		&p.head.n, &p.head.sum, &p.tail.n, &p.tail.sum, &p.offset, &p.ahead, &p.until, &p.number, &name, &p.category,
		&p.path}
	if version == 2 {
		format, to = strings.Replace(format, " %d %d %d %d ", " %d %d ", 1), slices.Delete(to, 8, 10)
	}
	if _, err = fmt.Sscanf(string(body), format, to...); err != nil {
		return position{}, errBadPosition
	}
	p.stream, err = stream.ParseID(name)
	if err != nil || min(p.number, p.offset, p.ahead, p.until) < 0 || !inRange(p.head.n) || !inRange(p.tail.n) {
		return position{}, errBadPosition
	}
	switch p.phase {
	case active, finished, ignored, removed:
		return p, nil
	}
	return position{}, errBadPosition
}

func inRange(n int) bool { return n >= 0 && n <= printMax }
