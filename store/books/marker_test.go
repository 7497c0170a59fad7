package books

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/index"
)

// markersIn returns the markers of a directory, by period.
func markersIn(t *testing.T, dir string) map[string]Marker {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, MarkerPrefix+"*"))
	must(t, err)
	found := make(map[string]Marker)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		must(t, err)
		var m Marker
		must(t, json.Unmarshal(data, &m))
		found[strings.TrimPrefix(filepath.Base(path), MarkerPrefix)] = m
	}
	return found
}

// hour is the beginning of the hour that the tests mark.
var hour = time.Date(2026, 11, 25, 4, 0, 0, 0, time.Local)

func at(minutes int) time.Time { return hour.Add(time.Duration(minutes) * time.Minute) }

// marking is a model whose hours are marked.
func marking(t *testing.T) *model {
	t.Helper()
	m := newModel(t, 1)
	must(t, m.books.Close())
	m.reopen(at(1))
	return m
}

// reopen opens the books again at a time.
func (m *model) reopen(now time.Time) {
	m.t.Helper()
	hourly, err := rotate.ParsePeriod("hourly")
	must(m.t, err)
	o := m.options()
	o.Destinations[0].Done = &Done{Period: hourly, Lateness: 10 * time.Minute}
	o.now = func() time.Time { return now }
	m.books, err = Open(o)
	must(m.t, err)
}

// wrote says that a stream wrote to a file at a minute of the hour.
func (m *model) wrote(file string, open bool, id byte, minute int) {
	m.t.Helper()
	key := "c0 → out"
	w := m.now[key]
	dir := filepath.Join(m.out, "c0")
	a := store.Added{Dir: dir, File: file, Start: w.numbers * 10, First: at(minute).Unix(), Last: at(minute).Unix(),
		Open: open}
	if id != 0 {
		a.Spans = []store.Span{{Category: "c0", Hour: a.First / 3600, Stream: [16]byte{id}, First: w.numbers, Count: 1,
			Bytes: 10}}
		w.numbers++
	}
	m.books.Add(key, w.through, w.through+1, []store.Added{a})
	w.through++
	m.saved[key].through = w.through
}

// publish makes a checkpoint at a minute, and says what markers there are then.
func (m *model) publish(minute int) map[string]Marker {
	m.t.Helper()
	must(m.t, m.books.Save())
	m.books.Publish(at(minute))
	m.books.looks.Wait()
	if text := m.books.o.Health.Status(); text != "" {
		m.t.Fatal(text)
	}
	return markersIn(m.t, filepath.Join(m.out, "c0"))
}

func TestMarkerWaitsForEveryStream(t *testing.T) {
	m := marking(t)
	m.wrote("c0-2026-11-25_00004", true, 1, 1)
	m.wrote("c0-2026-11-25_00004", true, 2, 58)
	m.wrote("c0-2026-11-25_00004", false, 1, 59)
	if got := m.publish(59); len(got) != 0 {
		t.Fatalf("before the hour is over: %v", got)
	}
	m.wrote("c0-2026-11-25_00005", true, 1, 60)
	if got := m.publish(61); len(got) != 0 {
		t.Fatalf("while a stream may still write: %v", got)
	}
	m.wrote("c0-2026-11-25_00006", true, 1, 59)
	if got := m.publish(70); len(got) != 0 {
		t.Fatalf("while a file of the hour is open: %v", got)
	}
	m.wrote("c0-2026-11-25_00006", false, 0, 70)
	first := m.publish(70)["2026-11-25T04"]
	if first.Version != 1 || first.Entries != 4 || len(first.Files) != 2 || first.Category != "c0" {
		t.Fatalf("the marker is %+v", first)
	}
	m.wrote("c0-2026-11-25_00009", false, 1, 30)
	if second := m.publish(71)["2026-11-25T04"]; second.Version != 2 || second.Entries != 5 || len(second.Files) != 3 {
		t.Fatalf("what came late makes %+v", second)
	}
	if len(m.books.markers.due) != 0 {
		t.Errorf("%d periods are still to be marked", len(m.books.markers.due))
	}
}

// The partition of a period gets the same marker, when its files have their names, and goes with them.
func TestMarkersOfPartitions(t *testing.T) {
	m := marking(t)
	m.books.o.Destinations[0].Done.Hive = true
	file := "c0-2026-11-25T04_00000.gz"
	c0, partition := filepath.Join(m.out, "c0"), filepath.Join(m.out, "c0", "dt=2026-11-25", "hr=04")
	must(t, errors.Join(os.MkdirAll(partition, 0o755), os.WriteFile(filepath.Join(c0, rotate.Hidden(file)), []byte("1"), 0o644)))
	m.wrote(file, false, 1, 1)
	m.wrote("c0-2026-11-25T05_00000.gz", true, 1, 61)
	if got := m.publish(61); len(got) != 0 {
		t.Fatalf("before the file has its name: %v", got)
	}
	must(t, os.Rename(filepath.Join(c0, rotate.Hidden(file)), filepath.Join(partition, file)))
	if got := m.publish(61)["2026-11-25T04"]; got.Version != 1 || got.Entries != 1 {
		t.Fatalf("the marker is %+v", got)
	}
	one, err := os.ReadFile(filepath.Join(partition, PartitionMarker))
	must(t, err)
	other, err := os.ReadFile(filepath.Join(c0, MarkerPrefix+"2026-11-25T04"))
	must(t, err)
	if string(one) != string(other) {
		t.Errorf("that of the partition is %s", one)
	}
	late := "c0-2026-11-25T04_00001.gz"
	must(t, os.WriteFile(filepath.Join(partition, late), []byte("2"), 0o644))
	m.wrote(late, false, 1, 30)
	m.publish(62)
	if one, err = os.ReadFile(filepath.Join(partition, PartitionMarker)); err != nil || !strings.Contains(string(one), `"version": 2`) {
		t.Errorf("behind a late file it is %s, %v", one, err)
	}
	next := filepath.Join(c0, "dt=2026-11-25", "hr=05")
	must(t, errors.Join(os.MkdirAll(next, 0o755), os.WriteFile(filepath.Join(next, "c0-2026-11-25T05_00000.gz"), []byte("3"), 0o644)))
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{file, late} {
		must(t, os.Chtimes(filepath.Join(partition, name), old, old))
	}
	m.books.o.Destinations[0].Keep = time.Minute
	m.books.pruned = time.Time{}
	m.books.Publish(time.Now())
	m.books.looks.Wait()
	if _, err := os.Stat(partition); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the partition is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(next, "c0-2026-11-25T05_00000.gz")); err != nil {
		t.Errorf("the next one: %v", err)
	}
	if got := markersIn(t, c0); len(got) != 0 {
		t.Errorf("left are %v", got)
	}
	files, _, err := readDir(t, c0)
	must(t, err)
	for _, f := range files {
		if (f.Removed == ByRetention) != (f.Name == file || f.Name == late) {
			t.Errorf("the manifest says that %s was removed: %q", f.Name, f.Removed)
		}
	}
}

// readDir reads the manifest of a directory.
func readDir(t *testing.T, path string) ([]File, int, error) {
	t.Helper()
	dir, err := faultfs.OpenDir(path, nil)
	must(t, err)
	defer dir.Close()
	return ReadFiles(dir)
}

// A start goes on waiting where the run before did: it knows from the manifest, and from what open files hold, when a
// stream wrote last.
func TestMarkerWaitsAcrossARestart(t *testing.T) {
	m := marking(t)
	m.wrote("c0-2026-11-25_00004", false, 1, 58)
	restart := func(minute int) int {
		t.Helper()
		must(t, m.books.Save())
		must(t, m.books.Close())
		m.reopen(at(minute))
		return len(m.publish(minute))
	}
	if n := len(m.publish(59)); n != 0 {
		t.Fatalf("%d markers before the hour is over", n)
	}
	if n := restart(61); n != 0 {
		t.Fatalf("%d markers, though the stream may still write", n)
	}
	m.wrote("c0-2026-11-25_00005", true, 1, 60)
	if n := restart(61); n != 1 {
		t.Fatalf("%d markers when the stream has moved on, want one", n)
	}
	marker := filepath.Join(m.out, "c0", MarkerPrefix+"2026-11-25T04")
	must(t, os.Remove(marker))
	if n := restart(69); n != 1 {
		t.Fatalf("%d markers when the stream was silent for long enough, want one", n)
	}
	must(t, os.WriteFile(marker, []byte("{"), 0o600))
	if n := restart(70); n != 1 {
		t.Fatalf("%d markers behind one that was damaged, want one", n)
	}
	if aside, err := filepath.Glob(filepath.Join(m.out, "c0", ".*corrupt*")); err != nil || len(aside) != 1 {
		t.Errorf("the damaged one is not kept: %q, %v", aside, err)
	}
}

// TestRetention removes what is too old, then what is too much of a series, then what is too much of all; the manifest
// says so, and the markers go with the last of their files. What others put there stays.
func TestRetention(t *testing.T) {
	now := time.Now()
	put := func(dir, name string, size int, age time.Duration) {
		path := filepath.Join(dir, name)
		must(t, errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(path, make([]byte, size), 0o644), os.Chtimes(path,
			now.Add(-age), now.Add(-age))))
	}
	for name, c := range map[string]struct {
		of    Destination
		gone  []string
		marks int
	}{
		"nothing": {Destination{}, nil, 2},
		"by age": {Destination{Keep: 150 * time.Minute}, []string{"web/web-2026-11-25_00000.gz",
			"web/web-2026-11-25_00001.gz", "plain/app_00000"}, 1},
		"by series": {Destination{SeriesBytes: 250}, []string{"web/web-2026-11-25_00000.gz",
			"web/web-2026-11-25_00001.gz", "plain/app_00000", "plain/app_00001"}, 1},
		"all of it": {Destination{TotalBytes: 650}, []string{"web/web-2026-11-25_00000.gz", "plain/app_00000",
			"web/web-2026-11-25_00001.gz"}, 1},
		"other one": {Destination{TotalBytes: 1, Has: func(dir, base string) bool { return base == "other" }}, nil, 2},
		"one of series": {Destination{Keep: time.Minute, Has: func(dir, base string) bool { return base == "app" }},
			[]string{"plain/app_00000", "plain/app_00001"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, 1)
			must(t, m.books.Close())
			web, plain := filepath.Join(m.out, "web"), filepath.Join(m.out, "plain")
			for i, age := range []time.Duration{4 * time.Hour, 3 * time.Hour, 2 * time.Hour, time.Hour} {
				name := "web-2026-11-25_0000" + string(rune('0'+i)) + ".gz"
				put(web, name, 100, age)
				put(web, index.Name(name), 100, age)
			}
			put(plain, "app_00000", 100, 200*time.Minute)
			put(plain, "app_00001", 100, 2*time.Hour)
			put(plain, "app_00002", 200, 5*time.Hour) // open
			put(plain, "app_00003", 100, time.Hour)   // the newest, of which nothing is known
			others := []string{"web/web-2026-11-25_notes", "web/dog-2026-11-25_00000.gz", "plain/.app_00000.open"}
			for _, other := range others {
				put(filepath.Join(m.out, filepath.Dir(other)), filepath.Base(other), 1000, 1000*time.Hour)
			}
			body, err := AppendFile(nil, &File{Name: "app_00000"})
			must(t, err)
			for _, dir := range []string{web, plain} {
				d, err := faultfs.OpenDir(dir, nil)
				must(t, err)
				must(t, faultfs.AppendLines(d, Manifest, ManifestHeader, body))
				must(t, d.Close())
			}
			for label, files := range map[string][]File{"2026-11-25T00": {{Name: "web-2026-11-25_00000.gz"},
				{Name: "web-2026-11-25_00001.gz"}}, "2026-11-25T02": {{Name: "web-2026-11-25_00001.gz"},
				{Name: "web-2026-11-25_00002.gz"}}} {
				data, err := json.Marshal(Marker{Period: label, Files: files})
				must(t, err)
				put(web, MarkerPrefix+label, 0, 0)
				must(t, os.WriteFile(filepath.Join(web, MarkerPrefix+label), data, 0o644))
			}
			before := onDisk(t, m.out)
			o := m.options()
			c.of.Root = m.out
			o.Destinations = []Destination{c.of}
			b, err := Open(o)
			must(t, err)
			b.Add("c0 → out", 0, 1, []store.Added{{Dir: plain, File: "app_00002", Open: true, First: 1, Last: 1}})
			m.saved["c0 → out"].through = 1
			must(t, b.Save())
			b.Publish(now)
			b.Publish(now.Add(10 * time.Second)) // not again
			must(t, b.Close())
			if text := o.Health.Status(); text != "" {
				t.Error(text)
			}
			after := onDisk(t, m.out)
			for _, name := range c.gone {
				beside := filepath.Join(filepath.Dir(name), index.Name(filepath.Base(name)))
				if after[name] || after[beside] {
					t.Errorf("%s, or its index, is still there", name)
				}
				delete(before, name)
				delete(before, beside)
			}
			if n := len(markersIn(t, web)); n != c.marks {
				t.Errorf("%d markers are left, want %d", n, c.marks)
			}
			for name := range before {
				if !after[name] && !strings.Contains(name, MarkerPrefix) {
					t.Errorf("%s is gone", name)
				}
			}
			for _, name := range c.gone {
				d, err := faultfs.OpenDir(filepath.Join(m.out, filepath.Dir(name)), nil)
				must(t, err)
				files, _, err := ReadFiles(d)
				must(t, errors.Join(err, d.Close()))
				told := false
				for _, f := range files {
					told = told || f.Name == filepath.Base(name) && f.Removed == ByRetention
				}
				if !told {
					t.Errorf("the manifest does not say that %s was removed: %+v", name, files)
				}
			}
		})
	}
}

// TestMarkersGoWithTheLastOfTheirFiles: also when somebody else removes those.
func TestMarkersGoWithTheLastOfTheirFiles(t *testing.T) {
	m := marking(t)
	dir := filepath.Join(m.out, "c0")
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "c0-2026-11-25_00004.gz"), []byte("x"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "c0-2026-11-25_00005.gz"), []byte("x"), 0o644))
	m.wrote("c0-2026-11-25_00004.gz", false, 1, 58)
	m.wrote("c0-2026-11-25_00005.gz", false, 1, 70)
	if n := len(m.publish(75)); n != 1 {
		t.Fatalf("%d markers, want one", n)
	}
	m.publish(77)
	must(t, os.Remove(filepath.Join(dir, "c0-2026-11-25_00004.gz")))
	if n := len(m.publish(79)); n != 0 {
		t.Errorf("%d markers are left", n)
	}
}

// onDisk is the files below a directory.
func onDisk(t *testing.T, root string) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	must(t, filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(root, path)
			all[name] = true
		}
		return err
	}))
	return all
}

// TestBooksThatAreLinks plants links where a manifest, counts and a marker belong: nothing is written through them, the
// health says where they stand, and what waited is written when they are gone.
func TestBooksThatAreLinks(t *testing.T) {
	m := marking(t)
	dir := filepath.Join(m.out, "c0")
	must(t, os.MkdirAll(dir, 0o755))
	victim := filepath.Join(t.TempDir(), "victim")
	must(t, os.WriteFile(victim, []byte("untouched"), 0o600))
	links := []string{filepath.Join(dir, Manifest), filepath.Join(m.out, CountsName), filepath.Join(dir,
		MarkerPrefix+"2026-11-25T04")}
	for _, path := range links {
		must(t, os.Symlink(victim, path))
	}
	m.books.o.Counter.Refused(Refusal{Category: []byte("c0"), Stream: [16]byte{7}, Entries: 3, Why: "not allowed"})
	m.wrote("c0-2026-11-25_00004", false, 1, 30)
	must(t, m.books.Save())
	for i, path := range []string{links[0], links[1], links[2]} {
		m.books.Publish(at(75 + i))
		if text := m.books.o.Health.Status(); !strings.Contains(text, "symbolic link") {
			t.Fatalf("status %q", text)
		}
		must(t, os.Remove(path))
	}
	m.books.Publish(at(80))
	m.books.Publish(at(81))
	if text := m.books.o.Health.Status(); text != "" {
		t.Error(text)
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "untouched" {
		t.Errorf("what the links point to: %q %v", got, err)
	}
	if n := len(markersIn(t, dir)); n != 1 {
		t.Errorf("%d markers, want one", n)
	}
	if refused, numbers, _ := counted(t, m.out, [16]byte{7}); refused != 3 || numbers != "0-2" {
		t.Errorf("refused %d: %s", refused, numbers)
	}
	if got := said(t, m.out)["c0-2026-11-25_00004"]; len(got) != 1 {
		t.Errorf("the manifest says %q", got)
	}
}
