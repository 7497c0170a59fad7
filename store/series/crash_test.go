package series

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/testkit"
	"inkwell/store"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
}

// inOrder is the bytes of all files of the series in the order of their numbers; none may be hidden.
func inOrder(t *testing.T, dir string) string {
	t.Helper()
	all := onDisk(t, dir)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch {
		case strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".tmp"):
			t.Errorf("%s is left", name)
		case strings.HasPrefix(name, "k_0"):
			b.WriteString(all[name])
		}
	}
	return b.String()
}

// TestKilledAtEveryDiskOperation stops the world behind each disk operation of a run with rotations, recovers, which is
// stopped as well, and appends again what came behind the marks that were saved last: every message is there once and
// in order, and so is every line of statistics.
func TestKilledAtEveryDiskOperation(t *testing.T) {
	for _, of := range []struct {
		name string
		o    PlainOptions
	}{
		{"plain", PlainOptions{MaxSize: 120, MaxWrite: 40, WriteStats: true}},
		{"small writes", PlainOptions{MaxSize: 120, MaxWrite: 40, WriteStats: true, NoSymlink: true}},
		{"always a new file", PlainOptions{MaxSize: 120, MaxWrite: 40, WriteStats: true, RotateOnReopen: true}},
	} {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				if !killedAfter(t, of.o, n) {
					if n < 40 {
						t.Fatalf("a run has only %d disk operations: the test reaches nothing", n)
					}
					t.Logf("%d kill points", n)
					return
				}
			}
		})
	}
}

// killedAfter has a run die after n operations, and the first attempts to recover after a few.
func killedAfter(t *testing.T, o PlainOptions, n int) (died bool) {
	o.Dir, o.Base, o.Now = t.TempDir(), "k", func() time.Time { return time.Date(2026, 11, 23, 2, 59, 0, 0, time.UTC) }
	const batches = 14
	part := func(i int) []string {
		return []string{fmt.Sprintf("%03da %s\n", i, repeat("x", i)), fmt.Sprintf("%03db %s\n", i, repeat("y", 3*i)), fmt.Sprintf("%03dc\n", i)}
	}
	var saved store.States
	done := 0 // batches that saved covers
	run := func(inj faultfs.Injector) error {
		o.Injector = inj
		f, err := OpenPlain(o, saved)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // a process that was killed says nothing, either
		save := func(i int) error {
			next := maps.Clone(saved)
			if next == nil {
				next = make(store.States)
			}
			if err := f.Mark(&store.Marks{Files: next}); err != nil {
				return err
			}
			saved, done = next, i
			if i%4 == 3 && i < batches {
				return nil // the next Publish comes after further batches
			}
			return f.Publish(nil)
		}
		if err := save(done); err != nil {
			return err
		}
		for i := done; i < batches; i++ {
			if err := f.Append(context.Background(), testkit.Batch("k", part(i)...)); err != nil {
				return err
			}
			if i%3 == 2 {
				if err := save(i + 1); err != nil {
					return err
				}
			}
		}
		return save(batches)
	}
	died = run(&killer{left: n, tear: n%2 == 0}) != nil
	if died {
		_ = run(&killer{left: n % 7, tear: n%3 == 0}) // dies again on its way back
		_ = run(&killer{left: n % 23})
		if err := run(nil); err != nil {
			t.Fatalf("killed after %d: %v", n, err)
		}
	}
	var want strings.Builder
	for i := range batches {
		want.WriteString(strings.Join(part(i), ""))
	}
	got := inOrder(t, o.Dir)
	if got != want.String() {
		t.Fatalf("killed after %d: got\n%s\nwant\n%s", n, got, want.String())
	}
	all := onDisk(t, o.Dir)
	full := 0
	for name, data := range all {
		if strings.HasPrefix(name, "k_0") && len(data) > 120 {
			full++
			line := fmt.Sprintf(" wrote <%d> bytes in <%d> events to file <%s>\n", len(data), strings.Count(data, "\n"), filepath.Join(o.Dir, name))
			if strings.Count(all["scribe_stats"], line) != 1 {
				t.Fatalf("killed after %d: %q is not in the statistics once:\n%s", n, line, all["scribe_stats"])
			}
		}
	}
	if lines := strings.Count(all["scribe_stats"], "\n"); lines != full || full < 4 {
		t.Fatalf("killed after %d: %d lines of statistics for %d files\n%s", n, lines, full, all["scribe_stats"])
	}
	return died
}

// TestFullDisk fails writes after any number of bytes: the series is opened again, and takes the batch when there is
// room.
func TestFullDisk(t *testing.T) {
	for _, allow := range []int{0, 1, 9, 30, 70} {
		inj := &faults{}
		dir := t.TempDir()
		e := start(t, dir, PlainOptions{MaxSize: 50, MaxWrite: 20, Injector: inj, WriteMeta: true})
		e.append("first\n")
		e.checkpoint()
		some := []string{"a message of 24 bytes 0\n", "a message of 24 bytes 1\n", "a message of 24 bytes 2\n", "a message of 24 bytes 3\n"}
		for range 3 {
			left := allow
			inj.set(func(op faultfs.Op, _ string, n int) (int, error) {
				if op != faultfs.OpWrite {
					return n, nil
				}
				if left -= n; left < 0 {
					return max(0, left+n), syscall.ENOSPC
				}
				return n, nil
			})
			err := e.f.Append(context.Background(), testkit.Batch("k", some...))
			wantBroken(t, err, "File write error")
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), dir) {
				t.Errorf("the error does not say why or where: %v", err)
			}
			wantBroken(t, e.f.Append(context.Background(), testkit.Batch("k", "not tried")), "File write error")
			wantBroken(t, e.f.Mark(&store.Marks{Files: make(store.States)}), "File write error")
			must(t, e.f.Check(e.clock))
			must(t, e.f.Publish(nil))
			e.crash()
		}
		inj.set(nil)
		e.append(some...)
		e.restartless()
		wantTree(t, dir, map[string]string{"k_current": "-> k_00001",
			"k_00000": "first\n" + some[0] + some[1] + "scribe_meta<new_logfile>: {DIR}/k_00001", "k_00001": some[2] + some[3]})
	}
}

// TestMarkSyncs every file that was written, and the directory if there are new names, before it says how the series
// stands.
func TestMarkSyncs(t *testing.T) {
	inj := &faults{}
	e := start(t, t.TempDir(), PlainOptions{MaxSize: 5, Injector: inj})
	e.append("one")
	inj.set(nil)
	e.mark()
	want := func(ops ...string) {
		t.Helper()
		if !slices.Equal(inj.log, ops) {
			t.Errorf("got %q, want %q", inj.log, ops)
		}
		inj.set(nil)
	}
	want("sync k_00000", "read k_00000")
	e.mark()
	want()
	e.append("full of it")
	e.append("full again")
	inj.set(nil)
	e.mark()
	want("sync k_00000", "sync .k_00001.open", "sync .k_00002.open", "read .k_00002.open", "syncdir .")
	for _, op := range []faultfs.Op{faultfs.OpSync, faultfs.OpSyncDir} {
		e.append("full of it")
		inj.set(only(op, 0, syscall.EIO))
		wantBroken(t, e.f.Mark(&store.Marks{Files: make(store.States)}), "File write error")
		wantBroken(t, e.f.Append(context.Background(), testkit.Batch("k", "x")), "File write error")
		inj.set(nil)
		e.crash()
	}
}

// TestPublish gives a file its name when its mark was saved, not before.
func TestPublish(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir, PlainOptions{MaxSize: 5, WriteStats: true})
	e.append("0 is full")
	if !e.f.Urgent() {
		t.Error("a rotation is not urgent")
	}
	e.mark()
	e.append("1 is full")
	e.append("2")
	wantTree(t, dir, map[string]string{"k_00000": "0 is full", ".k_00001.open": "1 is full", ".k_00002.open": "2", "k_current": "-> k_00000"})
	must(t, e.f.Publish(nil))
	stats := "2026-11-23-02:59 wrote <9> bytes in <1> events to file <{DIR}/k_00000>\n"
	wantTree(t, dir, map[string]string{"k_00000": "0 is full", "k_00001": "1 is full", ".k_00002.open": "2", "k_current": "-> k_00001", "scribe_stats": stats})
	must(t, e.f.Publish(nil)) // nothing new was saved
	e.checkpoint()
	stats += "2026-11-23-02:59 wrote <9> bytes in <1> events to file <{DIR}/k_00001>\n"
	wantTree(t, dir, map[string]string{"k_00000": "0 is full", "k_00001": "1 is full", "k_00002": "2", "k_current": "-> k_00002", "scribe_stats": stats})
	if e.f.Urgent() {
		t.Error("urgent with nothing to publish")
	}
}

// TestUnpublishedFilesWithoutMarks: the last checkpoint of a run has no marks any more, so what was not published then
// is all there is.
func TestUnpublishedFilesWithoutMarks(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir, PlainOptions{MaxSize: 5})
	e.append("0 is full")
	e.append("1 is full")
	e.append("2")
	e.mark()
	must(t, e.f.Close())
	e.saved = nil
	e.open()
	e.append("3")
	e.restartless()
	wantTree(t, dir, map[string]string{"k_00000": "0 is full", "k_00001": "1 is full", "k_00002": "23", "k_current": "-> k_00002"})
}

// TestNamesThatAreTaken are never replaced.
func TestNamesThatAreTaken(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir, PlainOptions{MaxSize: 5})
	e.append("0 is full")
	e.append("1")
	e.mark()
	write(t, dir, "k_00001", "somebody else's\n")
	wantBroken(t, e.f.Publish(nil), "File open error")
	must(t, e.f.Close())
	if _, err := OpenPlain(e.o, e.saved); err == nil || !strings.Contains(err.Error(), "k_00001") {
		t.Errorf("a name that is taken was not told: %v", err)
	}
	must(t, os.Remove(filepath.Join(dir, "k_00001")))
	e.open()
	e.restartless()
	wantTree(t, dir, map[string]string{"k_00000": "0 is full", "k_00001": "1", "k_current": "-> k_00001"})
}

// TestRemovedUnderWay takes files and directories away from under the series.
func TestRemovedUnderWay(t *testing.T) {
	path := func(e *engine, name string) string { return filepath.Join(e.o.Dir, name) }
	for _, of := range []struct {
		name string
		do   func(*testing.T, *engine)
		want string // of what comes afterwards
		kept string // name of a file that has what came before
	}{
		{"the file", func(t *testing.T, e *engine) { must(t, os.Remove(path(e, e.f.name))) }, "after\n", ""},
		{"the directory", func(t *testing.T, e *engine) { must(t, os.RemoveAll(e.o.Dir)) }, "after\n", ""},
		{"the directory, with others above", func(t *testing.T, e *engine) { must(t, os.RemoveAll(filepath.Dir(e.o.Dir))) }, "after\n", ""},
		{"moved the file", func(t *testing.T, e *engine) { must(t, os.Rename(path(e, e.f.name), path(e, "moved"))) }, "after\n", "dir/dir/moved"},
		{"moved the directory", func(t *testing.T, e *engine) { must(t, os.Rename(e.o.Dir, e.o.Dir+".old")) }, "after\n", "dir/dir.old/k_00000"},
		{"moved the directory and made one", func(t *testing.T, e *engine) {
			must(t, os.Rename(e.o.Dir, e.o.Dir+".old"))
			must(t, os.Mkdir(e.o.Dir, 0o750))
		}, "after\n", "dir/dir.old/k_00000"},
		{"replaced the file", func(t *testing.T, e *engine) {
			must(t, os.Remove(path(e, e.f.name)))
			write(t, e.o.Dir, e.f.name, "not ours\n")
		}, "after\n", ""},
		{"removed what is above", func(t *testing.T, e *engine) { must(t, os.Rename(filepath.Dir(e.o.Dir), filepath.Dir(e.o.Dir)+".old")) }, "after\n", "dir.old/dir/k_00000"},
		{"cut the file", func(t *testing.T, e *engine) { must(t, os.Truncate(path(e, e.f.name), 0)) }, "after\n", ""},
		{"cut a part", func(t *testing.T, e *engine) { must(t, os.Truncate(path(e, e.f.name), 3)) }, "after\n", ""},
	} {
		for _, crashed := range []string{"", "written, not marked", "before the next mark", "after it"} {
			t.Run(of.name+" "+crashed, func(t *testing.T) {
				top := t.TempDir()
				e := start(t, filepath.Join(top, "dir", "dir"), PlainOptions{})
				e.append("before\n")
				e.checkpoint()
				if crashed == "written, not marked" {
					e.append("after\n")
				}
				of.do(t, e)
				if crashed == "written, not marked" {
					_, err := marking(e.f, e.saved)
					wantBroken(t, err, "File write error")
				} else {
					wantBroken(t, e.f.Append(context.Background(), testkit.Batch("k", "after\n")), "File write error")
				}
				e.crash()
				e.append("after\n")
				switch crashed {
				case "before the next mark":
					e.crash()
					e.append("after\n")
				case "after it":
					e.mark()
					e.crash()
				}
				e.append("later\n")
				e.restartless()
				found := 0
				for name, data := range onDisk(t, top) {
					found += strings.Count(data, "after\nlater\n")
					if strings.Contains(data, "\x00") || strings.Contains(data, "after\nafter\n") || strings.HasPrefix(filepath.Base(name), ".") {
						t.Errorf("%s holds %q", name, data)
					}
				}
				if found != 1 {
					t.Errorf("what came afterwards is there %d times: %q", found, onDisk(t, top))
				}
				if data := onDisk(t, top)[of.kept]; of.kept != "" && !strings.HasPrefix(data, "before\n") {
					t.Errorf("%s holds %q", of.kept, data)
				}
			})
		}
	}
}

// TestRemovedBetweenRotations takes away one of several files that have no name yet: what is not marked is written
// again.
func TestRemovedBetweenRotations(t *testing.T) {
	for _, marked := range []bool{false, true} {
		dir := t.TempDir()
		e := start(t, dir, PlainOptions{MaxSize: 5, NoSymlink: true})
		e.append("0 is full")
		e.append("1 is full")
		e.append("2")
		if marked {
			e.mark()
		}
		must(t, os.Remove(filepath.Join(dir, ".k_00001.open")))
		if marked {
			e.append("3")
			e.restartless()
			wantTree(t, dir, map[string]string{"k_00000": "0 is full", "k_00002": "23"})
			continue
		}
		_, err := marking(e.f, e.saved)
		wantBroken(t, err, "File write error")
		e.crash()
		e.append("0 is full")
		e.append("1 is full")
		e.append("2")
		e.restartless()
		wantTree(t, dir, map[string]string{"k_00000": "0 is full", "k_00001": "1 is full", "k_00002": "2"})
	}
}

// TestRemovedWhileQuiet: it is noticed although nothing comes.
func TestRemovedWhileQuiet(t *testing.T) {
	top := t.TempDir()
	e := start(t, filepath.Join(top, "dir"), PlainOptions{Period: Hourly, NoSymlink: true})
	e.append("before\n")
	e.checkpoint()
	must(t, e.f.Check(e.clock))
	must(t, os.RemoveAll(filepath.Join(top, "dir")))
	wantBroken(t, e.f.Check(e.clock), "File write error")
	must(t, e.f.Check(e.clock)) // it was told
	e.clock = e.clock.Add(21 * time.Minute)
	e.crash()
	e.append("after\n")
	e.restartless()
	wantTree(t, filepath.Join(top, "dir"), map[string]string{"k-2026-11-23_00003": "after\n"})
}

// TestLost says how much is missing of a file that somebody removed or cut while nothing ran, and goes on with a new
// one.
func TestLost(t *testing.T) {
	for _, of := range []struct {
		name string
		do   func(path string) error
		lost int64
		want map[string]string
	}{
		{"removed", os.Remove, 7, map[string]string{"k_00000": "old", "k_00001": "0 is full", "k_00003": "after"}},
		{"cut", func(path string) error { return os.Truncate(path, 4) }, 3, map[string]string{"k_00000": "old", "k_00001": "0 is full", "k_00002": "1234", "k_00003": "after"}},
		{"emptied", func(path string) error { return os.Truncate(path, 0) }, 7, map[string]string{"k_00000": "old", "k_00001": "0 is full", "k_00002": "", "k_00003": "after"}},
		{"replaced", func(path string) error { return os.WriteFile(path, []byte("others!"), 0o640) }, 7, map[string]string{"k_00000": "old", "k_00001": "0 is full", "k_00002": "others!", "k_00003": "after"}},
	} {
		t.Run(of.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "k_00000", "old")
			e := start(t, dir, PlainOptions{MaxSize: 8, NoSymlink: true, RotateOnReopen: true})
			e.append("0 is full")
			e.append("1234567")
			e.checkpoint()
			must(t, e.f.Close())
			must(t, of.do(filepath.Join(dir, "k_00002")))
			e.open()
			for _, name := range []string{"k:bytes lost", "scribe_overall:bytes lost"} {
				if n := e.o.Stats.Get(name); n != of.lost {
					t.Errorf("%s is %d, want %d", name, n, of.lost)
				}
			}
			e.append("after")
			e.restartless()
			wantTree(t, dir, of.want)
		})
	}
}

// TestLinksAreNotNeeded: where no link can be made the data goes on.
func TestLinksAreNotNeeded(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "k_current", "x"), 0o755))
	e := start(t, dir, PlainOptions{MaxSize: 5})
	e.append("0 is full")
	e.append("1")
	e.crash()
	e.append("0 is full")
	e.restartless()
	got := onDisk(t, dir)
	if got["k_00000"] != "0 is full" {
		t.Errorf("%q", got)
	}
}

// TestTornStats finishes a line of which a part was written.
func TestTornStats(t *testing.T) {
	inj := &faults{}
	dir := t.TempDir()
	e := start(t, dir, PlainOptions{MaxSize: 5, WriteStats: true, NoSymlink: true, Injector: inj})
	write(t, dir, "scribe_stats", "of another series\n")
	for _, message := range []string{"0 is full", "1 is full"} {
		e.append(message)
		e.mark()
		inj.set(only(faultfs.OpWrite, 30, syscall.ENOSPC))
		wantBroken(t, e.f.Publish(nil), "File write error")
		inj.set(nil)
		e.crash()
	}
	e.restartless()
	wantTree(t, dir, map[string]string{"k_00000": "0 is full", "k_00001": "1 is full", "k_00002": "", "scribe_stats": "of another series\n" +
		"2026-11-23-02:59 wrote <9> bytes in <1> events to file <{DIR}/k_00000>\n2026-11-23-02:59 wrote <9> bytes in <1> events to file <{DIR}/k_00001>\n"})
}

// TestOpenFails says so in the words of the original.
func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", "")
	inj := &faults{}
	for _, o := range []PlainOptions{{Dir: filepath.Join(dir, "file"), Base: "k"}, {Dir: dir, Base: "k", Injector: inj}, {Dir: dir, Base: "a/b"}} {
		inj.set(only(faultfs.OpOpen, 0, syscall.EACCES))
		_, err := OpenPlain(o, nil)
		if store.StatusText(err) != "File open error" || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v", err)
		}
	}
	if _, err := OpenPlain(PlainOptions{Dir: dir, Base: "k"}, store.States{filepath.Join(dir, "k"): []byte("{")}); err == nil {
		t.Error("a state that cannot be read was passed over")
	}
}

func TestClosed(t *testing.T) {
	e := start(t, t.TempDir(), PlainOptions{})
	e.restartless()
	if err := e.f.Append(context.Background(), testkit.Batch("k", "m")); !errors.Is(err, store.ErrClosed) {
		t.Error(err)
	}
	must(t, e.f.Close())
}
