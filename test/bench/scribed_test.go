package bench

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// BenchmarkScribed sends messages of 200 bytes in calls of 1000 over 4 connections to a scribed that writes plain files, to a collector
// that does, and to a scribed that has a category for each connection.
func BenchmarkScribed(b *testing.B) {
	const conns, batch, length = 4, 1000, 200
	calls := max(1, megabytes*1e6/(conns*batch*length))
	messages := conns * batch * calls
	size := int64(messages) * length
	call := func(category string) []harness.Entry {
		entries := make([]harness.Entry, batch)
		for i := range entries {
			entries[i] = harness.Entry{Category: category, Message: fmt.Sprintf("%09d %s\n", i, strings.Repeat("x", length-11))}
		}
		return entries
	}
	one := call("ingest")
	many := make([][]harness.Entry, conns)
	for i := range many {
		many[i] = call(fmt.Sprint("ingest", i))
	}
	for b.Loop() {
		costs := best(b, 2*size,
			func() cost {
				c := ink.Collect(b, b.TempDir(), "--compress", "none")
				return ingest(b, c.Process, c.Addr, calls, func(int) []harness.Entry { return one })
			},
			func() cost {
				p, addr := scribed(b, size)
				return ingest(b, p, addr, calls, func(int) []harness.Entry { return one })
			},
			func() cost {
				p, addr := scribed(b, size)
				return ingest(b, p, addr, calls, func(n int) []harness.Entry { return many[n] })
			},
		)
		for i, name := range []string{"collect", "scribed", "scribed, 4 categories"} {
			costs[i].tell(b, name, size, messages)
		}
		b.ReportMetric(float64(costs[1].cpu.Microseconds())/float64(messages), "CPU-µs/message")
		b.ReportMetric(float64(costs[1].cpu)/float64(costs[0].cpu), "×collect")
	}
}

// ingest is what a server takes to have it all in its files.
func ingest(b *testing.B, p *harness.Process, addr string, calls int, entries func(conn int) []harness.Entry) cost {
	b.Helper()
	memory := watch(p)
	began := time.Now()
	hammer(b, addr, 4, calls, entries)
	acknowledged := time.Since(began)
	p.Stop(b)
	spent := cost{wall: time.Since(began), note: fmt.Sprintf("(acknowledged after %.2f s)", acknowledged.Seconds())}
	spent.use(p, memory)
	return spent
}

// scribed starts one with a default file store that takes size bytes without TRY_LATER, and checks at the end that it has them.
func scribed(b *testing.B, size int64) (*harness.Process, string) {
	b.Helper()
	dir := b.TempDir()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		b.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	conf := filepath.Join(dir, "scribe.conf")
	harness.WriteFile(b, conf, fmt.Sprintf("port=%s\nmax_queue_size=%d\n<store>\ncategory=default\ntype=file\nfile_path=%s\n</store>\n", port, 2*size, filepath.Join(dir, "out")))
	p := ink.Start(b, harness.Command{Args: []string{"scribed", "--listen", "127.0.0.1", conf}, Env: []string{"INKWELL_STATE=" + filepath.Join(dir, "state")}})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			if err := c.Close(); err != nil {
				b.Fatal(err)
			}
			break
		}
		if time.Now().After(deadline) {
			b.Fatal("scribed does not listen")
		}
	}
	b.Cleanup(func() {
		files, _ := filepath.Glob(filepath.Join(dir, "out", "*", "ingest*_0*"))
		var sum int64
		for _, path := range files {
			st, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			sum += st.Size()
		}
		if sum != size {
			b.Errorf("the files of scribed hold %d bytes, want %d", sum, size)
		}
	})
	return p, addr
}
