package archive

import (
	"bytes"
	stdflate "compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
	"inkwell/store/index"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// text is so many lines that can be told apart.
func text(from, to int) []byte {
	var b bytes.Buffer
	r := rand.New(rand.NewPCG(uint64(from), 7))
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "%07d %x GET /item/%d HTTP/1.1 200 %d\n", i, r.Uint64(), r.IntN(1000), r.IntN(100000))
	}
	return b.Bytes()
}

// made is a file as a collector writes it, with its index.
type made struct {
	path   string
	raw    []byte
	blocks []index.Block
	open   bool
	series *rotate.Series
}

var begun = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// write makes a file of chunks of so many lines each, a minute apart.
func write(t testing.TB, c rotate.Codec, chunks, each int, open bool) made {
	t.Helper()
	m := begin(t, c, chunks, each)
	if !open {
		m.finish(t)
	}
	must(t, m.series.Close())
	return m
}

// begin is write of a file that is open. The caller closes its series.
func begin(t testing.TB, c rotate.Codec, chunks, each int) made {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web")
	must(t, os.Mkdir(path, 0o700))
	dir, err := faultfs.OpenDir(path, nil)
	must(t, err)
	s, err := rotate.Open(dir, rotate.Options{Base: "web", Codec: c, Now: func() time.Time { return begun }}, nil)
	must(t, err)
	enc, err := rotate.NewEncoder(c, 0)
	must(t, err)
	m := made{open: true, series: s}
	for k := range chunks {
		chunk := text(k*each, (k+1)*each)
		must(t, s.Append(enc, chunk))
		at := s.Newest()
		b := index.Block{Offset: at.Offset, Length: at.Length, Sum: at.Sum, Raw: int64(len(chunk)), Entries: int64(each), First: begun.Add(time.Duration(k) * time.Minute),
			Last: begun.Add(time.Duration(k)*time.Minute + 30*time.Second)}
		b.Saw([16]byte{byte(k % 3)})
		m.blocks = append(m.blocks, b)
		m.raw = append(m.raw, chunk...)
	}
	name := s.Current()
	must(t, index.Append(dir, name, m.blocks))
	m.publish(t)
	if m.path = filepath.Join(path, name); c != rotate.None {
		m.path = filepath.Join(path, rotate.Hidden(name))
	}
	return m
}

// finish seals an open file and gives it its final name.
func (m *made) finish(t testing.TB) {
	t.Helper()
	m.path = filepath.Join(filepath.Dir(m.path), m.series.Current())
	must(t, m.series.Seal())
	m.publish(t)
	m.open = false
}

func (m *made) publish(t testing.TB) {
	t.Helper()
	st, err := m.series.Sync(nil)
	must(t, err)
	must(t, m.series.Publish(st, nil))
}

func (m *made) file(t testing.TB) File {
	t.Helper()
	f, err := Single(m.path)
	must(t, err)
	return f
}

// all reads a file.
func all(t testing.TB, f File, o Options) (data []byte, lost []*Damage) {
	t.Helper()
	o.Lost = func(d *Damage) { lost = append(lost, d) }
	passed := int64(0)
	o.Progress = func(n int64) { passed += n }
	r, err := Open(context.Background(), f, o)
	must(t, err)
	for {
		c, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		if c.Raw >= 0 && o.Want == nil && o.From.Offset == 0 && c.Raw != int64(len(data)) && len(lost) == 0 {
			t.Fatalf("a chunk at %d, %d bytes were before it", c.Raw, len(data))
		}
		data = append(data, c.Data...)
	}
	must(t, r.Close())
	if passed != f.Size {
		t.Errorf("the progress of reading %d bytes comes to %d", f.Size, passed)
	}
	return data, lost
}

// TestReader reads files of one and of many chunks, of which some are larger than a unit and some are several in one,
// while they are open and when they are finished.
func TestReader(t *testing.T) {
	for _, c := range []rotate.Codec{rotate.Gzip, rotate.Zstd, rotate.None} {
		for _, shape := range []struct{ chunks, each int }{{1, 1}, {3, 10}, {500, 3}, {3, 20000}, {40, 2500}} {
			m := begin(t, c, shape.chunks, shape.each)
			m.reads(t, c)
			m.finish(t)
			m.reads(t, c)
			must(t, m.series.Close())
		}
	}
}

// reads reads the file with and without its index, whole and in part.
func (m *made) reads(t *testing.T, c rotate.Codec) {
	t.Helper()
	what := fmt.Sprintf("%v, %d chunks, open %v", c, len(m.blocks), m.open)
	for _, blocks := range [][]index.Block{nil, m.blocks, m.blocks[:len(m.blocks)/2], m.blocks[len(m.blocks)/2:]} {
		got, lost := all(t, m.file(t), Options{Blocks: blocks})
		if !bytes.Equal(got, m.raw) || len(lost) > 0 {
			t.Errorf("%s, %d blocks: %d of %d bytes, lost %v", what, len(blocks), len(got), len(m.raw), lost)
		}
	}
	// From the middle, and only some of the blocks.
	k := len(m.blocks) / 2
	raw := 0
	for i := range m.blocks[:k] {
		raw += int(m.blocks[i].Raw)
	}
	got, lost := all(t, m.file(t), Options{From: Position{m.blocks[k].Offset, int64(raw)}})
	if k > 0 && (!bytes.Equal(got, m.raw[raw:]) || len(lost) > 0) {
		t.Errorf("%s, from the middle: %d bytes, lost %v", what, len(got), lost)
	}
	want := func(b *index.Block) bool { return b.Offset == m.blocks[k].Offset }
	got, lost = all(t, m.file(t), Options{Blocks: m.blocks, Want: want})
	if !bytes.Equal(got, m.raw[raw:raw+int(m.blocks[k].Raw)]) || len(lost) > 0 {
		t.Errorf("%s, one block: %d bytes, lost %v", what, len(got), lost)
	}
}

// TestReaderOfAnOpenFile: it ends behind its last whole block, wherever the bytes end.
func TestReaderOfAnOpenFile(t *testing.T) {
	for _, c := range []rotate.Codec{rotate.Gzip, rotate.Zstd} {
		m := write(t, c, 4, 50, true)
		data, err := os.ReadFile(m.path)
		must(t, err)
		for size := 0; size <= len(data); size += 1 + size/50 {
			must(t, os.WriteFile(m.path, data[:size], 0o600))
			want := 0
			for _, b := range m.blocks {
				if b.End() <= int64(size) {
					want += int(b.Raw)
				}
			}
			for _, blocks := range [][]index.Block{nil, m.blocks} {
				f := m.file(t)
				f.Codec = c
				got, lost := all(t, f, Options{Blocks: blocks})
				if !bytes.Equal(got, m.raw[:want]) || len(lost) > 0 {
					t.Fatalf("%v, %d bytes of %d: %d bytes, want %d, lost %v", c, size, len(data), len(got), want, lost)
				}
			}
		}
	}
}

// TestDamage costs its block, with an index and without.
func TestDamage(t *testing.T) {
	for _, c := range []rotate.Codec{rotate.Gzip, rotate.Zstd} {
		m := write(t, c, 9, 2000, false)
		good, err := os.ReadFile(m.path)
		must(t, err)
		at := 0
		for k, b := range m.blocks {
			kinds := []string{"zeros", "noise", "bit"}
			if c == rotate.Gzip {
				kinds = append(kinds, "end")
			}
			for _, kind := range kinds {
				bad := bytes.Clone(good)
				place := bad[b.Offset+b.Length/3 : b.Offset+b.Length/3+200]
				switch kind {
				case "zeros":
					clear(place)
				case "noise":
					for i := range place {
						place[i] ^= byte(rand.Uint32())
					}
				case "bit":
					place[7] ^= 0x10
				case "end": // of the stream, as it seems
					copy(bad[b.Offset:], []byte{3, 0})
				}
				must(t, os.WriteFile(m.path, bad, 0o600))
				want := append(bytes.Clone(m.raw[:at]), m.raw[at+int(b.Raw):]...)
				got, lost := all(t, m.file(t), Options{Blocks: m.blocks})
				if !bytes.Equal(got, want) || len(lost) != 1 || lost[0].Entries != 2000 || lost[0].Offset != b.Offset {
					t.Errorf("%v, block %d, %s: %d bytes, want %d; lost %v", c, k, kind, len(got), len(want), lost)
				}
				got, lost = all(t, m.file(t), Options{})
				switch {
				case len(lost) == 0:
					t.Errorf("%v, block %d, %s: nothing is told", c, k, kind)
				case !bytes.HasPrefix(got, m.raw[:at]) || !bytes.HasSuffix(got, m.raw[at+int(b.Raw):]): // in the block it can pass unseen up to the checksum at the end
					t.Errorf("%v, block %d, %s, without an index: %d bytes, want %d; lost %v", c, k, kind, len(got), len(want), lost)
				}
			}
			at += int(b.Raw)
		}
	}
}

// TestStaleIndex: one of another file costs nothing.
func TestStaleIndex(t *testing.T) {
	for _, c := range []rotate.Codec{rotate.Gzip, rotate.Zstd} {
		m, other := write(t, c, 5, 1000, false), write(t, c, 7, 900, false)
		for cut := range len(other.blocks) {
			got, lost := all(t, m.file(t), Options{Blocks: other.blocks[cut:]})
			if !bytes.Equal(got, m.raw) {
				t.Errorf("%v, without %d: %d bytes of %d, lost %v", c, cut, len(got), len(m.raw), lost)
			}
		}
	}
}

// foreign are files as others make them.
func foreign(t *testing.T, raw []byte) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	member := func(part []byte, level int, flush int) []byte {
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, level)
		must(t, err)
		for len(part) > 0 {
			n := min(flush, len(part))
			w.Write(part[:n])
			if part = part[n:]; len(part) > 0 {
				w.Flush()
			}
		}
		must(t, w.Close())
		return b.Bytes()
	}
	whole := len(raw) + 1
	all["one member"] = member(raw, 6, whole)
	all["flushed, with matches across"] = member(raw, 6, 5000)
	all["flushed line by line"] = member(raw[:len(raw)/8], 9, 60)
	all["stored"] = member(raw, 0, whole)
	all["huffman"] = member(raw, stdflate.HuffmanOnly, whole)
	third := len(raw) / 3
	all["many members"] = append(append(member(raw[:third], 6, whole), member(raw[third:2*third], 1, whole)...), member(raw[2*third:], 9, 4000)...)
	all["zeros behind"] = append(member(raw, 6, whole), make([]byte, 1000)...)
	all["zeros behind two members"] = append(append(member(raw[:third], 6, whole), member(raw[third:], 6, whole)...), make([]byte, 3000)...)
	var named bytes.Buffer
	w := gzip.NewWriter(&named)
	w.Name, w.Comment, w.ModTime = "access.log", "a comment", begun
	w.Write(raw)
	must(t, w.Close())
	all["with a name"] = named.Bytes()
	enc, err := zstd.NewWriter(nil)
	must(t, err)
	all["zstd"] = enc.EncodeAll(raw, nil)
	all["zstd frames"] = append(enc.EncodeAll(raw[:third], nil), enc.EncodeAll(raw[third:], nil)...)
	var stream bytes.Buffer
	z, err := zstd.NewWriter(&stream)
	must(t, err)
	z.Write(raw)
	must(t, z.Close())
	all["zstd stream"] = stream.Bytes()
	all["plain"] = raw
	return all
}

func TestForeignFiles(t *testing.T) {
	raw := text(0, 40000)
	files := foreign(t, raw)
	for name, data := range files {
		want := raw
		if strings.Contains(name, "line by line") {
			want = raw[:len(raw)/8]
		}
		path := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(path, data, 0o600))
		f, err := Single(path)
		must(t, err)
		got, lost := all(t, f, Options{})
		if !bytes.Equal(got, want) || len(lost) > 0 {
			t.Errorf("%s: %d bytes of %d, lost %v", name, len(got), len(want), lost)
		}
		if name == "plain" {
			continue
		}
		must(t, os.WriteFile(path, data[:len(data)*2/3], 0o600))
		got, lost = all(t, f, Options{})
		if !bytes.HasPrefix(want, got) || len(lost) != 1 {
			t.Errorf("%s, cut: %d bytes of %d, lost %v", name, len(got), len(want), lost)
		}
	}
	// Damage in one member, and more members behind it; and something else behind the end.
	damaged, followed := bytes.Clone(files["many members"]), append(bytes.Clone(files["many members"]), "garbage\n"...)
	clear(damaged[1000:3000])
	for want, data := range map[string][]byte{string(raw[len(raw)/3*2:]): damaged, string(raw): followed} {
		path := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(path, data, 0o600))
		f, err := Single(path)
		must(t, err)
		got, lost := all(t, f, Options{})
		if len(lost) == 0 || !bytes.HasSuffix(got, []byte(want)) {
			t.Errorf("%d bytes, want the last %d; lost %v", len(got), len(want), lost)
		}
	}
}

// FuzzReader: whatever is in a file and its index, a reader ends, and what it loses it tells.
func FuzzReader(f *testing.F) {
	for _, c := range []rotate.Codec{rotate.Gzip, rotate.Zstd} {
		m := write(f, c, 3, 5, false)
		data, err := os.ReadFile(m.path)
		must(f, err)
		f.Add(data, int64(10), int64(50), int64(100), true)
		f.Add(data, m.blocks[1].Offset, m.blocks[1].Length, m.blocks[1].Raw, false)
	}
	f.Add(text(0, 10), int64(0), int64(233), int64(199), false) // plain text, and an index that counts other bytes
	f.Fuzz(func(t *testing.T, data []byte, off, length, raw int64, open bool) {
		path := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(path, data, 0o600))
		file, err := Single(path)
		must(t, err)
		file.Open = open
		var blocks []index.Block
		if off >= 0 && length > 0 && length < 1<<20 && raw >= 0 && raw < 1<<20 {
			blocks = []index.Block{{Offset: off, Length: length, Raw: raw}}
		}
		got, lost := all(t, file, Options{Blocks: blocks})
		if file.Codec != rotate.Gzip || open {
			return
		}
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		want, err := io.ReadAll(io.LimitReader(z, 10<<20))
		if err == nil && len(want) < 10<<20 && !bytes.Equal(got, want) && len(lost) == 0 {
			t.Errorf("%q, want %q", got, want)
		}
		if err != nil && len(lost) == 0 && !errors.Is(err, gzip.ErrHeader) {
			t.Errorf("%v, and nothing is told; got %q", err, got)
		}
	})
}
