package rotate

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	kgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// written is a file of "web" that was published, and where its blocks ended while it was written.
type written struct {
	path string // of the file
	data []byte
	raw  []byte
	ends []Mark // behind each block
}

func writeFile(t testing.TB, c Codec, all [][]byte) written {
	t.Helper()
	dir := t.TempDir()
	s := openSeries(t, dir, Options{Codec: c, Seek: true}, nil)
	enc := newEncoder(t, c)
	var w written
	for _, chunk := range all {
		must(t, s.Append(enc, chunk))
		w.raw = append(w.raw, chunk...)
		w.ends = append(w.ends, s.cur.Mark)
	}
	w.path = filepath.Join(dir, s.cur.File)
	finish(t, s)
	w.data = readFile(t, w.path)
	return w
}

// TestReadersOfTheWorld has published files read by the programs that people use.
func TestReadersOfTheWorld(t *testing.T) {
	big := append(chunks(), noise(1, 2<<20), logText(1, 5<<20), bytes.Repeat([]byte{0}, 40<<15))
	const python = "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())"
	for _, c := range []Codec{Gzip, Zstd} {
		w := writeFile(t, c, big)
		cat := [][]string{{"gzip", "-dc"}, {"zcat"}, {"python3", "-c", python}}
		check := []string{"gzip", "-t"}
		if c == Zstd {
			cat = [][]string{{"zstd", "-dc"}, {"zstdcat"}}
			check = []string{"zstd", "-q", "-t"}
		}
		for _, args := range cat {
			cmd := exec.Command(args[0], append(args[1:], w.path)...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil || stderr.Len() > 0 {
				t.Fatalf("%v: %v %s", args, err, stderr.String())
			}
			wantBytes(t, out, w.raw)
		}
		if out, err := exec.Command(check[0], append(check[1:], w.path)...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v: %v %s", check, err, out)
		}
	}

	w := writeFile(t, Gzip, big)
	std, err := gzip.NewReader(bytes.NewReader(w.data))
	must(t, err)
	std.Multistream(false) // the readers that see the first member only see everything
	out, err := io.ReadAll(std)
	must(t, err)
	wantBytes(t, out, w.raw)

	w = writeFile(t, Zstd, big)
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxWindow(8<<20))
	must(t, err)
	defer dec.Close()
	out, err = dec.DecodeAll(w.data, nil)
	must(t, err)
	wantBytes(t, out, w.raw)
}

func TestGzipFormat(t *testing.T) {
	w := writeFile(t, Gzip, [][]byte{[]byte("hello\n"), []byte("world\n")})
	if want := "1f8b08000000000000ff"; fmt.Sprintf("%x", w.data[:10]) != want {
		t.Errorf("header %x, want %s", w.data[:10], want)
	}
	for _, m := range w.ends {
		if !bytes.HasSuffix(w.data[:m.Bytes], []byte{0, 0, 0xff, 0xff}) {
			t.Errorf("the block that ends at %d does not end in a sync flush", m.Bytes)
		}
	}
	if end := w.data[w.ends[1].Bytes:]; fmt.Sprintf("%x", end[:2]) != "0300" || len(end) != 10 || binary.LittleEndian.Uint32(end[6:]) != 12 {
		t.Errorf("end %x", end)
	}
}

// TestZstdSeekTable uses the seek table as a reader that jumps to a place does.
func TestZstdSeekTable(t *testing.T) {
	all := append(chunks(), logText(1, 3<<20+5), noise(2, 1<<20), logText(3, 255), logText(3, 256), logText(3, 65535+256), logText(3, 65536+256))
	w := writeFile(t, Zstd, all)
	foot := w.data[len(w.data)-9:]
	if magic := binary.LittleEndian.Uint32(foot[5:]); magic != 0x8F92EAB1 || foot[4] != 0 {
		t.Fatalf("footer %x", foot)
	}
	frames := int(binary.LittleEndian.Uint32(foot))
	if want := len(all) + 3; frames != want || w.ends[len(all)-1].Blocks != int64(want) {
		t.Fatalf("%d frames, want %d", frames, want)
	}
	table := w.data[len(w.data)-9-8*frames-8:]
	if magic, size := binary.LittleEndian.Uint32(table), binary.LittleEndian.Uint32(table[4:]); magic != 0x184D2A5E || int(size) != len(table)-8 {
		t.Fatalf("skippable frame %#x of %d bytes, want %d", magic, size, len(table)-8)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	must(t, err)
	defer dec.Close()
	var off, raw int
	for entry := table[8 : len(table)-9]; len(entry) > 0; entry = entry[8:] {
		packed, size := int(binary.LittleEndian.Uint32(entry)), int(binary.LittleEndian.Uint32(entry[4:]))
		out, err := dec.DecodeAll(w.data[off:off+packed], nil)
		must(t, err)
		if size > maxChunk {
			t.Errorf("a frame of %d bytes", size)
		}
		wantBytes(t, out, w.raw[raw:raw+size])
		var h zstd.Header
		must(t, h.Decode(w.data[off:]))
		if !h.HasFCS || h.FrameContentSize != uint64(size) || !h.HasCheckSum {
			t.Errorf("frame header %+v", h)
		}
		off, raw = off+packed, raw+size
	}
	if off != len(w.data)-len(table) || raw != len(w.raw) {
		t.Errorf("the table leads to %d and %d", off, raw)
	}
}

// TestZstdWithoutSeekTable sees that a file is its frames and nothing else: Trino takes no skippable one.
func TestZstdWithoutSeekTable(t *testing.T) {
	path := t.TempDir()
	s := openSeries(t, path, Options{Codec: Zstd}, nil)
	enc := newEncoder(t, Zstd)
	must(t, s.Append(enc, []byte("one\n")))
	must(t, s.Append(enc, []byte("two\n")))
	size := s.cur.Bytes
	finish(t, s)
	data := readFile(t, path, "web-2026-11-23_00000.zst")
	d, err := zstd.NewReader(bytes.NewReader(data))
	must(t, err)
	defer d.Close()
	text, err := io.ReadAll(d)
	must(t, err)
	if int64(len(data)) != size || string(text) != "one\ntwo\n" {
		t.Errorf("%d bytes, of which %d are frames, with %q", len(data), size, text)
	}
}

// TestSealWithDamagedFrames writes over a frame header of an open file: it is sealed without a table and keeps what is good.
func TestSealWithDamagedFrames(t *testing.T) {
	path := t.TempDir()
	log, text := logged()
	s := openSeries(t, path, Options{Codec: Zstd, Seek: true, Logger: log}, nil)
	enc := newEncoder(t, Zstd)
	must(t, s.Append(enc, []byte("good")))
	first := s.cur.Bytes
	must(t, s.Append(enc, []byte("damaged")))
	_, err := s.cur.f.WriteAt([]byte{0}, first)
	must(t, err)
	size := s.cur.Bytes
	finish(t, s)
	data := readFile(t, path, "web-2026-11-23_00000.zst")
	if int64(len(data)) != size || !strings.Contains(text.String(), "without its seek table") {
		t.Errorf("%d bytes, want %d; logged: %s", len(data), size, text)
	}
	out, err := read(t, data, Zstd, false)
	if string(out) != "good" || err == nil {
		t.Errorf("read %q, %v", out, err)
	}
}

// TestOpenFileCutAtEveryByte reads an open file that ends anywhere: no error, whole blocks, nothing else.
func TestOpenFileCutAtEveryByte(t *testing.T) {
	for _, c := range []Codec{Gzip, Zstd} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			w := writeFile(t, c, append(chunks(), noise(7, 40_000), bytes.Repeat([]byte{0, 0, 0xff, 0xff}, 20_000)))
			block := 0
			for cut := 0; cut <= len(w.data); cut++ {
				if cut > 10_000 && cut%97 != 0 && cut < len(w.data)-200 {
					continue
				}
				for block < len(w.ends) && int64(cut) >= w.ends[block].Bytes {
					block++
				}
				var want int64
				if block > 0 {
					want = w.ends[block-1].Raw
				}
				out, err := read(t, w.data[:cut], c, true)
				if err != nil {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				if int64(len(out)) != want || !bytes.HasPrefix(w.raw, out) {
					t.Fatalf("cut at %d: %d bytes, want %d", cut, len(out), want)
				}
				if cut < len(w.data) && cut%50 == 0 {
					if _, err := read(t, w.data[:cut], c, false); err == nil && c == Gzip {
						t.Fatalf("cut at %d: read as a published file there is no error", cut)
					}
				}
			}
		})
	}
	out, err := read(t, []byte("as it is\x00"), None, true)
	if err != nil || string(out) != "as it is\x00" {
		t.Errorf("none: %q, %v", out, err)
	}
}

// TestPublishedFileCutShort is an error with gzip everywhere and with zstd within a frame.
func TestPublishedFileCutShort(t *testing.T) {
	for _, c := range []Codec{Gzip, Zstd} {
		w := writeFile(t, c, [][]byte{logText(1, 5000), logText(2, 5000)})
		out, err := read(t, w.data[:w.ends[1].Bytes-3], c, false)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.HasPrefix(w.raw, out) {
			t.Errorf("%v: %v, %d bytes", c, err, len(out))
		}
	}
	if _, err := read(t, nil, Gzip, false); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an empty .gz: %v", err)
	}
}

// TestReaderWithAWait reads a file that grows: every block is there before more is asked for.
func TestReaderWithAWait(t *testing.T) {
	for _, c := range []Codec{Gzip, Zstd} {
		w := writeFile(t, c, chunks())
		feed := &feeder{}
		r, err := NewReader(feed, c, true)
		must(t, err)
		var got []byte
		var from int64
		for i, m := range w.ends {
			feed.data = w.data[from:m.Bytes]
			from = m.Bytes
			part := make([]byte, m.Raw-int64(len(got)))
			if _, err := io.ReadFull(r, part); err != nil {
				t.Fatalf("%v: block %d: %v", c, i, err)
			}
			got = append(got, part...)
		}
		wantBytes(t, got, w.raw)
		feed.data, feed.eof = w.data[from:], true
		if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
			t.Errorf("%v: %q, %v", c, rest, err)
		}
		must(t, r.Close())
		if _, err := r.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("%v: Read after Close: %v", c, err)
		}
	}
}

// feeder gives what it has; being asked for more is an error, because a real one would wait there for ever.
type feeder struct {
	data []byte
	eof  bool
}

func (f *feeder) Read(p []byte) (int, error) {
	if len(f.data) == 0 {
		if f.eof {
			return 0, io.EOF
		}
		return 0, errors.New("asked for more than was written")
	}
	n := copy(p, f.data)
	f.data = f.data[n:]
	return n, nil
}

func TestReaderPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range allCodecs {
		w := writeFile(t, c, chunks())
		half := io.MultiReader(bytes.NewReader(w.data[:len(w.data)/2]), iotest.ErrReader(broken))
		for _, open := range []bool{true, false} {
			r, err := NewReader(half, c, open)
			if err == nil {
				_, err = io.ReadAll(r)
			}
			if !errors.Is(err, broken) {
				t.Errorf("%v, open %v: %v", c, open, err)
			}
			half = io.MultiReader(iotest.ErrReader(broken))
		}
	}
}

// TestFilesOfOthers reads what other programs write.
func TestFilesOfOthers(t *testing.T) {
	text := logText(1, 200_000)
	var members bytes.Buffer
	for i := 0; i < len(text); i += 50_000 {
		gz := kgzip.NewWriter(&members)
		gz.Name = "a name"
		_, err := gz.Write(text[i : i+50_000])
		must(t, err)
		must(t, gz.Close())
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(false))
	must(t, err)
	frames := enc.EncodeAll(text[:100_000], []byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3})
	var stream bytes.Buffer // without content size
	enc.Reset(&stream)
	_, err = enc.Write(text[100_000:])
	must(t, err)
	must(t, enc.Close())
	frames = append(frames, stream.Bytes()...)
	for _, open := range []bool{false, true} {
		out, err := read(t, members.Bytes(), Gzip, open)
		must(t, err)
		wantBytes(t, out, text)
		out, err = read(t, frames, Zstd, open)
		must(t, err)
		wantBytes(t, out, text)
	}
	out, err := read(t, members.Bytes()[:members.Len()-20], Gzip, true)
	must(t, err)
	wantBytes(t, out, text[:150_000])
}

// TestLargeBlocksAreNotHeld reads a block that is larger than what a reader may hold back.
func TestLargeBlocksAreNotHeld(t *testing.T) {
	zeros := bytes.Repeat([]byte{0}, maxHeld+1<<20)
	w := writeFile(t, Gzip, [][]byte{zeros})
	out, err := read(t, w.data[:len(w.data)-100], Gzip, true)
	must(t, err)
	if len(out) < maxHeld || !bytes.HasPrefix(zeros, out) {
		t.Errorf("gzip: %d bytes", len(out))
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	must(t, err)
	big := noise(1, maxHeld+1<<20)
	frame := enc.EncodeAll(big, nil)
	out, err = read(t, frame[:len(frame)-100], Zstd, true)
	must(t, err)
	if len(out) < maxHeld || !bytes.HasPrefix(big, out) {
		t.Errorf("zstd: %d bytes", len(out))
	}
}

// TestFlippedBytes damages published files: with the checksums no wrong byte goes unnoticed.
func TestFlippedBytes(t *testing.T) {
	for _, c := range []Codec{Gzip, Zstd} {
		w := writeFile(t, c, chunks())
		for i := range w.data {
			if c == Zstd && int64(i) >= w.ends[len(w.ends)-1].Bytes {
				break // the seek table: not read
			}
			if c == Gzip && i >= 3 && i < 10 {
				continue // flags that add fields, time, system
			}
			bad := bytes.Clone(w.data)
			bad[i] ^= byte(1 + rand.IntN(255))
			out, err := read(t, bad, c, false)
			if err == nil && !bytes.Equal(out, w.raw) {
				t.Fatalf("%v: byte %d: wrong bytes and no error", c, i)
			}
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, c := range []Codec{Gzip, Zstd} {
		w := writeFile(f, c, chunks()[:4])
		for _, open := range []bool{true, false} {
			f.Add(w.data, int(c), open)
			f.Add(w.data[:len(w.data)/2], int(c), open)
		}
	}
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, int(Zstd), true)
	f.Add([]byte{0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 1}, int(Zstd), true)
	f.Fuzz(func(t *testing.T, data []byte, c int, open bool) {
		r, err := NewReader(bytes.NewReader(data), Codec(uint(c)%3), open)
		if err != nil {
			return
		}
		n, err := io.Copy(io.Discard, io.LimitReader(r, 8<<20))
		if z, ok := r.(*zstdTail); ok && z.frame.Cap() > 2*len(data)+4096 {
			t.Errorf("%d bytes are held for %d of input", z.frame.Cap(), len(data))
		}
		if g, ok := r.(*gzipTail); ok && cap(g.held) > 3*maxHeld {
			t.Errorf("%d bytes are held", cap(g.held))
		}
		if err == nil && open && n < 8<<20 {
			if _, err := r.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("no lasting end: %v", err)
			}
		}
		must(t, r.Close())
	})
}

// TestOpenReaderEndsCleanlyWhileWriting reads the real hidden file between appends.
func TestOpenReaderEndsCleanlyWhileWriting(t *testing.T) {
	for _, c := range allCodecs {
		path := t.TempDir()
		s := openSeries(t, path, Options{Codec: c}, nil)
		enc := newEncoder(t, c)
		var want []byte
		for _, chunk := range chunks() {
			must(t, s.Append(enc, chunk))
			want = append(want, chunk...)
			wantBytes(t, readSeries(t, path), want)
		}
		must(t, s.Seal())
		wantBytes(t, readSeries(t, path), want)
		if _, err := os.Stat(filepath.Join(path, ".web-2026-11-23_00000"+c.Suffix()+".open")); err != nil {
			t.Error(err)
		}
	}
}
