package rotate

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// cpuTime is what this process used so far.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppend appends chunks of 1 MiB and seals at the end. cpu/one-go compares its CPU time with compressing the same bytes in one
// go by the same library and level.
func BenchmarkAppend(b *testing.B) {
	const chunksInFile = 64
	text := logText(1, chunksInFile<<20)
	for _, c := range []struct {
		codec Codec
		level int
	}{{None, 0}, {Gzip, 1}, {Gzip, 0}, {Gzip, 6}, {Zstd, 0}, {Zstd, 3}} {
		b.Run(fmt.Sprintf("%v-%d", c.codec, c.level), func(b *testing.B) {
			enc, err := NewEncoder(c.codec, c.level)
			must(b, err)
			var ours, oneGo time.Duration
			var size int64
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				s := openSeries(b, b.TempDir(), Options{Codec: c.codec}, nil)
				start := cpuTime(b)
				for i := range chunksInFile {
					must(b, s.Append(enc, text[i<<20:(i+1)<<20]))
				}
				size = s.cur.Bytes
				must(b, s.Seal())
				ours += cpuTime(b) - start
				b.StopTimer()
				must(b, s.Close())
				start = cpuTime(b)
				inOneGo(b, c.codec, c.level, text)
				oneGo += cpuTime(b) - start
				b.StartTimer()
			}
			b.ReportMetric(float64(len(text))/float64(size), "ratio")
			if c.codec != None {
				b.ReportMetric(float64(ours)/float64(oneGo), "cpu/one-go")
			}
		})
	}
}

func inOneGo(b *testing.B, c Codec, level int, text []byte) {
	switch c {
	case Gzip:
		if level == 0 {
			level = defaultGzipLevel
		}
		w, err := flate.NewWriter(io.Discard, level)
		must(b, err)
		_, err = w.Write(text)
		must(b, err)
		must(b, w.Close())
	case Zstd:
		if level == 0 {
			level = defaultZstdLevel
		}
		w, err := zstd.NewWriter(io.Discard, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1))
		must(b, err)
		_, err = w.Write(text)
		must(b, err)
		must(b, w.Close())
	}
}

// BenchmarkIdleSeries says what a series costs in memory when nothing happens in it, and when it has an open file.
func BenchmarkIdleSeries(b *testing.B) {
	for _, state := range []string{"idle", "open"} {
		b.Run(state, func(b *testing.B) {
			enc := newEncoder(b, Gzip)
			root := b.TempDir()
			var before, after runtime.MemStats
			all := make([]*Series, 0, 300)
			i := 0
			for b.Loop() {
				clear(all[:cap(all)])
				all = all[:0]
				runtime.GC()
				runtime.ReadMemStats(&before)
				for range cap(all) {
					i++
					dir := openDirOnly(b, filepath.Join(root, fmt.Sprint(i)))
					s, err := Open(dir, Options{Base: "web", Now: at(noon)}, nil)
					must(b, err)
					if state == "open" {
						must(b, s.Append(enc, []byte("x")))
					}
					all = append(all, s)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				for _, s := range all {
					must(b, s.Close())
				}
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(all)), "B/series")
		})
	}
}

// BenchmarkEncoder says what an encoder costs in memory after its first chunk.
func BenchmarkEncoder(b *testing.B) {
	text := logText(1, 1<<20)
	for _, c := range []Codec{Gzip, Zstd} {
		b.Run(c.String(), func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				enc := newEncoder(b, c)
				_, err := enc.encode(text)
				must(b, err)
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(enc)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc), "B/encoder")
		})
	}
}

// BenchmarkReader reads a published and an open file.
func BenchmarkReader(b *testing.B) {
	for _, c := range []Codec{Gzip, Zstd} {
		var all [][]byte
		for i := range uint64(16) {
			all = append(all, logText(i, 1<<20))
		}
		w := writeFile(b, c, all)
		for _, open := range []bool{false, true} {
			b.Run(fmt.Sprintf("%v-open=%v", c, open), func(b *testing.B) {
				b.SetBytes(int64(len(w.raw)))
				for b.Loop() {
					out, err := read(b, w.data, c, open)
					must(b, err)
					if len(out) != len(w.raw) {
						b.Fatal("not all was read")
					}
				}
			})
		}
	}
}
