package spool

import (
	"encoding/binary"
	"hash/crc32"
)

// The sizes of the parts of the format, in bytes (docs/format.md).
const (
	segmentHeader = 64
	groupHeader   = 40
	recordHeader  = 12
)

// Constants of the format, and a limit.
const (
	groupMagic    = 0x4b4e4967 // "gINK", little-endian
	kindEntries   = 1
	maxGroup      = 8 << 20 // bytes of a group that has several records
	formatVersion = 1
	moreBit       = 1 << 31 // flag in the number of records of a group
)

// terminator is written behind the last group, and the next group overwrites it. In a file that is reused, it separates
// the groups from older content.
var terminator [8]byte

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// group is a decoded group header.
type group struct {
	at      uint64 // logical offset of the header
	length  uint32 // bytes of the body
	records uint32
	first   uint64 // number of the first entry
	entries uint64 // number of entries in the group
	more    bool   // the next group belongs to this one: either both are valid or neither is
}

func (g *group) end() uint64 { return g.at + groupHeader + uint64(g.length) }

// appendGroup appends the header of g to dst. sealGroup fills in the checksum later.
func appendGroup(dst []byte, g *group) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, groupMagic)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, g.at)
	dst = binary.LittleEndian.AppendUint32(dst, g.length)
	records := g.records
	if g.more {
		records |= moreBit
	}
	dst = binary.LittleEndian.AppendUint32(dst, records)
	dst = binary.LittleEndian.AppendUint64(dst, g.first)
	return binary.LittleEndian.AppendUint64(dst, g.entries)
}

// sealGroup computes the checksum of the header behind the checksum field and of the body, and stores it in header.
func sealGroup(header []byte, body [][]byte) {
	crc := crc32.Checksum(header[8:groupHeader], castagnoli)
	for _, b := range body {
		crc = crc32.Update(crc, castagnoli, b)
	}
	binary.LittleEndian.PutUint32(header[4:], crc)
}

// parseGroup parses the header in p. ok is false unless it was written for the logical offset at.
func parseGroup(p []byte, at uint64) (g group, ok bool) {
	if len(p) < groupHeader || binary.LittleEndian.Uint32(p) != groupMagic || binary.LittleEndian.Uint64(p[8:]) != at {
		return group{}, false
	}
	records := binary.LittleEndian.Uint32(p[20:])
	return group{at: at, length: binary.LittleEndian.Uint32(p[16:]), records: records &^ moreBit,
		more:  records&moreBit != 0,
		first: binary.LittleEndian.Uint64(p[24:]), entries: binary.LittleEndian.Uint64(p[32:])}, true
}

// intact reports whether whole, a group with header and body, matches its checksum.
func intact(whole []byte) bool {
	return crc32.Checksum(whole[8:], castagnoli) == binary.LittleEndian.Uint32(whole[4:])
}

// appendRecord appends the header of a record to dst.
func appendRecord(dst []byte, length, count int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(length))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(count))
	dst = binary.LittleEndian.AppendUint16(dst, kindEntries)
	return binary.LittleEndian.AppendUint16(dst, 0)
}

// parseRecord parses the header of the record at the head of p; ok says that the whole record is in p.
func parseRecord(p []byte) (length, count int, ok bool) {
	if len(p) < recordHeader || binary.LittleEndian.Uint16(p[8:]) != kindEntries {
		return 0, 0, false
	}
	n := uint64(binary.LittleEndian.Uint32(p))
	if n > uint64(len(p)-recordHeader) {
		return 0, 0, false
	}
	return int(n), int(binary.LittleEndian.Uint32(p[4:])), true
}
