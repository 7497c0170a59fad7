package collector

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/faultfs/crashfs"
	"inkwell/proto"
)

// checkpointName and reserveName are files in a state directory.
const (
	checkpointName = "checkpoint"
	reserveName    = "reserve"
)

// A checkpoint of another program is not touched.
func TestRefusesACheckpointOfAnotherVersion(t *testing.T) {
	s := newSite(t, gzipFiles)
	s.close(s.open())
	path := filepath.Join(s.state(), checkpointName)
	text := []byte(`{"version":99}`)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.try(); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("got %v", err)
	}
	if got, err := os.ReadFile(path); string(got) != string(text) || err != nil {
		t.Errorf("it was changed to %q, %v", got, err)
	}
}

// TestSurvivesALostJournal takes the journal from under a checkpoint, whole or only its end: what comes then must not
// be taken for what was there, also after a death before the next checkpoint.
func TestSurvivesALostJournal(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, journal string){
		"removed": func(t *testing.T, journal string) {
			if err := os.RemoveAll(journal); err != nil {
				t.Fatal(err)
			}
		},
		"a bit of its last group, and what was acknowledged last": func(t *testing.T, journal string) {
			if err := os.Remove(filepath.Join(journal, "ack")); err != nil {
				t.Fatal(err)
			}
			segments, err := filepath.Glob(filepath.Join(journal, "*.log"))
			if err != nil || len(segments) != 1 {
				t.Fatalf("%v %v", segments, err)
			}
			data, err := os.ReadFile(segments[0])
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)-1000] ^= 1
			if err := os.WriteFile(segments[0], data, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, gzipFiles, "keep_open=yes")
			i := s.open()
			s.take(i, lines("c", strings.Repeat("a", 5000)+"\n"))
			s.close(i)
			lose(t, filepath.Join(s.state(), "journal"))
			disk, err := crashfs.New(s.dir)
			if err != nil {
				t.Fatal(err)
			}
			process := disk.Process(nil)
			s.tuning.injector, s.tuning.journal.SaveEvery = process, time.Hour
			i = s.open()
			s.take(i, lines("c", "b\n"))
			s.take(i, lines("d", "c\n"))
			process.Kill()
			_ = i.Close() // nothing of it reaches the disk
			s.tuning, s.kind = newSite(t, nil).tuning, gzipFiles
			s.close(s.open())
			if got, want := s.published("c"), strings.Repeat("a", 5000)+"\nb\n"; got != want {
				t.Errorf("got %d bytes, want %d", len(got), len(want))
			}
			if got := s.published("d"); got != "c\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestKilledBehindALostJournal loses the journal, and dies before another checkpoint when it has come to where it was:
// the old checkpoint must not be taken for one of the new entries, and what the file has stays in the manifest.
func TestKilledBehindALostJournal(t *testing.T) {
	s := newSite(t, gzipFiles, "keep_open=yes")
	i := s.open()
	s.take(i, numbered("c", 0, strings.Repeat("a", 5000)+"\n"))
	s.close(i)
	if err := os.RemoveAll(filepath.Join(s.state(), "journal")); err != nil {
		t.Fatal(err)
	}
	disk, err := crashfs.New(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	process := disk.Process(nil)
	s.tuning.injector, s.tuning.journal.SaveEvery = process, time.Hour
	i = s.open()
	want := strings.Repeat("a", 5000) + "\n"
	for k := range 100 {
		m := fmt.Sprintf("%d%s\n", k, strings.Repeat("b", 100))
		s.take(i, numbered("c", k+1, m))
		want += m
	}
	process.Kill()
	_ = i.Close()
	s.tuning, s.kind = newSite(t, nil).tuning, gzipFiles
	s.close(s.open())
	if got := s.published("c"); got != want {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
	s.checkManifest("c", 101)
}

func TestContinuesWhatWasKeptOpen(t *testing.T) {
	s := newSite(t, gzipFiles, "keep_open=yes")
	for k := range 5 {
		if k == 4 {
			s.kind = gzipFiles
		}
		i := s.open()
		s.take(i, numbered("c", k, fmt.Sprintf("run %d\n", k)))
		s.close(i)
	}
	list, err := os.ReadDir(filepath.Join(s.dir, "c"))
	if err != nil || len(list) != 3 { // with its index and the manifest
		t.Fatalf("want one file: %v %v", list, err)
	}
	if got, want := s.published("c"), "run 0\nrun 1\nrun 2\nrun 3\nrun 4\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.checkManifest("c", 5)
}

// TestKeepsWhatALostStateLeft removes the whole state: the open file's bytes, which nothing else holds, must not go
// away.
func TestKeepsWhatALostStateLeft(t *testing.T) {
	s := newSite(t, gzipFiles, "keep_open=yes")
	i := s.open()
	s.take(i, lines("c", "precious\n"))
	s.close(i)
	if err := os.RemoveAll(s.state()); err != nil {
		t.Fatal(err)
	}
	s.kind = gzipFiles
	i = s.open()
	s.take(i, lines("c", "new\n"))
	s.close(i)
	orphans, err := filepath.Glob(filepath.Join(s.dir, "c", ".*.orphan"))
	if err != nil || len(orphans) != 1 {
		t.Fatalf("orphans: %v %v", orphans, err)
	}
	if info, err := os.Stat(orphans[0]); err != nil || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if got := s.published("c"); got != "new\n" {
		t.Errorf("got %q", got)
	}
}

// crowded is a disk that has no room for a checkpoint while the reserve is there.
type crowded struct {
	reserve string
	spent   atomic.Int64
}

func (c *crowded) Inject(op faultfs.Op, name string, n int) (int, error) {
	if op == faultfs.OpRemove && name == reserveName {
		c.spent.Add(1)
	}
	if op == faultfs.OpWrite && strings.Contains(name, checkpointName) {
		if _, err := os.Stat(c.reserve); err == nil {
			return 0, syscall.ENOSPC
		}
	}
	return n, nil
}

func TestSpendsItsReserveOnACheckpoint(t *testing.T) {
	s := newSite(t, gzipFiles)
	disk := &crowded{reserve: filepath.Join(s.state(), reserveName)}
	s.tuning.injector = disk
	i := s.open()
	want := ""
	for k := range 30 {
		m := fmt.Sprintf("%d\n", k)
		s.take(i, lines("c", m))
		want += m
	}
	s.until("an acknowledged journal", func() bool { _, entries := i.journal.Backlog(); return entries == 0 && disk.spent.Load() > 0 })
	s.close(i)
	if got := s.published("c"); got != want {
		t.Errorf("got %q", got)
	}
}

// TestFilesEndWithTheClock appends to a period of a second: what waits for compression goes into the file of its time.
func TestFilesEndWithTheClock(t *testing.T) {
	s := newSite(t, gzipFiles[:1], "rotate_period=1s")
	s.tuning.interval = time.Hour
	i := s.open()
	want, began := "", time.Now()
	s.until("three published files", func() bool {
		m := fmt.Sprintf("%v\n", time.Since(began))
		s.take(i, lines("c", m))
		want += m
		names, err := filepath.Glob(filepath.Join(s.dir, "c", "c-*.gz"))
		return err == nil && len(names) >= 3
	})
	s.close(i)
	if got := s.published("c"); got != want {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
}

// TestWithoutSyncAfterAPowerCut loses the end of a journal that is only written: numbers of what went with it must not
// be known, so that it is taken when it is sent again.
func TestWithoutSyncAfterAPowerCut(t *testing.T) {
	s := newSite(t, gzipFiles, "keep_open=yes")
	s.lines = []string{"durability=write"}
	disk, err := crashfs.New(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	process := disk.Process(nil)
	s.tuning.injector = process
	i := s.open()
	b := numbered("c", 0, "one\n", "two\n")
	s.take(i, b)
	s.until("a checkpoint that knows the numbers", func() bool {
		known, err := os.ReadFile(filepath.Join(s.state(), "streams"))
		return err == nil && strings.Contains(string(known), `"c"`)
	})
	process.Kill()
	_ = i.Close()
	image := filepath.Join(t.TempDir(), "left")
	if err := disk.Image(image, crashfs.Cut{Names: crashfs.NoNames, Bytes: crashfs.NoBytes}); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(image, s.dir); err != nil {
		t.Fatal(err)
	}
	s.tuning.injector, s.kind = nil, gzipFiles
	i = s.open()
	s.take(i, b)
	s.close(i)
	if got := s.published("c"); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
}

// TestCompleteWhileAnotherFails has a category's file become complete while the journal is still needed from before its
// entries for one that cannot be written: when that is read again, they are passed over.
func TestCompleteWhileAnotherFails(t *testing.T) {
	s, fault := newSite(t, gzipFiles[:1], "rotate_period=1s"), &failing{op: faultfs.OpWrite, part: ".bad-", err: syscall.ENOSPC, on: true}
	s.tuning.injector = fault
	i := s.open()
	s.take(i, lines("bad", "waits\n"))
	s.until("a failure", func() bool { return fault.seen() > 0 })
	s.take(i, lines("good", "once\n"))
	s.until("a finished file", func() bool {
		names, err := filepath.Glob(filepath.Join(s.dir, "good", "good-*.gz"))
		return err == nil && len(names) == 1
	})
	seen := fault.seen()
	s.until("more failures", func() bool { return fault.seen() > seen+2 })
	fault.set(false)
	s.until("recovery", func() bool { return i.trouble() == "" })
	s.close(i)
	for category, want := range map[string]string{"bad": "waits\n", "good": "once\n"} {
		if got := s.published(category); got != want {
			t.Errorf("%s has %q, want %q", category, got, want)
		}
	}
}

// TestTakenAwayFilesKeepTheirNames has somebody move finished files away: where they were moved to, one must not
// replace another.
func TestTakenAwayFilesKeepTheirNames(t *testing.T) {
	s := newSite(t, gzipFiles[:1], "rotate_period=1s")
	names := make(map[string]bool)
	for round := range 2 {
		i := s.open()
		for range 2 {
			s.take(i, lines("c", "line\n"))
			var list []string
			s.until("a finished file", func() (ok bool) {
				var err error
				list, err = filepath.Glob(filepath.Join(s.dir, "c", "c-*.gz"))
				return err == nil && len(list) == 1
			})
			if names[list[0]] {
				t.Fatalf("round %d: %q after %v", round, list, names)
			}
			names[list[0]] = true
			if err := os.Remove(list[0]); err != nil {
				t.Fatal(err)
			}
		}
		s.close(i)
	}
}

// A peer that sends the same entries twice, and what is in between, is not written twice.
func TestNumbersThatCameBeforeAreNotWrittenAgain(t *testing.T) {
	s := newSite(t, plainFiles)
	i := s.open()
	for _, b := range []*proto.Batch{numbered("c", 0, "one\n", "two\n"), numbered("c", 1, "two\n", "three\n"), numbered("c", 0, "one\n")} {
		s.take(i, b)
	}
	s.close(i)
	if got := s.published("c"); got != "one\ntwo\nthree\n" {
		t.Errorf("got %q", got)
	}
	s.checkManifest("c", 3)
}
