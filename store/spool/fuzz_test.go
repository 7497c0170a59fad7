package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// resealed returns data as the groups of a segment: whatever begins like a group gets the right offset and checksum, so
// that the parsing behind the checksum is tested, too.
func resealed(data []byte) []byte {
	file := append(appendSegmentHeader(nil, 0, 0), data...)
	magic := binary.LittleEndian.AppendUint32(nil, groupMagic)
	for at := segmentHeader; at+groupHeader <= len(file); {
		i := bytes.Index(file[at:], magic)
		if i < 0 || at+i+groupHeader > len(file) {
			break
		}
		at += i
		binary.LittleEndian.PutUint64(file[at+8:], uint64(at))
		length := min(int(binary.LittleEndian.Uint32(file[at+16:])), len(file)-at-groupHeader)
		binary.LittleEndian.PutUint32(file[at+16:], uint32(length))
		sealGroup(file[at:], [][]byte{file[at+groupHeader : at+groupHeader+length]})
		at += groupHeader + length
	}
	return file
}

// FuzzScan reads any bytes as groups with right checksums: what comes out of it fits into what went in, damage is told
// as such, and what reads without its owner reads the same.
func FuzzScan(f *testing.F) {
	group := func(records ...string) []byte {
		var body []byte
		for _, r := range records {
			body = append(appendRecord(body, len(r), 1), r...)
		}
		g := group{at: segmentHeader, length: uint32(len(body)), records: uint32(len(records)),
			entries: uint64(len(records))}
		return append(appendGroup(nil, &g), body...)
	}
	f.Add(group("abc"))
	f.Add(append(group("abc", "", "de"), group("x")...))
	f.Add(append(append(group("abc"), "damage"...), group("x")...))
	f.Add(append(group("abc"), make([]byte, 100)...))
	long := group("abc")
	binary.LittleEndian.PutUint32(long[groupHeader:], 1<<31)
	f.Add(long)
	f.Fuzz(func(t *testing.T, data []byte) {
		path := t.TempDir()
		file := resealed(data)
		if err := os.WriteFile(filepath.Join(path, segment{}.name()), file, 0o600); err != nil {
			t.Fatal(err)
		}
		dir := openDir(t, path, nil)
		size, damaged := 0, 0
		var before uint64
		for rec, err := range Records(dir) {
			var corrupt *CorruptError
			switch {
			case errors.As(err, &corrupt):
				if damaged++; corrupt.End <= corrupt.Start || corrupt.End > uint64(len(file)) {
					t.Errorf("damage from %d to %d of %d", corrupt.Start, corrupt.End, len(file))
				}
				continue
			case err != nil:
				t.Fatalf("an error of another kind: %v", err)
			}
			if rec.Start < before || rec.End < rec.Start+uint64(len(rec.Data)) {
				t.Errorf("record from %d to %d with %d bytes, behind %d", rec.Start, rec.End, len(rec.Data), before)
			}
			before = rec.End
			size += recordHeader + len(rec.Data)
		}
		if size > len(data) || damaged > len(data)/8+1 {
			t.Errorf("%d bytes of records and %d damaged places in %d bytes", size, damaged, len(data))
		}
		if report, err := Verify(dir, nil); err != nil || len(report.Damaged) > len(data)/8+1 {
			t.Errorf("verify: %+v, %v", report, err)
		}
		l := mustOpen(t, path, Options{})
		mustAppend(t, l, "after")
		got, _ := rest(t, l, 0)
		if len(got) == 0 || got[len(got)-1] != "after" {
			t.Errorf("got %q", got)
		}
		mustClose(t, l)
	})
}

// FuzzAck: what is read of an acknowledgement file is a slot of it that has its checksum, and the newest.
func FuzzAck(f *testing.F) {
	one := appendAck(nil, 1, position{offset: 100, entries: 3})
	f.Add(one, true)
	f.Add(append(append(bytes.Clone(one), make([]byte, ackSlot-len(one))...),
		appendAck(nil, 2, position{offset: 200, entries: 6})...), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		data = data[:min(len(data), 2*ackSlot)]
		if seal {
			for _, at := range []int{0, ackSlot} {
				if at+ackSize <= len(data) {
					slot := data[at : at+ackSize]
					copy(slot, appendAck(nil, binary.LittleEndian.Uint64(slot[8:]),
						position{binary.LittleEndian.Uint64(slot[16:]), binary.LittleEndian.Uint64(slot[24:])}))
				}
			}
		}
		p, sequence, known, err := readAck(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if known != (bytes.Contains(data, appendAck(nil, sequence, p))) && known {
			t.Errorf("%+v, number %d, does not stand there", p, sequence)
		}
		again, number, _, err := readAck(bytes.NewReader(appendAck(nil, sequence, p)))
		if err != nil || again != p || number != sequence {
			t.Errorf("%+v came back as %+v, %v", p, again, err)
		}
	})
}
