package crashfs

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"inkwell/internal/faultfs"
)

// world is a disk with a process that has its root open.
func world(t *testing.T, faults faultfs.Injector) (*Disk, *Process, *faultfs.Dir) {
	t.Helper()
	root := t.TempDir()
	d, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	p := d.Process(faults)
	dir, err := faultfs.OpenDir(root, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return d, p, dir
}

// after returns the files of an image, by path.
func after(t *testing.T, d *Disk, cut Cut) map[string]string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "image")
	if err := d.Image(to, cut); err != nil {
		t.Fatal(err)
	}
	return tree(t, to)
}

func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if e.Type()&fs.ModeSymlink != 0 {
			files[name], err = os.Readlink(path)
			return err
		}
		data, err := os.ReadFile(path)
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, dir *faultfs.Dir, name, data string) *faultfs.File {
	t.Helper()
	f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err == nil {
		_, err = f.WriteAt([]byte(data), 0)
	}
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
	for name, data := range want {
		if have, ok := got[name]; !ok || have != data {
			t.Errorf("%s: %s is %q (%v), want %q", what, name, have, ok, data)
		}
	}
}

// TestOnlyWhatWasSyncedIsSure makes each thing durable by its own means, and not.
func TestOnlyWhatWasSyncedIsSure(t *testing.T) {
	d, _, dir := world(t, nil)
	f := create(t, dir, "a", "one")
	nothing := Cut{Names: NoNames, Bytes: NoBytes}
	same(t, "nothing synced", after(t, d, nothing), map[string]string{})
	must(t, f.Sync())
	same(t, "no name", after(t, d, nothing), map[string]string{})
	must(t, dir.Sync())
	same(t, "name and bytes", after(t, d, nothing), map[string]string{"a": "one"})

	_, err := f.WriteAt([]byte("two, longer"), 0)
	must(t, err, dir.Rename("a", "b"), dir.Symlink("b", "l"))
	same(t, "second write", after(t, d, nothing), map[string]string{"a": "one"})
	same(t, "names only", after(t, d, Cut{Names: AllNames, Bytes: NoBytes}), map[string]string{"b": "one", "l": "b"})
	same(t, "bytes only", after(t, d, Cut{Names: NoNames, Bytes: AllBytes}), map[string]string{"a": "two, longer"})

	must(t, f.Truncate(2), f.SyncData(), dir.Remove("l"), dir.Sync())
	same(t, "truncated, removed", after(t, d, nothing), map[string]string{"b": "tw"})

	sub, err := dir.Sub("d")
	must(t, err)
	defer sub.Close()
	must(t, sub.WriteFile("w", []byte("whole")))
	same(t, "directory", after(t, d, nothing), map[string]string{"b": "tw", "d/w": "whole"})
}

// TestAFailedSyncMakesNothingSure syncs once with a fault and once without: only what is written again is durable.
func TestAFailedSyncMakesNothingSure(t *testing.T) {
	fault := &once{op: faultfs.OpSync}
	d, _, dir := world(t, fault)
	f := create(t, dir, "a", string(bytes.Repeat([]byte("x"), 2*sector)))
	must(t, dir.Sync())
	fault.armed = true
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	must(t, f.Sync())
	got := after(t, d, Cut{Bytes: NoBytes})["a"]
	if want := string(make([]byte, 2*sector)); got != want {
		t.Errorf("believed after a failed fsync: %.20q", got)
	}
	_, err := f.WriteAt(bytes.Repeat([]byte("y"), sector), 0)
	must(t, err, f.Sync())
	got = after(t, d, Cut{Bytes: NoBytes})["a"]
	if want := string(bytes.Repeat([]byte("y"), sector)) + string(make([]byte, sector)); got != want {
		t.Errorf("written again: %.20q", got)
	}
}

type once struct {
	op    faultfs.Op
	armed bool
}

func (o *once) Inject(op faultfs.Op, _ string, n int) (int, error) {
	if o.armed && op == o.op {
		o.armed = false
		return 0, syscall.EIO
	}
	return n, nil
}

// TestTheRecorderSeesWhatIsThere writes at random and compares the image of everything with the real directory, and
// that every choice leaves the synced sectors as they are.
func TestTheRecorderSeesWhatIsThere(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		d, _, dir := world(t, nil)
		files := []*faultfs.File{create(t, dir, "0", "0"), create(t, dir, "1", "1")}
		for range 60 {
			f := files[r.IntN(len(files))]
			switch r.IntN(8) {
			case 0:
				must(t, f.Truncate(r.Int64N(3000)))
			case 1:
				must(t, f.Sync())
			case 2:
				_, err := f.Writev([][]byte{make([]byte, r.IntN(600)), []byte("v")}, r.Int64N(2000))
				must(t, err)
			case 3:
				_, err := f.Write(bytes.Repeat([]byte("w"), r.IntN(100)))
				must(t, err)
			case 4:
				must(t, dir.WriteFile("w", bytes.Repeat([]byte("f"), r.IntN(1000))))
			default:
				_, err := f.WriteAt(bytes.Repeat([]byte{byte('a' + r.IntN(26))}, 1+r.IntN(900)), r.Int64N(2500))
				must(t, err)
			}
		}
		same(t, "everything", after(t, d, Cut{Names: AllNames, Bytes: AllBytes}), tree(t, dir.Path()))
		must(t, files[0].Sync(), dir.Sync())
		whole := tree(t, dir.Path())
		if got := after(t, d, Cut{Names: Subset, Bytes: SomeBytes, Choose: r.IntN}); got["0"] != whole["0"] || got["w"] != whole["w"] {
			t.Error("synced bytes changed")
		}
	}
}

// TestAnyChoiceHappens draws many images of one overwritten sector: each state that it can have must come.
func TestAnyChoiceHappens(t *testing.T) {
	d, _, dir := world(t, nil)
	f := create(t, dir, "a", string(bytes.Repeat([]byte("o"), sector)))
	must(t, f.Sync(), dir.Sync())
	for _, c := range "12" {
		_, err := f.WriteAt(bytes.Repeat([]byte{byte(c)}, sector), 0)
		must(t, err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	seen := map[string]int{}
	for range 400 {
		seen[string(bytes.TrimRight(compact(after(t, d, Cut{Names: Ordered, Bytes: SomeBytes, Choose: r.IntN})["a"]), "\x00"))]++
	}
	for _, want := range []string{"o", "1", "2", "1o", "21"} {
		if seen[want] == 0 {
			t.Errorf("never %q: %v", want, seen)
		}
	}
}

// compact writes runs of a byte once.
func compact(s string) []byte {
	var out []byte
	for i := range len(s) {
		if i == 0 || s[i] != s[i-1] {
			out = append(out, s[i])
		}
	}
	return out
}

func TestAKilledProcessWritesNothing(t *testing.T) {
	d, p, dir := world(t, nil)
	f := create(t, dir, "a", "before")
	must(t, f.Sync(), dir.Sync())
	p.Kill()
	_, werr := f.WriteAt([]byte("after"), 0)
	for _, err := range []error{werr, f.Sync(), f.Truncate(0), dir.Remove("a"), dir.Rename("a", "b"), dir.Symlink("a", "l"), dir.Sync()} {
		if !errors.Is(err, ErrKilled) {
			t.Errorf("got %v", err)
		}
	}
	same(t, "after the kill", tree(t, dir.Path()), map[string]string{"a": "before"})
	same(t, "image", after(t, d, Cut{Names: AllNames, Bytes: AllBytes}), map[string]string{"a": "before"})
}

// A state file's successor that was left behind has nothing to do with the next one.
func TestLeftoverOfAReplacement(t *testing.T) {
	d, _, dir := world(t, nil)
	f, err := dir.OpenFile(".state.tmp", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("a longer one that was never renamed")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := dir.WriteFile("state", []byte("short")); err != nil {
		t.Fatal(err)
	}
	if got := after(t, d, Cut{Names: NoNames, Bytes: NoBytes})["state"]; got != "short" {
		t.Errorf("the disk has %q", got)
	}
}
