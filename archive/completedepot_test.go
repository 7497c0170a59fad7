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

// depotFile lays a file with a manifest into a depot that is a directory.
func depotFile(t *testing.T, root, who string, f books.File) {
	t.Helper()
	day := f.First.Local().Format(time.DateOnly)
	name := "web-" + day + "_" + who + "_" + f.Name[len(f.Name)-len("00000.gz"):]
	for _, dir := range []string{"web", "_inkwell/manifests/web"} {
		if err := os.MkdirAll(filepath.Join(root, dir, "dt="+day), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "web", "dt="+day, name), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := faultfs.OpenDir(filepath.Join(root, "_inkwell/manifests/web/dt="+day), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	body, err := json.Marshal(f)
	if err == nil {
		err = faultfs.AppendLines(dir, name+".manifest", books.ManifestHeader, body)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// depotMarker says that a writer is done with a day.
func depotMarker(t *testing.T, root, who string, m books.Marker) {
	t.Helper()
	body, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "web", "dt="+m.Period, books.MarkerPrefix+m.Period+"_"+who), body, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestCompleteDepot: a day is complete when each collector that brought files for it says so, and lists them.
func TestCompleteDepot(t *testing.T) {
	root := t.TempDir()
	during, _ := ParsePeriod("2026-03-04")
	one := books.File{Name: "web-2026-03-04_00000.gz", First: during.From.Add(time.Hour), Entries: 3}
	two := books.File{Name: "web-2026-03-04_00000.gz", First: during.From.Add(2 * time.Hour), Entries: 4}
	late := books.File{Name: "web-2026-03-04_00001.gz", First: during.From.Add(3 * time.Hour), Entries: 5}
	check := func(what string, complete bool, entries int64) {
		t.Helper()
		c, err := CompleteDepot(t.Context(), filepath.Join(root, "web"), during)
		if err != nil || c.Complete != complete || c.Entries != entries {
			t.Errorf("%s: %+v %v", what, c, err)
		}
	}
	depotFile(t, root, "a", one)
	depotFile(t, root, "b-c.d", two)
	check("no marker", false, 0)
	depotMarker(t, root, "a", books.Marker{Period: "2026-03-04", Version: 1, Files: []books.File{one}})
	check("one of two collectors", false, 3)
	depotMarker(t, root, "b-c.d", books.Marker{Period: "2026-03-04", Version: 1, Files: []books.File{two}})
	check("both", true, 7)
	depotFile(t, root, "a", late)
	check("a file that no marker lists", false, 7)
	depotMarker(t, root, "a", books.Marker{Period: "2026-03-04", Version: 2, Files: []books.File{one, late}})
	check("a later version", true, 12)
	if who, period, ok := markerOf("_SUCCESS.2026-03-04T05_b-c.d.v3"); who != "b-c.d" || !ok || period.From.Hour() != 5 {
		t.Error(who, period, ok)
	}
}

// TestCompleteDepotOfYesterday lists only the days that matter, which are those from the day before on.
func TestCompleteDepotOfYesterday(t *testing.T) {
	root := t.TempDir()
	now := time.Now()
	yesterday := time.Date(now.Year(), now.Month(), now.Day()-1, 0, 0, 0, 0, time.Local)
	during := Span{yesterday, yesterday.AddDate(0, 0, 1)}
	days := daysFor(during, now)
	if len(days) != 4 || days[0] != yesterday.AddDate(0, 0, -1).Format(time.DateOnly) || days[3] != now.AddDate(0, 0, 1).Format(time.DateOnly) {
		t.Errorf("listed are %v", days)
	}
	if days := daysFor(Span{during.From.AddDate(-1, 0, 0), during.To.AddDate(-1, 0, 0)}, now); days != nil {
		t.Errorf("of the year before %d days are listed one by one", len(days))
	}
	file := books.File{Name: "web-" + yesterday.Format(time.DateOnly) + "_00000.gz", First: yesterday.Add(time.Hour), Entries: 3}
	depotFile(t, root, "a", file)
	old := file // not listed by a marker, and too old to matter
	old.First = yesterday.AddDate(0, 0, -5)
	depotFile(t, root, "b", old)
	depotMarker(t, root, "a", books.Marker{Period: yesterday.Format(time.DateOnly), Version: 1, Files: []books.File{file}})
	c, err := CompleteDepot(t.Context(), filepath.Join(root, "web"), during)
	if err != nil || !c.Complete || c.Entries != 3 {
		t.Errorf("%+v %v", c, err)
	}
	for _, arg := range []string{"", "web/" + "dt=" + yesterday.Format(time.DateOnly)} {
		if _, err := CompleteDepot(t.Context(), filepath.Join(root, arg), during); err == nil {
			t.Errorf("%q is taken for a category", arg)
		}
	}
}

// TestInDepot: the directory of a collector that lies beneath a depot is no part of it.
func TestInDepot(t *testing.T) {
	root := t.TempDir()
	during, _ := ParsePeriod("2026-03-04")
	depotFile(t, root, "a", books.File{Name: "web-2026-03-04_00000.gz", First: during.From})
	if err := os.MkdirAll(filepath.Join(root, "logs", "web"), 0o755); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]bool{"": true, "web": true, "web/dt=2026-03-04": true, "web/dt=2026-03-04/web-2026-03-04_a_00000.gz": true,
		"logs": false, "logs/web": false, "logs/web/web-2026-03-04_00000.gz": false, "..": false} {
		if got := InDepot(filepath.Join(root, arg)); got != want {
			t.Errorf("%q: %v", arg, got)
		}
	}
	for arg, want := range map[string]bool{"s3://logs/prod/web?region=x": true, "hdfs://n:9000/x": true, "http://x/y": false} {
		if got := InDepot(arg); got != want {
			t.Errorf("%q: %v", arg, got)
		}
	}
}
