package forwarder

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nxadm/tail"

	"inkwell/internal/stats"
	"inkwell/proto"
)

// nowhere takes everything.
type nowhere struct{}

func (nowhere) Append(context.Context, *proto.Batch) error { return nil }
func (nowhere) Close() error                               { return nil }

func benchFile(b testing.TB, lines int) string {
	b.Helper()
	name := filepath.Join(b.TempDir(), "a.log")
	data := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), lines)
	if err := os.WriteFile(name, data, 0o644); err != nil {
		b.Fatal(err)
	}
	return name
}

// followOnce reads all files that match glob to their end, with positions written as in earnest.
func followOnce(b testing.TB, glob string) (lines int64) {
	b.Helper()
	p, err := openTestPositions(b, b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	ship := newShipper(nowhere{}, discard)
	ship.acked = func(x *shipment) {
		lines += int64(x.batch.Count())
		if err := p.commit(x.positions); err != nil {
			b.Error(err)
		}
	}
	set := stats.New()
	s, err := newSource(Input{Category: "bench", Glob: glob}, 0)
	if err != nil {
		b.Fatal(err)
	}
	f := newFollower([]*source{s}, ship, discard)
	f.configure(Options{Once: true, Stats: set})
	done := make(chan error, 1)
	go func() { done <- ship.run(context.Background()) }()
	if err := f.run(context.Background()); err != nil {
		b.Fatal(err)
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	if err := p.close(); err != nil {
		b.Fatal(err)
	}
	return lines
}

// BenchmarkFollow compares with nxadm/tail reading the same file, on one core.
func BenchmarkFollow(b *testing.B) {
	const lines = 2_000_000
	name := benchFile(b, lines)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	followOnce(b, name) // the page cache is warm from here on
	var ours time.Duration
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		start := time.Now()
		if n := followOnce(b, name); n != lines {
			b.Fatalf("%d lines", n)
		}
		ours += time.Since(start)
	}
	runtime.ReadMemStats(&after)
	perRun := ours / time.Duration(b.N)
	theirs := tailOnce(b, name, lines/10) * 10
	b.SetBytes(lines * 100)
	b.ReportMetric(float64(perRun.Nanoseconds())/lines, "ns/line")
	b.ReportMetric(float64(theirs)/float64(perRun), "x-nxadm")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N)/lines, "allocs/line")
	b.ReportMetric(lines*100/theirs.Seconds()/1e6, "nxadm-MB/s")
}

// tailOnce reads the first lines of the file with nxadm/tail.
func tailOnce(b testing.TB, name string, lines int) time.Duration {
	b.Helper()
	start := time.Now()
	t, err := tail.TailFile(name, tail.Config{Logger: tail.DiscardingLogger})
	if err != nil {
		b.Fatal(err)
	}
	for range lines {
		if <-t.Lines == nil {
			b.Fatal("tail ended early")
		}
	}
	d := time.Since(start)
	go func() {
		for range t.Lines {
		}
	}()
	if err := t.Stop(); err != nil {
		b.Fatal(err)
	}
	return d
}

func TestFollowingAllocatesNothingPerLine(t *testing.T) {
	name := benchFile(t, 300_000)
	allocs := testing.AllocsPerRun(3, func() {
		if n := followOnce(t, name); n != 300_000 {
			t.Errorf("%d lines", n)
		}
	})
	if allocs > 3000 { // of opening, scanning, and two shipments growing
		t.Errorf("%.0f allocations for 300,000 lines", allocs)
	}
}
