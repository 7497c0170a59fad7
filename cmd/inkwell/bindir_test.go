package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// programs makes a directory with old programs, and one with a program in place of inkwell.
func programs(t *testing.T, old ...string) (b binDir, inkwell string) {
	t.Helper()
	dir := t.TempDir()
	inkwell = filepath.Join(dir, "inkwell")
	for _, name := range append(old, "inkwell") {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("old "+name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return binDir{dir}, inkwell
}

func migrateThere(t *testing.T, b binDir, inkwell string) error {
	t.Helper()
	steps, err := b.plan(inkwell)
	if err != nil {
		return err
	}
	return b.apply(steps, inkwell)
}

// listing returns the contents of the directory: NAME=text, or NAME>target for a link.
func listing(t *testing.T, b binDir) string {
	t.Helper()
	list, err := os.ReadDir(b.path)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range list {
		if to, err := os.Readlink(b.in(e.Name())); err == nil {
			all = append(all, e.Name()+">"+filepath.Base(to))
			continue
		}
		text, err := os.ReadFile(b.in(e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Name()+"="+string(text))
	}
	return strings.Join(all, ", ")
}

// TestBinDirForthAndBack keeps the old programs and restores them; links that replaced nothing are removed; doing
// either twice changes nothing.
func TestBinDirForthAndBack(t *testing.T) {
	b, inkwell := programs(t, "scribed", "scribe_ctrl", "other")
	before := listing(t, b)
	for range 2 {
		if err := migrateThere(t, b, inkwell); err != nil {
			t.Fatal(err)
		}
		want := ".inkwell-links=scribed\nscribe_cat\nscribe_ctrl\nscribe_pipe\n, inkwell=old inkwell, other=old other, scribe_cat>inkwell, scribe_ctrl>inkwell, " +
			"scribe_ctrl.before-inkwell=old scribe_ctrl, scribe_pipe>inkwell, scribed>inkwell, scribed.before-inkwell=old scribed"
		if got := listing(t, b); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
	for _, want := range []int{4, 0} {
		if done, err := b.back(inkwell); err != nil || len(done) != want {
			t.Errorf("%v, %v, want %d", done, err, want)
		}
		if got := listing(t, b); got != before {
			t.Errorf("%s\nwant\n%s", got, before)
		}
	}
}

// TestBinDirLeavesWhatOthersMade does not remove a link that existed before, nor a file that has been replaced since.
func TestBinDirLeavesWhatOthersMade(t *testing.T) {
	b, inkwell := programs(t)
	if err := os.Symlink(inkwell, b.in("scribe_cat")); err != nil {
		t.Fatal(err)
	}
	if err := migrateThere(t, b, inkwell); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(os.Remove(b.in("scribe_pipe")), os.WriteFile(b.in("scribe_pipe"), []byte("another"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.back(inkwell); err != nil {
		t.Fatal(err)
	}
	if got, want := listing(t, b), "inkwell=old inkwell, scribe_cat>inkwell, scribe_pipe=another"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestBinDirStopsHalfWay dies or fails between two steps: the steps so far can be undone; after a failure they have
// been.
func TestBinDirStopsHalfWay(t *testing.T) {
	b, inkwell := programs(t, "scribed", "scribe_ctrl")
	before := listing(t, b)
	if err := errors.Join(b.record([]string{"scribed"}), os.Link(b.in("scribed"), b.in("scribed"+keptSuffix))); err != nil {
		t.Fatal(err)
	}
	if _, err := b.back(inkwell); err != nil || listing(t, b) != before {
		t.Errorf("%v, %s", err, listing(t, b))
	}
	steps, err := b.plan(inkwell)
	if err != nil {
		t.Fatal(err)
	}
	steps = append(steps, binStep{name: "nosuch", keep: true})
	if err := b.apply(steps, inkwell); !errors.Is(err, fs.ErrNotExist) || listing(t, b) != before {
		t.Errorf("%v, %s", err, listing(t, b))
	}
	if err := os.WriteFile(b.in("scribed"+keptSuffix), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := migrateThere(t, b, inkwell); err == nil || !strings.Contains(err.Error(), "earlier migration") {
		t.Errorf("over an old program that was kept before: %v", err)
	}
}
