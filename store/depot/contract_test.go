package depot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func section(data string) *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(data), 0, int64(len(data)))
}

// noise returns bytes that do not compress.
func noise(n int) string {
	b := make([]byte, n)
	for i, r := 0, rand.New(rand.NewPCG(1, uint64(n))); i < n; i++ {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func read(t *testing.T, d Depot, name string, r Range) string {
	t.Helper()
	f, err := d.Open(t.Context(), name, r)
	must(t, err)
	data, err := io.ReadAll(f)
	must(t, err, f.Close())
	return string(data)
}

func names(t *testing.T, d Depot, dir string) []string {
	t.Helper()
	var all []string
	must(t, d.List(t.Context(), dir, func(o Object) error {
		all = append(all, fmt.Sprint(o.Name, " ", o.Size))
		if o.Modified.IsZero() {
			t.Errorf("%s has no time", o.Name)
		}
		return nil
	}))
	slices.Sort(all)
	return all
}

// contract checks what every depot guarantees.
func contract(t *testing.T, d Depot) {
	ctx := t.Context()
	large := noise(3<<20 + 17)
	for name, data := range map[string]string{"a/dt=2026-11-29/a_00000.gz": "first",
		"a/dt=2026-11-30/a_00000.gz": large, "b c/ü_1": "", "_inkwell/x": "x"} {
		must(t, d.Put(ctx, name, section(data)))
		if got := read(t, d, name, Whole); got != data {
			t.Errorf("%s: %d bytes came back of %d", name, len(got), len(data))
		}
		must(t, d.Put(ctx, name, section(data))) // its answer was lost
		for _, other := range []string{data + "x", "other", strings.Repeat("y", len(data)) +
			strings.Repeat("z", 1-min(1, len(data)))} {
			if err := d.Put(ctx, name, section(other)); !errors.Is(err, ErrTaken) {
				t.Errorf("%s was given to other bytes: %v", name, err)
			}
		}
		if got := read(t, d, name, Whole); got != data {
			t.Errorf("%s was replaced", name)
		}
	}
	for _, r := range []Range{{0, 1}, {0, 0}, {5, 10}, {1 << 20, 2 << 20}, {int64(len(large)) - 3, 10},
		{int64(len(large)) - 3, -1}, {int64(len(large)), -1}} {
		want := large[r.From:]
		if r.Length >= 0 {
			want = want[:min(int64(len(want)), r.Length)]
		}
		if got := read(t, d, "a/dt=2026-11-30/a_00000.gz", r); got != want {
			t.Errorf("%+v: %d bytes came, want %d", r, len(got), len(want))
		}
	}
	if _, err := d.Open(ctx, "a/none", Whole); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something that is not there: %v", err)
	}
	for dir, want := range map[string][]string{
		"a":     {"a/dt=2026-11-29/a_00000.gz 5", fmt.Sprint("a/dt=2026-11-30/a_00000.gz ", len(large))},
		"none":  nil,
		"b c":   {"b c/ü_1 0"},
		"b":     nil,
		"a/dt=": nil,
	} {
		if got := names(t, d, dir); !slices.Equal(got, want) {
			t.Errorf("in %q there are %q, want %q", dir, got, want)
		}
	}
	if got := names(t, d, ""); len(got) != 4 {
		t.Errorf("there are %q", got)
	}
	stop := errors.New("enough")
	if err := d.List(ctx, "", func(Object) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the error of the caller became %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := d.Put(cancelled, "a/cancelled", section("x")); err == nil {
		t.Error("Put went on when its context had ended")
	}
	if _, err := d.Open(ctx, "a/cancelled", Whole); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a Put that was given up left something: %v", err)
	}
}

// race has several writers put different content under one name: one of them wins, and its content stays.
func race(t *testing.T, d Depot) {
	for round := range 5 {
		name := fmt.Sprintf("race/%d", round)
		var won atomic.Int64
		var winner atomic.Value
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				data := fmt.Sprintf("writer %d of round %d", i, round)
				switch err := d.Put(t.Context(), name, section(data)); {
				case err == nil:
					won.Add(1)
					winner.Store(data)
				case !errors.Is(err, ErrTaken):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d writers were told that they have the name", won.Load())
		} else if got := read(t, d, name, Whole); got != winner.Load() {
			t.Errorf("%q won, %q is there", winner.Load(), got)
		}
	}
}

func TestDirectory(t *testing.T) {
	root := t.TempDir()
	d, err := Open(root, Options{})
	must(t, err)
	contract(t, d)
	must(t, os.WriteFile(filepath.Join(root, "a", ".hidden"), []byte("x"), 0o600))
	if got := names(t, d, "a"); len(got) != 2 {
		t.Errorf("hidden files are listed: %q", got)
	}
}

func TestDirectoryThatIsNotMounted(t *testing.T) {
	root := filepath.Join(t.TempDir(), "volume")
	d, err := Open(root, Options{})
	must(t, err)
	if err := d.Put(t.Context(), "a", section("x")); err == nil || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("a directory that is missing: %v", err)
	}
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"s3://bucket":       "s3://bucket/",
		"s3://bucket/a//b/": "s3://bucket/a/b",
		"s3://b/p?region=eu&endpoint=http%3A%2F%2Fh:1": "s3://b/p?endpoint=http%3A%2F%2Fh%3A1&region=eu",
		"s3://b/p?endpoint=http://h:1":                 "s3://b/p?endpoint=http%3A%2F%2Fh%3A1",
		"hdfs://n1:9000,n2:9000/logs/":                 "hdfs://n1:9000,n2:9000/logs",
		"hdfs://n1":                                    "hdfs://n1/",
		"/a/b/":                                        "/a/b",
	} {
		a, err := ParseAddress(text)
		if err != nil || a.String() != want {
			t.Errorf("%s became %s, want %s (%v)", text, a, want, err)
		}
	}
	for _, text := range []string{"", "ftp://a/b", "s3:///a", "s3://b/a?endpiont=x", "s3://b/a?region=a&region=b",
		"hdfs://"} {
		if a, err := ParseAddress(text); err == nil {
			t.Errorf("%q was taken for %v", text, a)
		}
	}
	for text, want := range map[string][2]string{"s3://b/p/x.gz?region=r": {"s3://b/p?region=r", "x.gz"},
		"s3://b/x": {"s3://b/", "x"}, "s3://b": {"s3://b/", ""},
		"hdfs://n/x": {"hdfs://n/", "x"}, "hdfs://n/a/x": {"hdfs://n/a", "x"}, "/a": {"/", "a"}} {
		a, err := ParseAddress(text)
		must(t, err)
		if dir, name := a.Parent(); dir.String() != want[0] || name != want[1] {
			t.Errorf("%s is %s in %s, want %v", text, name, dir, want)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, size := range []int{0, 1, 128 << 10, 128<<10 + 1, 256 << 10} {
		a := []byte(noise(size))
		if ok, err := equal(bytes.NewReader(a), bytes.NewReader(a)); !ok || err != nil {
			t.Errorf("%d bytes are not equal to themselves: %v", size, err)
		}
		longer := append(slices.Clone(a), 0)
		if ok, _ := equal(bytes.NewReader(a), bytes.NewReader(longer)); ok {
			t.Errorf("%d bytes are equal to one more", size)
		}
		if ok, _ := equal(bytes.NewReader(longer), bytes.NewReader(a)); ok {
			t.Errorf("%d bytes are equal to one less", size)
		}
	}
}
