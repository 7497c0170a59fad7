package rotate

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// FuzzContinue opens a series whose open file holds any bytes, with any mark, goes on with it and finishes it: what stood before the mark
// stands there still, and no memory is taken that the file does not have.
func FuzzContinue(f *testing.F) {
	for _, c := range allCodecs {
		w := writeFile(f, c, chunks()[:3])
		m := w.ends[len(w.ends)-1]
		f.Add(w.data, int(c), m.Bytes, m.Raw, m.Blocks, m.CRC)
		f.Add(w.data[:len(w.data)/2], int(c), int64(len(w.data)/2), m.Raw, m.Blocks, m.CRC)
		f.Add(w.data, int(c), m.Bytes, m.Raw, int64(1)<<60, m.CRC)
		f.Add(w.data, int(c), int64(-1), int64(-1), int64(-1), m.CRC)
	}
	encoders := make(map[Codec]*Encoder)
	for _, c := range allCodecs {
		encoders[c] = newEncoder(f, c)
	}
	f.Fuzz(func(t *testing.T, data []byte, codec int, size, raw, blocks int64, crc uint32) {
		c := allCodecs[uint(codec)%uint(len(allCodecs))]
		path, name := t.TempDir(), "web-2026-11-23_00000"+c.Suffix()
		must(t, os.WriteFile(filepath.Join(path, Hidden(name)), data, 0o600))
		m := Mark{File: name, Bytes: size, Raw: raw, Blocks: blocks, CRC: crc, Opened: noon.Unix()}
		s, err := Open(openDir(t, path, nil), Options{Base: "web", Codec: c, Now: at(noon)}, &State{Open: &m})
		if err != nil {
			return
		}
		defer s.Close()
		if err := s.Append(encoders[c], []byte("more\n")); err != nil {
			return
		}
		sealErr := s.Seal()
		st, err := s.Sync(nil)
		if err != nil || sealErr != nil {
			return
		}
		must(t, s.Publish(st, nil))
		if lost := s.Lost(); lost != nil {
			if out := readFileOf(t, path, "web-2026-11-23_00001"+c.Suffix(), c); lost.Kept != "" && string(out) != "more\n" {
				t.Errorf("behind a file that is lost stands %q", out)
			}
			return
		}
		got, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		if size > 0 && !bytes.HasPrefix(got, data[:size]) || len(got) > len(data)+len(data)*8+4096 {
			t.Errorf("%d bytes became %d", len(data), len(got))
		}
	})
}

func readFileOf(t *testing.T, path, name string, c Codec) []byte {
	t.Helper()
	in, err := os.Open(filepath.Join(path, name))
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	defer in.Close()
	r, err := NewReader(in, c, false)
	must(t, err)
	out, err := io.ReadAll(r)
	must(t, err)
	must(t, r.Close())
	return out
}

// FuzzSeekTable: the table of any bytes is no longer than they allow, and says of each frame what stands there.
func FuzzSeekTable(f *testing.F) {
	w := writeFile(f, Zstd, chunks()[:3])
	m := w.ends[len(w.ends)-1]
	f.Add(w.data, m.Bytes, m.Raw, m.Blocks)
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0}, int64(16), int64(-1), int64(1))
	f.Fuzz(func(t *testing.T, data []byte, size, raw, blocks int64) {
		table, err := seekTable(bytes.NewReader(data), Mark{Bytes: size, Raw: raw, Blocks: blocks})
		if err != nil {
			return
		}
		if int64(len(table)) != tailSize(Zstd, blocks) || len(table) > 8*len(data)+17 {
			t.Fatalf("a table of %d bytes for %d frames in %d", len(table), blocks, len(data))
		}
		var packed int64
		for i := range int(blocks) {
			packed += int64(binary.LittleEndian.Uint32(table[8+8*i:]))
		}
		if packed != size {
			t.Errorf("the frames have %d bytes, the file %d", packed, size)
		}
	})
}
