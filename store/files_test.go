package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"inkwell/internal/faultfs"
	"inkwell/internal/faultfs/crashfs"
	"inkwell/proto"
	"inkwell/rotate"
	"inkwell/store/manifest"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

// entries makes a batch of one category.
func entries(category string, messages ...string) *proto.Batch {
	b := new(proto.Batch)
	for _, m := range messages {
		b.Append([]byte(category), []byte(m))
	}
	return b
}

// numbered is entries with the numbers from first on in the stream of their category.
func numbered(category string, first int, messages ...string) *proto.Batch {
	b := entries(category, messages...)
	id := stream.ID{0: 1}
	copy(id[1:], category)
	b.Number(id, int64(first), len(messages))
	return b
}

// checkManifest fails unless the manifest of a category's directory lists the files that are there, whole, and each number once.
func checkManifest(t *testing.T, path string, entries int) {
	t.Helper()
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	files, _, err := manifest.ReadFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	var have stream.Ranges
	listed := map[string]bool{}
	for _, f := range files {
		listed[f.Name] = true
		info, err := dir.Lstat(f.Name)
		if err != nil {
			t.Errorf("%s is in the manifest: %v", f.Name, err)
			continue
		}
		if info.Size() != f.Bytes {
			t.Errorf("%s: %d bytes, the manifest says %d", f.Name, info.Size(), f.Bytes)
		}
		var count, raw int64
		for _, s := range f.Spans {
			count, raw = count+s.Count, raw+s.Bytes
			if n := have.Overlap(s.First, s.End()); n > 0 {
				t.Errorf("%s: %d numbers of %v are there twice", f.Name, n, s)
			}
			have.Add(s.First, s.End())
		}
		if count != f.Entries || raw != f.Raw {
			t.Errorf("%s: spans of %d entries and %d bytes, the line says %d and %d", f.Name, count, raw, f.Entries, f.Raw)
		}
	}
	list, err := dir.ReadDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Type().IsRegular() && e.Name() != manifest.Name && !listed[e.Name()] {
			t.Errorf("%s is not in the manifest", e.Name())
		}
	}
	if have.Count() != int64(entries) || len(have) != 1 {
		t.Errorf("%s: the manifest has the entries %v, want %d", path, have, entries)
	}
}

// published returns the bytes of all finished files of a category, in order, and fails on any name that is not final.
func published(t *testing.T, dir, category string) string {
	t.Helper()
	var all bytes.Buffer
	list, err := os.ReadDir(filepath.Join(dir, category))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Type()&os.ModeSymlink != 0 {
			continue
		}
		if e.Name() == manifest.Name {
			continue
		}
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s/%s is not published", category, e.Name())
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, category, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), ".gz") {
			r, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatalf("%s: %v", e.Name(), err)
			}
			if data, err = io.ReadAll(r); err != nil {
				t.Fatalf("%s: %v", e.Name(), err)
			}
		}
		all.Write(data)
	}
	return all.String()
}

func open(t *testing.T, o FilesOptions) *Files {
	t.Helper()
	o.cutEvery, o.idleWait, o.retryMin = 5*time.Millisecond, time.Millisecond, 5*time.Millisecond
	f, err := OpenFiles(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustAppend(t *testing.T, f *Files, b *proto.Batch) {
	t.Helper()
	if err := f.Append(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}

func closeFiles(t *testing.T, f *Files) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFilesWritesWhatWasAppended(t *testing.T) {
	for _, codec := range []rotate.Codec{rotate.Gzip, rotate.None} {
		t.Run(codec.String(), func(t *testing.T) {
			dir := t.TempDir()
			want := map[string]string{}
			f := open(t, FilesOptions{Dir: dir, Codec: codec})
			for i := range 300 {
				category := fmt.Sprintf("c%d", i%7)
				message := fmt.Sprintf("message %d\x00\xff%s\n", i, strings.Repeat("x", i*13))
				mustAppend(t, f, entries(category, message, ""))
				want[category] += message
			}
			closeFiles(t, f)
			for category, text := range want {
				if got := published(t, dir, category); got != text {
					t.Errorf("%s: got %d bytes, want %d", category, len(got), len(text))
				}
			}
		})
	}
}

func TestFilesNewlines(t *testing.T) {
	for n, want := range map[Newlines]string{NewlinesNever: "ab\n", NewlinesAlways: "a\nb\n\n\n", NewlinesIfMissing: "a\nb\n\n"} {
		dir := t.TempDir()
		f := open(t, FilesOptions{Dir: dir, Newlines: n})
		mustAppend(t, f, entries("c", "a", "b\n", ""))
		closeFiles(t, f)
		if got := published(t, dir, "c"); got != want {
			t.Errorf("%v: got %q, want %q", n, got, want)
		}
	}
}

func TestFilesKeepsUnsafeAndSurplusCategories(t *testing.T) {
	dir := t.TempDir()
	f := open(t, FilesOptions{Dir: dir, MaxCategories: 2})
	for _, c := range []string{"one", "../x", "two", "/abs", "three", "a/b", "nul\x00", strings.Repeat("l", 201), "_unsafe", ".hidden", "one"} {
		mustAppend(t, f, entries(c, "m\n", "no newline"))
	}
	closeFiles(t, f)
	for category, want := range map[string]string{
		"one": "m\nno newlinem\nno newline",
		"two": "m\nno newline",
		"_unsafe": "\"../x\" m\n\"../x\" no newline\n\"/abs\" m\n\"/abs\" no newline\n\"a/b\" m\n\"a/b\" no newline\n\"nul\\x00\" m\n\"nul\\x00\" no newline\n" +
			strings.Replace("\"L\" m\n\"L\" no newline\n", "L", strings.Repeat("l", 201), 2) + "\"_unsafe\" m\n\"_unsafe\" no newline\n\".hidden\" m\n\".hidden\" no newline\n",
		"_overflow": "\"three\" m\n\"three\" no newline\n",
	} {
		if got := published(t, dir, category); got != want {
			t.Errorf("%s: got %q, want %q", category, got, want)
		}
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 5 { // with .inkwell
		t.Errorf("unexpected directories: %v", list)
	}
}

// dying is an injector that lets n operations pass and fails every one after that, as if the process had been killed: nothing reaches
// the disk any more.
type dying struct {
	mu   sync.Mutex
	left int
	tear bool // let half of the first write that fails through
}

func (d *dying) Inject(op faultfs.Op, _ string, n int) (int, error) {
	if op == faultfs.OpRead || op == faultfs.OpOpen {
		return n, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left--
	switch {
	case d.left >= 0:
		return n, nil
	case d.left == -1 && d.tear:
		return n / 2, syscall.EIO
	}
	return 0, syscall.EIO
}

func (d *dying) died() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left < 0
}

// TestFilesKilledAtEveryDiskOperation stops the world behind each disk operation of a run in turn and starts again: every entry that
// was acknowledged is in the files once, one that was not at most once, and order is kept.
func TestFilesKilledAtEveryDiskOperation(t *testing.T) {
	for _, codec := range []rotate.Codec{rotate.Gzip, rotate.Zstd, rotate.None} {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				if !killedAfter(t, codec, n) {
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

func killedAfter(t *testing.T, codec rotate.Codec, n int) (died bool) {
	dir := t.TempDir()
	o := FilesOptions{Dir: dir, Codec: codec, MaxSize: 700}
	sent := map[string][]string{}
	acked := 0
	kill := &dying{left: n, tear: n%2 == 0}
	run := o
	run.Injector = kill
	run.cutEvery, run.idleWait, run.retryMin = 2*time.Millisecond, time.Millisecond, time.Hour
	if f, err := OpenFiles(run); err == nil {
		for i := range 40 {
			category := fmt.Sprintf("c%d", i%3)
			message := fmt.Sprintf("%04d %x\n", i, strings.Repeat(fmt.Sprint(i), 30))
			if err := f.Append(context.Background(), numbered(category, len(sent[category]), message)); err == nil {
				acked++
			}
			sent[category] = append(sent[category], message)
			if i%8 == 7 {
				time.Sleep(3 * time.Millisecond) // let a checkpoint happen
			}
		}
		if err := f.Close(); err == nil && kill.died() && acked > 0 {
			t.Errorf("kill point %d: Close reported no error", n)
		}
	}
	f := open(t, o)
	for category, list := range sent { // as a sender does that does not know what arrived
		for i := 0; i < len(list); i += 3 {
			mustAppend(t, f, numbered(category, i, list[i:min(i+3, len(list))]...))
		}
	}
	closeFiles(t, f)
	for category, want := range sent {
		var got []string
		text := published(t, dir, category)
		if codec == rotate.Zstd {
			text = catAll(t, filepath.Join(dir, category), category)
		}
		for _, line := range strings.SplitAfter(text, "\n") {
			if line != "" {
				got = append(got, line)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("kill point %d: %s: got %d lines, want the %d that were sent once and in order; difference:\n%.2000s", n, category, len(got), len(want), cmp.Diff(want, got))
		}
		checkManifest(t, filepath.Join(dir, category), len(want))
	}
	return kill.died()
}

// catAll reads a series through rotate.
func catAll(t *testing.T, path, base string) string {
	t.Helper()
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	list, err := rotate.Files(dir, base)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, file := range list {
		f, err := dir.OpenFile(file.Name, os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		r, err := rotate.NewReader(f, file.Codec, file.Open)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := all.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		r.Close()
		f.Close()
	}
	return all.String()
}

// failing is an injector that fails operations on names that contain part, while it is on.
type failing struct {
	mu   sync.Mutex
	on   bool
	op   faultfs.Op
	part string
	err  error
	hits int
}

func (i *failing) Inject(op faultfs.Op, name string, n int) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.on && op == i.op && strings.Contains(name, i.part) {
		i.hits++
		return n / 3, i.err
	}
	return n, nil
}

func (i *failing) set(on bool) { i.mu.Lock(); i.on = on; i.mu.Unlock() }

func (i *failing) seen() int { i.mu.Lock(); defer i.mu.Unlock(); return i.hits }

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never came: " + what)
		}
	}
}

func TestFilesOutlivesFaultsOfTheOutput(t *testing.T) {
	for name, fault := range map[string]*failing{
		"no space":            {op: faultfs.OpWrite, part: ".bad-", err: syscall.ENOSPC},
		"write error":         {op: faultfs.OpWrite, part: ".bad-", err: syscall.EIO},
		"sync error":          {op: faultfs.OpSync, part: ".bad-", err: syscall.EIO},
		"cannot open":         {op: faultfs.OpOpen, part: ".bad-", err: syscall.EACCES},
		"cannot rename":       {op: faultfs.OpRename, part: "bad-", err: syscall.EACCES},
		"checkpoint no space": {op: faultfs.OpWrite, part: "checkpoint", err: syscall.ENOSPC},
		"manifest no space":   {op: faultfs.OpWrite, part: manifest.Name, err: syscall.ENOSPC},
		"ledger no space":     {op: faultfs.OpWrite, part: manifest.Ledger, err: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			f := open(t, FilesOptions{Dir: dir, MaxSize: 2000, Injector: fault, KeepOpen: true})
			want := map[string]string{}
			total := 0
			add := func(i int) {
				for _, category := range []string{"bad", "good"} {
					m := fmt.Sprintf("%d %x\n", i, strings.Repeat(fmt.Sprint(i*i), 20))
					mustAppend(t, f, numbered(category, total, m))
					want[category] += m
				}
				total++
				time.Sleep(time.Millisecond)
			}
			for i := range 20 {
				add(i)
			}
			fault.set(true)
			for i := 20; i < 60 || fault.seen() < 3 || f.Status() == ""; i++ {
				add(i)
				if i > 10000 {
					t.Fatal("the fault never struck")
				}
			}
			fault.set(false)
			for i := range 20 {
				add(i)
			}
			eventually(t, "recovery", func() bool { return f.Status() == "" })
			closeFiles(t, f)
			closeFiles(t, open(t, FilesOptions{Dir: dir, MaxSize: 2000})) // by what the ledger says
			for category, text := range want {
				if got := published(t, dir, category); got != text {
					t.Errorf("%s: got %d bytes, want %d", category, len(got), len(text))
				}
				checkManifest(t, filepath.Join(dir, category), total)
			}
		})
	}
}

func TestFilesSaysTryLaterWhenTheJournalIsFull(t *testing.T) {
	dir := t.TempDir()
	fault := &failing{op: faultfs.OpWrite, part: ".c-", err: syscall.ENOSPC, on: true}
	f := open(t, FilesOptions{Dir: dir, JournalMax: 1 << 20, Injector: fault})
	message := strings.Repeat("x", 10_000) + "\n"
	n := 0
	for ; n < 1000; n++ {
		if err := f.Append(context.Background(), entries("c", message)); err != nil {
			if !errors.Is(err, ErrTryLater) || !errors.Is(err, spool.ErrFull) {
				t.Fatalf("got %v", err)
			}
			break
		}
	}
	if n < 50 || n > 200 {
		t.Fatalf("the journal of 1 MiB took %d entries of 10 kB", n)
	}
	fault.set(false)
	eventually(t, "room in the journal", func() bool {
		err := f.Append(context.Background(), entries("c", message))
		if err == nil {
			n++
		}
		return err == nil
	})
	closeFiles(t, f)
	if got := published(t, dir, "c"); got != strings.Repeat(message, n) {
		t.Errorf("got %d bytes, want %d", len(got), n*len(message))
	}
}

func TestFilesRefusesWhatItCannotUse(t *testing.T) {
	dir := t.TempDir()
	f := open(t, FilesOptions{Dir: dir})
	if _, err := OpenFiles(FilesOptions{Dir: dir}); !errors.Is(err, faultfs.ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	closeFiles(t, f)
	if err := f.Append(context.Background(), entries("c", "m")); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	path := filepath.Join(dir, ".inkwell", checkpointName)
	if err := os.WriteFile(path, []byte(`{"version":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFiles(FilesOptions{Dir: dir}); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("checkpoint of another version: %v", err)
	}
}

// TestFilesSurvivesALostJournal takes the journal from under a checkpoint, whole or only its end: what comes then must not be taken for
// what was there, also after a death before the next checkpoint.
func TestFilesSurvivesALostJournal(t *testing.T) {
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
			dir := t.TempDir()
			f := open(t, FilesOptions{Dir: dir, KeepOpen: true})
			mustAppend(t, f, entries("c", strings.Repeat("a", 5000)+"\n"))
			closeFiles(t, f)
			lose(t, filepath.Join(dir, ".inkwell", "journal"))
			disk, err := crashfs.New(dir)
			if err != nil {
				t.Fatal(err)
			}
			process := disk.Process(nil)
			f = open(t, FilesOptions{Dir: dir, Injector: process, cutEvery: time.Hour, Logger: slog.New(slog.DiscardHandler)})
			mustAppend(t, f, entries("c", "b\n"))
			mustAppend(t, f, entries("d", "c\n"))
			process.Kill()
			f.Close() // nothing of it reaches the disk
			f = open(t, FilesOptions{Dir: dir})
			closeFiles(t, f)
			if got, want := published(t, dir, "c"), strings.Repeat("a", 5000)+"\nb\n"; got != want {
				t.Errorf("got %d bytes, want %d", len(got), len(want))
			}
			if got := published(t, dir, "d"); got != "c\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestFilesContinuesWhatWasKeptOpen(t *testing.T) {
	dir := t.TempDir()
	for i := range 5 {
		f := open(t, FilesOptions{Dir: dir, KeepOpen: i < 4})
		mustAppend(t, f, entries("c", fmt.Sprintf("run %d\n", i)))
		closeFiles(t, f)
	}
	list, err := os.ReadDir(filepath.Join(dir, "c"))
	if err != nil || len(list) != 2 { // with the manifest
		t.Fatalf("want one file: %v %v", list, err)
	}
	if got, want := published(t, dir, "c"), "run 0\nrun 1\nrun 2\nrun 3\nrun 4\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFilesKeepsWhatALostStateLeft removes the whole state: the open file's bytes, which nothing else holds, must not go away.
func TestFilesKeepsWhatALostStateLeft(t *testing.T) {
	dir := t.TempDir()
	f := open(t, FilesOptions{Dir: dir, KeepOpen: true})
	mustAppend(t, f, entries("c", "precious\n"))
	closeFiles(t, f)
	if err := os.RemoveAll(filepath.Join(dir, ".inkwell")); err != nil {
		t.Fatal(err)
	}
	f = open(t, FilesOptions{Dir: dir})
	mustAppend(t, f, entries("c", "new\n"))
	closeFiles(t, f)
	orphans, err := filepath.Glob(filepath.Join(dir, "c", ".*.orphan"))
	if err != nil || len(orphans) != 1 {
		t.Fatalf("orphans: %v %v", orphans, err)
	}
	if err := os.Rename(orphans[0], filepath.Join(dir, "orphan.gz")); err != nil {
		t.Fatal(err)
	}
	if got := published(t, dir, "c"); got != "new\n" {
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

func TestFilesSpendsItsReserveOnACheckpoint(t *testing.T) {
	dir := t.TempDir()
	disk := &crowded{reserve: filepath.Join(dir, ".inkwell", reserveName)}
	f := open(t, FilesOptions{Dir: dir, Injector: disk})
	want := ""
	for i := range 30 {
		m := fmt.Sprintf("%d\n", i)
		mustAppend(t, f, entries("c", m))
		want += m
		time.Sleep(time.Millisecond)
	}
	eventually(t, "an acknowledged journal", func() bool { b, _ := f.Backlog(); return b == 0 || disk.spent.Load() > 3 })
	closeFiles(t, f)
	if disk.spent.Load() == 0 {
		t.Error("the reserve was never spent")
	}
	if got := published(t, dir, "c"); got != want {
		t.Errorf("got %q", got)
	}
}

// TestFilesEndWithTheClock appends to a period of a second: what waits for compression goes into the file of its time.
func TestFilesEndWithTheClock(t *testing.T) {
	period, err := rotate.ParsePeriod("1s")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f := open(t, FilesOptions{Dir: dir, Period: period})
	want := ""
	files := func() int {
		names, err := filepath.Glob(filepath.Join(dir, "c", "c-*.gz"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	began := time.Now()
	eventually(t, "three published files", func() bool {
		m := fmt.Sprintf("%v\n", time.Since(began))
		mustAppend(t, f, entries("c", m))
		want += m
		return files() >= 3
	})
	closeFiles(t, f)
	if got := published(t, dir, "c"); got != want {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
}

// What came again, and what was refused, is counted beside the files.
func TestFilesCountWhatIsInNoFile(t *testing.T) {
	path := t.TempDir()
	f := open(t, FilesOptions{Dir: path})
	mustAppend(t, f, numbered("c", 0, "one\n", "two\n"))
	mustAppend(t, f, numbered("c", 1, "two\n", "three\n"))
	f.Refused(Refusal{Category: []byte("../x"), Stream: stream.ID{7}, First: 10, Entries: 3, Why: "not allowed"})
	f.Refused(Refusal{Category: []byte("../x"), Stream: stream.ID{7}, First: 11, Entries: 3, Why: "not allowed"})
	f.Refused(Refusal{Entries: 1, Why: "no category"})
	closeFiles(t, f)
	if got := published(t, path, "c"); got != "one\ntwo\nthree\n" {
		t.Errorf("got %q", got)
	}
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	counts, bad, err := manifest.ReadCounts(dir)
	if err != nil || bad > 0 {
		t.Fatal(bad, err)
	}
	id := stream.ID{0: 1, 1: 'c'}
	want := map[manifest.Count]bool{
		{Category: "c", Stream: id.String(), What: manifest.Duplicate, Entries: 1}:                                                          true,
		{Category: UnsafeCategory, Stream: stream.ID{7}.String(), What: manifest.Refused, Why: "not allowed", Entries: 6, Numbers: "10-13"}: true,
		{What: manifest.Refused, Why: "no category", Entries: 1}:                                                                            true,
	}
	for _, c := range counts {
		c.Hour = time.Time{}
		if !want[c] {
			t.Errorf("counted %+v", c)
		}
		delete(want, c)
	}
	for c := range want {
		t.Errorf("%+v is not counted", c)
	}
}
