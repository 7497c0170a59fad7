package rotate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"inkwell/internal/faultfs"
)

// tree makes files of 10 bytes, each written at the given number of days before noon.
func tree(t *testing.T, files map[string]int) string {
	root := t.TempDir()
	for name, age := range files {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte("0123456789"), 0o600))
		at := noon.Add(-time.Duration(age) * 24 * time.Hour)
		must(t, os.Chtimes(path, at, at))
	}
	return root
}

func TestPrune(t *testing.T) {
	files := map[string]int{
		"a/a-2026-10-01_00000.gz": 53, "a/a-2026-10-02_00000.gz": 52, "a/a-2026-11-22_00000.gz": 1, "a/.a-2026-10-01_00001.gz.open": 53,
		"a/.a-2026-10-01_00002.gz.orphan": 53, "a/notes.txt": 99, "a/b-2026-10-01_00000.gz": 99,
		"b/b-2026-10-01_00000": 54, "b/b-2026-11-20_00000": 41, "b/b-2026-11-21_00000": 42, // b: the newest by name and by time
		".inkwell/.inkwell-2026-10-01_00000.gz": 99, "c_00000.gz": 99, "_unsafe/_unsafe-2026-10-01_00000.zst": 51,
	}
	for _, c := range []struct {
		keep  time.Duration
		bytes int64
		want  string
	}{
		{0, 0, ""},
		{30 * 24 * time.Hour, 0, "b/b-2026-10-01_00000 a/a-2026-10-01_00000.gz a/a-2026-10-02_00000.gz _unsafe/_unsafe-2026-10-01_00000.zst"},
		{53*24*time.Hour + time.Hour, 0, "b/b-2026-10-01_00000"},
		{0, 70, ""},
		{0, 69, "b/b-2026-10-01_00000"},
		{0, 45, "b/b-2026-10-01_00000 a/a-2026-10-01_00000.gz a/a-2026-10-02_00000.gz"},
		{0, 1, "b/b-2026-10-01_00000 a/a-2026-10-01_00000.gz a/a-2026-10-02_00000.gz _unsafe/_unsafe-2026-10-01_00000.zst a/a-2026-11-22_00000.gz"},
		{53*24*time.Hour + time.Hour, 50, "b/b-2026-10-01_00000 a/a-2026-10-01_00000.gz"},
	} {
		root := tree(t, files)
		removed, freed, err := Prune(openDir(t, root, nil), c.keep, c.bytes, noon)
		must(t, err)
		if got := strings.Join(removed, " "); got != c.want || freed != int64(10*len(removed)) {
			t.Errorf("keep %v and %d bytes: removed %q (%d bytes), want %q", c.keep, c.bytes, got, freed, c.want)
		}
		for name := range files {
			_, err := os.Stat(filepath.Join(root, name))
			if gone := os.IsNotExist(err); gone != slices.Contains(removed, name) {
				t.Errorf("keep %v and %d bytes: %s: %v", c.keep, c.bytes, name, err)
			}
		}
	}
}

func TestPruneGoesOnAfterAnError(t *testing.T) {
	root := tree(t, map[string]int{"a/a_00000.gz": 9, "b/b_00000.gz": 8, "c/c_00000.gz": 7})
	inj := &faults{fail: func(op faultfs.Op, name string, n int) (int, error) {
		if op == faultfs.OpRemove && name == "b_00000.gz" {
			return 0, syscall.EPERM
		}
		return n, nil
	}}
	removed, freed, err := Prune(openDir(t, root, inj), time.Hour, 0, noon)
	if err == nil || !strings.Contains(err.Error(), filepath.Join(root, "b/b_00000.gz")) {
		t.Errorf("error: %v", err)
	}
	if strings.Join(removed, " ") != "a/a_00000.gz c/c_00000.gz" || freed != 20 {
		t.Errorf("removed %v, %d bytes", removed, freed)
	}
}

// TestPruneSparesWhatIsWritten prunes all it may while a plain series is open.
func TestPruneSparesWhatIsWritten(t *testing.T) {
	root := t.TempDir()
	s := openSeries(t, filepath.Join(root, "web"), Options{Codec: None, MaxSize: 10}, nil)
	enc := newEncoder(t, None)
	for range 3 {
		must(t, s.Append(enc, []byte("12345678")))
		checkpoint(t, s)
	}
	removed, _, err := Prune(openDir(t, root, nil), time.Nanosecond, 1, time.Now().Add(time.Hour))
	must(t, err)
	if len(removed) != 2 {
		t.Errorf("removed %v", removed)
	}
	must(t, s.Append(enc, []byte("90")))
	finish(t, s)
	wantBytes(t, readSeries(t, filepath.Join(root, "web")), []byte("1234567890"))
}
