package spool

import (
	"bytes"
	"os"
	"sync"
	"testing"
	"time"
)

// BenchmarkGroupCommit lets 64 callers append records of 16 kB in sync, and writes the same with an fsync each, side by
// side.
func BenchmarkGroupCommit(b *testing.B) {
	const callers, size = 64, 16 << 10
	record := bytes.Repeat([]byte("x"), size)
	var group, each time.Duration
	for range b.N {
		l := mustOpen(b, b.TempDir(), Options{})
		const rounds = 40
		began := time.Now()
		var wait sync.WaitGroup
		for range callers {
			wait.Go(func() {
				for range rounds {
					if _, err := l.Append(ctx, record, 1); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wait.Wait()
		group += time.Since(began) / (callers * rounds)
		mustClose(b, l)

		f, err := os.Create(b.TempDir() + "/each")
		if err != nil {
			b.Fatal(err)
		}
		const singles = 400
		began = time.Now()
		for range singles {
			if _, err := f.Write(record); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
		each += time.Since(began) / singles
		mustClose(b, f)
	}
	b.ReportMetric(float64(each)/float64(group), "x-fsync-each")
	b.ReportMetric(size/group.Seconds()*float64(b.N)/1e6, "MB/s")
}
