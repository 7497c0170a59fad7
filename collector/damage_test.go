package collector

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/rotate"
)

// remains is what a killed collector has left: a checkpoint that covers the first lines, which are in an open file, and
// a journal that holds the rest.
type remains struct {
	dir     string // that of the site
	copy    string
	kind    []string
	covered []string // lines
	waiting []string
}

func leave(t *testing.T, kind []string) remains {
	t.Helper()
	s := newSite(t, kind, "keep_open=yes")
	r := remains{dir: s.dir, copy: filepath.Join(t.TempDir(), "copy"), kind: kind}
	i := s.open()
	for k := range 3 {
		r.covered = append(r.covered, fmt.Sprintf("covered %d\n", k))
	}
	s.take(i, lines("c", r.covered...))
	s.close(i)
	s.tuning.interval, s.tuning.journal.SegmentBytes = time.Hour, 150
	i = s.open()
	for k := range 4 {
		r.waiting = append(r.waiting, fmt.Sprintf("waiting %d\n", k))
		s.take(i, lines("c", r.waiting[k]))
	}
	if err := os.CopyFS(r.copy, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	s.close(i)
	if err := os.Remove(filepath.Join(r.copy, ".inkwell", reserveName)); err != nil {
		t.Fatal(err)
	}
	return r
}

// start opens and closes what was left after change, and returns the lines that are published then, whether all could
// be read, and whether damage was counted or set aside.
func (r remains) start(t *testing.T, change func(dir string)) (found []string, readable bool, told bool) {
	t.Helper()
	if err := os.RemoveAll(r.dir); err != nil { // the checkpoint names the files by their paths
		t.Fatal(err)
	}
	if err := os.CopyFS(r.dir, os.DirFS(r.copy)); err != nil {
		t.Fatal(err)
	}
	change(r.dir)
	s := newSite(t, r.kind)
	s.dir, s.tuning.journal.SaveEvery = r.dir, time.Millisecond
	s.close(s.open())
	told = s.stats.Overall("journal damaged").Load() > 0 || s.stats.Overall("bytes lost").Load() > 0
	for _, pattern := range []string{"*.corrupt", "journal/*.torn", "journal/*.corrupt"} {
		aside, err := filepath.Glob(filepath.Join(r.dir, ".inkwell", pattern))
		if err != nil {
			t.Fatal(err)
		}
		told = told || len(aside) > 0
	}
	text, err := s.read("c")
	for line := range strings.Lines(text) {
		found = append(found, line)
	}
	return found, err == nil, told
}

// everywhere changes a bit of each byte of a file in turn (each bit with INKWELL_SEQUENCES), and cuts it at each byte,
// and lets judge look at what a start makes of it.
func (r remains) everywhere(t *testing.T, name string, judge func(what string, found []string, readable, told bool)) {
	t.Helper()
	whole, err := os.ReadFile(filepath.Join(r.copy, name))
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, data []byte) {
		found, readable, told := r.start(t, func(dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		})
		judge(name+" "+what, found, readable, told)
	}
	step := 1
	if os.Getenv("INKWELL_SEQUENCES") == "" {
		step = 9 // another one in each byte
	}
	for bit := 0; bit < len(whole)*8; bit += step {
		data := append([]byte(nil), whole...)
		data[bit/8] ^= 1 << (bit % 8)
		try(fmt.Sprintf("bit %d", bit), data)
	}
	for size := range len(whole) {
		try(fmt.Sprintf("cut at %d", size), whole[:size])
	}
	t.Logf("%s: flipped %d bits, cut at %d bytes", name, len(whole)*8/step, len(whole))
}

// TestDamageToTheCheckpoint: damage to either of the two costs nothing.
func TestDamageToTheCheckpoint(t *testing.T) {
	t.Parallel()
	for _, name := range []string{checkpointName, checkpointName + ".copy"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := leave(t, gzipFiles)
			want := strings.Join(append(r.covered, r.waiting...), "")
			r.everywhere(t, filepath.Join(".inkwell", name), func(what string, found []string, readable, _ bool) {
				if got := strings.Join(found, ""); got != want || !readable {
					t.Errorf("%s: %q (readable: %v)", what, got, readable)
				}
			})
		})
	}
}

// TestDamageToBothCheckpoints: the collector starts all the same, sets both aside, and what the journal still has is
// written. The file that was open is set aside: nobody knows how far it counts.
func TestDamageToBothCheckpoints(t *testing.T) {
	r := leave(t, gzipFiles)
	found, readable, told := r.start(t, func(dir string) {
		for _, name := range []string{checkpointName, checkpointName + ".copy"} {
			if err := os.WriteFile(filepath.Join(dir, ".inkwell", name), []byte(`{"version":2,"lo`), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got := strings.Join(found, ""); got != strings.Join(r.waiting, "") || !readable || !told {
		t.Errorf("%q (readable: %v, told: %v)", got, readable, told)
	}
	orphans, err := filepath.Glob(filepath.Join(r.dir, "c", ".*.orphan"))
	if err != nil || len(orphans) != 1 {
		t.Fatal(orphans, err)
	}
	if got, want := orphan(t, orphans[0]), strings.Join(r.covered, ""); got != want {
		t.Errorf("%q is set aside, want %q", got, want)
	}
}

// orphan is what a gzip file holds that was not finished.
func orphan(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := rotate.NewReader(f, rotate.Gzip, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestDamageToTheJournal: at most the group that was hit is missing, and that is told.
func TestDamageToTheJournal(t *testing.T) {
	r := leave(t, publishedFiles)
	names, err := filepath.Glob(filepath.Join(r.copy, ".inkwell", "journal", "*.log"))
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	for _, name := range names[len(names)-2:] {
		t.Run(filepath.Base(name), func(t *testing.T) {
			r.everywhere(t, filepath.Join(".inkwell", "journal", filepath.Base(name)), func(what string, found []string, _, told bool) {
				all := append(append([]string(nil), r.covered...), r.waiting...)
				missing, next := 0, 0
				for _, line := range found {
					for next < len(all) && all[next] != line {
						missing, next = missing+1, next+1
					}
					next++
				}
				missing += len(all) - min(next, len(all))
				if next > len(all) {
					t.Errorf("%s: %q", what, found)
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

// TestDamageToTheOpenFile: a flipped bit of a compressed file is found by its readers, a cut is counted and what is
// left set aside.
func TestDamageToTheOpenFile(t *testing.T) {
	r := leave(t, gzipFiles)
	names, err := filepath.Glob(filepath.Join(r.copy, "c", ".c-*.open"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	want := strings.Join(append(append([]string(nil), r.covered...), r.waiting...), "")
	caught := 0
	r.everywhere(t, filepath.Join("c", filepath.Base(names[0])), func(what string, found []string, readable, told bool) {
		got := strings.Join(found, "")
		switch {
		case strings.Contains(what, "cut"):
			if got != strings.Join(r.waiting, "") || !readable || !told {
				t.Errorf("%s: %q (readable: %v, told: %v)", what, got, readable, told)
			}
		case readable && got == strings.Join(r.waiting, "") && told: // set aside
			caught++
		case readable && got != want:
			t.Errorf("%s: %q is read without an error", what, got)
		case !readable:
			caught++
		}
	})
	if caught == 0 {
		t.Error("no reader found a flipped bit")
	}
}
