package queue

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"inkwell/internal/faultfs"
)

// FuzzCheckpoint: a checkpoint that is read can be used and comes back the same.
func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(`{"version":1,"low":5,"drained":7,"queues":{"a\u0000file /x":{"name":"a","through":9,"files":{"/x/a":{"file":"a_00000","bytes":3}}}}}`))
	f.Add([]byte(`{"version":1,"queues":{"":{"shared":true,"files":null}}}`))
	f.Add([]byte(`{"version":1,"drained":9,"queues":{"d":{"name":"d","shared":true,"patterns":["x*","default"],"through":3,"past":{"base":8,"names":{"a":4}}}}}`))
	f.Add([]byte(`{"version":1,"queues":null}`))
	f.Add([]byte(`{"version":3}`))
	f.Add([]byte(`null`))
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
		c, err := loadCheckpoint(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			return
		}
		const acked = 100
		c.begin(acked)
		end := c.end()
		for key, p := range c.Queues {
			if p.Through < acked || p.Through > end {
				t.Errorf("%q: through %d", key, p.Through)
			}
			for _, o := range []*QueueOptions{{Name: p.Name}, {Name: p.Name, Patterns: []string{"default"}}, {Name: "x", Patterns: p.Patterns}} {
				f := c.floors(key, o, nil)
				if n, highest := f.bounds(); n > highest || highest > end || f.of(p.Name) < n || f.of(p.Name) > highest {
					t.Errorf("%q: starts at %d, %d is the highest floor", key, n, highest)
				}
			}
			_, other := c.Queues[key+"x"]
			if n := len(c.files(key)); n < len(p.Files) || !p.Done && n > len(p.Files) || !other && len(c.files(key+"x")) < len(p.Files) {
				t.Errorf("%q: files %v", key, p.Files)
			}
		}
		if err := c.save(dir); err != nil {
			t.Fatal(err)
		}
		again, err := loadCheckpoint(dir, slog.New(slog.DiscardHandler))
		if err != nil || len(again.Queues) != len(c.Queues) || again.Low != c.Low || again.Drained != c.Drained {
			t.Fatalf("%+v came back as %+v, %v", c, again, err)
		}
		if err := again.save(dir); err != nil {
			t.Fatal(err)
		}
		if third, err := loadCheckpoint(dir, slog.New(slog.DiscardHandler)); err != nil || !third.equal(again) {
			t.Fatalf("%+v came back as %+v, %v", again, third, err)
		}
	})
}
