package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/archive"
	"inkwell/internal/faultfs"
	"inkwell/rotate"
)

// category is a series of output files that a test writes.
type category struct {
	t      *testing.T
	dir    string // DIR/CATEGORY
	series *rotate.Series
	enc    *rotate.Encoder
	want   bytes.Buffer // all that was written
}

func newCategory(t *testing.T) *category {
	t.Helper()
	c := &category{t: t, dir: filepath.Join(t.TempDir(), "web")}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// open begins or continues the series, as a collector does after a start.
func (c *category) open(codec rotate.Codec, st *rotate.State) {
	c.t.Helper()
	dir, err := faultfs.OpenDir(c.dir, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	c.series, err = rotate.Open(dir, rotate.Options{Base: "web", Codec: codec}, st)
	if err == nil {
		c.enc, err = rotate.NewEncoder(codec, 0)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *category) close() {
	if c.series != nil {
		if err := c.series.Close(); err != nil {
			c.t.Error(err)
		}
		c.series = nil
	}
}

// append writes a chunk and makes it visible, as a checkpoint does.
func (c *category) append(text string) rotate.State {
	c.t.Helper()
	c.want.WriteString(text)
	if err := c.series.Append(c.enc, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
	return c.publish()
}

func (c *category) publish() rotate.State {
	c.t.Helper()
	st, err := c.series.Sync(nil)
	if err == nil {
		err = c.series.Publish(st, nil)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return st
}

// finish seals and publishes the open file.
func (c *category) finish() {
	c.t.Helper()
	if err := c.series.Seal(); err != nil {
		c.t.Fatal(err)
	}
	c.publish()
}

func numbered(prefix string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s line %d\n", prefix, i)
	}
	return b.String()
}

var codecs = []rotate.Codec{rotate.Gzip, rotate.Zstd, rotate.None}

// mixed writes two files of each codec and one that stays open.
func mixed(t *testing.T, last rotate.Codec) *category {
	c := newCategory(t)
	for _, codec := range codecs {
		c.open(codec, nil)
		for i := range 2 {
			c.append(numbered(fmt.Sprint(codec, i), 1000))
			c.append("\x00\xff no newline")
			c.finish()
		}
		c.close()
	}
	c.open(last, nil)
	c.append(numbered("open", 500))
	return c
}

func TestCatOfACategory(t *testing.T) {
	for _, last := range codecs {
		c := mixed(t, last)
		r := inkwell(t, nil, "cat", c.dir)
		if r.code != 0 || r.stdout != c.want.String() {
			t.Errorf("open file %v: code %d, %d bytes of %d, %s", last, r.code, len(r.stdout), c.want.Len(), r.stderr)
		}
	}
}

// filesIn lists the files of a category.
func filesIn(dir string) ([]archive.File, error) {
	list, err := archive.ReadSeries(dir)
	if err != nil || len(list) != 1 {
		return nil, err
	}
	return list[0].Files, nil
}

func TestCatOfFiles(t *testing.T) {
	c := mixed(t, rotate.Gzip)
	pieces, err := filesIn(c.dir)
	if err != nil || len(pieces) != 7 {
		t.Fatalf("%d files, %v", len(pieces), err)
	}
	args := []string{"cat"}
	for _, p := range pieces {
		args = append(args, p.Path)
	}
	if r := inkwell(t, nil, args...); r.code != 0 || r.stdout != c.want.String() {
		t.Errorf("code %d, %d bytes of %d, %s", r.code, len(r.stdout), c.want.Len(), r.stderr)
	}
}

// TestCatOfADirectoryWithoutFiles says whether files will come, or the directory is that of all categories.
func TestCatOfADirectoryWithoutFiles(t *testing.T) {
	empty := t.TempDir()
	if err := os.Mkdir(filepath.Join(empty, "web"), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"cat", empty}, {"cat", filepath.Join(empty, "web")}, {"ls", empty}} {
		if r := inkwell(t, nil, args...); r.code != exitFailed || !strings.Contains(r.stderr, "some ten seconds later") {
			t.Errorf("%q: code %d, %s", args, r.code, r.stderr)
		}
	}
	c := newCategory(t)
	c.open(rotate.Gzip, nil)
	c.append(numbered("x", 10))
	c.finish()
	if r := inkwell(t, nil, "cat", filepath.Dir(c.dir)); r.code != exitFailed || !strings.Contains(r.stderr, "DIR/CATEGORY") {
		t.Errorf("code %d, %s", r.code, r.stderr)
	}
}

func TestCatOfADamagedFile(t *testing.T) {
	c := newCategory(t)
	c.open(rotate.Gzip, nil)
	c.append(numbered("x", 1000))
	c.finish()
	pieces, err := filesIn(c.dir)
	if err != nil || len(pieces) != 1 {
		t.Fatal(pieces, err)
	}
	data, err := os.ReadFile(pieces[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pieces[0].Path, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if r := inkwell(t, nil, "cat", c.dir); r.code != exitFailed || !strings.Contains(r.stderr, pieces[0].Path) {
		t.Errorf("code %d, %q: half a file passes for a whole one", r.code, r.stderr)
	}
}

func TestCatEndsQuietlyWhenItsReaderIsGone(t *testing.T) {
	c := mixed(t, rotate.Gzip)
	var errs bytes.Buffer
	a := &app{stdout: failing{}, screen: newScreen(&errs, func() int { return 0 }), lookup: func(string) (string, bool) { return "", false }}
	if code := a.main(t.Context(), []string{"cat", c.dir}); code != 0 || errs.Len() > 0 {
		t.Errorf("code %d, %q", code, errs.String())
	}
}

// sink collects output while the test reads it.
type sink struct {
	mu sync.Mutex
	b  []byte
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b = append(s.b, p...)
	return len(p), nil
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.b)
}

// await waits until s contains exactly want.
func (s *sink) await(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		got := s.String()
		if got == want {
			return
		}
		if !strings.HasPrefix(want, got) || time.Now().After(deadline) {
			same := 0
			for same < min(len(got), len(want)) && got[same] == want[same] {
				same++
			}
			t.Fatalf("%d bytes were printed, %d written, the first %d are the same", len(got), len(want), same)
		}
	}
}

// follow starts cat -f on arg and returns its output; it ends with the test.
func follow(t *testing.T, arg string) *sink {
	t.Helper()
	s := &sink{}
	ctx, cancel := context.WithCancel(context.Background())
	a := &app{stdout: s, screen: newScreen(io.Discard, func() int { return 0 }), lookup: func(string) (string, bool) { return "", false }}
	r, err := a.query("cat", &selection{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		f := &following{a: a, r: r, p: &printer{w: s, query: r.Query}, o: &catFlags{from: "start", tail: -1}, every: 5 * time.Millisecond}
		done <- f.run(ctx, []string{arg})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("follow %s: %v", arg, err)
		}
	})
	return s
}

func TestFollowACategory(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			c := newCategory(t)
			out := follow(t, c.dir) // from before there are files
			c.open(codec, nil)
			for file := range 3 {
				for chunk := range 3 {
					c.append(numbered(fmt.Sprint(file, chunk), 200))
					if chunk > 0 {
						out.await(t, c.want.String())
					}
				}
				c.append("no newline at its end")
				out.await(t, c.want.String())
				c.finish()
			}
			out.await(t, c.want.String())
		})
	}
}

func TestFollowBeginsWithWhatIsThere(t *testing.T) {
	for _, last := range codecs {
		t.Run(last.String(), func(t *testing.T) {
			c := mixed(t, last)
			out := follow(t, c.dir)
			out.await(t, c.want.String())
			c.append("one more\n")
			out.await(t, c.want.String())
		})
	}
}

// A collector that was killed truncates its open file to the last checkpoint and writes the same bytes again, in other
// chunks.
func TestFollowAcrossACrash(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			c := newCategory(t)
			c.open(codec, nil)
			st := c.append(numbered("kept", 300))
			out := follow(t, c.dir)
			again := numbered("written again", 3000)
			c.want.WriteString(again)
			if err := c.series.Append(c.enc, []byte(again)); err != nil {
				t.Fatal(err)
			}
			out.await(t, c.want.String())
			c.close()
			c.open(codec, &st)
			for len(again) > 0 {
				n := min(len(again), 7001)
				if err := c.series.Append(c.enc, []byte(again[:n])); err != nil {
					t.Fatal(err)
				}
				again = again[n:]
			}
			c.append(numbered("new", 300))
			out.await(t, c.want.String())
			c.finish()
			c.append("next file\n")
			out.await(t, c.want.String())
		})
	}
}

func TestFollowAPlainFileWithUnfinishedLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plain.log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := follow(t, path)
	var want string
	for _, text := range []string{"one\n", "tw", "o\n\n\n", "three\r\nfour", "\nfive", strings.Repeat("long", 100_000)} {
		if _, err := io.WriteString(f, text); err != nil {
			t.Fatal(err)
		}
		want += text
		out.await(t, want)
	}
}

func TestFollowAFinishedFileEnds(t *testing.T) {
	c := newCategory(t)
	c.open(rotate.Gzip, nil)
	c.append("all there is\n")
	c.finish()
	pieces, err := filesIn(c.dir)
	if err != nil || len(pieces) != 1 {
		t.Fatal(pieces, err)
	}
	if r := inkwell(t, nil, "cat", "-f", pieces[0].Path); r.code != 0 || r.stdout != c.want.String() {
		t.Errorf("%+v", r)
	}
}

func TestFollowPassesOverFilesThatRetentionRemoved(t *testing.T) {
	c := newCategory(t)
	c.open(rotate.None, nil)
	c.append("first\n")
	out := follow(t, c.dir)
	out.await(t, "first\n")
	c.finish()
	pieces, err := filesIn(c.dir)
	if err != nil || len(pieces) != 1 {
		t.Fatal(pieces, err)
	}
	if err := os.Remove(pieces[0].Path); err != nil {
		t.Fatal(err)
	}
	c.append("second\n")
	out.await(t, c.want.String())
}

func TestOutputKeepsOtherErrors(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := (outputWriter{w}).Write([]byte("x")); err == nil || errors.Is(err, errReaderGone) || errors.Is(err, syscall.EPIPE) {
		t.Errorf("error %v", err)
	}
}
