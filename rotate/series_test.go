package rotate

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSeriesWritesWhatWasAppended(t *testing.T) {
	for _, c := range allCodecs {
		t.Run(c.String(), func(t *testing.T) {
			path := t.TempDir()
			s := openSeries(t, path, Options{Codec: c}, nil)
			enc := newEncoder(t, c)
			var want []byte
			for i, chunk := range [][]byte{
				logText(1, 100_000), []byte("x"), {0, 0xff, '\n'}, noise(1, 300_000), bytes.Repeat([]byte{0}, 1<<20), []byte("no newline at the end"),
				logText(2, 3<<20), noise(2, maxChunk+1), {}, nil, logText(3, 255), logText(4, 256), logText(5, 1024), logText(6, 1025),
			} {
				if err := s.Append(enc, chunk); err != nil {
					t.Fatalf("chunk %d: %v", i, err)
				}
				want = append(want, chunk...)
			}
			wantBytes(t, readSeries(t, path), want)
			finish(t, s)
			wantNames(t, path, "web-2026-11-23_00000"+c.Suffix())
			wantBytes(t, readSeries(t, path), want)
		})
	}
}

func TestEmptySeriesMakesNoFile(t *testing.T) {
	path := t.TempDir()
	s := openSeries(t, path, Options{}, nil)
	must(t, s.Append(newEncoder(t, Gzip), nil))
	must(t, s.Tick())
	finish(t, s)
	wantNames(t, path, "")
	if err := s.Append(newEncoder(t, Gzip), []byte("x")); err == nil {
		t.Error("Append works after Close")
	}
}

func TestNamesAreCommits(t *testing.T) {
	path := t.TempDir()
	s := openSeries(t, path, Options{}, nil)
	enc := newEncoder(t, Gzip)
	must(t, s.Append(enc, []byte("one\n")))
	wantNames(t, path, ".web-2026-11-23_00000.gz.open")
	must(t, s.Seal())
	wantNames(t, path, ".web-2026-11-23_00000.gz.open")
	st := syncState(t, s)
	if st.Open != nil || len(st.Sealed) != 1 || st.Sealed[0] != "web-2026-11-23_00000.gz" {
		t.Errorf("unexpected state %+v", st)
	}
	must(t, s.Append(enc, []byte("two\n")))
	must(t, s.Seal()) // behind st
	if s.Idle() {
		t.Error("idle with files to publish")
	}
	must(t, s.Publish(st, nil))
	wantNames(t, path, ".web-2026-11-23_00001.gz.open web-2026-11-23_00000.gz")
	must(t, s.Publish(st, nil))
	finish(t, s)
	wantNames(t, path, "web-2026-11-23_00000.gz web-2026-11-23_00001.gz")
}

func TestPlainIsVisibleFromTheFirstPublish(t *testing.T) {
	path := t.TempDir()
	c := &clock{noon}
	s := openSeries(t, path, Options{Codec: None, Link: true, Now: c.now}, nil)
	enc := newEncoder(t, None)
	must(t, s.Append(enc, []byte("one\n")))
	wantNames(t, path, ".web-2026-11-23_00000.open")
	checkpoint(t, s)
	wantNames(t, path, "web-2026-11-23_00000 web_current")
	must(t, s.Append(enc, []byte("two\x00\xff")))
	if got := string(readFile(t, path, "web_current")); got != "one\ntwo\x00\xff" {
		t.Errorf("through the link: %q", got)
	}
	checkpoint(t, s)
	c.t = c.t.Add(24 * time.Hour)
	must(t, s.Append(enc, []byte("three")))
	if target, err := os.Readlink(filepath.Join(path, "web_current")); err != nil || target != "web-2026-11-23_00000" {
		t.Errorf("the link points to %q before the publish (%v)", target, err)
	}
	finish(t, s)
	wantNames(t, path, "web-2026-11-23_00000 web-2026-11-24_00000 web_current")
	if target, err := os.Readlink(filepath.Join(path, "web_current")); err != nil || target != "web-2026-11-24_00000" {
		t.Errorf("the link points to %q (%v)", target, err)
	}
}

func TestNothingIsReplaced(t *testing.T) {
	for _, c := range []Codec{Gzip, None} {
		path := t.TempDir()
		s := openSeries(t, path, Options{Codec: c}, nil)
		must(t, s.Append(newEncoder(t, c), []byte("ours")))
		foreign := filepath.Join(path, "web-2026-11-23_00000"+c.Suffix())
		must(t, os.WriteFile(foreign, []byte("theirs"), 0o600))
		if c == Gzip {
			must(t, s.Seal())
		}
		st := syncState(t, s)
		err := s.Publish(st, nil)
		if err == nil || !strings.Contains(err.Error(), "move it away") {
			t.Fatalf("%v: publish over a foreign file: %v", c, err)
		}
		if got := string(readFile(t, foreign)); got != "theirs" {
			t.Errorf("%v: the foreign file is now %q", c, got)
		}
		must(t, os.Remove(foreign))
		must(t, s.Publish(st, nil))
		finish(t, s)
		wantBytes(t, readSeries(t, path), []byte("ours"))
	}
}

func TestNumbers(t *testing.T) {
	path := t.TempDir()
	touch := func(names ...string) {
		for _, n := range names {
			must(t, os.WriteFile(filepath.Join(path, n), []byte("x"), 0o600))
		}
	}
	now := &clock{noon}
	begin := func(o Options) string {
		o.Now = now.now
		s := openSeries(t, path, o, &State{})
		must(t, s.Append(newEncoder(t, o.Codec), []byte("x")))
		name := s.cur.File
		finish(t, s)
		return name
	}
	check := func(o Options, want string) {
		t.Helper()
		if got := begin(o); got != want {
			t.Errorf("the file is called %q, want %q", got, want)
		}
	}
	check(Options{}, "web-2026-11-23_00000.gz")
	touch("web-2026-11-23_00007.zst", "web-2026-11-23_00009x.gz", "web-2026-11-22_00100.gz", "web-2026-11-23_000010", "web-2026-11-23_9.gz", "webb-2026-11-23_00020.gz")
	check(Options{Codec: None}, "web-2026-11-23_00008")
	touch(".web-2026-11-23_00012.gz.orphan")
	check(Options{}, "web-2026-11-23_00013.gz")
	touch("web-2026-11-23_99999.gz")
	check(Options{}, "web-2026-11-23_100000.gz")
	check(Options{}, "web-2026-11-23_100001.gz")
	now.t = noon.Add(-24 * time.Hour) // set back
	check(Options{}, "web-2026-11-22_00101.gz")
	check(Options{Period: Period{kind: never}}, "web_00000.gz")
	check(Options{Period: Period{kind: never}, Codec: Zstd}, "web_00001.zst")
}

func TestNumbersOfRemovedFilesAreNotUsedAgain(t *testing.T) {
	path := t.TempDir()
	s := openSeries(t, path, Options{}, nil)
	enc := newEncoder(t, Gzip)
	for range 3 {
		must(t, s.Append(enc, []byte("x")))
		must(t, s.Seal())
		checkpoint(t, s)
	}
	for _, name := range strings.Fields(names(t, path)) {
		must(t, os.Remove(filepath.Join(path, name)))
	}
	must(t, s.Append(enc, []byte("x")))
	finish(t, s)
	wantNames(t, path, "web-2026-11-23_00003.gz")
}

func TestFilesInOrder(t *testing.T) {
	path := t.TempDir()
	want := []string{"web_00003.gz", "web_00004", "web-2026-11-22_00002.zst", "web-2026-11-22_99999.gz", "web-2026-11-22_100000.gz", ".web-2026-11-23_00000.gz.open"}
	for _, n := range append([]string{"web_current", ".web-2026-11-23_00001.gz.orphan", ".web.tmp", "web-2026-13-22_00001", "web-2026-11-22_0001", "web-2026-11-22_000001"}, want...) {
		must(t, os.WriteFile(filepath.Join(path, n), []byte(n), 0o600))
	}
	must(t, os.Mkdir(filepath.Join(path, "web_00009"), 0o700))
	must(t, os.Symlink("web_00004", filepath.Join(path, "web_00008")))
	files, err := Files(openDir(t, path, nil), "web")
	must(t, err)
	if len(files) != len(want) {
		t.Fatalf("got %+v", files)
	}
	for i, f := range files {
		codec := map[string]Codec{".gz": Gzip, ".zst": Zstd, ".open": Gzip, "": None}[filepath.Ext(f.Name)]
		if i == 5 {
			codec = Gzip
		}
		if f.Name != want[i] || f.Open != (i == 5) || f.Codec != codec || f.Size != int64(len(want[i])) {
			t.Errorf("file %d is %+v, want %s", i, f, want[i])
		}
	}
}

// TestFilesWhilePublishing lists a series while its files are renamed: no file may be missing or be listed twice.
func TestFilesWhilePublishing(t *testing.T) {
	path := t.TempDir()
	s := openSeries(t, path, Options{}, nil)
	enc := newEncoder(t, Gzip)
	dir := openDir(t, path, nil)
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		seen := 0
		for {
			files, err := Files(dir, "web")
			if err == nil && len(files) < seen {
				err = os.ErrNotExist
			}
			for i, f := range files {
				if id, _, _ := parseName("web", strings.TrimSuffix(strings.TrimPrefix(f.Name, "."), ".open")); id.number != int64(i) {
					err = os.ErrExist
				}
			}
			seen = max(seen, len(files))
			select {
			case <-stop:
				done <- err
				return
			default:
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	for range 300 {
		must(t, s.Append(enc, []byte("x")))
		must(t, s.Seal())
		checkpoint(t, s)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Errorf("a listing lost or doubled a file: %v", err)
	}
}

func TestMaxSizeIsNeverPassed(t *testing.T) {
	for _, c := range allCodecs {
		for _, size := range []int64{700, 5_000, 60_000} {
			path := t.TempDir()
			s := openSeries(t, path, Options{Codec: c, MaxSize: size}, nil)
			enc := newEncoder(t, c)
			most := MaxChunk(c, size)
			var want []byte
			for i := range uint64(200) {
				n := int(i*i*i) % (most + 1)
				chunk := noise(i, n)
				if i%3 == 0 {
					chunk = logText(i, n)
				}
				if i%50 == 0 {
					chunk = noise(i, most)
				}
				must(t, s.Append(enc, chunk))
				want = append(want, chunk...)
			}
			finish(t, s)
			files, err := Files(openDir(t, path, nil), "web")
			must(t, err)
			for _, f := range files {
				if f.Size > size {
					t.Errorf("%v, at most %d: %s has %d bytes", c, size, f.Name, f.Size)
				}
			}
			if len(files) < 2 {
				t.Errorf("%v, at most %d: only %d files", c, size, len(files))
			}
			wantBytes(t, readSeries(t, path), want)
		}
	}
}

// TestMaxSizeIsUsed checks that a file is not sealed while the next block would still fit.
func TestMaxSizeIsUsed(t *testing.T) {
	for _, c := range allCodecs {
		path := t.TempDir()
		enc := newEncoder(t, c)
		chunk := noise(1, 1000)
		b, err := enc.encode(chunk)
		must(t, err)
		size := 3*int64(len(b.data)) + tailSize(c, 3)
		if c == Gzip {
			size += int64(len(gzipHeader))
		}
		s := openSeries(t, path, Options{Codec: c, Seek: true, MaxSize: size}, nil)
		for range 7 {
			must(t, s.Append(enc, chunk))
		}
		finish(t, s)
		files, err := Files(openDir(t, path, nil), "web")
		must(t, err)
		if len(files) != 3 || files[0].Size != size || files[1].Size != size {
			t.Errorf("%v: got %+v, want two files of exactly %d bytes and a third", c, files, size)
		}
	}
}

func TestChunkThatIsTooLargeHasAFileOfItsOwn(t *testing.T) {
	for _, c := range allCodecs {
		path := t.TempDir()
		s := openSeries(t, path, Options{Codec: c, MaxSize: 5000}, nil)
		enc := newEncoder(t, c)
		var want []byte
		for i, n := range []int{100, 20_000, 100, 100, 3 << 20} {
			chunk := noise(uint64(i), n)
			must(t, s.Append(enc, chunk))
			want = append(want, chunk...)
		}
		finish(t, s)
		wantBytes(t, readSeries(t, path), want)
		files, err := Files(openDir(t, path, nil), "web")
		must(t, err)
		if len(files) != 4 {
			t.Fatalf("%v: %+v, want four files", c, files)
		}
		for i, n := range []int{100, 20_000, 200, 3 << 20} {
			data, err := read(t, readFile(t, path, files[i].Name), c, false)
			if err != nil || len(data) != n {
				t.Errorf("%v: %s holds %d bytes, want %d (%v)", c, files[i].Name, len(data), n, err)
			}
		}
	}
}

func TestMaxChunk(t *testing.T) {
	for _, c := range allCodecs {
		if got := MaxChunk(c, 0); got != 1<<20 {
			t.Errorf("%v without limit: %d", c, got)
		}
		if got := MaxChunk(c, 1); got != 1 {
			t.Errorf("%v with a hopeless limit: %d", c, got)
		}
		if got := MaxChunk(c, 1<<30); got != 1<<20 {
			t.Errorf("%v with 1 GiB: %d", c, got)
		}
	}
	for c, levels := range map[Codec][]int{Gzip: {1, 2, 3, 4, 5, 6, 7, 9}, Zstd: {1, 3, 6, 10}} {
		for _, level := range levels {
			enc, err := NewEncoder(c, level)
			must(t, err)
			for _, size := range []int64{100, 150, 300, 1000, 20_000, 70_000, 300_000} {
				n := MaxChunk(c, size)
				half := noise(9, n)
				for i := range half { // as hard for a Huffman coder as it gets: nearly, but not quite worth it
					half[i] &= 0xfe
				}
				for _, chunk := range [][]byte{noise(uint64(level), n), half, logText(1, n), bytes.Repeat([]byte{'x'}, n)} {
					b, err := enc.encode(chunk)
					must(t, err)
					w := file{codec: c}
					if c == Gzip {
						w.Bytes = int64(len(gzipHeader))
					}
					if got := w.sizeWith(b); got > size && n > 1 {
						t.Errorf("%v level %d: %d bytes become a file of %d, want at most %d", c, level, n, got, size)
					}
				}
			}
		}
	}
}

func TestSameBytesMakeTheSameFile(t *testing.T) {
	for _, c := range allCodecs {
		write := func(enc *Encoder) []byte {
			path := t.TempDir()
			s := openSeries(t, path, Options{Codec: c}, nil)
			for i := range uint64(5) {
				must(t, s.Append(enc, logText(i, 200_000)))
			}
			finish(t, s)
			return readFile(t, path, "web-2026-11-23_00000"+c.Suffix())
		}
		used := newEncoder(t, c)
		if _, err := used.encode(noise(3, 500_000)); err != nil {
			t.Fatal(err)
		}
		if a, b := write(used), write(newEncoder(t, c)); !bytes.Equal(a, b) {
			t.Errorf("%v: what an encoder did before changes its output", c)
		}
	}
}

func TestEncoderRefusesWhatItCannotDo(t *testing.T) {
	for _, bad := range []struct {
		c     Codec
		level int
	}{{Gzip, -1}, {Gzip, 10}, {Zstd, -1}, {Zstd, 23}} {
		if _, err := NewEncoder(bad.c, bad.level); err == nil {
			t.Errorf("%v level %d is accepted", bad.c, bad.level)
		}
	}
	s := openSeries(t, t.TempDir(), Options{}, nil)
	if err := s.Append(newEncoder(t, Zstd), []byte("x")); err == nil {
		t.Error("a zstd encoder is accepted by a gzip series")
	}
	for _, name := range []string{"gzip", "zstd", "none"} {
		if c, err := ParseCodec(name); err != nil || c.String() != name {
			t.Errorf("ParseCodec(%q) = %v, %v", name, c, err)
		}
	}
	if _, err := ParseCodec("lz4"); err == nil {
		t.Error("lz4 is accepted")
	}
}
