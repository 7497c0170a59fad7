package forwarder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/internal/stats"
)

// BenchmarkIdle follows 2,000 quiet files for a few seconds and says what share of a core and how much memory that
// takes.
func BenchmarkIdle(b *testing.B) {
	dir := b.TempDir()
	for i := range 2000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.log", i)), []byte("a line\n"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	ship := newShipper(nowhere{}, discard)
	s, err := newSource(Input{Category: "bench", Glob: dir + "/*.log"}, 0)
	if err != nil {
		b.Fatal(err)
	}
	set := stats.New()
	f := newFollower([]*source{s}, ship, discard)
	f.configure(Options{Stats: set})
	ctx, cancel := context.WithCancel(context.Background())
	done, shipped := make(chan error, 1), make(chan error, 1)
	go func() { shipped <- ship.run(ctx) }()
	go func() { done <- f.run(ctx) }()
	for set.Overall("lines read").Load() < 2000 {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(4 * time.Second) // until the directory counts as settled
	b.ResetTimer()
	for b.Loop() {
		cpu, start := cpuTime(b), time.Now()
		time.Sleep(5 * time.Second)
		b.ReportMetric(100*float64(cpuTime(b)-cpu)/float64(time.Since(start)), "%-of-a-core")
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/1e6, "heap-MB")
	b.ReportMetric(float64(m.Sys)/1e6, "sys-MB")
	cancel()
	<-done
	<-shipped
}

func cpuTime(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
