package series

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/internal/testkit"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/index"
)

// compressedRun does what a queue does: it keeps the marks that were saved last, and marks the series right after it
// was opened.
type compressedRun struct {
	t     *testing.T
	o     CompressedOptions
	c     *Compressed
	saved store.States
	added []store.Added
	clock time.Time
}

// runCompressed opens the series "cat" in dir/cat.
func runCompressed(t *testing.T, dir string, o CompressedOptions) *compressedRun {
	t.Helper()
	r := &compressedRun{t: t, o: o, clock: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	r.o.Dir, r.o.Base = filepath.Join(dir, "cat"), "cat"
	r.o.Now = func() time.Time { return r.clock }
	if r.o.Stats == nil {
		r.o.Stats = stats.New()
	}
	r.open()
	t.Cleanup(func() { _ = r.c.Close() }) // a second time, mostly
	return r
}

func (r *compressedRun) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *compressedRun) open() {
	r.t.Helper()
	c, err := OpenCompressed(r.o, r.saved)
	r.check(err)
	r.c = c
	r.checkpoint()
}

func (r *compressedRun) checkpoint() {
	r.t.Helper()
	m, err := marking(r.c, r.saved)
	r.check(err)
	r.saved, r.added = m.Files, append(r.added, m.Added...)
	r.check(r.c.Publish(nil))
}

func (r *compressedRun) append(messages ...string) {
	r.t.Helper()
	r.check(r.c.Append(context.Background(), testkit.Batch("cat", messages...)))
}

// finish is the end of a run.
func (r *compressedRun) finish() {
	r.t.Helper()
	r.check(r.c.Seal())
	r.checkpoint()
	r.check(r.c.Close())
}

// crash closes without a word and opens as it was saved last.
func (r *compressedRun) crash() {
	r.t.Helper()
	r.check(r.c.Close())
	r.open()
}

func TestCompressedWritesWhatWasAppended(t *testing.T) {
	for _, of := range []struct {
		name string
		o    CompressedOptions
		want string
	}{
		{"as they are", CompressedOptions{}, "a\nb\x00c"},
		{"newlines", CompressedOptions{Form: store.Form{Newlines: store.NewlinesAlways}}, "a\n\n\nb\x00\nc\n"},
		{"newlines if missing", CompressedOptions{Form: store.Form{Newlines: store.NewlinesIfMissing}}, "a\n\nb\x00\nc\n"},
		{"quoted", CompressedOptions{Form: store.Form{Quote: true}}, "\"cat\" a\n\"cat\" \n\"cat\" b\x00\n\"cat\" c\n"},
	} {
		dir := t.TempDir()
		r := runCompressed(t, dir, of.o)
		r.append("a\n", "")
		r.append("b\x00", "c")
		r.finish()
		if got := published(t, dir, "cat"); got != of.want {
			t.Errorf("%s: %q, want %q", of.name, got, of.want)
		}
	}
}

// TestCompressedBound keeps files within the size that they may have, but for one message that is larger than any.
func TestCompressedBound(t *testing.T) {
	dir := t.TempDir()
	r := runCompressed(t, dir, CompressedOptions{MaxSize: 4000})
	var want strings.Builder
	add := func(text string) {
		r.append(text)
		want.WriteString(text)
	}
	for i := range 60 {
		add(fmt.Sprintf("%d %x\n", i, noise(i, 100+i*7)))
	}
	add(fmt.Sprintf("%x\n", noise(99, 20000)))
	r.finish()
	if got := published(t, dir, "cat"); got != want.String() {
		t.Errorf("%d bytes came out, %d went in", len(got), want.Len())
	}
	list, err := os.ReadDir(r.o.Dir)
	r.check(err)
	large := 0
	for _, e := range list {
		info, err := e.Info()
		r.check(err)
		if info.Size() > 4000 {
			large++
		}
	}
	if large != 1 || len(list) < 8 {
		t.Errorf("%d of %d files are too large", large, len(list))
	}
}

// noise cannot be compressed to less than half of its hexadecimal digits.
func noise(seed, n int) []byte {
	out := make([]byte, n)
	x := uint64(seed)*2 + 1
	for i := range out {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		out[i] = byte(x >> 32)
	}
	return out
}

// TestCompressedKilledAtEveryDiskOperation stops the world behind each disk operation of a run with rotations,
// recovers, which is stopped as well, and appends again what came behind the marks that were saved last: everything is
// there once and in order.
func TestCompressedKilledAtEveryDiskOperation(t *testing.T) {
	for _, codec := range []rotate.Codec{rotate.Gzip, rotate.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				if !compressedKilledAfter(t, codec, n) {
					if n < 30 {
						t.Fatalf("a run has only %d disk operations: the test reaches nothing", n)
					}
					t.Logf("%d kill points", n)
					return
				}
			}
		})
	}
}

func compressedKilledAfter(t *testing.T, codec rotate.Codec, n int) (died bool) {
	dir := t.TempDir()
	const batches = 16
	message := func(i, k int) string { return fmt.Sprintf("%03d.%d %x\n", i, k, noise(100*i+k, 60)) }
	var saved store.States
	done := 0 // batches that saved covers
	life := func(inj faultfs.Injector) error {
		c, err := OpenCompressed(CompressedOptions{Dir: filepath.Join(dir, "cat"), Base: "cat", Codec: codec, MaxSize: 700, Injector: inj}, saved)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }() // a process that was killed says nothing, either
		save := func(i int) error {
			m, err := marking(c, nil)
			if err != nil {
				return err
			}
			saved, done = m.Files, i
			return c.Publish(nil)
		}
		if err := save(done); err != nil {
			return err
		}
		for i := done; i < batches; i++ {
			if err := c.Append(context.Background(), testkit.Batch("cat", message(i, 0), message(i, 1), message(i, 2))); err != nil {
				return err
			}
			if i%3 == 2 {
				if err := save(i + 1); err != nil {
					return err
				}
			}
		}
		if err := c.Seal(); err != nil {
			return err
		}
		return save(batches)
	}
	died = life(&killer{left: n, tear: n%2 == 0}) != nil
	if died {
		_ = life(&killer{left: n % 5, tear: n%3 == 0}) // dies again on its way back
		_ = life(&killer{left: n % 17})
		if err := life(nil); err != nil {
			t.Fatalf("killed after %d: %v", n, err)
		}
	}
	var want strings.Builder
	for i := range batches {
		want.WriteString(message(i, 0) + message(i, 1) + message(i, 2))
	}
	got := published(t, dir, "cat")
	if codec == rotate.Zstd {
		got = unzstd(t, got)
	}
	if got != want.String() {
		t.Fatalf("killed after %d: got\n%s\nwant\n%s", n, got, want.String())
	}
	return died
}

// unzstd decompresses frames, and passes over the tables behind them.
func unzstd(t *testing.T, data string) string {
	t.Helper()
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out, err := d.DecodeAll([]byte(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestCompressedQuiet: a file to which nothing comes any more is finished when its time is over.
func TestCompressedQuiet(t *testing.T) {
	dir := t.TempDir()
	hourly, err := rotate.ParsePeriod("hourly")
	if err != nil {
		t.Fatal(err)
	}
	r := runCompressed(t, dir, CompressedOptions{Period: hourly})
	r.append("noon\n")
	r.checkpoint()
	var checker store.Checker = r.c
	r.clock = r.clock.Add(59 * time.Minute)
	r.check(checker.Check(r.clock))
	r.checkpoint()
	if names := namesIn(t, r.o.Dir); !slices.Equal(names, []string{".cat-2026-11-23T12_00000.gz.open"}) {
		t.Errorf("before the hour is over: %q", names)
	}
	r.append("noon, too\n") // gathered, not written
	r.clock = r.clock.Add(time.Minute)
	r.check(checker.Check(r.clock))
	r.checkpoint()
	if got := published(t, dir, "cat"); got != "noon\nnoon, too\n" {
		t.Errorf("after it: %q in %q", got, namesIn(t, r.o.Dir))
	}
	if names := namesIn(t, r.o.Dir); !slices.Equal(names, []string{"cat-2026-11-23T12_00000.gz"}) {
		t.Errorf("after it: %q", names)
	}
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if _, isIndex := index.FileOf(e.Name()); !isIndex {
			names = append(names, e.Name())
		}
	}
	return names
}

// switched fails writes while it is on.
type switched struct {
	mu sync.Mutex
	on error
}

func (s *switched) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = err
}

func (s *switched) Inject(op faultfs.Op, _ string, n int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on != nil && op == faultfs.OpWrite {
		return n / 2, s.on
	}
	return n, nil
}

// TestCompressedFullDisk: after a failed write nothing is marked any more, and the series is opened from the last
// marks.
func TestCompressedFullDisk(t *testing.T) {
	dir, disk := t.TempDir(), new(switched)
	r := runCompressed(t, dir, CompressedOptions{Injector: disk})
	r.append("first\n")
	r.checkpoint()
	large := fmt.Sprintf("%x\n", noise(1, 300_000))
	disk.set(syscall.ENOSPC)
	wantBroken := func(err error) {
		t.Helper()
		if !errors.Is(err, store.ErrBroken) || !errors.Is(err, syscall.ENOSPC) || store.StatusText(err) != "File write error" {
			t.Errorf("error is %v", err)
		}
	}
	wantBroken(r.c.Append(context.Background(), testkit.Batch("cat", large, large)))
	disk.set(nil)
	wantBroken(r.c.Append(context.Background(), testkit.Batch("cat", "not taken\n")))
	wantBroken(r.c.Mark(&store.Marks{Files: make(store.States)}))
	wantBroken(r.c.Seal())
	r.crash()
	r.append(large, large)
	r.finish()
	if got := published(t, dir, "cat"); got != "first\n"+large+large {
		t.Errorf("%d bytes came out", len(got))
	}
}

// TestCompressedRemovedUnderWay: what comes after the file or its directory was taken away is not written where nobody
// looks.
func TestCompressedRemovedUnderWay(t *testing.T) {
	for name, away := range map[string]func(dir string) error{
		"the file":           func(dir string) error { return os.Remove(filepath.Join(dir, ".cat-2026-11-23_00000.gz.open")) },
		"the directory":      os.RemoveAll,
		"moved":              func(dir string) error { return os.Rename(dir, dir+".old") },
		"moved and replaced": func(dir string) error { return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o750)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := runCompressed(t, dir, CompressedOptions{})
			r.append("before\n")
			r.checkpoint()
			r.check(away(r.o.Dir))
			err := r.c.Append(context.Background(), testkit.Batch("cat", "after\n"))
			if !errors.Is(err, store.ErrBroken) {
				t.Fatalf("error is %v", err)
			}
			if text := err.Error(); strings.Contains(text, "\n") || strings.Contains(text, store.ErrBroken.Error()) {
				t.Errorf("%q does not say just what happened", text)
			}
			r.crash()
			for _, counter := range []string{"cat:bytes lost", "scribe_overall:bytes lost"} {
				if r.o.Stats.Get(counter) == 0 {
					t.Errorf("%s is 0", counter)
				}
			}
			r.append("after\n")
			r.finish()
			if got := published(t, dir, "cat"); got != "after\n" {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestCompressedBehindALink writes where a link in the place of the directory leads to.
func TestCompressedBehindALink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(dir, "cat")); err != nil {
		t.Fatal(err)
	}
	r := runCompressed(t, dir, CompressedOptions{})
	r.append("m\n")
	r.finish()
	if got := published(t, dir, "cat"); got != "m\n" {
		t.Errorf("%q", got)
	}
}

func TestCompressedClosed(t *testing.T) {
	r := runCompressed(t, t.TempDir(), CompressedOptions{})
	r.finish()
	if err := r.c.Append(context.Background(), testkit.Batch("cat", "m")); !errors.Is(err, store.ErrClosed) {
		t.Error(err)
	}
	if err := r.c.Check(r.clock); err != nil {
		t.Error(err)
	}
	if err := r.c.Close(); err != nil {
		t.Error(err)
	}
	if files := namesIn(t, r.o.Dir); len(files) != 0 {
		t.Errorf("a series without entries has %q", files)
	}
}

func TestCompressedOpenFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenCompressed(CompressedOptions{Dir: filepath.Join(dir, "file"), Base: "cat"}, nil)
	if store.StatusText(err) != "File open error" || !strings.Contains(err.Error(), dir) {
		t.Error(err)
	}
	path := filepath.Join(dir, "cat")
	if _, err = OpenCompressed(CompressedOptions{Dir: path, Base: "cat"}, store.States{filepath.Join(path, "cat"): []byte("{")}); err == nil {
		t.Error("a state that cannot be read was passed over")
	}
	if _, err := os.Stat(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
