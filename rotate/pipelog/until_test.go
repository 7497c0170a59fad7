package pipelog

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
	u, err := Until(ctx, f)
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

// TestUntilTold reads on while the pipe has writers.
func TestUntilTold(t *testing.T) {
	r, w := newPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	u := mustUntil(t, ctx, r)
	u.(*until).linger = time.Hour
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
	u.(*until).linger = 0
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

// TestUntilToldWithinALineThatDoesNotEnd hands on what there is of it.
func TestUntilToldWithinALineThatDoesNotEnd(t *testing.T) {
	r, w := newPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	u := mustUntil(t, ctx, r)
	u.(*until).linger = 10 * time.Millisecond
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
	u.(*until).linger = 10 * time.Millisecond
	time.AfterFunc(10*time.Millisecond, cancel)
	if n, err := u.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
}
