package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/rotate"
)

// remains is what a killed collector has left: a checkpoint that covers the first lines, which are in an open file, and a journal that
// holds the rest.
type remains struct {
	dir     string
	covered []string // lines
	waiting []string
}

func leave(t *testing.T, codec rotate.Codec) remains {
	t.Helper()
	dir := filepath.Join(memoryDir(t), "left")
	r := remains{dir: filepath.Join(memoryDir(t), "copy")}
	f := open(t, FilesOptions{Dir: dir, Codec: codec, KeepOpen: true})
	for i := range 3 {
		r.covered = append(r.covered, fmt.Sprintf("covered %d\n", i))
	}
	mustAppend(t, f, entries("c", r.covered...))
	closeFiles(t, f)
	o := FilesOptions{Dir: dir, Codec: codec, KeepOpen: true, maxAge: time.Hour, segmentBytes: 150}
	f = open(t, o)
	for i := range 4 {
		r.waiting = append(r.waiting, fmt.Sprintf("waiting %d\n", i))
		mustAppend(t, f, entries("c", r.waiting[i]))
	}
	if err := os.CopyFS(r.dir, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	closeFiles(t, f)
	if err := os.Remove(filepath.Join(r.dir, ".inkwell", reserveName)); err != nil {
		t.Fatal(err)
	}
	return r
}

// start opens and closes a copy of what was left after change, and returns the lines that are published then, whether all could be read,
// and how much damage was counted or set aside.
func (r remains) start(t *testing.T, codec rotate.Codec, change func(dir string)) (lines []string, readable bool, told bool) {
	t.Helper()
	dir := filepath.Join(memoryDir(t), "c")
	if err := os.CopyFS(dir, os.DirFS(r.dir)); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(filepath.Dir(dir))
	change(dir)
	set := stats.New()
	f, err := OpenFiles(FilesOptions{Dir: dir, Codec: codec, Stats: set, Logger: slog.New(slog.DiscardHandler), cutEvery: time.Millisecond, idleWait: time.Millisecond})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	closeFiles(t, f)
	told = set.Overall("journal damaged").Load() > 0 || set.Overall("bytes lost").Load() > 0
	for _, pattern := range []string{"*.corrupt", "journal/*.torn", "journal/*.corrupt"} {
		aside, err := filepath.Glob(filepath.Join(dir, ".inkwell", pattern))
		if err != nil {
			t.Fatal(err)
		}
		told = told || len(aside) > 0
	}
	text, err := readAll(filepath.Join(dir, "c"))
	for line := range strings.Lines(text) {
		lines = append(lines, line)
	}
	return lines, err == nil, told
}

// readAll reads the published files of category c as far as they can be read.
func readAll(dir string) (string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "c-*"))
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		codec := rotate.None
		if strings.HasSuffix(name, ".gz") {
			codec = rotate.Gzip
		}
		r, err := rotate.NewReader(f, codec, false)
		if err == nil {
			var buf [1 << 12]byte
			var n int
			for err == nil {
				n, err = r.Read(buf[:])
				all.Write(buf[:n])
			}
			if err.Error() == "EOF" {
				err = nil
			}
			err = errors.Join(err, r.Close())
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return all.String(), err
		}
	}
	return all.String(), nil
}

// everywhere changes each bit of a file in turn, and cuts it at each byte, and lets judge look at what a start makes of it.
func (r remains) everywhere(t *testing.T, codec rotate.Codec, name string, judge func(what string, lines []string, readable, told bool)) {
	t.Helper()
	whole, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, data []byte) {
		lines, readable, told := r.start(t, codec, func(dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		})
		judge(name+" "+what, lines, readable, told)
	}
	for bit := range len(whole) * 8 {
		data := append([]byte(nil), whole...)
		data[bit/8] ^= 1 << (bit % 8)
		try(fmt.Sprintf("bit %d", bit), data)
	}
	for size := range len(whole) {
		try(fmt.Sprintf("cut at %d", size), whole[:size])
	}
	t.Logf("%s: flipped %d bits, cut at %d bytes", name, len(whole)*8, len(whole))
}

// TestDamageToTheCheckpoint: damage to either of the two costs nothing.
func TestDamageToTheCheckpoint(t *testing.T) {
	for _, name := range []string{checkpointName, checkpointName + copySuffix} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := leave(t, rotate.Gzip)
			want := strings.Join(append(r.covered, r.waiting...), "")
			r.everywhere(t, rotate.Gzip, filepath.Join(".inkwell", name), func(what string, lines []string, readable, _ bool) {
				if got := strings.Join(lines, ""); got != want || !readable {
					t.Errorf("%s: %q (readable: %v)", what, got, readable)
				}
			})
		})
	}
}

// TestDamageToBothCheckpoints: the collector starts all the same, sets both aside, and what the journal still has is written again.
func TestDamageToBothCheckpoints(t *testing.T) {
	r := leave(t, rotate.Gzip)
	lines, readable, told := r.start(t, rotate.Gzip, func(dir string) {
		for _, name := range []string{checkpointName, checkpointName + copySuffix} {
			if err := os.WriteFile(filepath.Join(dir, ".inkwell", name), []byte(`{"version":1,"lo`), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got := strings.Join(lines, ""); got != strings.Join(append(r.covered, r.waiting...), "") || !readable || !told {
		t.Errorf("%q (readable: %v, told: %v)", got, readable, told)
	}
}

// TestDamageToTheJournal: at most the group that was hit is missing, and that is told.
func TestDamageToTheJournal(t *testing.T) {
	r := leave(t, rotate.None)
	names, err := filepath.Glob(filepath.Join(r.dir, ".inkwell", "journal", "*.log"))
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	for _, name := range names[len(names)-2:] {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			r.everywhere(t, rotate.None, filepath.Join(".inkwell", "journal", filepath.Base(name)), func(what string, lines []string, _, told bool) {
				all := append(append([]string(nil), r.covered...), r.waiting...)
				missing, next := 0, 0
				for _, line := range lines {
					for next < len(all) && all[next] != line {
						missing, next = missing+1, next+1
					}
					next++
				}
				missing += len(all) - min(next, len(all))
				if next > len(all) {
					t.Errorf("%s: %q", what, lines)
				}
				if missing > 2 { // a segment's header vouches for its two groups
					t.Errorf("%s: %d lines are missing", what, missing)
				}
				if missing > 0 && !told && !strings.Contains(what, "cut") { // a cut between two groups of the last segment leaves no trace
					t.Errorf("%s: %d lines are missing, and nobody says so", what, missing)
				}
			})
		})
	}
}

// TestDamageToTheOpenFile: a flipped bit of a compressed file is found by its readers, a cut is counted and what is left set aside.
func TestDamageToTheOpenFile(t *testing.T) {
	r := leave(t, rotate.Gzip)
	names, err := filepath.Glob(filepath.Join(r.dir, "c", ".c-*.open"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	want := strings.Join(append(append([]string(nil), r.covered...), r.waiting...), "")
	found := 0
	r.everywhere(t, rotate.Gzip, filepath.Join("c", filepath.Base(names[0])), func(what string, lines []string, readable, told bool) {
		got := strings.Join(lines, "")
		switch {
		case strings.Contains(what, "cut"):
			if got != strings.Join(r.waiting, "") || !readable || !told {
				t.Errorf("%s: %q (readable: %v, told: %v)", what, got, readable, told)
			}
		case readable && got == strings.Join(r.waiting, "") && told: // set aside
			found++
		case readable && got != want:
			t.Errorf("%s: %q is read without an error", what, got)
		case !readable:
			found++
		}
	})
	if found == 0 {
		t.Error("no reader found a flipped bit")
	}
}

// TestEntriesBehindALostSegmentKeepTheirCategory damages the header of the only segment, behind a checkpoint that had seen more of it than
// the files have: what is appended then belongs to its own category.
func TestEntriesBehindALostSegmentKeepTheirCategory(t *testing.T) {
	r := leave(t, rotate.Gzip)
	dir := filepath.Join(memoryDir(t), "c")
	if err := os.CopyFS(dir, os.DirFS(r.dir)); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, ".inkwell", "journal", "*.log"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	for _, name := range segments {
		if err := os.Truncate(name, 10); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, ".inkwell", checkpointName)
	c := checkpoint{Version: checkpointVersion, Low: 0, Drained: 100, Categories: map[string]mark{"c": {Born: 0}}}
	state := openState(t, filepath.Dir(path))
	defer state.Close()
	if err := c.save(state); err != nil {
		t.Fatal(err)
	}
	f := open(t, FilesOptions{Dir: dir})
	for _, category := range []string{"new", "c"} {
		mustAppend(t, f, entries(category, "after\n"))
	}
	closeFiles(t, f)
	for _, category := range []string{"c", "new"} {
		if got := published(t, dir, category); got != "after\n" {
			t.Errorf("%s: %q", category, got)
		}
	}
	if got := published(t, dir, OverflowCategory); got != "" {
		t.Errorf("%s: %q", OverflowCategory, got)
	}
}

func openState(t *testing.T, path string) *faultfs.Dir {
	t.Helper()
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
