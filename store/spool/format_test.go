package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"inkwell/proto"
)

func crcOf(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli))
}

// examples returns the hex dumps of docs/format.md, by the word behind ```hex.
func examples(t *testing.T) map[string][]byte {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "format.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, m := range regexp.MustCompile("(?s)```hex ([a-z]+)\n(.*?)```").FindAllSubmatch(doc, -1) {
		var digits strings.Builder
		for _, line := range strings.Split(string(m[2]), "\n") {
			code, _, _ := strings.Cut(line, "#")
			digits.WriteString(strings.ReplaceAll(code, " ", ""))
		}
		b, err := hex.DecodeString(digits.String())
		if err != nil {
			t.Fatalf("example %s: %v", m[1], err)
		}
		found[string(m[1])] = b
	}
	return found
}

// TestTheDocumentIsTrue writes the documented log and compares every byte, then reads the documented bytes.
func TestTheDocumentIsTrue(t *testing.T) {
	doc := examples(t)
	path := t.TempDir()
	l := mustOpen(t, path, Options{Durability: Write})
	var b proto.Batch
	b.Append([]byte("web"), []byte("GET /\n"))
	b.Append([]byte("web"), nil)
	end, err := l.Append(ctx, b.Entries(), b.Count())
	if err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(filepath.Join(path, "0000000000000000.log"))
	if err != nil {
		t.Fatal(err)
	}
	if want := append(bytes.Clone(doc["segment"]), doc["group"]...); !bytes.Equal(written, want) {
		t.Errorf("segment file:\n got %x\nwant %x", written, want)
	}
	if err := l.Ack(end); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	ack, err := os.ReadFile(filepath.Join(path, ackName))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ack[ackSlot:], doc["ack"]) {
		t.Errorf("acknowledgement:\n got %x\nwant %x", ack[ackSlot:], doc["ack"])
	}

	read := t.TempDir()
	if err := os.WriteFile(filepath.Join(read, "0000000000000000.log"), append(doc["segment"], doc["group"]...), 0o600); err != nil {
		t.Fatal(err)
	}
	for rec, err := range Records(openDir(t, read, nil)) {
		if err != nil || rec.Start != 116 || rec.Count != 2 || !bytes.Equal(rec.Data, b.Entries()) {
			t.Errorf("got %+v %v", rec, err)
		}
	}
}

// FuzzRecover opens a log whose only segment holds any bytes: it opens, reads without a panic, takes a record and gives
// it back.
func FuzzRecover(f *testing.F) {
	good := appendSegmentHeader(nil, 0, 0)
	g := group{at: segmentHeader, length: 15, records: 1, entries: 1}
	whole := appendGroup(nil, &g)
	whole = append(appendRecord(whole, 3, 1), "abc"...)
	sealGroup(whole, [][]byte{whole[groupHeader:]})
	f.Add(append(bytes.Clone(good), whole...))
	f.Add(good)
	f.Add(append(append(bytes.Clone(good), whole...), whole...))
	f.Add([]byte("junk"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := t.TempDir()
		if err := os.WriteFile(filepath.Join(path, segment{}.name()), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(openDir(t, path, nil), nil); err != nil {
			return // of another version
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
