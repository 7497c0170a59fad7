package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"inkwell/store/depot"
)

// flaky is a depot in a directory of which so many requests fail, each at its end.
type flaky struct {
	depot.Depot
	failures atomic.Int64
}

var errCut = errors.New("the connection was cut")

func (f *flaky) Open(ctx context.Context, name string, r depot.Range) (io.ReadCloser, error) {
	body, err := f.Depot.Open(ctx, name, r)
	if err != nil || f.failures.Add(-1) < 0 {
		return body, err
	}
	return cutBody{io.MultiReader(io.LimitReader(body, r.Length-1), failing{}), body}, nil
}

// cutBody ends with an error in place of its last byte.
type cutBody struct {
	io.Reader
	io.Closer
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errCut }

// TestRanges reads a file of a depot at chosen and at random places; a request that fails is made again, and when it
// goes on failing, or the file is shorter than it was listed, the reading fails.
func TestRanges(t *testing.T) {
	root := t.TempDir()
	data := make([]byte, 12*rangeBytes+345)
	for i := range data {
		data[i] = byte(i>>16 ^ i*7)
	}
	must(t, os.WriteFile(filepath.Join(root, "x"), data, 0o600))
	d, err := depot.Open(root, depot.Options{})
	must(t, err)
	f := &flaky{Depot: d}
	open := func(size int) *ranges {
		return newRanges(t.Context(), &File{Size: int64(size), in: &place{depot: f}, object: "x"})
	}
	r := open(len(data))
	got, err := io.ReadAll(io.NewSectionReader(r, 0, int64(len(data))))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	f.failures.Store(2)
	for range 50 {
		from := rand.IntN(len(data))
		part := make([]byte, rand.IntN(2*rangeBytes)+1)
		want := data[from:min(len(data), from+len(part))]
		n, err := r.ReadAt(part, int64(from))
		if !bytes.Equal(part[:n], want) || (err == io.EOF) != (n < len(part)) || err != nil && err != io.EOF {
			t.Fatalf("%d of %d bytes from %d, %v", n, len(part), from, err)
		}
	}
	must(t, r.Close())
	if left := f.failures.Load(); left >= 0 {
		t.Errorf("%d requests have still to fail", left)
	}
	r = open(len(data) + 100)
	if _, err := r.ReadAt(make([]byte, 400), int64(len(data)-200)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("of a file that is shorter: %v", err)
	}
	must(t, r.Close())
	f.failures.Store(1 << 30)
	r = open(len(data))
	if _, err := r.ReadAt(make([]byte, 10), 0); !errors.Is(err, errCut) {
		t.Errorf("of a depot that fails: %v", err)
	}
	must(t, r.Close())
}
