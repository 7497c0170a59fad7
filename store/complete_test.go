package store

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/faultfs/crashfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/rotate"
	"inkwell/store/manifest"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

// TestFilesCompleteWhileAnotherFails has a category become complete, and be forgotten, while the journal is still needed from before its
// entries for one that cannot be written: when that is read again, they are passed over.
func TestFilesCompleteWhileAnotherFails(t *testing.T) {
	period, err := rotate.ParsePeriod("1s")
	if err != nil {
		t.Fatal(err)
	}
	fault := &failing{op: faultfs.OpWrite, part: ".bad-", err: syscall.ENOSPC}
	fault.set(true)
	o := FilesOptions{Dir: t.TempDir(), Period: period, Injector: fault, cutEvery: 20 * time.Millisecond, retryMin: 20 * time.Millisecond, maxAge: time.Millisecond}
	f := open(t, o)
	mustAppend(t, f, entries("bad", "waits\n"))
	eventually(t, "a failure", func() bool { return fault.seen() > 0 })
	mustAppend(t, f, entries("good", "once\n"))
	eventually(t, "a finished file", func() bool {
		names, err := filepath.Glob(filepath.Join(o.Dir, "good", "good-*.gz"))
		return err == nil && len(names) == 1
	})
	seen := fault.seen()
	eventually(t, "more failures", func() bool { return fault.seen() > seen+2 })
	fault.set(false)
	eventually(t, "recovery", func() bool { return f.Status() == "" })
	closeFiles(t, f)
	for category, want := range map[string]string{"bad": "waits\n", "good": "once\n", OverflowCategory: ""} {
		if got := published(t, o.Dir, category); got != want {
			t.Errorf("%s has %q, want %q", category, got, want)
		}
	}
}

// TestFilesWithManyCheckpoints has a file stay open while many checkpoints add to it: what is kept of them does not grow with their number.
func TestFilesWithManyCheckpoints(t *testing.T) {
	o := FilesOptions{Dir: t.TempDir(), cutEvery: time.Millisecond, maxAge: time.Millisecond, idleWait: time.Millisecond, KeepOpen: true}
	total := 0
	for range 3 {
		f := open(t, o)
		for i := 0; i < 200; i++ {
			mustAppend(t, f, numbered("c", total, "m\n"))
			total++
			every := total%2 == 0
			eventually(t, "a checkpoint", func() bool { bytes, _ := f.Backlog(); return bytes == 0 || !every })
		}
		closeFiles(t, f)
		if n := len(f.ledger.open["c"]); n > 100 {
			t.Errorf("%d lines are kept of one file", n)
		}
	}
	o.KeepOpen = false
	closeFiles(t, open(t, o))
	checkManifest(t, filepath.Join(o.Dir, "c"), total)
}

// TestFilesWithoutBytes has messages without a byte come when no file is open, at every turn of a run: they stand in the manifest of the
// file that comes next, once, and hold up nothing.
func TestFilesWithoutBytes(t *testing.T) {
	o := FilesOptions{Dir: t.TempDir(), MaxSize: 1, cutEvery: time.Millisecond, maxAge: time.Millisecond, idleWait: time.Millisecond, DoneMarkers: true}
	total := 0
	take := func(f *Files, messages ...string) {
		t.Helper()
		mustAppend(t, f, numbered("c", total, messages...))
		total += len(messages)
		eventually(t, "a checkpoint", func() bool { bytes, _ := f.Backlog(); return bytes == 0 })
	}
	for round := range 4 {
		o.KeepOpen = round%2 == 0
		f := open(t, o)
		take(f, "")
		if round > 1 {
			take(f, "", "")
			take(f, "a\n", "")
		}
		if text := f.Status(); text != "" {
			t.Errorf("round %d: %s", round, text)
		}
		closeFiles(t, f)
	}
	o.KeepOpen = false
	told := new(warned)
	o.Logger = slog.New(told)
	f := open(t, o)
	take(f, "")
	take(f, "b\n")
	take(f, "c\n")
	take(f, "")
	closeFiles(t, f)
	closeFiles(t, open(t, o))
	if told.Load() > 0 {
		t.Errorf("%d troubles were told", told.Load())
	}
	checkManifest(t, filepath.Join(o.Dir, "c"), total)
}

// TestFilesOfManyStreams has a sender number as it costs most: each entry has a stream of its own. What is remembered of files that are not
// finished is bounded, with bytes in them and without, and all entries are in the manifest.
func TestFilesOfManyStreams(t *testing.T) {
	const limit, many = 100, 1000
	for _, message := range []string{"m\n", ""} {
		o := FilesOptions{Dir: t.TempDir(), KeepOpen: true, maxSpans: limit, maxAge: time.Millisecond, idleWait: time.Millisecond, cutEvery: time.Millisecond}
		f := open(t, o)
		for n := 0; n < many; {
			b := new(proto.Batch)
			for range 10 {
				n++
				b.Append([]byte("c"), []byte(message))
				b.AppendSpan(proto.Span{Stream: stream.ID{byte(n), byte(n >> 8), 1}, Count: 1})
			}
			mustAppend(t, f, b)
			if n%50 == 0 {
				eventually(t, "a checkpoint", func() bool { bytes, _ := f.Backlog(); return bytes == 0 })
			}
		}
		closeFiles(t, f)
		spans, entries := 0, int64(0)
		for _, c := range f.ledger.open["c"] {
			spans += len(c.Spans)
			for _, s := range c.Spans {
				entries += s.Count
			}
		}
		files, _, err := manifest.ReadFiles(openState(t, filepath.Join(o.Dir, "c")))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			entries += file.Entries
		}
		early := f.o.Stats.Get(stats.Overall + ":files finished early")
		if spans > 2*limit || entries != many || early < 3 || message != "" && len(files) < 3 {
			t.Errorf("%q: %d stretches are remembered, %d entries are known, %d files are finished, %d early", message, spans, entries, len(files), early)
		}
	}
}

// TestFilesKilledBehindALostJournal loses the journal, and dies before another checkpoint when it has come to where it was: the old
// checkpoint must not be taken for one of the new entries, and what the file has stays in the manifest.
func TestFilesKilledBehindALostJournal(t *testing.T) {
	o := FilesOptions{Dir: t.TempDir(), KeepOpen: true}
	f := open(t, o)
	mustAppend(t, f, numbered("c", 0, strings.Repeat("a", 5000)+"\n"))
	closeFiles(t, f)
	if err := os.RemoveAll(filepath.Join(o.Dir, ".inkwell", "journal")); err != nil {
		t.Fatal(err)
	}
	o.cutEvery = time.Hour
	f = open(t, o)
	want := strings.Repeat("a", 5000) + "\n"
	for i := range 100 {
		m := fmt.Sprintf("%d%s\n", i, strings.Repeat("b", 100))
		mustAppend(t, f, numbered("c", i+1, m))
		want += m
	}
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	closeFiles(t, f)
	closeFiles(t, open(t, FilesOptions{Dir: killed}))
	if got := published(t, killed, "c"); got != want {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
	checkManifest(t, filepath.Join(killed, "c"), 101)
}

// TestFilesWithoutSyncAfterAPowerCut loses the end of a journal that is only written: numbers of what went with it must not be known, so
// that it is taken when it is sent again.
func TestFilesWithoutSyncAfterAPowerCut(t *testing.T) {
	path := t.TempDir()
	disk, err := crashfs.New(path)
	if err != nil {
		t.Fatal(err)
	}
	process := disk.Process(nil)
	f := open(t, FilesOptions{Dir: path, Durability: spool.Write, Injector: process, cutEvery: time.Millisecond, maxAge: time.Hour, KeepOpen: true})
	lines := numbered("c", 0, "one\n", "two\n")
	mustAppend(t, f, lines)
	eventually(t, "a checkpoint that knows the numbers", func() bool {
		known, err := os.ReadFile(filepath.Join(path, ".inkwell", "streams"))
		return err == nil && strings.Contains(string(known), `"c"`)
	})
	process.Kill()
	if err := f.Close(); err == nil {
		t.Error("a killed process closed its files")
	}
	left := filepath.Join(t.TempDir(), "left")
	if err := disk.Image(left, crashfs.Cut{Names: crashfs.NoNames, Bytes: crashfs.NoBytes}); err != nil {
		t.Fatal(err)
	}
	f = open(t, FilesOptions{Dir: left, Durability: spool.Write})
	mustAppend(t, f, lines)
	closeFiles(t, f)
	if got := published(t, left, "c"); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
}

// TestFilesTakenAwayKeepTheirNames has somebody move finished files away, while a category that was forgotten begins with others: where they
// were moved to, one must not replace another.
func TestFilesTakenAwayKeepTheirNames(t *testing.T) {
	period, err := rotate.ParsePeriod("1s")
	if err != nil {
		t.Fatal(err)
	}
	o := FilesOptions{Dir: t.TempDir(), Period: period, cutEvery: time.Millisecond, maxAge: time.Millisecond, idleWait: time.Millisecond}
	names := make(map[string]bool)
	for round := range 2 {
		f := open(t, o)
		for range 2 {
			mustAppend(t, f, entries("c", "line\n"))
			eventually(t, "a finished file, and a category that is forgotten", func() bool {
				list, err := filepath.Glob(filepath.Join(o.Dir, "c", "c-*.gz"))
				if err != nil || len(list) != 1 {
					return false
				}
				state, err := os.ReadFile(filepath.Join(o.Dir, ".inkwell", checkpointName))
				return err == nil && !strings.Contains(string(state), `"c"`)
			})
			list, err := filepath.Glob(filepath.Join(o.Dir, "c", "c-*.gz"))
			if err != nil || len(list) != 1 || names[list[0]] {
				t.Fatalf("round %d: %q after %v, %v", round, list, names, err)
			}
			names[list[0]] = true
			if err := os.Remove(list[0]); err != nil {
				t.Fatal(err)
			}
		}
		closeFiles(t, f)
	}
}
