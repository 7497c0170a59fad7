package bench

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// BenchmarkPathGzip ships the access log into gzip files, in the collector's default durability and at its default level, and compares
// the CPU time of both processes with that of compressing the same bytes once.
func BenchmarkPathGzip(b *testing.B) {
	size, lines := load(b)
	for b.Loop() {
		costs := best(b, 2*size,
			func() cost {
				p := act(b, "deflate", accessLog)
				memory := watch(p)
				p.Expect(b, 0)
				c := cost{wall: time.Since(p.Started)}
				c.use(p, memory)
				return c
			},
			func() cost { return wholePath(b, "gzip", flags) },
			func() cost { return wholePath(b, "gzip", configured) })
		costs[0].tell(b, "deflate alone, one core", size, lines)
		compare(b, costs, "deflate", 1.5, size, lines)
	}
}

// BenchmarkPathPlain ships it into plain files and compares with a bare copy over loopback into a file.
func BenchmarkPathPlain(b *testing.B) {
	size, lines := load(b)
	for b.Loop() {
		costs := best(b, 2*size,
			func() cost { return bareCopy(b, "") },
			func() cost { return wholePath(b, "none", flags) },
			func() cost { return wholePath(b, "none", configured) },
			func() cost { return bareCopy(b, "-copy") },
			func() cost { return bareCopy(b, "-journal") })
		costs[0].tell(b, "bare copy, read and write", size, lines)
		costs[3].tell(b, "bare copy, io.Copy", size, lines)
		costs[4].tell(b, "bare copy through a journal", size, lines)
		compare(b, costs, "copy", 2.3, size, lines)
		b.ReportMetric(float64(costs[1].cpu)/float64(costs[3].cpu), "×io.Copy")
		b.ReportMetric(float64(costs[1].cpu)/float64(costs[4].cpu), "×journalled")
	}
}

// compare tells what the whole path takes by both roads, costs[1] and costs[2], beside the bare part of the work, costs[0].
func compare(b *testing.B, costs []cost, bare string, reach float64, size int64, lines int) {
	b.Helper()
	for _, r := range both {
		c := costs[1+r]
		c.tell(b, fmt.Sprintf("forward --once → collect, %s", r), size, lines)
		tellRow(row{what: fmt.Sprintf("file → forward → collect → files, %s: CPU ÷ %s", r, bare), value: float64(c.cpu) / float64(costs[0].cpu), reach: reach,
			note: fmt.Sprintf("%.2f CPU s per GB, %.0f MB/s", c.cpu.Seconds()/(float64(size)/1e9), float64(size)/1e6/c.wall.Seconds())})
	}
	tellRow(row{what: fmt.Sprintf("file → forward → collect → files, conf ÷ flags, beside %s", bare), value: float64(costs[2].cpu) / float64(costs[1].cpu), reach: 1.05})
	b.ReportMetric(float64(costs[1].cpu)/float64(costs[0].cpu), "×"+bare)
	b.ReportMetric(float64(costs[2].cpu)/float64(costs[0].cpu), "×"+bare+"-conf")
	b.ReportMetric(float64(size)/1e6/costs[1].wall.Seconds(), "MB/s")
}

// wholePath ships the access log with forward --once to a collector that is then stopped.
func wholePath(b *testing.B, codec string, r road) cost {
	b.Helper()
	dir, state := b.TempDir(), b.TempDir()
	c := r.collect(b, dir, nil, "--compress", codec)
	collectPeak := watch(c.Process)
	f := ink.Start(b, harness.Command{Args: []string{"forward", "--once", "--to", c.Addr, "--state", state, "access=" + accessLog}})
	forwardPeak := watch(f)
	f.Expect(b, 0)
	delivered := time.Since(f.Started)
	c.Stop(b)
	spent := cost{wall: time.Since(f.Started)}
	spent.use(f, forwardPeak)
	spent.use(c.Process, collectPeak)
	fcpu, _ := f.Usage()
	spent.note = fmt.Sprintf("(forward %.2f CPU s, collect %.2f; acknowledged after %.2f s)", fcpu.Seconds(), (spent.cpu - fcpu).Seconds(), delivered.Seconds())
	same(b, openAll(b, harness.Published(b, dir, "access")))
	for _, path := range []string{dir, state} {
		if err := os.RemoveAll(path); err != nil {
			b.Fatal(err)
		}
	}
	return spent
}

// openAll is the bytes of files, decompressed, one after the other.
func openAll(b *testing.B, paths []string) io.Reader {
	b.Helper()
	var all []io.Reader
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = f.Close() }) // only read
		if strings.HasSuffix(filepath.Base(path), ".gz") {
			z, err := gzip.NewReader(f)
			if err != nil {
				b.Fatalf("%s: %v", path, err)
			}
			z.Multistream(false)
			all = append(all, z)
			continue
		}
		all = append(all, f)
	}
	return io.MultiReader(all...)
}

// same fails the benchmark unless r is the access log, byte for byte.
func same(b *testing.B, r io.Reader) {
	b.Helper()
	f, err := os.Open(accessLog)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	want, got := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := 0; ; {
		n, wantErr := io.ReadFull(f, want)
		m, gotErr := io.ReadFull(r, got)
		if !bytes.Equal(want[:n], got[:m]) {
			b.Fatalf("the bytes differ somewhere behind %d", at)
		}
		if wantErr != nil || gotErr != nil {
			if wantErr != gotErr {
				b.Fatalf("at %d: %v, want %v", at, gotErr, wantErr)
			}
			return
		}
		at += n
	}
}
