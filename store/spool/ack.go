package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"inkwell/internal/faultfs"
)

const (
	ackName = "ack"
	ackSlot = 512 // bytes: each slot has a sector of its own
	ackSize = 32
)

// position is the content of the acknowledgement file.
type position struct {
	offset  uint64 // everything below is acknowledged
	entries uint64 // number of the first entry that is not acknowledged
}

// ackFile stores a position in two slots that are written alternately, so that one is intact if a crash damages the
// other.
type ackFile struct {
	f        *faultfs.File
	sequence uint64
	last     position // the position written last
	unsure   bool     // an fsync has failed: earlier writes may never reach the disk
}

// openAck opens the file and returns the newest position in it; known is false if it holds none.
func openAck(dir *faultfs.Dir) (a *ackFile, p position, known bool, err error) {
	f, err := dir.OpenFile(ackName, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, position{}, false, err
	}
	a = &ackFile{f: f}
	p, a.sequence, known, err = readAck(f)
	if err != nil {
		return nil, position{}, false, errors.Join(err, f.Close())
	}
	return a, p, known, nil
}

func readAck(f io.ReaderAt) (newest position, sequence uint64, known bool, err error) {
	var b [2 * ackSlot]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return position{}, 0, false, fmt.Errorf("read acknowledgement: %w", err)
	}
	for _, at := range []int{0, ackSlot} {
		s := b[at : at+ackSize]
		if at+ackSize > n || crc32.Checksum(s[4:], castagnoli) != binary.LittleEndian.Uint32(s) {
			continue
		}
		if seq := binary.LittleEndian.Uint64(s[8:]); seq > sequence || !known {
			newest = position{offset: binary.LittleEndian.Uint64(s[16:]), entries: binary.LittleEndian.Uint64(s[24:])}
			sequence, known = seq, true
		}
	}
	return newest, sequence, known, nil
}

// appendAck appends the encoding of a slot.
func appendAck(dst []byte, sequence uint64, p position) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, formatVersion)
	dst = binary.LittleEndian.AppendUint64(dst, sequence)
	dst = binary.LittleEndian.AppendUint64(dst, p.offset)
	dst = binary.LittleEndian.AppendUint64(dst, p.entries)
	binary.LittleEndian.PutUint32(dst[start:], crc32.Checksum(dst[start+4:], castagnoli))
	return dst
}

// write records p with one write(2). After a failed write it uses the same slot again, because the other slot may be
// the only intact one.
func (a *ackFile) write(p position) error {
	next := a.sequence + 1
	_, err := a.f.WriteAt(appendAck(nil, next, p), int64(next%2)*ackSlot)
	if err == nil {
		a.sequence, a.last = next, p
	}
	return err
}

// sync makes the last position durable. After a failed fsync it first writes both slots again: that a second fsync
// succeeds does not prove that the data of the first reached the disk.
func (a *ackFile) sync() error {
	for n := 0; a.unsure && n < 2; n++ {
		if err := a.write(a.last); err != nil {
			return err
		}
	}
	err := a.f.Sync()
	a.unsure = err != nil
	return err
}
