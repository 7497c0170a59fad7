package ending

import (
	"context"
	"io"
	"os"
	"testing"
	"time"
)

func newPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func mustUntil(t *testing.T, ctx context.Context, f *os.File) io.ReadCloser {
	t.Helper()
	u, err := Until(ctx, context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return u
}

func TestUntilTheEndOfThePipe(t *testing.T) {
	r, w := newPipe(t)
	u := mustUntil(t, t.Context(), r)
	go func() {
		io.WriteString(w, "one\ntwo")
		w.Close()
	}()
	if got, err := io.ReadAll(u); err != nil || string(got) != "one\ntwo" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestUntilTold reads as long as the pipe has writers.
func TestUntilTold(t *testing.T) {
	r, w := newPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	u := mustUntil(t, ctx, r)
	u.(*reader).grace = time.Hour
	cancel()
	go func() {
		io.WriteString(w, "one\ntw")
		io.WriteString(w, "o\nthree")
		w.Close()
	}()
	if got, err := io.ReadAll(u); err != nil || string(got) != "one\ntwo\nthree" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestUntilToldAndAWriterThatGoesOn reads to the end of the line and leaves the rest.
func TestUntilToldAndAWriterThatGoesOn(t *testing.T) {
	r, w := newPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	u := mustUntil(t, ctx, r)
	u.(*reader).grace = 0
	io.WriteString(w, "one\ntwo\nthree\n")
	buf := make([]byte, 5)
	if n, err := io.ReadFull(u, buf); n != 5 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	cancel()
	if got, err := io.ReadAll(u); err != nil || string(got) != "wo\n" {
		t.Errorf("%q, %v", got, err)
	}
	w.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "three\n" {
		t.Errorf("in the pipe: %q, %v", got, err)
	}
}

// TestUntilToldWithinALineThatDoesNotEnd returns the part of the line that has come.
func TestUntilToldWithinALineThatDoesNotEnd(t *testing.T) {
	r, w := newPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	u := mustUntil(t, ctx, r)
	u.(*reader).grace = 10 * time.Millisecond
	io.WriteString(w, "one\ntw")
	cancel()
	if got, err := io.ReadAll(u); err != nil || string(got) != "one\ntw" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestUntilToldWhileNothingComes(t *testing.T) {
	r, _ := newPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	u := mustUntil(t, ctx, r)
	u.(*reader).grace = 10 * time.Millisecond
	time.AfterFunc(10*time.Millisecond, cancel)
	if n, err := u.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
}

// TestUntilAborted ends at once, in the middle of a line and while the pipe has writers, also after the first signal.
func TestUntilAborted(t *testing.T) {
	r, w := newPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	abort, now := context.WithCancel(t.Context())
	u, err := Until(ctx, abort, r)
	if err != nil {
		t.Fatal(err)
	}
	u.(*reader).grace = time.Hour
	io.WriteString(w, "one\ntw")
	cancel()
	buf := make([]byte, 100)
	if n, err := u.Read(buf); err != nil || string(buf[:n]) != "one\ntw" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	time.AfterFunc(10*time.Millisecond, now)
	if n, err := u.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
}

// TestUntilToldAtARegularFile does not wait for writers, which a file does not have: it reads to the end of the line.
func TestUntilToldAtARegularFile(t *testing.T) {
	name := t.TempDir() + "/in"
	if err := os.WriteFile(name, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	u := mustUntil(t, ctx, f)
	if n, err := io.ReadFull(u, make([]byte, 5)); n != 5 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	cancel()
	if got, err := io.ReadAll(u); err != nil || string(got) != "wo\n" {
		t.Errorf("%q, %v", got, err)
	}
}
