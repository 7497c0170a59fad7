package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/faultfs/crashfs"
	"inkwell/store"
	"inkwell/store/books"
)

// world is the directory of a collector, its state and a depot, on one disk that can lose power.
type world struct {
	t      *testing.T
	root   string
	disk   *crashfs.Disk
	files  []books.File // of category a, in order; that is what is in logs/a
	marker books.Marker
	noted  map[string]bool // Add or Mark returned
	faults *flaky          // of the depot; nil: none
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, root: filepath.Join(inMemory(t), "disk"), noted: make(map[string]bool)}
	for _, dir := range []string{"logs/a", "state/depot", "depot"} {
		must(t, os.MkdirAll(filepath.Join(w.root, dir), 0o755))
	}
	for i := range 3 {
		f := books.File{Name: fmt.Sprintf("a-2026-11-29_%05d.gz", i), Entries: 1, First: time.Unix(1000, 0),
			Last:  time.Unix(int64(2000+i), 0),
			Spans: []store.Span{{Category: "a", Count: 1, Bytes: 5}}}
		data := strings.Repeat(fmt.Sprint(i), 700*(i+1)) // more than a sector
		f.Bytes, f.Raw = int64(len(data)), 5
		must(t, os.WriteFile(filepath.Join(w.root, "logs/a", f.Name), []byte(data), 0o644))
		w.files = append(w.files, f)
	}
	w.marker = books.Marker{Category: "a", Period: "2026-11-29", Version: 1, Made: time.Unix(3000, 0), Files: w.files}
	w.boot()
	return w
}

// inMemory returns a directory in which syncs cost nothing; the test simulates their effect.
func inMemory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "inkwell-depot-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// boot starts with the content of the disk.
func (w *world) boot() {
	disk, err := crashfs.New(w.root)
	must(w.t, err)
	w.disk = disk
}

// powerCut sets the disk to the state after a power cut.
func (w *world) powerCut(cut crashfs.Cut) {
	must(w.t, w.disk.Image(w.root+".new", cut), os.RemoveAll(w.root), os.Rename(w.root+".new", w.root))
	w.boot()
}

// dies kills a process at its n-th operation on the disk.
type dies struct{ left atomic.Int64 }

func (d *dies) Inject(op faultfs.Op, _ string, n int) (int, error) {
	if d.left.Add(-1) < 0 {
		return n / 2, crashfs.ErrKilled
	}
	return n, nil
}

// flaky is a depot of which some calls fail before they do anything, and others after they did everything.
type flaky struct {
	Depot
	draw *rand.Rand
	left int // faults
}

func (f *flaky) Put(ctx context.Context, name string, data *io.SectionReader) error {
	if f.left == 0 {
		return f.Depot.Put(ctx, name, data)
	}
	how := f.draw.IntN(3)
	if how == 0 {
		return f.Depot.Put(ctx, name, data)
	}
	f.left--
	if how == 1 {
		return errors.New("the depot is away")
	}
	if err := f.Depot.Put(ctx, name, data); err != nil {
		return err
	}
	return errors.New("the answer is lost")
}

// run runs a process: it adds the missing notes, like the books do after a checkpoint, and ends when everything was
// uploaded or the process was killed.
func (w *world) run(inj faultfs.Injector, again bool) (done bool) {
	w.t.Helper()
	proc := w.disk.Process(inj)
	defer proc.Kill()
	state, err := faultfs.OpenDir(filepath.Join(w.root, "state/depot"), proc)
	if err != nil {
		return false
	}
	d, err := Open(filepath.Join(w.root, "depot"), Options{Injector: proc})
	must(w.t, err)
	if w.faults != nil {
		w.faults.Depot = d
		d = w.faults
	}
	logs := filepath.Join(w.root, "logs")
	s, err := NewShipper(ShipperOptions{State: state,
		Routes: []Route{{Root: logs, Address: "depot", Depot: d, Who: "w1"}},
		tuning: tuning{retry: time.Millisecond, workers: 1}})
	if err != nil {
		must(w.t, state.Close())
		return false
	}
	defer func() { must(w.t, s.Close(0)) }()
	dir := filepath.Join(logs, "a")
	for _, f := range w.files {
		if w.noted[f.Name] && !again {
			continue
		}
		w.noted[f.Name] = false // until the manifest has it
		if s.Add(dir, []books.File{f}) != nil {
			return false
		}
		w.noted[f.Name] = true
	}
	if !w.noted["marker"] || again {
		w.noted["marker"] = false
		if s.Mark(dir, &w.marker) != nil {
			return false
		}
		w.noted["marker"] = true
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		s.mu.Lock()
		left := len(s.pending)
		s.mu.Unlock()
		if left == 0 {
			return true
		}
		if d, ok := inj.(*dies); ok && d.left.Load() < 0 {
			return false
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%d files are not brought: %s", left, s.Status())
		}
	}
}

// check compares the depot with the files.
func (w *world) check(when string) {
	w.t.Helper()
	want := make(map[string]string)
	for _, f := range w.files {
		data, err := os.ReadFile(filepath.Join(w.root, "logs/a", f.Name))
		must(w.t, err)
		want["a/dt=2026-11-29/"+strings.Replace(f.Name, "_", "_w1_", 1)] = string(data)
	}
	d, err := Open(filepath.Join(w.root, "depot"), Options{})
	must(w.t, err)
	got, listed, marks := make(map[string]string), 0, 0
	must(w.t, d.List(w.t.Context(), "", func(o Object) error {
		data := read(w.t, d, o.Name, Whole)
		switch {
		case strings.HasPrefix(o.Name, Manifests+"/"):
			listed++
			f := manifestIn(w.t, data)
			if size := int64(len(want["a/dt=2026-11-29/"+f.Name])); size != f.Bytes ||
				manifestOf("a/dt=2026-11-29/"+f.Name) != o.Name {
				w.t.Errorf("%s: %s says %+v", when, o.Name, f)
			}
		case strings.Contains(o.Name, books.MarkerPrefix):
			marks++
		default:
			got[o.Name] = data
		}
		return nil
	}))
	if !maps.Equal(got, want) || listed != len(want) || marks != 1 {
		w.t.Errorf("%s: the depot has %q, %d manifests and %d markers", when, slices.Sorted(maps.Keys(got)), listed,
			marks)
	}
	notes, err := filepath.Glob(filepath.Join(w.root, "state/depot/*"+noteSuffix))
	if must(w.t, err); len(notes) > 0 {
		w.t.Errorf("%s: notes are left: %q", when, notes)
	}
}

// manifestIn returns the file that a manifest in a depot describes.
func manifestIn(t *testing.T, data string) (f books.File) {
	t.Helper()
	damaged, err := faultfs.ParseLines("manifest", books.ManifestHeader, []byte(data), func(body []byte) (err error) {
		f, err = books.ParseFile(body)
		return err
	})
	if err != nil || damaged > 0 || len(f.Spans) != 1 {
		t.Errorf("a manifest has %d damaged lines, %d spans: %v", damaged, len(f.Spans), err)
	}
	return f
}

// TestProtocol kills a process at each disk operation of adding a note, uploading, listing and removing the note, with
// and without a power cut. The process is restarted and killed again during its recovery. The result must always be the
// same: everything is in the depot, once and under one name.
func TestProtocol(t *testing.T) {
	for n := int64(0); ; n++ {
		finished := false
		for kind, cut := range map[string]*crashfs.Cut{"killed": nil,
			"power cut": {Names: crashfs.Ordered, Choose: rand.New(rand.NewPCG(1, uint64(n))).IntN},
			"any names and bytes": {Names: crashfs.Subset, Bytes: crashfs.SomeBytes,
				Choose: rand.New(rand.NewPCG(2, uint64(n))).IntN}} {
			w := newWorld(t)
			when := fmt.Sprintf("%s behind operation %d", kind, n)
			for i, left := range []int64{n, n % 17, n % 5} {
				d := new(dies)
				d.left.Store(left)
				if done := w.run(d, n%2 == 0); i == 0 {
					finished = done
				}
				if cut != nil {
					w.powerCut(*cut)
				}
			}
			if !w.run(nil, n%3 == 0) {
				t.Fatalf("%s: the last run failed", when)
			}
			w.check(when)
			if t.Failed() {
				return
			}
		}
		if finished || n > 2000 {
			if n < 60 {
				t.Errorf("only %d operations: the test reaches nothing", n)
			}
			t.Logf("%d operations to die at, three ways", n)
			return
		}
	}
}

// TestProtocolWithFaults makes calls of the depot fail before and after they took effect, and kills processes in
// addition.
func TestProtocolWithFaults(t *testing.T) {
	for seed := range uint64(100) {
		w := newWorld(t)
		draw := rand.New(rand.NewPCG(seed, 3))
		w.faults = &flaky{draw: draw, left: 1 + draw.IntN(6)}
		when := fmt.Sprintf("seed %d", seed)
		for range draw.IntN(3) {
			d := new(dies)
			d.left.Store(draw.Int64N(120))
			w.run(d, draw.IntN(2) == 0)
			if draw.IntN(2) == 0 {
				w.powerCut(crashfs.Draw(draw.IntN))
			}
		}
		if !w.run(nil, true) {
			t.Fatalf("%s: the last run failed", when)
		}
		w.check(when)
		if t.Failed() {
			return
		}
	}
}
