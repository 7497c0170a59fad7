package rotate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// chunks are small blocks of several kinds, with no two alike.
func chunks() [][]byte {
	var all [][]byte
	for i := range uint64(8) {
		all = append(all, logText(i, 50+int(i*i*40)), noise(i, 1+int(i)*30), []byte(strings.Repeat(string(rune('a'+i)), 200)))
	}
	return all
}

// TestCutAtEveryBlockAndContinued kills a writer behind every block, with all the ways the bytes behind the mark can look, and expects
// the file that an undisturbed writer makes.
func TestCutAtEveryBlockAndContinued(t *testing.T) {
	for _, c := range allCodecs {
		t.Run(c.String(), func(t *testing.T) {
			enc := newEncoder(t, c)
			name := "web-2026-11-23_00000" + c.Suffix()
			whole := t.TempDir()
			s := openSeries(t, whole, Options{Codec: c}, nil)
			for _, chunk := range chunks() {
				must(t, s.Append(enc, chunk))
			}
			finish(t, s)
			want := readFile(t, whole, name)

			for cut := 1; cut < len(chunks()); cut++ {
				for _, behind := range []string{"nothing", "block", "half a block", "zeros", "seal"} {
					path := t.TempDir()
					s := openSeries(t, path, Options{Codec: c}, nil)
					for _, chunk := range chunks()[:cut] {
						must(t, s.Append(enc, chunk))
					}
					st := syncState(t, s)
					if cut%2 == 0 { // for none: continued under its final name
						must(t, s.Publish(st, nil))
					}
					disk := filepath.Join(path, s.cur.f.Name())
					if c == None && cut%2 == 0 {
						disk = filepath.Join(path, name)
					}
					switch behind {
					case "block", "half a block":
						must(t, s.Append(enc, chunks()[cut]))
						if behind == "half a block" {
							must(t, os.Truncate(disk, (st.Open.Bytes+s.cur.Bytes)/2))
						}
					case "zeros":
						must(t, os.Truncate(disk, st.Open.Bytes+4096))
					case "seal":
						must(t, s.Append(enc, chunks()[cut]))
						must(t, s.Seal())
						must(t, s.Append(enc, []byte("in a file that is forgotten")))
					}
					must(t, s.Close())

					s = openSeries(t, path, Options{Codec: c}, &st)
					if s.Lost() != nil {
						t.Fatalf("block %d, %s behind: %v", cut, behind, s.Lost())
					}
					for _, chunk := range chunks()[cut:] {
						must(t, s.Append(enc, chunk))
					}
					finish(t, s)
					if got := names(t, path); got != name {
						t.Fatalf("block %d, %s behind: the directory holds %s", cut, behind, got)
					}
					wantBytes(t, readFile(t, path, name), want)
				}
			}
		})
	}
}

func TestSealedFilesArePublishedByOpen(t *testing.T) {
	path := t.TempDir()
	enc := newEncoder(t, Gzip)
	s := openSeries(t, path, Options{}, nil)
	for i := range 3 {
		must(t, s.Append(enc, fmt.Append(nil, i)))
		must(t, s.Seal())
	}
	must(t, s.Append(enc, []byte("3")))
	st := syncState(t, s)
	must(t, s.publish(st.Sealed[0])) // a publish that did not get further
	must(t, s.Close())
	s = openSeries(t, path, Options{}, &st)
	wantNames(t, path, ".web-2026-11-23_00003.gz.open web-2026-11-23_00000.gz web-2026-11-23_00001.gz web-2026-11-23_00002.gz")
	if s.Idle() {
		t.Error("idle with an open file")
	}
	finish(t, s)
	wantBytes(t, readSeries(t, path), []byte("0123"))
}

func TestStrays(t *testing.T) {
	enc := newEncoder(t, Gzip)
	write := func(path string) {
		s := openSeries(t, path, Options{}, nil)
		must(t, s.Append(enc, []byte("stray")))
		must(t, s.Close())
	}
	other := func(path string) { // of another series, or not a series at all
		for _, n := range []string{".other-2026-11-23_00000.gz.open", ".web.tmp", ".web-2026-11-23_00000.gz.tmp"} {
			must(t, os.WriteFile(filepath.Join(path, n), nil, 0o600))
		}
	}
	const others = ".other-2026-11-23_00000.gz.open .web-2026-11-23_00000.gz.tmp"

	path := t.TempDir()
	write(path)
	other(path)
	log, text := logged()
	s := openSeries(t, path, Options{Logger: log}, nil)
	wantNames(t, path, ".other-2026-11-23_00000.gz.open .web-2026-11-23_00000.gz.orphan .web-2026-11-23_00000.gz.tmp .web.tmp")
	if !strings.Contains(text.String(), "set aside") {
		t.Errorf("logged: %q", text)
	}
	must(t, s.Append(enc, []byte("new")))
	finish(t, s)
	wantBytes(t, readSeries(t, path), []byte("new"))
	wantNames(t, path, ".other-2026-11-23_00000.gz.open .web-2026-11-23_00000.gz.orphan .web-2026-11-23_00000.gz.tmp .web.tmp web-2026-11-23_00001.gz")

	path = t.TempDir()
	write(path)
	other(path)
	s = openSeries(t, path, Options{}, &State{})
	wantNames(t, path, others+" .web.tmp")
	must(t, s.Close())
}

func TestLostOpenFile(t *testing.T) {
	for _, c := range allCodecs {
		for _, how := range []string{"gone", "short", "replaced", "published", "visible and short"} {
			if how == "published" && c == None || how == "visible and short" && c != None {
				continue
			}
			t.Run(c.String()+" "+how, func(t *testing.T) {
				path := t.TempDir()
				enc := newEncoder(t, c)
				s := openSeries(t, path, Options{Codec: c}, nil)
				must(t, s.Append(enc, []byte("first\n")))
				must(t, s.Append(enc, []byte("second\n")))
				st := syncState(t, s)
				name, disk := st.Open.File, filepath.Join(path, Hidden(st.Open.File))
				var want string
				switch how {
				case "gone":
					must(t, os.Remove(disk))
				case "short":
					must(t, os.Truncate(disk, st.Open.Bytes-1))
					want = Orphan(name) + " "
				case "replaced":
					must(t, os.WriteFile(disk, make([]byte, st.Open.Bytes), 0o600))
					want = Orphan(name) + " "
				case "published":
					must(t, os.Rename(disk, filepath.Join(path, name)))
					want = name + " "
				case "visible and short":
					must(t, s.Publish(st, nil))
					must(t, os.Truncate(filepath.Join(path, name), st.Open.Bytes-1))
					want = name + " "
				}
				must(t, s.Close())
				log, text := logged()
				s = openSeries(t, path, Options{Codec: c, Logger: log}, &st)
				lost := s.Lost()
				if lost == nil {
					t.Fatal("not noticed")
				}
				if lost.File != filepath.Join(path, name) || lost.Want != st.Open.Bytes || !strings.Contains(lost.Error(), lost.File) || !strings.Contains(lost.Error(), "goes on with a new file") {
					t.Errorf("unclear: %v", lost)
				}
				if lost.Kept != "" && len(readFile(t, lost.Kept)) != int(lost.Have) {
					t.Errorf("the bytes are not in %s", lost.Kept)
				}
				if !strings.Contains(text.String(), "cannot be continued") {
					t.Errorf("logged: %s", text)
				}
				must(t, s.Append(enc, []byte("third\n")))
				finish(t, s)
				wantNames(t, path, want+"web-2026-11-23_00001"+c.Suffix())
			})
		}
	}
}

func TestStateOfAnotherSeriesIsRefused(t *testing.T) {
	for _, st := range []State{{Open: &Mark{File: "../x", Bytes: 1}}, {Open: &Mark{File: "other-2026-11-23_00000.gz"}}, {Sealed: []string{"passwd"}}} {
		path := t.TempDir()
		if s, err := Open(openDir(t, path, nil), Options{Base: "web"}, &st); err == nil {
			t.Errorf("%+v is accepted: %v", st, s)
		} else if !strings.Contains(err.Error(), "no name of this series") {
			t.Errorf("%+v: %v", st, err)
		}
	}
}

// TestCodecIsChanged continues a series with every other codec: the open file is sealed as what it is.
func TestCodecIsChanged(t *testing.T) {
	for _, from := range allCodecs {
		for _, to := range allCodecs {
			path := t.TempDir()
			s := openSeries(t, path, Options{Codec: from}, nil)
			must(t, s.Append(newEncoder(t, from), []byte("before\n")))
			st := checkpoint(t, s)
			must(t, s.Append(newEncoder(t, from), []byte("forgotten\n")))
			must(t, s.Close())
			s = openSeries(t, path, Options{Codec: to}, &st)
			must(t, s.Append(newEncoder(t, to), []byte("after\n")))
			finish(t, s)
			want := "web-2026-11-23_00000" + from.Suffix()
			if from != to {
				want += " web-2026-11-23_00001" + to.Suffix()
			}
			wantNames(t, path, want)
			wantBytes(t, readSeries(t, path), []byte("before\nafter\n"))
		}
	}
}

// TestManyCrashes runs through random lives: each appends, checkpoints now and then, and dies; the next continues from the last
// checkpoint with what came after it. With another layout in each life, files go on in the next one.
func TestManyCrashes(t *testing.T) {
	flat := func(int) bool { return false }
	for _, of := range []struct {
		c    Codec
		hive func(life int) bool
	}{
		{None, flat}, {Gzip, flat}, {Zstd, flat},
		{Gzip, func(int) bool { return true }}, {Zstd, func(int) bool { return true }},
		{Gzip, func(life int) bool { return life%2 == 0 }}, {Gzip, func(life int) bool { return life%2 == 1 }},
	} {
		c := of.c
		path := t.TempDir()
		enc := newEncoder(t, c)
		now := &clock{noon}
		var want, saved []byte // saved: as of st
		var st State
		rnd := noise(uint64(c), 600)
		for life := 0; len(rnd) > 100; life++ {
			s := openSeries(t, path, Options{Codec: c, Hive: of.hive(life), MaxSize: 3000, Period: Period{kind: hourly}, Now: now.now, Link: true}, &st)
			if s.Lost() != nil {
				t.Fatal(s.Lost())
			}
			wantBytes(t, readSeries(t, path), saved)
			want = append([]byte(nil), saved...)
			for range rnd[0] % 20 {
				chunk := logText(uint64(len(want)), int(rnd[1])*5)
				rnd = rnd[1:]
				must(t, s.Append(enc, chunk))
				want = append(want, chunk...)
				now.t = now.t.Add(time.Duration(rnd[0]) * 10 * time.Second)
				must(t, s.Tick())
				if rnd[0]%4 == 0 {
					st = syncState(t, s)
					saved = append([]byte(nil), want...)
					if rnd[0]%8 == 0 {
						must(t, s.Publish(st, nil))
					}
				}
			}
			rnd = rnd[1:]
			must(t, s.Close())
		}
		s := openSeries(t, path, Options{Codec: c}, &st)
		finish(t, s)
		wantBytes(t, readSeries(t, path), saved)
	}
}

// A clock that goes back gives a new file a name older than the newest one. Killed before the next State is saved, that
// file is removed like every other that was begun later: what was in it is appended again.
func TestBegunAfterTheClockWentBack(t *testing.T) {
	enc := newEncoder(t, Gzip)
	path := t.TempDir()
	c := &clock{noon}
	o := Options{Now: c.now} // daily
	s := openSeries(t, path, o, nil)
	must(t, s.Append(enc, []byte("first")))
	must(t, s.Seal())
	saved := checkpoint(t, s)
	c.t = noon.AddDate(0, 0, -1)
	must(t, s.Append(enc, []byte("second")))
	wantNames(t, path, ".web-2026-11-22_00000.gz.open web-2026-11-23_00000.gz")
	must(t, s.Close())

	s = openSeries(t, path, o, &saved)
	wantNames(t, path, "web-2026-11-23_00000.gz")
	must(t, s.Append(enc, []byte("second")))
	must(t, s.Close())

	// The same name in another directory may be a file of before that was moved back: it is kept.
	saved.Dir = "another"
	log, text := logged()
	o.Logger = log
	s = openSeries(t, path, o, &saved)
	wantNames(t, path, ".web-2026-11-22_00000.gz.orphan web-2026-11-23_00000.gz")
	if !strings.Contains(text.String(), "set aside") {
		t.Errorf("logged: %q", text)
	}
	must(t, s.Close())
}
