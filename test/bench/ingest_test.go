package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/test/harness"
)

// hammer sends the same call over several connections at once, calls times each.
func hammer(b *testing.B, addr string, conns, calls int, call func(conn int) []harness.Entry) {
	b.Helper()
	var senders sync.WaitGroup
	for n := range conns {
		senders.Go(func() {
			if err := pound(addr, calls, call(n)); err != nil {
				b.Error(err)
			}
		})
	}
	senders.Wait()
}

func pound(addr string, calls int, entries []harness.Entry) error {
	s, err := harness.DialScribe(addr)
	if err != nil {
		return err
	}
	defer s.Close()
	frame := s.LogCall(nil, entries) // number 1, every time
	for range calls {
		if _, err := s.Conn.Write(frame); err != nil {
			return err
		}
		if code, err := s.LogReply(1); err != nil || code != harness.OK {
			return fmt.Errorf("answer %d, %w", code, err)
		}
	}
	return nil
}

// BenchmarkIngest sends messages of 200 bytes in calls of 1000 over 4 connections into plain files, and measures the collector alone.
func BenchmarkIngest(b *testing.B) {
	const conns, batch, length = 4, 1000, 200
	calls := max(1, megabytes*1e6/(conns*batch*length))
	messages := conns * batch * calls
	size := int64(messages) * length
	entries := make([]harness.Entry, batch)
	for i := range entries {
		entries[i] = harness.Entry{Category: "ingest", Message: fmt.Sprintf("%09d %s\n", i, strings.Repeat("x", length-11))}
	}
	for b.Loop() {
		costs := best(b, 2*size, func() cost {
			dir := b.TempDir()
			c := ink.Collect(b, dir, "--compress", "none")
			memory := watch(c.Process)
			began := time.Now()
			hammer(b, c.Addr, conns, calls, func(int) []harness.Entry { return entries })
			acknowledged := time.Since(began)
			c.Stop(b)
			spent := cost{wall: time.Since(began), note: fmt.Sprintf("(acknowledged after %.2f s)", acknowledged.Seconds())}
			spent.use(c.Process, memory)
			var written int64
			for _, path := range harness.Published(b, dir, "ingest") {
				st, err := os.Stat(path)
				if err != nil {
					b.Fatal(err)
				}
				written += st.Size()
			}
			if written != size {
				b.Fatalf("the files hold %d bytes, want %d", written, size)
			}
			if err := os.RemoveAll(dir); err != nil {
				b.Fatal(err)
			}
			return spent
		})
		costs[0].tell(b, "collect", size, messages)
		b.ReportMetric(float64(costs[0].cpu.Microseconds())/float64(messages), "CPU-µs/message")
		b.ReportMetric(float64(size)/1e6/costs[0].wall.Seconds(), "MB/s")
	}
}

// BenchmarkManyCategories measures the collector's memory with 1,000 active categories and 200 connections.
func BenchmarkManyCategories(b *testing.B) {
	const conns, categories, batch = 200, 1000, 1000
	calls := max(2, megabytes*1e6/(conns*batch*200*4))
	for b.Loop() {
		dir := b.TempDir()
		c := ink.Collect(b, dir)
		memory := watch(c.Process)
		began := time.Now()
		hammer(b, c.Addr, conns, calls, func(conn int) []harness.Entry {
			entries := make([]harness.Entry, batch)
			for i := range entries {
				entries[i] = harness.Entry{Category: fmt.Sprintf("category%03d", i%categories), Message: string(harness.AppendLine(nil, "many", conn*batch+i))}
			}
			return entries
		})
		c.Stop(b)
		cpu, _ := c.Usage()
		var lines int
		for i := range categories {
			lines += strings.Count(string(harness.Contents(b, dir, fmt.Sprintf("category%03d", i))), "\n")
		}
		if want := conns * batch * calls; lines != want {
			b.Fatalf("the files hold %d lines, want %d", lines, want)
		}
		b.Logf("%d entries of %d categories over %d connections in %.2f s, %.2f CPU s; peak memory %d MiB",
			lines, categories, conns, time.Since(began).Seconds(), cpu.Seconds(), memory.most()>>20)
		b.ReportMetric(float64(memory.most())/1e6, "peak-MB")
	}
}

// BenchmarkManyFiles measures the forwarder's memory with 2,000 files, and what it takes while they are quiet.
func BenchmarkManyFiles(b *testing.B) {
	const files, lines, quiet = 2000, 100, 10 * time.Second
	for b.Loop() {
		dir, logs := b.TempDir(), b.TempDir()
		for i := range files {
			harness.WriteFile(b, filepath.Join(logs, fmt.Sprintf("app%04d.log", i)), string(harness.Lines(fmt.Sprintf("app%04d", i), 0, lines)))
		}
		c := ink.Collect(b, dir)
		f := ink.Start(b, harness.Command{Args: []string{"forward", "--to", c.Addr, "--state", b.TempDir(), "apps=" + filepath.Join(logs, "*.log")}})
		c.Received(b, files*lines)
		time.Sleep(2 * time.Second) // positions are written
		before := spent(b, f)
		began := time.Now()
		time.Sleep(quiet)
		idle := float64(spent(b, f)-before) / float64(time.Since(began)) * 100
		now, peak := f.Memory(b)
		f.Stop(b)
		c.Stop(b)
		b.Logf("%d quiet files: %.2f %% of a core, %d MiB in memory, peak %d MiB", files, idle, now>>20, peak>>20)
		b.ReportMetric(idle, "%core-idle")
		b.ReportMetric(float64(peak)/1e6, "peak-MB")
	}
}

// spent is the CPU time that a running process has taken: what its threads have, in nanoseconds.
func spent(b *testing.B, p *harness.Process) (total time.Duration) {
	b.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.PID()))
	if err != nil || len(threads) == 0 {
		b.Fatalf("%s: no threads, %v", p, err)
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		var running int64
		if _, err := fmt.Sscan(string(text), &running); err != nil {
			b.Fatalf("%s: %v", path, err)
		}
		total += time.Duration(running)
	}
	return total
}
