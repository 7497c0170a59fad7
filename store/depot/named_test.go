package depot

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/rotate"
	"inkwell/store/books"
)

// TestFileThatIsNamedMeanwhile gives a file its final name after the shipper did not find that, and before it looks for
// the hidden one. It is not taken for a file that was removed, which would leave it to the next run.
func TestFileThatIsNamedMeanwhile(t *testing.T) {
	const name = "web-2026-11-29T04_00000.gz"
	for layout, hour := range map[string]string{"flat": "", "hive": "hr=04"} {
		t.Run(layout, func(t *testing.T) {
			place := ""
			if layout == "hive" {
				place = rotate.Partition(name)
			}
			root := t.TempDir()
			logs, there := filepath.Join(root, "logs"), filepath.Join(root, "depot")
			for _, dir := range []string{filepath.Join(logs, place), there, filepath.Join(root, "state")} {
				must(t, os.MkdirAll(dir, 0o755))
			}
			must(t, os.WriteFile(filepath.Join(logs, rotate.Hidden(name)), []byte("12345"), 0o644))
			publish := sync.OnceFunc(func() {
				if err := os.Rename(filepath.Join(logs, rotate.Hidden(name)), filepath.Join(logs, place, name)); err != nil {
					t.Error(err)
				}
			})
			d, err := Open(there, Options{})
			must(t, err)
			state, err := faultfs.OpenDir(filepath.Join(root, "state"), nil)
			must(t, err)
			counters := stats.New()
			s, err := NewShipper(ShipperOptions{State: state, Stats: counters,
				Routes: []Route{{Root: logs, Depot: d, Who: "w1", Hive: layout == "hive"}}, tuning: tuning{unnamed: publish}})
			must(t, err)
			must(t, s.Add(logs, []books.File{{Name: name, Bytes: 5, First: time.Unix(1000, 0), Last: time.Unix(2000, 0)}}))
			must(t, s.Close(time.Minute))
			if n := counters.Overall("depot failures").Load(); n != 0 {
				t.Errorf("%d attempts failed", n)
			}
			uploaded, err := filepath.Glob(filepath.Join(there, "web/dt=2026-11-29", hour, "*.gz"))
			if must(t, err); len(uploaded) != 1 {
				t.Errorf("in the depot are %q", uploaded)
			}
		})
	}
}
