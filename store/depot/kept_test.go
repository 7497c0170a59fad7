package depot

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/books"
)

// TestSeriesThatStays: a store without a depot may have its files in the directory of one that has. They stay, and no
// marker in the depot waits for them.
func TestSeriesThatStays(t *testing.T) {
	root := t.TempDir()
	logs, there := filepath.Join(root, "logs"), filepath.Join(root, "depot")
	for _, dir := range []string{logs, there, filepath.Join(root, "state")} {
		must(t, os.Mkdir(dir, 0o755))
	}
	var files []books.File
	for _, name := range []string{"raw_00000", "web-2026-11-29_00000.gz"} {
		must(t, os.WriteFile(filepath.Join(logs, name), []byte("12345"), 0o644))
		files = append(files, books.File{Name: name, Bytes: 5, First: time.Unix(1000, 0), Last: time.Unix(2000, 0)})
	}
	d, err := Open(there, Options{})
	must(t, err)
	state, err := faultfs.OpenDir(filepath.Join(root, "state"), nil)
	must(t, err)
	s, err := NewShipper(ShipperOptions{State: state,
		Routes: []Route{{Root: logs, Depot: d, Who: "w1", Kept: []string{filepath.Join(logs, "raw")}}}})
	must(t, err)
	must(t, s.Add(logs, files))
	must(t, s.Mark(logs, &books.Marker{Category: "web", Period: "2026-11-29", Version: 1, Files: files}))
	must(t, s.Close(time.Minute))

	var names []string
	must(t, filepath.WalkDir(there, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			name, rerr := filepath.Rel(there, path)
			names, err = append(names, name), rerr
		}
		return err
	}))
	const partition = "web/dt=2026-11-29/"
	want := []string{Manifests + "/" + partition + "web-2026-11-29_w1_00000.gz.manifest",
		partition + "_SUCCESS.2026-11-29_w1", partition + "web-2026-11-29_w1_00000.gz"}
	if !slices.Equal(names, want) {
		t.Fatalf("in the depot are %q, want %q", names, want)
	}
	data, err := os.ReadFile(filepath.Join(there, want[1]))
	must(t, err)
	var m books.Marker
	must(t, json.Unmarshal(data, &m))
	if len(m.Files) != 1 || m.Files[0].Name != "web-2026-11-29_w1_00000.gz" {
		t.Errorf("the marker lists %+v", m.Files)
	}
}
