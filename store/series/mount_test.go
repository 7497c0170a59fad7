package series

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"inkwell/internal/stats"
	"inkwell/internal/testkit"
	"inkwell/store"
)

// mount mounts a file system in memory, which is there until the test ends or undo is called.
func mount(t *testing.T, path string) (undo func()) {
	t.Helper()
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("mount a tmpfs: %v (this test needs a user who may mount: root)", err)
	}
	undo = func() { _ = unix.Unmount(path, unix.MNT_DETACH) } // a second time, perhaps
	t.Cleanup(undo)
	return undo
}

// opened is how a series is opened: plain or compressed.
type opened func(dir string, saved store.States) (store.Keeper, error)

func bothKinds() map[string]opened {
	set := stats.New()
	return map[string]opened{
		"plain": func(dir string, saved store.States) (store.Keeper, error) {
			return OpenPlain(PlainOptions{Dir: dir, Base: "k", MaxWrite: 1e6, NoSymlink: true, Stats: set}, saved)
		},
		"compressed": func(dir string, saved store.States) (store.Keeper, error) {
			return OpenCompressed(CompressedOptions{Dir: dir, Base: "k", Stats: set}, saved)
		},
	}
}

// TestMountedOver mounts another file system over the directory, or above it, while entries come: it is noticed by the
// clock, by the next entries and by the mark, and what is not marked can be written again. What had been marked is
// there when the other one is gone.
func TestMountedOver(t *testing.T) {
	for name, open := range bothKinds() {
		for _, above := range []bool{false, true} {
			for _, notices := range []string{"Check", "Append", "Mark"} {
				t.Run(name+" "+notices, func(t *testing.T) {
					ctx := context.Background()
					top := t.TempDir()
					dir := filepath.Join(top, "above", "k")
					over := dir
					if above {
						over = filepath.Dir(dir)
					}
					k, err := open(dir, nil)
					must(t, err)
					m, err := marking(k, nil)
					must(t, err)
					must(t, k.Publish(nil))
					must(t, k.Append(ctx, testkit.Batch("k", "marked\n")))
					m, err = marking(k, m.Files)
					must(t, err)
					must(t, k.Append(ctx, testkit.Batch("k", "not marked\n")))
					undo := mount(t, over)
					switch notices {
					case "Check":
						err = store.Check(k, noon)
					case "Append":
						err = k.Append(ctx, testkit.Batch("k", "x"))
					case "Mark":
						_, err = marking(k, m.Files)
					}
					wantBroken(t, err, "File write error")
					must(t, k.Close())
					k, err = open(dir, m.Files)
					must(t, err)
					m, err = marking(k, m.Files)
					must(t, err)
					must(t, k.Publish(nil))
					must(t, k.Append(ctx, testkit.Batch("k", "not marked\n")))
					undo()
					_, err = marking(k, m.Files)
					wantBroken(t, err, "File write error")
					must(t, k.Close())
					k, err = open(dir, m.Files)
					must(t, err)
					m, err = marking(k, m.Files)
					must(t, err)
					must(t, k.Publish(nil))
					must(t, k.Append(ctx, testkit.Batch("k", "not marked\n")))
					must(t, k.(store.Sealer).Seal())
					_, err = marking(k, m.Files)
					must(t, err)
					must(t, k.Publish(nil))
					must(t, k.Close())
					if name == "plain" { // the file of before, which was not cut, and the one behind it
						wantTree(t, dir, map[string]string{"k_00000": "marked\nnot marked\n", "k_00001": "not marked\n"})
						return
					}
					orphans, err := filepath.Glob(filepath.Join(dir, ".k-*_00000.gz.orphan"))
					if err != nil || len(orphans) != 1 {
						t.Fatalf("%q, %v", onDisk(t, dir), err)
					}
					must(t, os.Remove(orphans[0]))
					if got := published(t, filepath.Dir(dir), "k"); got != "not marked\n" {
						t.Errorf("%q", got)
					}
				})
			}
		}
	}
}

// TestMountedReadOnly: a file system that turns read-only is noticed although nothing comes, and the series goes on
// when it can be written.
func TestMountedReadOnly(t *testing.T) {
	top := t.TempDir()
	mount(t, top)
	dir := filepath.Join(top, "k")
	open := bothKinds()["compressed"]
	k, err := open(dir, nil)
	must(t, err)
	must(t, store.Check(k, noon))
	must(t, unix.Mount("", top, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	for err = nil; err == nil; { // the answer holds for a moment
		err = store.Check(k, noon)
	}
	wantBroken(t, err, "File write error")
	if !errors.Is(err, syscall.EROFS) {
		t.Error(err)
	}
	must(t, k.Close())
	k, err = open(dir, nil)
	must(t, err) // nothing has to be written yet
	wantBroken(t, k.Append(context.Background(), testkit.Batch("k", "x\n")), "File write error")
	must(t, k.Close())
	must(t, unix.Mount("", top, "", unix.MS_REMOUNT, ""))
	k, err = open(dir, nil)
	must(t, err)
	must(t, k.Append(context.Background(), testkit.Batch("k", "x\n")))
	must(t, k.(store.Sealer).Seal())
	_, err = marking(k, nil)
	must(t, err)
	must(t, k.Publish(nil))
	must(t, k.Close())
	if got := published(t, top, "k"); got != "x\n" {
		t.Errorf("%q", got)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}
