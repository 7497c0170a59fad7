package collector

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"inkwell/internal/config"
	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/books"
	"inkwell/store/journal"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

// site is a collector without a network: a configuration of files in a directory, with the state beside them.
type site struct {
	t      testing.TB
	dir    string
	lines  []string // of the configuration, before the store
	kind   []string // of the store
	tuning tuning
	log    *slog.Logger
	stats  *stats.Set // of the last intake
}

// The kinds of files that a store can write.
var (
	gzipFiles      = []string{"compress=gzip", "rotate_period=daily"}
	zstdFiles      = []string{"compress=zstd", "rotate_period=daily"}
	publishedFiles = []string{"publish=yes", "rotate_period=daily"}
	plainFiles     = []string{"rotate_period=daily"} // of the original
)

func newSite(t testing.TB, kind []string, more ...string) *site {
	return &site{t: t, dir: t.TempDir(), kind: append(slices.Clone(kind), more...), log: slog.New(slog.DiscardHandler),
		tuning: tuning{interval: time.Millisecond, journal: journal.Tuning{SaveEvery: 5 * time.Millisecond, Retry: 5 * time.Millisecond}}}
}

func (s *site) state() string { return filepath.Join(s.dir, ".inkwell") }

// try opens the collector.
func (s *site) try() (*intake, error) {
	text := strings.Join(slices.Concat([]string{"inkwell 1"}, s.lines, []string{"<store>", "category=default", "type=file", "file_path=" + s.dir},
		s.kind, []string{"</store>"}), "\n")
	c := config.Load("test.conf", []byte(text))
	for _, p := range c.Problems {
		s.t.Fatalf("%s in\n%s", p.String(), text)
	}
	s.stats = stats.New()
	o := Options{Load: func() *config.Config { return c }, StateRoot: s.dir, StateDir: s.state(), Logger: s.log, Stats: s.stats, tuning: s.tuning}
	return openIntake(&o, newGate(o))
}

func (s *site) open() *intake {
	s.t.Helper()
	i, err := s.try()
	if err != nil {
		s.t.Fatal(err)
	}
	return i
}

func (s *site) close(i *intake) {
	s.t.Helper()
	if err := i.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// take appends b, which must be acknowledged.
func (s *site) take(i *intake, b *proto.Batch) {
	s.t.Helper()
	if code, err := i.Log(s.t.Context(), b); code != proto.OK || err != nil {
		s.t.Fatal(code, err)
	}
}

// until waits for a condition.
func (s *site) until(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("never came: " + what)
		}
	}
}

// lines makes a batch of one category.
func lines(category string, messages ...string) *proto.Batch {
	b := new(proto.Batch)
	for _, m := range messages {
		b.Append([]byte(category), []byte(m))
	}
	return b
}

// numbered is lines with the numbers from first on in the stream of their category.
func numbered(category string, first int, messages ...string) *proto.Batch {
	b := lines(category, messages...)
	b.Number(streamOf(category), int64(first), len(messages))
	return b
}

func streamOf(category string) stream.ID {
	id := stream.ID{0: 1}
	copy(id[1:], category)
	return id
}

// published is what the finished files of a category hold, in order; a name that is not final is an error.
func (s *site) published(category string) string {
	s.t.Helper()
	text, err := s.read(category)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// read is published as far as it can be read.
func (s *site) read(category string) (string, error) {
	s.t.Helper()
	var all bytes.Buffer
	list, err := os.ReadDir(filepath.Join(s.dir, category))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	for _, e := range list {
		name := e.Name()
		switch {
		case e.Type()&os.ModeSymlink != 0, name == books.Manifest, strings.HasSuffix(name, ".orphan"), strings.HasSuffix(name, ".idx"):
			continue
		case strings.HasPrefix(name, "."):
			s.t.Errorf("%s/%s is not published", category, name)
			continue
		}
		codec := rotate.None
		for _, c := range []rotate.Codec{rotate.Gzip, rotate.Zstd} {
			if strings.HasSuffix(name, c.Suffix()) {
				codec = c
			}
		}
		f, err := os.Open(filepath.Join(s.dir, category, name))
		if err != nil {
			return all.String(), err
		}
		r, err := rotate.NewReader(f, codec, false)
		if err == nil {
			_, err = io.Copy(&all, r)
			err = errors.Join(err, r.Close())
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return all.String(), fmt.Errorf("%s: %w", name, err)
		}
	}
	return all.String(), nil
}

// checkManifest fails unless the manifest of a category lists the files that are there, whole, and each of so many
// numbers once.
func (s *site) checkManifest(category string, entries int) {
	s.t.Helper()
	dir, err := faultfs.OpenDir(filepath.Join(s.dir, category), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer dir.Close()
	files, _, err := books.ReadFiles(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	var have stream.Ranges
	listed := map[string]bool{}
	for _, f := range files {
		listed[f.Name] = true
		info, err := dir.Lstat(f.Name)
		if err != nil {
			s.t.Errorf("%s is in the manifest: %v", f.Name, err)
			continue
		}
		if info.Size() != f.Bytes {
			s.t.Errorf("%s: %d bytes, the manifest says %d", f.Name, info.Size(), f.Bytes)
		}
		var count, raw int64
		for _, p := range f.Spans {
			count, raw = count+p.Count, raw+p.Bytes
			if n := have.Overlap(p.First, p.End()); n > 0 {
				s.t.Errorf("%s: %d numbers of %v are there twice", f.Name, n, p)
			}
			have.Add(p.First, p.End())
		}
		if count != f.Entries || raw != f.Raw {
			s.t.Errorf("%s: spans of %d entries and %d bytes, the line says %d and %d", f.Name, count, raw, f.Entries, f.Raw)
		}
	}
	list, err := dir.ReadDir()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range list {
		info, err := e.Info()
		if err == nil && e.Type().IsRegular() && e.Name() != books.Manifest && !strings.HasSuffix(e.Name(), ".idx") && !listed[e.Name()] &&
			info.Size() > 0 {
			s.t.Errorf("%s is not in the manifest", e.Name())
		}
	}
	if have.Count() != int64(entries) || len(have) != 1 {
		s.t.Errorf("%s: the manifest has the entries %v, want %d", category, have, entries)
	}
}

// dying lets so many operations pass and fails every one after that, as if the process had been killed: nothing reaches
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

// TestKilledAtEveryDiskOperation stops the world behind each disk operation of a run in turn and starts again: every
// entry that was acknowledged is in the files once, one that was not at most once, order is kept, and the manifests say
// so.
func TestKilledAtEveryDiskOperation(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string][]string{"gzip": gzipFiles, "zstd": zstdFiles, "published": publishedFiles, "plain": plainFiles} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				died := false
				t.Run(fmt.Sprint(n), func(t *testing.T) { died = killedAfter(t, kind, n) })
				if t.Failed() {
					return
				}
				if !died {
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

func killedAfter(t *testing.T, kind []string, n int) (died bool) {
	s := newSite(t, kind, "max_size=700")
	sent := map[string][]string{}
	kill := &dying{left: n, tear: n%2 == 0}
	s.tuning.injector, s.tuning.journal = kill, journal.Tuning{SaveEvery: 2 * time.Millisecond, Retry: time.Hour}
	if i, err := s.try(); err == nil {
		for k := range 40 {
			category := fmt.Sprintf("c%d", k%3)
			message := fmt.Sprintf("%04d %x\n", k, strings.Repeat(fmt.Sprint(k), 30))
			if _, err := i.Log(t.Context(), numbered(category, len(sent[category]), message)); err != nil {
				t.Error(err)
			}
			sent[category] = append(sent[category], message)
			if k%8 == 7 {
				s.until("a checkpoint, or the end", func() bool {
					_, entries := i.journal.Backlog()
					return entries == 0 || kill.died()
				})
			}
		}
		_ = i.Close() // it was killed
	}
	s.tuning = newSite(t, kind).tuning
	i := s.open()
	for category, list := range sent { // as a sender does that does not know what arrived
		for k := 0; k < len(list); k += 3 {
			s.take(i, numbered(category, k, list[k:min(k+3, len(list))]...))
		}
	}
	s.close(i)
	for category, want := range sent {
		got := slices.Collect(strings.Lines(s.published(category)))
		if !slices.Equal(got, want) {
			t.Errorf("kill point %d: %s: got %d lines, want the %d that were sent once and in order; difference:\n%.2000s", n, category, len(got),
				len(want), gocmp.Diff(want, got))
		}
		s.checkManifest(category, len(want))
	}
	return kill.died()
}

// failing fails operations on names that contain part, while it is on.
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

// A fault of the disk, of the output or of what is kept about it, costs nothing but time, and is told while it lasts.
func TestOutlivesFaultsOfTheDisk(t *testing.T) {
	for name, fault := range map[string]*failing{
		"no space":            {op: faultfs.OpWrite, part: "bad-", err: syscall.ENOSPC},
		"write error":         {op: faultfs.OpWrite, part: "bad-", err: syscall.EIO},
		"sync error":          {op: faultfs.OpSync, part: "bad-", err: syscall.EIO},
		"cannot open":         {op: faultfs.OpOpen, part: "bad-", err: syscall.EACCES},
		"cannot rename":       {op: faultfs.OpRename, part: "bad-", err: syscall.EACCES},
		"checkpoint no space": {op: faultfs.OpWrite, part: "checkpoint", err: syscall.ENOSPC},
		"manifest no space":   {op: faultfs.OpWrite, part: books.Manifest, err: syscall.ENOSPC},
		"books no space":      {op: faultfs.OpWrite, part: "books", err: syscall.ENOSPC},
	} {
		for kindName, kind := range map[string][]string{"gzip": gzipFiles, "plain": plainFiles} {
			t.Run(name+" "+kindName, func(t *testing.T) {
				t.Parallel()
				s, fault := newSite(t, kind, "max_size=2000"), &failing{op: fault.op, part: fault.part, err: fault.err}
				s.tuning.injector = fault
				i := s.open()
				want, total := map[string]string{}, 0
				add := func(k int) {
					for _, category := range []string{"bad", "good"} {
						m := fmt.Sprintf("%d %x\n", k, strings.Repeat(fmt.Sprint(k*k), 20))
						s.take(i, numbered(category, total, m))
						want[category] += m
					}
					total++
				}
				for k := range 20 {
					add(k)
				}
				fault.set(true)
				s.until("the fault is told", func() bool { add(total); return total > 60 && fault.seen() > 2 && i.trouble() != "" })
				fault.set(false)
				for k := range 20 {
					add(k)
				}
				s.until("recovery", func() bool { return i.trouble() == "" })
				s.close(i)
				s.close(s.open())
				for category, text := range want {
					if got := s.published(category); got != text {
						t.Errorf("%s: got %d bytes, want %d", category, len(got), len(text))
					}
					s.checkManifest(category, total)
				}
			})
		}
	}
}

// While nothing can be written the journal takes what it may, and then the senders are told to try later, until there
// is room.
func TestTryLaterWhenTheJournalIsFull(t *testing.T) {
	s, fault := newSite(t, gzipFiles), &failing{op: faultfs.OpWrite, part: "c-", err: syscall.ENOSPC, on: true}
	s.lines, s.tuning.injector = []string{"journal_max=1MiB"}, fault
	i := s.open()
	message, n := strings.Repeat("x", 10_000)+"\n", 0
	for ; n < 1000; n++ {
		code, err := i.Log(t.Context(), lines("c", message))
		if err != nil {
			t.Fatal(err)
		}
		if code == proto.TryLater {
			break
		}
	}
	if n < 50 || n > 200 {
		t.Fatalf("the journal of 1 MiB took %d entries of 10 kB", n)
	}
	if err := i.journal.Append(t.Context(), lines("c", message)); !errors.Is(err, store.ErrTryLater) || !errors.Is(err, spool.ErrFull) {
		t.Errorf("got %v", err)
	}
	fault.set(false)
	s.until("room in the journal", func() bool {
		code, err := i.Log(t.Context(), lines("c", message))
		if code == proto.OK && err == nil {
			n++
		}
		return code == proto.OK
	})
	s.close(i)
	if got := s.published("c"); got != strings.Repeat(message, n) {
		t.Errorf("got %d bytes, want %d", len(got), n*len(message))
	}
}
