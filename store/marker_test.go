package store

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/rotate"
	"inkwell/store/manifest"
	"inkwell/store/stream"
)

// markersIn returns the markers of a category, by period.
func markersIn(t *testing.T, dir, category string) map[string]Marker {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, category, MarkerPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]Marker)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var m Marker
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		found[strings.TrimPrefix(filepath.Base(path), MarkerPrefix)] = m
	}
	return found
}

// mustMark has k write the markers that are due.
func mustMark(t *testing.T, k *markers, now time.Time, open map[string][]manifest.Contents) {
	t.Helper()
	health := stats.NewHealth(slog.New(slog.DiscardHandler))
	if k.write(now, open, health); health.Status() != "" {
		t.Fatal(health.Status())
	}
}

func TestMarkerWaitsForEveryStream(t *testing.T) {
	path := t.TempDir()
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	hourly, err := rotate.ParsePeriod("hourly")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 11, 25, 4, 0, 0, 0, time.Local)
	at := func(minutes int) time.Time { return begin.Add(time.Duration(minutes) * time.Minute) }
	k := newMarkers(dir, &FilesOptions{Period: hourly, Lateness: 10 * time.Minute})
	quick, slow := stream.ID{1}, stream.ID{2}
	spans := []manifest.Span{{Stream: quick, Count: 2, Bytes: 20}, {Stream: slow, Count: 1, Bytes: 10}}
	wrote := func(id stream.ID, minute int) {
		k.wrote("web", []manifest.Span{{Stream: id, Count: 1}}, at(minute).Unix())
	}
	wrote(quick, 59)
	wrote(slow, 58)
	k.finished("web", manifest.File{Name: "web-2026-11-25_00004", Bytes: 30, Raw: 30, Entries: 3, First: at(1).UTC(), Last: at(59).UTC(), Spans: spans})
	write := func(minute int, open map[string][]manifest.Contents) map[string]Marker {
		t.Helper()
		mustMark(t, k, at(minute), open)
		return markersIn(t, path, "web")
	}
	if m := write(59, nil); len(m) != 0 {
		t.Fatalf("before the hour is over: %v", m)
	}
	wrote(quick, 60)
	if m := write(61, nil); len(m) != 0 {
		t.Fatalf("while a stream may still write: %v", m)
	}
	unfinished := map[string][]manifest.Contents{"web": {{Category: "web", File: "web-2026-11-25_00005", First: at(59).Unix()}}}
	if m := write(70, unfinished); len(m) != 0 {
		t.Fatalf("while a file of the hour is open: %v", m)
	}
	m := write(70, nil)["2026-11-25T04"]
	if m.Version != 1 || m.Entries != 3 || m.Bytes != 30 || len(m.Files) != 1 || m.Category != "web" {
		t.Fatalf("the marker is %+v", m)
	}
	k.finished("web", manifest.File{Name: "web-2026-11-25_00009", Bytes: 5, Entries: 1, First: at(30).UTC(), Last: at(30).UTC(), Spans: spans[:1]})
	if m = write(71, nil)["2026-11-25T04"]; m.Version != 2 || m.Entries != 4 || len(m.Files) != 2 {
		t.Fatalf("what came late makes %+v", m)
	}
	if len(k.due) != 0 {
		t.Errorf("%d periods are still to be marked", len(k.due))
	}
}

// A start goes on waiting where the run before did: it knows from the manifest, and from what open files hold, when a stream wrote last.
func TestMarkerWaitsAcrossARestart(t *testing.T) {
	path := t.TempDir()
	root := openState(t, path)
	defer root.Close()
	dir, err := root.Sub("web")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	hourly, err := rotate.ParsePeriod("hourly")
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Date(2026, 11, 25, 4, 0, 0, 0, time.Local)
	at := func(minutes int) time.Time { return hour.Add(time.Duration(minutes) * time.Minute) }
	quick := stream.ID{1}
	body, err := manifest.AppendFile(nil, &manifest.File{Name: "web-2026-11-25_00004.gz", Bytes: 20, Raw: 20, Entries: 2, First: at(1).UTC(), Last: at(58).UTC(),
		Spans: []manifest.Span{{Hour: at(1).Unix() / 3600, Stream: quick, Count: 2, Bytes: 20}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := faultfs.AppendLines(dir, manifest.Name, manifest.Header, body); err != nil {
		t.Fatal(err)
	}
	o := &FilesOptions{Period: hourly, Lateness: 10 * time.Minute, Logger: slog.New(slog.DiscardHandler)}
	start := func() *markers {
		k := newMarkers(root, o)
		if err := k.recover(at(61)); err != nil {
			t.Fatal(err)
		}
		return k
	}
	write := func(k *markers, minute int) int {
		mustMark(t, k, at(minute), nil)
		return len(markersIn(t, path, "web"))
	}
	if n := write(start(), 61); n != 0 {
		t.Fatalf("%d markers, though the stream may still write", n)
	}
	k := start()
	k.wrote("web", []manifest.Span{{Stream: quick, Count: 1}}, at(60).Unix())
	if n := write(k, 61); n != 1 {
		t.Fatalf("%d markers when the stream has moved on, want one", n)
	}
	if err := dir.Remove(MarkerPrefix + "2026-11-25T04"); err != nil {
		t.Fatal(err)
	}
	if n := write(start(), 69); n != 1 {
		t.Fatalf("%d markers when the stream was silent for long enough, want one", n)
	}
}

func TestFilesMarkWhatIsComplete(t *testing.T) {
	second, err := rotate.ParsePeriod("1s")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := FilesOptions{Dir: dir, Period: second, DoneMarkers: true, Lateness: time.Millisecond}
	f := open(t, o)
	mustAppend(t, f, numbered("c", 0, "one\n", "two\n"))
	for end := time.Now().Add(20 * time.Second); len(markersIn(t, dir, "c")) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no marker")
		}
	}
	for label, m := range markersIn(t, dir, "c") {
		if m.Version != 1 || m.Entries != 2 || m.Period != label || len(m.Files) != 1 {
			t.Errorf("%s: %+v", label, m)
		}
	}
	mustAppend(t, f, numbered("c", 2, "three\n"))
	closeFiles(t, f) // in the midst of a period: the next start makes its marker
	o.KeepOpen = true
	f = open(t, o)
	for end := time.Now().Add(20 * time.Second); len(markersIn(t, dir, "c")) < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no marker of what the run before left")
		}
	}
	closeFiles(t, f)
}
