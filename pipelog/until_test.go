package pipelog

import (
	"context"
	"io"
	"os"
	"strings"
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

// TestUntilTold reads what is in the pipe, and to the end of the line; the rest stays.
func TestUntilTold(t *testing.T) {
	r, w := newPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	u := mustUntil(t, ctx, r)
	read := make(chan string)
	go func() {
		var got []byte
		buf := make([]byte, 100)
		for {
			n, err := u.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				read <- string(got)
				return
			}
			read <- string(buf[:n])
		}
	}()
	io.WriteString(w, "one\ntw")
	if got := <-read; got != "one\ntw" {
		t.Fatalf("%q", got)
	}
	cancel()
	io.WriteString(w, "o\nthree\n")
	var got string
	for !strings.HasPrefix(got, "one\n") {
		got = <-read
	}
	rest := make(chan string)
	go func() {
		w.Close()
		data, _ := io.ReadAll(r)
		rest <- string(data)
	}()
	left := <-rest
	if got+left != "one\ntwo\nthree\n" || !strings.HasSuffix(got, "\n") {
		t.Errorf("read %q, left %q", got, left)
	}
}

func TestUntilToldWithALongRest(t *testing.T) {
	r, w := newPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	rest := strings.Repeat("line\n", 10_000)
	io.WriteString(w, rest+"beg")
	cancel()
	u := mustUntil(t, ctx, r)
	got, err := io.ReadAll(u)
	if err != nil || string(got) != rest+"beg" {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(rest)+3)
	}
}

func TestUntilToldWhileNothingComes(t *testing.T) {
	r, _ := newPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	u := mustUntil(t, ctx, r)
	time.AfterFunc(10*time.Millisecond, cancel)
	if n, err := u.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
}
