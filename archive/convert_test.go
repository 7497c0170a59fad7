package archive

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
	"inkwell/test/harness"
)

// BenchmarkConvert converts an access log to Parquet.
func BenchmarkConvert(b *testing.B) {
	const size = 64 << 20
	web := filepath.Join(b.TempDir(), "web")
	dir, err := faultfs.OpenDir(web, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer dir.Close()
	name := "web-2026-11-29_00000.gz"
	w, err := rotate.Create(dir, name, rotate.Gzip)
	if err != nil {
		b.Fatal(err)
	}
	log := bufio.NewReaderSize(harness.AccessLog(1, size), 1<<20)
	lines := 0
	for block := []byte(nil); err == nil; block = block[:0] {
		var line []byte
		for err == nil && len(block) < 1<<20-1000 {
			line, err = log.ReadSlice('\n')
			block = append(block, line...)
		}
		lines += bytes.Count(block, []byte{'\n'})
		if err := w.Append(block); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Finish(); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	q := new(Query)
	if err := q.Prepare(); err != nil {
		b.Fatal(err)
	}
	list, err := ReadSeries(web)
	if err != nil || len(list) != 1 {
		b.Fatal(list, err)
	}
	file := list[0].Files[0]
	verdict, err := q.Verify(b.Context(), file)
	if err == nil {
		err = verdict.MakeIndex(file)
	}
	if err != nil {
		b.Fatal(err)
	}
	out := filepath.Join(b.TempDir(), "out")
	b.SetBytes(size)
	began := spent(b)
	for b.Loop() {
		rows, path, err := q.Convert(b.Context(), &list[0], file, Conversion{Out: out, Format: "combined"})
		if err != nil || rows != int64(lines) {
			b.Fatal(rows, err)
		}
		if err := os.Remove(path); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/1e6/(spent(b)-began).Seconds(), "Mlines/CPU-s")
}

// spent is the CPU time of this process.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
