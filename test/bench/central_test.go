package bench

import (
	"bufio"
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// BenchmarkHotCategory compares how long one category takes on one core and on two, at a level at which compressing is most of it.
func BenchmarkHotCategory(b *testing.B) {
	frames := callFrames(1)
	for b.Loop() {
		for _, r := range both {
			var wall [2]time.Duration
			for range rounds {
				for i := range wall {
					c := measure(b, cell{codec: "gzip", road: r, categories: 1}, frames, []string{fmt.Sprintf("GOMAXPROCS=%d", i+1)}, "--level", "9")
					if wall[i] == 0 || c.wall < wall[i] {
						wall[i] = c.wall
					}
				}
			}
			tellRow(row{what: fmt.Sprintf("one hot category, gzip level 9, %s: time on 1 core ÷ on 2", r), value: wall[0].Seconds() / wall[1].Seconds(), reach: 1.6, atLeast: true,
				note: fmt.Sprintf("%.1f s ÷ %.1f s", wall[0].Seconds(), wall[1].Seconds())})
		}
	}
}

// BenchmarkRestart kills a collector with 2,000 categories when it has acknowledged everything, and measures how long the next start
// takes until it answers, and, told to end then, until everything is in the files.
func BenchmarkRestart(b *testing.B) {
	frames := callFrames(2000)
	for b.Loop() {
		for _, r := range both {
			dir := b.TempDir()
			c := r.collect(b, dir, nil, "--max-categories", "20000", "--level", "1")
			l := limit(c.Process)
			l.send(b, c.Addr, connections, frames, 0)
			l.kill()
			note, missed := "", l.late()
			if missed {
				note = fmt.Sprintf(", not all was taken in %v", cellLimit)
			}
			began := time.Now()
			c.Process = r.start(b, c.args, nil)
			l = limit(c.Process)
			c.Listening(b)
			answers, behind := time.Since(began), c.Counter(b, "journal entries")
			l.end(b)
			ended := time.Since(began)
			if l.late() {
				note += fmt.Sprintf(", not done after %v", cellLimit)
			}
			tellRow(row{what: fmt.Sprintf("start after kill -9, 2,000 categories, %s: until it answers", r), value: answers.Seconds(), unit: "s", reach: 5})
			tellRow(row{what: fmt.Sprintf("start after kill -9, 2,000 categories, %s: until all is in the files", r), value: ended.Seconds(), unit: "s", reach: 10,
				missed: missed || l.late(), note: fmt.Sprintf("%d entries behind%s", behind, note)})
		}
	}
}

// BenchmarkIdleConnections measures what 10,000 connections take on which nothing comes.
func BenchmarkIdleConnections(b *testing.B) {
	const idle, quiet = 10000, 10 * time.Second
	for b.Loop() {
		c := flags.collect(b, b.TempDir(), nil, "--max-connections", "12000", "--max-connections-per-address", "0")
		before, _ := c.Memory(b)
		conns := make([]net.Conn, 0, idle)
		for range idle {
			conn, err := net.Dial("tcp", c.Addr)
			if err != nil {
				b.Fatalf("after %d connections: %v", len(conns), err)
			}
			conns = append(conns, conn)
		}
		time.Sleep(2 * time.Second) // they are accepted
		cpu, began := spent(b, c.Process), time.Now()
		time.Sleep(quiet)
		busy := float64(spent(b, c.Process)-cpu) / float64(time.Since(began)) * 100
		now, _ := c.Memory(b)
		for _, conn := range conns {
			if err := conn.Close(); err != nil {
				b.Error(err)
			}
		}
		c.Kill()
		tellRow(row{what: "10,000 idle connections: memory", value: float64(now-before) / 1e6, unit: "MB", reach: 250})
		tellRow(row{what: "10,000 idle connections: CPU", value: busy, unit: "% of a core", reach: 0.5})
	}
}

// BenchmarkManyOfBoth measures the memory with 2,000 categories and 1,000 connections.
func BenchmarkManyOfBoth(b *testing.B) {
	const conns, each = 1000, 100
	text, err := pool()
	if err != nil {
		b.Fatal(err)
	}
	var frames [][]byte
	entries := make([]harness.Entry, each)
	for at := range messages() / each {
		for i := range entries {
			n := at*each + i
			entries[i] = harness.Entry{Category: fmt.Sprintf("category%05d", n%2000), Message: string(text[n*(messageBytes-1):][:messageBytes-1]) + "\n"}
		}
		frames = append(frames, new(harness.Scribe).LogCall(nil, entries))
	}
	for b.Loop() {
		for _, r := range both {
			c := r.collect(b, b.TempDir(), nil, "--max-categories", "20000", "--max-connections", "2000", "--max-connections-per-address", "0")
			memory := watch(c.Process)
			l := limit(c.Process)
			l.send(b, c.Addr, conns, frames, 0)
			l.end(b)
			took := time.Since(l.began)
			tellRow(row{what: fmt.Sprintf("2,000 categories, 1,000 connections, %s: peak memory", r), value: float64(memory.most()) / 1e6, unit: "MB", reach: 300,
				missed: l.late(), note: fmt.Sprintf("in %.1f s", took.Seconds())})
		}
	}
}

// BenchmarkCheckpoints measures how much of the time a collector with 2,000 categories, which gets messages for 15 seconds, waits for
// the disk to have its files: an fsync of something else than the journal is in progress. It needs strace.
func BenchmarkCheckpoints(b *testing.B) {
	if _, err := exec.LookPath("strace"); err != nil {
		b.Log("NOT RUN: there is no strace")
		return
	}
	frames := callFrames(2000)
	for b.Loop() {
		for _, r := range both {
			dir, trace := b.TempDir(), filepath.Join(b.TempDir(), "trace")
			c := r.collect(b, dir, nil, "--max-categories", "20000", "--level", "1")
			tracer := ink.Start(b, harness.Command{Program: "strace", Args: []string{"-f", "-y", "-T", "-ttt", "-e", "trace=fsync,fdatasync,syncfs", "-o", trace, "-p", strconv.Itoa(c.PID())}})
			harness.Until(b, "strace is attached", func() bool { return strings.Contains(tracer.Stderr(), "attached") })
			l := limit(c.Process)
			l.send(b, c.Addr, connections, frames, 15*time.Second/time.Duration(len(frames)/connections))
			took := time.Since(l.began)
			l.kill()
			tracer.Wait(b)
			busy, calls := syncing(b, trace)
			tellRow(row{what: fmt.Sprintf("2,000 categories, %s: share of the time in which files are synced", r), value: busy.Seconds() / took.Seconds(), reach: 0.1,
				missed: l.late(), note: fmt.Sprintf("%.1f of %.1f s, %d calls", busy.Seconds(), took.Seconds(), calls)})
		}
	}
}

// syncing adds up the time in which at least one file was synced that is none of the journal.
func syncing(b *testing.B, path string) (busy time.Duration, calls int) {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	type span struct{ from, to float64 }
	var spans []span
	begun := make(map[string]float64) // of a thread whose call has not ended
	for in := bufio.NewScanner(f); in.Scan(); {
		// 123 1700000000.000001 fsync(7</out/a/.a.open>) = 0 <0.000123>; or "fsync(7</out…> <unfinished ...>" and "<... fsync resumed>) = 0 <0.1>".
		thread, rest, _ := strings.Cut(in.Text(), " ")
		stamp, text, _ := strings.Cut(strings.TrimSpace(rest), " ")
		at, err := strconv.ParseFloat(stamp, 64)
		if err != nil {
			continue
		}
		from, resumed := begun[thread]
		switch {
		case strings.Contains(text, "resumed>"):
			delete(begun, thread)
			if !resumed {
				continue
			}
		case !strings.Contains(text, "sync(") && !strings.Contains(text, "syncfs(") || strings.Contains(text, "/journal"):
			continue
		case strings.Contains(text, "unfinished"):
			begun[thread] = at
			continue
		default:
			from = at
		}
		_, last, found := strings.Cut(text, "<0.")
		for more := found; more; {
			var next string
			if _, next, more = strings.Cut(last, "<0."); more {
				last = next
			}
		}
		took, err := strconv.ParseFloat("0."+strings.TrimSuffix(last, ">"), 64)
		if !found || err != nil {
			took = at - from // of a second or more
		}
		calls++
		spans = append(spans, span{from, from + took})
	}
	slices.SortFunc(spans, func(x, y span) int { return cmp.Compare(x.from, y.from) })
	end := 0.0
	for _, s := range spans {
		if s.to > end {
			busy += time.Duration((s.to - max(s.from, end)) * 1e9)
			end = s.to
		}
	}
	return busy, calls
}
