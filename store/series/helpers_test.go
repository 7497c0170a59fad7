package series

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/internal/testkit"
	"inkwell/store"
	"inkwell/store/index"
)

// engine does what a queue does: it keeps the marks that were saved last, and marks the series right after it was
// opened.
type engine struct {
	t     *testing.T
	o     PlainOptions
	f     *Plain
	saved store.States
	added []store.Added
	clock time.Time
}

// start opens the series k in dir with what o says.
func start(t *testing.T, dir string, o PlainOptions) *engine {
	t.Helper()
	e := &engine{t: t, o: o, clock: time.Date(2026, 11, 23, 2, 59, 0, 0, time.UTC)}
	if e.o.Dir == "" {
		e.o.Dir = dir
	}
	if e.o.Base == "" {
		e.o.Base = "k"
	}
	if e.o.MaxWrite == 0 {
		e.o.MaxWrite = 1_000_000
	}
	if e.o.Stats == nil {
		e.o.Stats = stats.New()
	}
	e.o.Now = func() time.Time { return e.clock }
	e.open()
	t.Cleanup(func() { _ = e.f.Close() }) // a second time, mostly
	return e
}

func (e *engine) open() {
	e.t.Helper()
	f, err := OpenPlain(e.o, e.saved)
	must(e.t, err)
	e.f = f
	e.checkpoint()
}

// mark saves how the series stands.
func (e *engine) mark() {
	e.t.Helper()
	m, err := marking(e.f, e.saved)
	must(e.t, err)
	e.saved, e.added = m.Files, append(e.added, m.Added...)
}

func (e *engine) checkpoint() {
	e.t.Helper()
	e.mark()
	must(e.t, e.f.Publish(nil))
}

func (e *engine) append(messages ...string) {
	e.t.Helper()
	must(e.t, e.f.Append(context.Background(), testkit.Batch("k", messages...)))
}

// crash ends the series without a word and opens it as it was saved last.
func (e *engine) crash() {
	e.t.Helper()
	must(e.t, e.f.Close())
	e.open()
}

// restart ends the series in good order: no marks are left.
func (e *engine) restart() {
	e.t.Helper()
	e.checkpoint()
	must(e.t, e.f.Close())
	e.saved = nil
	e.open()
}

// at sets the clock and lets the series look at it.
func (e *engine) at(text string) {
	e.t.Helper()
	now, err := time.Parse("2006-01-02 15:04", text)
	must(e.t, err)
	e.clock = now
	must(e.t, e.f.Check(now))
}

// onDisk is every file below dir with its bytes, and every link with its target behind an arrow.
func onDisk(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		must(t, err)
		if e.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			must(t, err)
			all[name] = "-> " + target
			return nil
		}
		data, err := os.ReadFile(path)
		must(t, err)
		all[name] = string(data)
		return nil
	})
	must(t, err)
	return all
}

// wantTree compares what is below dir; {DIR} stands for dir.
func wantTree(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := onDisk(t, dir)
	for name, text := range want {
		text = strings.ReplaceAll(text, "{DIR}", dir)
		if have, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		} else if have != text {
			t.Errorf("%s: got %q, want %q", name, have, text)
		}
		delete(got, name)
	}
	for name, text := range got {
		t.Errorf("%s should not be there: %q", name, text)
	}
}

// faults fails operations as a test wants it, and lists them.
type faults struct {
	mu   sync.Mutex
	fail func(op faultfs.Op, name string, n int) (int, error)
	log  []string
}

func (f *faults) Inject(op faultfs.Op, name string, n int) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprint(op, " ", name))
	if f.fail == nil {
		return n, nil
	}
	return f.fail(op, name, n)
}

func (f *faults) set(fail func(op faultfs.Op, name string, n int) (int, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.log = fail, nil
}

// only fails op, writes after allow bytes.
func only(op faultfs.Op, allow int, err error) func(faultfs.Op, string, int) (int, error) {
	return func(o faultfs.Op, _ string, n int) (int, error) {
		if o == op {
			return min(n, allow), err
		}
		return n, nil
	}
}

// killer lets so many operations pass and fails every one after that, as if the process had been killed.
type killer struct {
	left int
	tear bool // let half of the first write that fails through
}

func (d *killer) Inject(op faultfs.Op, _ string, n int) (int, error) {
	d.left--
	switch {
	case d.left >= 0:
		return n, nil
	case d.left == -1 && d.tear && op == faultfs.OpWrite:
		return n / 2, syscall.EIO
	}
	return 0, syscall.EIO
}

// wantBroken checks that err sends the engine back to the last checkpoint, in words of the original.
func wantBroken(t *testing.T, err error, text string) {
	t.Helper()
	if !errors.Is(err, store.ErrBroken) {
		t.Fatalf("not broken: %v", err)
	}
	if got := store.StatusText(err); got != text {
		t.Errorf("status %q, want %q", got, text)
	}
}

// marking asks a series for its marks, beside those that there are.
func marking(k store.Keeper, saved store.States) (*store.Marks, error) {
	m := &store.Marks{Files: maps.Clone(saved)}
	if m.Files == nil {
		m.Files = make(store.States)
	}
	return m, k.Mark(m)
}

// published returns the bytes of all finished files in a directory, in order, and fails on any name that is not final.
func published(t *testing.T, dir, category string) string {
	t.Helper()
	var all bytes.Buffer
	list, err := os.ReadDir(filepath.Join(dir, category))
	must(t, err)
	for _, e := range list {
		if _, isIndex := index.FileOf(e.Name()); isIndex {
			continue
		}
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s/%s is not published", category, e.Name())
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, category, e.Name()))
		must(t, err)
		if strings.HasSuffix(e.Name(), ".gz") {
			r, err := gzip.NewReader(bytes.NewReader(data))
			must(t, err)
			data, err = io.ReadAll(r)
			must(t, err)
		}
		all.Write(data)
	}
	return all.String()
}
