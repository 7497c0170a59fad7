package rotate

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestStanding takes away what is being written, in every way that does not need another file system: it is noticed by
// whoever looks, by Sync and by Seal, and nothing is said to be durable that nobody will find.
func TestStanding(t *testing.T) {
	aways := map[string]func(dir, open string) error{
		"removed": func(_, open string) error { return os.Remove(open) },
		"renamed": func(_, open string) error { return os.Rename(open, open+"x") },
		"cut":     func(_, open string) error { return os.Truncate(open, 3) },
		"replaced": func(_, open string) error {
			return errors.Join(os.WriteFile(open+"x", make([]byte, 1000), 0o600), os.Rename(open+"x", open))
		},
		"directory removed":     func(dir, _ string) error { return os.RemoveAll(dir) },
		"directory moved":       func(dir, _ string) error { return os.Rename(dir, dir+"x") },
		"directory exchanged":   func(dir, _ string) error { return errors.Join(os.Rename(dir, dir+"x"), os.Mkdir(dir, 0o700)) },
		"directory not reached": func(dir, _ string) error { return os.Rename(filepath.Dir(dir), filepath.Dir(dir)+"x") },
	}
	for name, away := range aways {
		for _, c := range allCodecs {
			t.Run(name+" "+c.String(), func(t *testing.T) {
				for _, notices := range []struct {
					name string
					do   func(s *Series) error
				}{
					{"Standing", (*Series).Standing},
					{"Sync", func(s *Series) error { _, err := s.Sync(nil); return err }},
					{"Seal", (*Series).Seal},
				} {
					dir := filepath.Join(t.TempDir(), "above", "web")
					s := openSeries(t, dir, Options{Codec: c}, nil)
					must(t, s.Append(newEncoder(t, c), []byte("first\n")))
					must(t, s.Standing())
					st := syncState(t, s)
					must(t, away(dir, filepath.Join(dir, Hidden(st.Open.File))))
					if err := notices.do(s); !errors.Is(err, ErrBroken) {
						t.Errorf("%s: %v", notices.name, err)
					}
					if err := s.Append(newEncoder(t, c), []byte("more\n")); !errors.Is(err, ErrBroken) {
						t.Errorf("%s, and then Append: %v", notices.name, err)
					}
					must(t, s.Close())
				}
			})
		}
	}
}

// TestSealedFileIsTakenAway: a finished file that waits for its name is looked after, too.
func TestSealedFileIsTakenAway(t *testing.T) {
	dir := t.TempDir()
	s := openSeries(t, dir, Options{}, nil)
	must(t, s.Append(newEncoder(t, Gzip), []byte("first\n")))
	must(t, s.Seal())
	must(t, os.Remove(filepath.Join(dir, Hidden("web-2026-11-23_00000.gz"))))
	if _, err := s.Sync(nil); !errors.Is(err, ErrBroken) {
		t.Error(err)
	}
	must(t, s.Close())
}

// TestDirectoryMovedAwayAndBack: the file that was open in a directory that is back is not taken for one that will be
// written again.
func TestDirectoryMovedAwayAndBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "web")
	enc := newEncoder(t, Gzip)
	s := openSeries(t, dir, Options{}, nil)
	must(t, s.Append(enc, []byte("first\n")))
	st := syncState(t, s)
	must(t, os.Rename(dir, dir+"x"))
	must(t, s.Close())

	s = openSeries(t, dir, Options{}, &st)
	if s.Lost() == nil {
		t.Error("not noticed")
	}
	must(t, s.Append(enc, []byte("second\n")))
	st = syncState(t, s)
	must(t, os.Rename(dir, dir+"y"))
	must(t, os.Rename(dir+"x", dir))
	must(t, s.Close())

	s = openSeries(t, dir, Options{}, &st)
	must(t, s.Append(enc, []byte("third\n")))
	finish(t, s)
	wantNames(t, dir, Orphan("web-2026-11-23_00000.gz")+" web-2026-11-23_00002.gz")
}

// The checksum of the end of the open file in a State is that of the bytes in the file, whether these are known from
// what was written last or have to be read.
func TestTailOfBlocksOfAllSizes(t *testing.T) {
	for _, c := range allCodecs {
		dir := t.TempDir()
		s, enc := openSeries(t, dir, Options{Codec: c}, nil), newEncoder(t, c)
		for i, size := range []int{1, 20, 900, 3, 200, 70_000, 5, 1024, 1023, 1} {
			must(t, s.Append(enc, logText(uint64(i), size)[:size]))
			st := syncState(t, s)
			data, err := os.ReadFile(filepath.Join(dir, Hidden(st.Open.File)))
			must(t, err)
			want, err := TailSum(bytes.NewReader(data), int64(len(data)))
			must(t, err)
			if st.Open.Bytes != int64(len(data)) || st.Open.Tail != want {
				t.Errorf("%v, block %d: %d bytes with the tail %08x, want %d with %08x", c, i, st.Open.Bytes, st.Open.Tail,
					len(data), want)
			}
		}
		must(t, s.Close())
	}
}
