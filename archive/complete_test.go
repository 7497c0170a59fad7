package archive

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/books"
)

// TestComplete: an hour is complete when markers list all files that were begun in it, and one says that nothing more
// comes.
func TestComplete(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web")
	must(t, os.Mkdir(path, 0o700))
	dir, err := faultfs.OpenDir(path, nil)
	must(t, err)
	defer dir.Close()
	at := func(clock string) time.Time {
		v, err := time.ParseInLocation("2006-01-02T15:04", "2026-11-28T"+clock, time.Local)
		must(t, err)
		return v
	}
	wrote := func(name, clock string) books.File {
		f := books.File{Name: name, Bytes: 10, Entries: 7, First: at(clock), Last: at(clock).Add(time.Minute)}
		body, err := books.AppendFile(nil, &f)
		must(t, err)
		must(t, faultfs.AppendLines(dir, books.Manifest, books.ManifestHeader, body))
		must(t, os.WriteFile(filepath.Join(path, name), []byte("0123456789"), 0o600))
		return f
	}
	mark := func(label string, version int, files ...books.File) {
		data, err := json.Marshal(books.Marker{Period: label, Version: version, Files: files})
		must(t, err)
		must(t, os.WriteFile(filepath.Join(path, books.MarkerPrefix+label), data, 0o600))
	}
	four, ok := ParsePeriod("2026-11-28T04")
	day, ok2 := ParsePeriod("2026-11-28")
	if !ok || !ok2 {
		t.Fatal("no periods")
	}
	now := at("04:00").AddDate(0, 0, 2)
	check := func(what string, during Span, want Completeness) {
		t.Helper()
		got, err := Complete(path, during, now)
		if err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", what, got, err, want)
		}
	}
	check("nothing", four, Completeness{})
	first := wrote("web-2026-11-28_00000.gz", "04:10")
	check("no marker", four, Completeness{})
	mark("2026-11-28T03", 1)
	check("a marker of before", four, Completeness{Marked: true})
	mark("2026-11-28T04", 1, first)
	check("its marker", four, Completeness{Marked: true, Complete: true, Entries: 7, Files: 1})
	check("the day", day, Completeness{Marked: true, Entries: 7, Files: 1})
	second := wrote("web-2026-11-28_00001.gz", "04:50")
	check("another file", four, Completeness{Marked: true, Entries: 7, Files: 1})
	mark("2026-11-28T04", 2, first, second)
	check("late", four, Completeness{Marked: true, Complete: true, Late: true, Entries: 14, Files: 2})
	mark("2026-11-29T00", 1)
	check("the day, by a marker of the next", day, Completeness{Marked: true, Complete: true, Late: true, Entries: 14, Files: 2})
	now = at("04:55")
	check("not over", four, Completeness{Marked: true, Late: true, Entries: 14, Files: 2})
}
