package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/manifest"
	"inkwell/store/stream"
)

func opened(t *testing.T, path string, inj faultfs.Injector) *inNoFile {
	t.Helper()
	dir, err := faultfs.OpenDir(path, inj)
	if err != nil {
		t.Fatal(err)
	}
	n := &inNoFile{root: dir}
	if err := n.look(slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.close(); dir.Close() })
	return n
}

// counted adds up what the file has: the refused entries, their numbers of one stream, and the duplicates.
func counted(t *testing.T, path string, id stream.ID) (refused int64, numbers string, twice int64) {
	t.Helper()
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	list, _, err := manifest.ReadCounts(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all stream.Ranges
	for _, c := range list {
		if c.What == manifest.Duplicate {
			twice += c.Entries
			continue
		}
		refused += c.Entries
		r, err := stream.ParseRanges(c.Numbers)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r {
			if c.Stream == id.String() {
				all.Add(x.First, x.End)
			}
		}
	}
	return refused, all.String(), twice
}

// A peer that makes up streams, for hours of checkpoints, does not make the file grow without bounds, and all its entries are counted.
func TestCountsOfAHostilePeerAreBounded(t *testing.T) {
	path := memoryDir(t)
	n := opened(t, path, nil)
	good := stream.ID{1}
	var refused, twice int64
	largest := int64(0)
	for round := range int64(400) {
		n.refused(Refusal{Category: []byte("web"), Stream: good, First: 100 * round, Entries: 50, Why: "not allowed"})
		refused += 50
		for i := range 300 {
			var id stream.ID
			rand.Read(id[:])
			if i%2 == 0 {
				n.twice(id, "web", 1)
				twice++
			} else {
				n.refused(Refusal{Category: fmt.Appendf(nil, "c%d", i), Stream: id, First: round, Entries: 1, Why: "not allowed"})
				refused++
			}
		}
		if err := n.publish(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(path, manifest.Name))
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	r, numbers, d := counted(t, path, good)
	all, err := stream.ParseRanges(numbers)
	if err != nil || r != refused || d != twice || all.Count() != 400*50 || largest > 7<<20 {
		t.Errorf("%d of %d refused, %d of %d duplicates, %d numbers, %v; the file had %d bytes", r, refused, d, twice, all.Count(), err, largest)
	}
	again := opened(t, path, nil) // the next start writes it anew
	again.twice(good, "web", 1)
	if err := again.publish(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(path, manifest.Name))
	if err != nil || info.Size() > 1<<19 {
		t.Errorf("%d bytes behind a start, %v", info.Size(), err)
	}
}

// failsOnce fails the operation that it is told to, once.
type failsOnce struct{ left atomic.Int64 }

func (f *failsOnce) Inject(_ faultfs.Op, _ string, n int) (int, error) {
	if f.left.Add(-1) == 0 {
		return n / 2, errors.New("disk")
	}
	return n, nil
}

// Whatever fails while the file is written anew or appended to, nothing that it had goes away, and the next checkpoint has all.
func TestCountsOutliveFaults(t *testing.T) {
	for at := int64(1); ; at++ {
		path := memoryDir(t)
		inj := new(failsOnce)
		n := opened(t, path, inj)
		id := stream.ID{1}
		refuse := func(first int64) error {
			n.refused(Refusal{Category: []byte("web"), Stream: id, First: first, Entries: 2, Why: "x"})
			n.twice(id, "web", 1)
			return n.publish()
		}
		if err := refuse(0); err != nil {
			t.Fatal(err)
		}
		n = opened(t, path, inj)
		inj.left.Store(at)
		failed := errors.Join(refuse(2), refuse(4))
		reached := inj.left.Load() <= 0
		inj.left.Store(0)
		if _, numbers, _ := counted(t, path, id); len(numbers) < len("0-1") || numbers[:2] != "0-" {
			t.Errorf("fault %d: %q is left", at, numbers)
		}
		if err := refuse(6); err != nil {
			t.Errorf("fault %d: %v", at, err)
		}
		if refused, numbers, twice := counted(t, path, id); numbers != "0-7" || refused != 8 || twice != 4 {
			t.Errorf("fault %d (%v): refused %d, numbers %s, twice %d", at, failed, refused, numbers, twice)
		}
		if !reached {
			if at < 8 {
				t.Errorf("%d operations only", at)
			}
			return
		}
	}
}

// TestBooksThatAreLinks plants links where the manifests and a done marker belong: the start succeeds, entries are written, the log says
// where each link stands, the status that there are some, and what waited for that is written when they are gone.
func TestBooksThatAreLinks(t *testing.T) {
	o := FilesOptions{Dir: t.TempDir(), MaxSize: 1, KeepOpen: true, DoneMarkers: true, cutEvery: time.Millisecond, maxAge: time.Millisecond}
	f := open(t, o)
	mustAppend(t, f, numbered("c", 0, "c0\n"))
	closeFiles(t, f)
	begun := time.Now().Add(-72 * time.Hour).Truncate(time.Second)
	body, err := manifest.AppendFile(nil, &manifest.File{Name: "d-1.gz", Bytes: 1, Raw: 1, Entries: 1, First: begun.UTC(), Last: begun.UTC()})
	if err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(t.TempDir(), "victim")
	err = errors.Join(os.WriteFile(victim, []byte("untouched"), 0o600), faultfs.AppendLines(openState(t, filepath.Join(o.Dir, "d")), manifest.Name, manifest.Header, body))
	if err != nil {
		t.Fatal(err)
	}
	links := []string{manifest.Name, filepath.Join("c", manifest.Name), filepath.Join("d", MarkerPrefix+o.Period.Label(begun, o.At))}
	for _, name := range links {
		path := filepath.Join(o.Dir, name)
		if err := os.Symlink(victim, path); err != nil {
			t.Fatal(err)
		}
	}
	log, lines := captureLog()
	o.Logger = log
	f = open(t, o)
	mustAppend(t, f, numbered("c", 1, "c1\n"))
	f.Refused(Refusal{Category: []byte("c"), Stream: stream.ID{7}, Entries: 3, Why: "not allowed"})
	for _, name := range links {
		eventually(t, name+" in the log", func() bool { return strings.Contains(lines(), filepath.Join(o.Dir, name)) })
	}
	if !strings.Contains(f.Status(), "symbolic link") {
		t.Errorf("status %q", f.Status())
	}
	for _, name := range links {
		if err := os.Remove(filepath.Join(o.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the end of the trouble", func() bool { return f.Status() == "" })
	if n := len(markersIn(t, o.Dir, "d")); n != 1 {
		t.Errorf("%d markers, want one", n)
	}
	closeFiles(t, f)
	if refused, numbers, _ := counted(t, o.Dir, stream.ID{7}); refused != 3 || numbers != "0-2" {
		t.Errorf("refused %d: %s", refused, numbers)
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "untouched" {
		t.Errorf("what the links point to: %q %v", got, err)
	}
	files, _, err := manifest.ReadFiles(openState(t, filepath.Join(o.Dir, "c")))
	if err != nil || len(files) != 1 || files[0].Entries != 1 {
		t.Errorf("the manifest has %v, %v", files, err)
	}
}
