package store

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
)

// FuzzCheckpoint: a checkpoint that is read can be used and comes back the same; another is refused with its path.
func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(`{"version":1,"low":5,"drained":7,"categories":{"web":{"born":1,"through":9,"state":{"open":{"file":"web_00000.gz","bytes":10,"raw":20,"blocks":1,"opened":3},"sealed":["a"]}}}}`))
	f.Add([]byte(`{"version":1,"categories":null}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"version":1,"low":18446744073709551615,"categories":{"":{}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := t.TempDir()
		dir, err := faultfs.OpenDir(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		if err := os.WriteFile(filepath.Join(path, checkpointName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, found, err := loadCheckpoint(dir, slog.New(slog.DiscardHandler))
		if err != nil || !found {
			return
		}
		if c.Version != checkpointVersion {
			t.Fatalf("%+v", c)
		}
		for name, m := range c.Categories {
			if end := c.end(); max(c.Low, c.Drained, m.Through, m.Born) > end {
				t.Errorf("%q of %+v lies behind %d", name, c, end)
			}
		}
		c.Categories["new"] = mark{Through: 1, State: rotate.State{}}
		if err := c.save(dir); err != nil {
			t.Fatal(err)
		}
		again, _, err := loadCheckpoint(dir, slog.New(slog.DiscardHandler))
		if err != nil || len(again.Categories) != len(c.Categories) || again.Low != c.Low || again.Drained != c.Drained {
			t.Fatalf("%+v came back as %+v, %v", c, again, err)
		}
		for name, m := range c.Categories {
			if got := again.Categories[name]; !reflect.DeepEqual(got, m) && len(m.State.Sealed) > 0 {
				t.Errorf("%q: %+v came back as %+v", name, m, got)
			}
		}
	})
}
