package journal

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"inkwell/internal/faultfs"
)

// FuzzCheckpoint: a checkpoint that is read, of this version or the one before, can be used and comes back the same.
func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(`{"version":2,"low":5,"drained":7,"read":6,"patterns":{"names":["a"],"prefixes":["b*"],"rest":true},` +
		`"outlets":{"a\u0000file /x":{"category":"a","through":9,"booked":2,"files":{"/x/a":{"file":"a_00000","bytes":3}}},"b":{"patterns":["b*"]}},` +
		`"past":[{"read":1,"end":6,"patterns":{"rest":true},"outlets":{"c":{"category":"a","through":2}}}]}`))
	f.Add([]byte(`{"version":2,"outlets":null,"past":[{}]}`))
	f.Add([]byte(`{"version":1,"low":5,"drained":7,"queues":{"a\u0000file /x":{"name":"a","through":9,"files":{"/x/a":{"file":"a_00000","bytes":3}}}}}`))
	f.Add([]byte(`{"version":1,"queues":{"":{"shared":true,"past":{"base":3,"names":{"a":4}},"files":null}}}`))
	f.Add([]byte(`{"version":1,"low":5,"drained":7,"categories":{"web":{"born":1,"through":9,"state":{"open":{"file":"web_00000.gz"}}}}}`))
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
		c, found, err := loadCheckpoint(dir, slog.New(slog.DiscardHandler))
		if err != nil || !found {
			return
		}
		const acked = 100
		c.skipAcked(acked)
		c.assignOlder(func(category string) (key, path string) { return "file " + category, "/x/" + category })
		end := c.end()
		for key, p := range c.Outlets {
			if p.Through < acked || p.Through > end {
				t.Errorf("%q: through %d", key, p.Through)
			}
		}
		history := c.history()
		if at := c.start(history); at > end {
			t.Errorf("the next run starts at %d behind %d", at, end)
		}
		portions, next := history.portions("a", []string{"file a"}), uint64(0)
		for _, h := range portions {
			if h.from != next || h.to <= h.from || len(h.due) > 1 {
				t.Errorf("%+v", portions)
			}
			next = h.to
		}
		if last := portions[len(portions)-1]; last.to != noOffset || len(last.due) != 1 {
			t.Errorf("what comes next is nobody's: %+v", last)
		}
		if err := c.save(dir); err != nil {
			t.Fatal(err)
		}
		again, _, err := loadCheckpoint(dir, slog.New(slog.DiscardHandler))
		if err != nil || len(again.Outlets) != len(c.Outlets) || again.Low != c.Low || again.Drained != c.Drained {
			t.Fatalf("%+v came back as %+v, %v", c, again, err)
		}
		if err := again.save(dir); err != nil {
			t.Fatal(err)
		}
		if third, _, err := loadCheckpoint(dir, slog.New(slog.DiscardHandler)); err != nil || !third.equal(again) {
			t.Fatalf("%+v came back as %+v, %v", again, third, err)
		}
	})
}
