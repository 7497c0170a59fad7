package rotate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/internal/faultfs"
)

var allCodecs = []Codec{Gzip, Zstd, None}

// clock is a settable clock.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func openDir(t testing.TB, path string, inj faultfs.Injector) *faultfs.Dir {
	t.Helper()
	d, err := faultfs.OpenDir(path, inj)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // a second time where a Series has taken it over
	return d
}

func at(now time.Time) func() time.Time { return func() time.Time { return now } }

// openSeries opens the series "web" in path; st goes through JSON as it does in a checkpoint.
func openSeries(t testing.TB, path string, o Options, st *State) *Series {
	t.Helper()
	return openFaulty(t, path, nil, o, st)
}

func openFaulty(t testing.TB, path string, inj faultfs.Injector, o Options, st *State) *Series {
	t.Helper()
	if o.Base == "" {
		o.Base = "web"
	}
	if o.Now == nil {
		o.Now = at(noon)
	}
	if st != nil {
		text, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		st = new(State)
		if err := json.Unmarshal(text, st); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(openDir(t, path, inj), o, st)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newEncoder(t testing.TB, c Codec) *Encoder {
	t.Helper()
	e, err := NewEncoder(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sync makes a checkpoint without publishing.
func syncState(t testing.TB, s *Series) State {
	t.Helper()
	st, err := s.Sync(nil)
	must(t, err)
	return st
}

// checkpoint syncs and publishes.
func checkpoint(t testing.TB, s *Series) State {
	t.Helper()
	st := syncState(t, s)
	must(t, s.Publish(st, nil))
	return st
}

// finish seals, publishes and closes.
func finish(t testing.TB, s *Series) {
	t.Helper()
	must(t, s.Seal())
	checkpoint(t, s)
	if !s.Idle() {
		t.Error("a series that was sealed and published is not idle")
	}
	must(t, s.Close())
}

// logText is n bytes of what looks like an access log.
func logText(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%d.%d.%d.%d - - [23/Nov/2026:10:%02d:%02d +0000] \"GET /item/%d HTTP/1.1\" 200 %d \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"\n",
			r.IntN(223), r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(60), r.IntN(60), r.IntN(10000), r.IntN(60000))
	}
	return b.Bytes()[:n]
}

func noise(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// read reads one file.
func read(t testing.TB, data []byte, c Codec, open bool) ([]byte, error) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(data), c, open)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(r)
	must(t, r.Close())
	return out, err
}

// readSeries reads all files of "web" in path, in order.
func readSeries(t testing.TB, path string) []byte {
	t.Helper()
	dir := openDir(t, path, nil)
	files, err := Files(dir, "web")
	must(t, err)
	var all []byte
	for _, f := range files {
		data := readFile(t, path, f.Name)
		if f.Size != int64(len(data)) {
			t.Errorf("%s: Files says %d bytes, there are %d", f.Name, f.Size, len(data))
		}
		out, err := read(t, data, f.Codec, f.Open)
		if err != nil {
			t.Fatalf("read %s: %v", f.Name, err)
		}
		all = append(all, out...)
	}
	return all
}

func readFile(t testing.TB, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	must(t, err)
	return data
}

// names lists a directory, hidden files included.
func names(t testing.TB, path string) string {
	t.Helper()
	entries, err := os.ReadDir(path)
	must(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func wantNames(t testing.TB, path, want string) {
	t.Helper()
	if got := names(t, path); got != want {
		t.Errorf("the directory holds %q, want %q", got, want)
	}
}

func wantBytes(t testing.TB, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		n := 0
		for n < min(len(got), len(want)) && got[n] == want[n] {
			n++
		}
		t.Errorf("got %d bytes, want %d; they differ at byte %d", len(got), len(want), n)
	}
}

// logged collects what is logged.
func logged() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

// openDirOnly opens a directory that a Series is going to own.
func openDirOnly(t testing.TB, path string) *faultfs.Dir {
	t.Helper()
	d, err := faultfs.OpenDir(path, nil)
	must(t, err)
	return d
}
