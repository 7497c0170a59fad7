package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := OpenDir(path, nil)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// TestNoLinkIsFollowed plants links that lead out of the directory, and such as stay in it, under every name that is
// used.
func TestNoLinkIsFollowed(t *testing.T) {
	top := t.TempDir()
	inside, outside := filepath.Join(top, "data"), filepath.Join(top, "outside")
	must(t, os.MkdirAll(filepath.Join(inside, "other"), 0o750))
	must(t, os.Mkdir(outside, 0o750))
	for _, path := range []string{filepath.Join(inside, "other", "victim"), filepath.Join(inside, "victim"), filepath.Join(outside, "victim")} {
		must(t, os.WriteFile(path, []byte("precious"), 0o640))
	}
	d := open(t, inside)
	for name, target := range map[string]string{"in": "other", "up": "../outside", "abs": outside, "dangling": "nowhere", "loop": "loop"} {
		must(t, os.Symlink(target, filepath.Join(inside, name)))
		if sub, err := d.Sub(name); !errors.Is(err, ErrSymlink) {
			t.Errorf("Sub(%s): %v, %v", name, sub, err)
		}
		if sub, err := OpenBeneath(inside, filepath.Join(inside, name, "below"), nil); !errors.Is(err, ErrSymlink) {
			t.Errorf("OpenBeneath(%s): %v, %v", name, sub, err)
		}
		if sub, err := LookBeneath(inside, filepath.Join(inside, name)); !errors.Is(err, ErrSymlink) {
			t.Errorf("LookBeneath(%s): %v, %v", name, sub, err)
		}
		must(t, os.Symlink(filepath.Join(target, "victim"), filepath.Join(inside, name+".file")))
	}
	must(t, os.Symlink("victim", filepath.Join(inside, "near.file")))
	for _, name := range []string{"in.file", "up.file", "abs.file", "dangling.file", "near.file"} {
		for _, flag := range []int{os.O_RDONLY, os.O_RDWR | os.O_CREATE, os.O_WRONLY | os.O_CREATE | os.O_APPEND, os.O_WRONLY | os.O_CREATE | os.O_TRUNC} {
			if f, err := d.OpenFile(name, flag, 0o640); !errors.Is(err, ErrSymlink) || !IsMisplaced(err) {
				t.Errorf("OpenFile(%s, %x): %v, %v", name, flag, f, err)
			}
		}
		if f, err := d.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640); !errors.Is(err, fs.ErrExist) {
			t.Errorf("OpenFile(%s, exclusive): %v, %v", name, f, err)
		}
		if _, err := d.ReadFile(name); !errors.Is(err, ErrSymlink) {
			t.Errorf("ReadFile(%s): %v", name, err)
		}
		if _, err := d.Lock(name); !errors.Is(err, ErrSymlink) {
			t.Errorf("Lock(%s): %v", name, err)
		}
	}
	// These replace the link and leave alone what it points to; the temporary file may be a link, too.
	must(t, os.Symlink("../outside/victim", filepath.Join(inside, ".abs.file.tmp")))
	must(t, d.WriteFile("abs.file", []byte("new")))
	must(t, d.Symlink("victim", "up.file"))
	must(t, d.WriteFile("renamed", []byte("new")))
	must(t, d.Rename("renamed", "in.file"))
	must(t, d.Remove("near.file"))
	for _, path := range []string{filepath.Join(inside, "other", "victim"), filepath.Join(inside, "victim"), filepath.Join(outside, "victim")} {
		if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	for _, dir := range []string{filepath.Join(inside, "other"), outside} {
		if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
			t.Errorf("%s holds %v, %v", dir, list, err)
		}
	}
}

// TestOnlyRegularFilesAreOpened: a named pipe would block for ever.
func TestOnlyRegularFilesAreOpened(t *testing.T) {
	d := open(t, t.TempDir())
	must(t, unix.Mkfifo(filepath.Join(d.Path(), "pipe"), 0o640))
	must(t, os.Mkdir(filepath.Join(d.Path(), "dir"), 0o750))
	for _, name := range []string{"pipe", "dir"} {
		for _, flag := range []int{os.O_RDONLY, os.O_WRONLY | os.O_CREATE | os.O_APPEND} {
			if _, err := d.OpenFile(name, flag, 0o640); !errors.Is(err, ErrMisplaced) {
				t.Errorf("OpenFile(%s, %x): %v", name, flag, err)
			}
		}
	}
	if _, err := d.Sub("pipe"); !errors.Is(err, ErrMisplaced) {
		t.Errorf("Sub: %v", err)
	}
	if _, err := LookBeneath(d.Path(), filepath.Join(d.Path(), "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LookBeneath: %v", err)
	}
}

// TestTheRootMayBeALink: where the data is kept is the operator's choice; and a path that is not beneath the root is
// one as well.
func TestTheRootMayBeALink(t *testing.T) {
	top := t.TempDir()
	must(t, os.Mkdir(filepath.Join(top, "disk"), 0o750))
	must(t, os.Symlink("disk", filepath.Join(top, "link")))
	for _, c := range []struct{ root, path, made string }{
		{"link", "link/a/b", "disk/a/b"}, {"link", "link", "disk"}, {"", "link/c", "disk/c"}, {"link/a", "link/d", "disk/d"},
	} {
		root := c.root
		if root != "" {
			root = filepath.Join(top, root)
		}
		d, err := OpenBeneath(root, filepath.Join(top, c.path), nil)
		must(t, err)
		if d.Path() != filepath.Join(top, c.path) {
			t.Errorf("path %s", d.Path())
		}
		must(t, d.WriteFile("x", nil))
		must(t, d.Close())
		if _, err := os.Stat(filepath.Join(top, c.made, "x")); err != nil {
			t.Error(err)
		}
		must(t, os.Remove(filepath.Join(top, c.made, "x")))
	}
}

// syncs counts those of directories.
type syncs struct{ n int }

func (s *syncs) Inject(op Op, _ string, n int) (int, error) {
	if op == OpSyncDir {
		s.n++
	}
	return n, nil
}

// A directory that is there may have been made by a process that was killed before it was durable. Once that is made
// sure of, it is known.
func TestADirectoryThatIsThereIsMadeDurable(t *testing.T) {
	path, seen := t.TempDir(), new(syncs)
	d, err := OpenDir(path, seen)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := os.Mkdir(filepath.Join(path, "sub"), 0o750); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 1, 2} {
		if i == 2 {
			if err := errors.Join(os.Rename(filepath.Join(path, "sub"), filepath.Join(path, "old")), os.Mkdir(filepath.Join(path, "sub"), 0o750)); err != nil {
				t.Fatal(err)
			}
		}
		sub, err := d.Sub("sub")
		if err != nil {
			t.Fatal(err)
		}
		if seen.n != want {
			t.Errorf("%d syncs, want %d", seen.n, want)
		}
		if err := sub.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// OpenLater leaves the names of directories to a Sync, also those that another Dir has made.
func TestNamesThatAreSyncedLater(t *testing.T) {
	path, seen := t.TempDir(), new(syncs)
	var dirs []*Dir
	for _, name := range []string{"a/b", "a/c"} {
		d, err := OpenLater(path, filepath.Join(path, name), seen)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		dirs = append(dirs, d)
	}
	if seen.n != 0 || dirs[0].Settled() || dirs[1].Settled() {
		t.Errorf("%d syncs", seen.n)
	}
	if err := dirs[1].Sync(); err != nil || seen.n != 3 || !dirs[1].Settled() || dirs[0].Settled() {
		t.Errorf("%v, %d syncs", err, seen.n)
	}
}

// failing fails an operation.
type failing struct {
	op   Op
	seen []Op
}

func (f *failing) Inject(op Op, _ string, n int) (int, error) {
	f.seen = append(f.seen, op)
	if op == f.op {
		return 0, syscall.EIO
	}
	return n, nil
}

// Many files get one syncfs, few an fsync each, and so do many when the syncfs fails: it says nothing of any of them.
func TestManyFilesAreSyncedTogether(t *testing.T) {
	for _, c := range []struct {
		many int
		fail Op
		want []Op
		err  bool
	}{
		{3, "", []Op{OpSync, OpSync}, false},
		{2, "", []Op{OpSyncAll}, false},
		{2, OpSyncAll, []Op{OpSyncAll, OpSync, OpSync}, false},
		{2, OpSync, []Op{OpSyncAll}, false},
		{3, OpSync, []Op{OpSync, OpSync}, true},
	} {
		inj := &locked{inner: &failing{op: c.fail}}
		d, err := OpenDir(t.TempDir(), inj)
		if err != nil {
			t.Fatal(err)
		}
		disks := &Disks{Many: c.many}
		if err := disks.Know(d); err != nil {
			t.Fatal(err)
		}
		later := new(Later)
		var files []*File
		for _, name := range []string{"a", "b"} {
			f, err := d.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o640)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
			for range 2 {
				if err := later.Sync(f); err != nil {
					t.Fatal(err)
				}
			}
		}
		inj.inner.seen = nil
		got := errors.Join(disks.Sync(later.Take())...)
		if (got != nil) != c.err || !slices.Equal(inj.inner.seen, c.want) {
			t.Errorf("many are %d, %q fails: %v, %v", c.many, c.fail, inj.inner.seen, got)
		}
		if err := errors.Join(disks.Close(), files[0].Close(), files[1].Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// locked is failing for several goroutines.
type locked struct {
	mu    sync.Mutex
	inner *failing
}

func (l *locked) Inject(op Op, name string, n int) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inner.Inject(op, name, n)
}

// A syncfs is believed only from the kernel on that says whether it failed.
func TestKernelsThatReportErrors(t *testing.T) {
	for release, want := range map[string]bool{"5.16.12": false, "5.17": true, "5.17-rc3": true, "6.1.0-13-amd64": true, "4.19.0": false, "10.0": true, "x": false, "6": false, "": false} {
		if since517(release) != want {
			t.Errorf("%q: %v", release, !want)
		}
	}
}

// TestNamesStayBeneath: no name leads out of the directory, by whatever operation, and those of a partition lead to
// where they say.
func TestNamesStayBeneath(t *testing.T) {
	top := t.TempDir()
	must(t, os.WriteFile(filepath.Join(top, "outside"), []byte("outside"), 0o600))
	d, err := OpenDir(filepath.Join(top, "in"), nil)
	must(t, err)
	sub, err := d.Sub("part")
	must(t, err)
	must(t, sub.WriteFile("x", []byte("x")))
	must(t, os.Symlink(top, filepath.Join(top, "in", "link")))
	for _, name := range []string{"", "..", "../outside", "part/../../outside", "part/..", "part//x", "/outside", "./part/x",
		filepath.Join(top, "outside"), "link/outside", "part/x\x00", "part/"} {
		_, openErr := d.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		_, readErr := d.ReadFile(name)
		_, statErr := d.Lstat(name)
		for what, err := range map[string]error{"OpenFile": openErr, "ReadFile": readErr, "Lstat": statErr,
			"Remove": d.Remove(name), "Rename to": d.Rename("part/x", name), "Rename from": d.Rename(name, "y"),
			"Symlink": d.Symlink("target", name)} {
			if err == nil {
				t.Errorf("%s %q: no error", what, name)
			}
		}
	}
	if data, err := d.ReadFile("part/x"); err != nil || string(data) != "x" {
		t.Errorf("%q, %v", data, err)
	}
	if data, err := os.ReadFile(filepath.Join(top, "outside")); err != nil || string(data) != "outside" {
		t.Errorf("%q, %v", data, err)
	}
	must(t, d.Rename("part/x", "y"))
	must(t, d.Remove("y"))
	must(t, d.Close())
	if _, err := d.Lstat("part"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A directory is known to be empty only if it was made by this process, and until something is made in it by anybody.
func TestEmpty(t *testing.T) {
	top := t.TempDir()
	must(t, os.Mkdir(filepath.Join(top, "known"), 0o750))
	for name, want := range map[string]bool{"new": true, "known": false} {
		path := filepath.Join(top, name)
		d, err := OpenLater(top, path, nil)
		must(t, err)
		if d.Empty() != want {
			t.Errorf("%s: empty %v, want %v", name, !want, want)
		}
		for i := 0; d.Empty() || i == 0; i++ { // before Linux 6.13 the clock of files ticks every few milliseconds
			must(t, os.WriteFile(filepath.Join(path, fmt.Sprint(i)), nil, 0o640))
			if i > 10_000 {
				t.Fatalf("%s: empty, with %d files in it", name, i)
			}
		}
		must(t, d.Close())
	}
}
