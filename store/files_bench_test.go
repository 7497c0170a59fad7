package store

import (
	"context"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/proto"
	"inkwell/rotate"
)

func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkFiles appends batches of 1000 messages of 200 bytes from 4 callers and reports what an entry costs, all included.
func BenchmarkFiles(b *testing.B) {
	for _, codec := range []rotate.Codec{rotate.None, rotate.Gzip} {
		b.Run(codec.String(), func(b *testing.B) {
			f, err := OpenFiles(FilesOptions{Dir: b.TempDir(), Codec: codec})
			if err != nil {
				b.Fatal(err)
			}
			batch := new(proto.Batch)
			for i := range 1000 {
				batch.Append([]byte("access"), []byte(strings.Repeat(string(rune('a'+i%26)), 199)+"\n"))
			}
			began, start := cpu(), time.Now()
			var wait sync.WaitGroup
			for range 4 {
				wait.Go(func() {
					for range b.N / 4 {
						if err := f.Append(context.Background(), batch); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wait.Wait()
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
			n := float64(b.N/4*4) * 1000
			b.ReportMetric(float64((cpu()-began).Nanoseconds())/n, "cpu-ns/entry")
			b.ReportMetric(n*200/1e6/time.Since(start).Seconds(), "MB/s")
		})
	}
}
