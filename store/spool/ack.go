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
	ackSlot = 512 // a slot has a sector of its own
	ackSize = 32
)

// position is what the acknowledgement file holds.
type position struct {
	offset  uint64 // everything below is done
	entries uint64 // number of the first entry that is not
}

// ackFile keeps a position in two slots that are written in turn, so that one is whole whatever happens to the other.
type ackFile struct {
	f        *faultfs.File
	sequence uint64
	last     position // written last
	unsure   bool     // an fsync has failed: what was written before it may never reach the disk
}

// openAck opens the file and returns the newest position in it; known is false when there is none.
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

// appendAck appends a slot's bytes.
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

// write records p with one write(2). After one that failed the same slot is written again: the other one may be the
// only whole one.
func (a *ackFile) write(p position) error {
	next := a.sequence + 1
	_, err := a.f.WriteAt(appendAck(nil, next, p), int64(next%2)*ackSlot)
	if err == nil {
		a.sequence, a.last = next, p
	}
	return err
}

// sync makes what was written last durable. After an fsync that failed both slots are written again first: trying the
// fsync alone proves nothing.
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
