package bench

import (
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/index"
	"inkwell/test/harness"
)

// took runs a program whose output nobody keeps, and says how long that took, the best of three.
func took(b *testing.B, codes []int, args ...string) (wall, cpu time.Duration) {
	b.Helper()
	for round := range 3 {
		cmd := exec.Command(args[0], args[1:]...)
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			b.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = null, os.Stderr
		began := time.Now()
		err = cmd.Run()
		took := time.Since(began)
		if cerr := null.Close(); cerr != nil {
			b.Fatal(cerr)
		}
		if !slices.Contains(codes, cmd.ProcessState.ExitCode()) {
			b.Fatalf("%q: %v", args, err)
		}
		used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		if round == 0 || took < wall {
			wall = took
		}
		if round == 0 || used < cpu {
			cpu = used
		}
	}
	return wall, cpu
}

// archived is the access log as a collector wrote it.
func archived(b *testing.B) (category string, files []string) {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "logs")
	c := ink.Collect(b, dir)
	ink.Run(b, "forward", "--once", "--to", c.Addr, "--state", filepath.Join(b.TempDir(), "state"), "access="+accessLog)
	c.Stop(b)
	return filepath.Join(dir, "access"), harness.Published(b, dir, "access")
}

// tellRatio adds how many times as fast ours is as theirs, for size bytes of text.
func tellRatio(b *testing.B, r row, size int64, theirs, ours []string) {
	b.Helper()
	wall, cpu := took(b, []int{0, 1}, theirs...)
	wall2, cpu2 := took(b, []int{0, 1}, ours...)
	r.what, r.value, r.atLeast, r.unit = r.what+": speed, wall", wall.Seconds()/wall2.Seconds(), true, "×"
	r.note = fmt.Sprintf("%.0f MB/s; CPU %.2f ×", float64(size)/1e6/wall2.Seconds(), cpu.Seconds()/cpu2.Seconds())
	tellRow(r)
}

// BenchmarkReading compares cat and grep with zcat, zgrep and rg -z, on a file of ours and on one of gzip, warm.
func BenchmarkReading(b *testing.B) {
	size, _ := load(b)
	category, files := archived(b)
	foreign := filepath.Join(b.TempDir(), "access.log.gz")
	pack := exec.Command("gzip", "-c", accessLog)
	out, err := os.Create(foreign)
	if err != nil {
		b.Fatal(err)
	}
	pack.Stdout = out
	if err := pack.Run(); err != nil {
		b.Fatal(err)
	}
	if err := out.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		tellRatio(b, row{what: "inkwell cat ÷ zcat", reach: 3}, size, append([]string{"zcat"}, files...), []string{ink.Path, "cat", category})
		tellRatio(b, row{what: "inkwell cat ÷ zcat, a file of gzip", reach: 1}, size, []string{"zcat", foreign}, []string{ink.Path, "cat", foreign})
		for name, pattern := range map[string]string{"a rare literal": "needle in the hay", "a regexp": "item/[0-9]+ needle [a-z]+"} {
			ours := []string{ink.Path, "grep", "-c", pattern, category}
			tellRatio(b, row{what: "inkwell grep -c of " + name + " ÷ zgrep", reach: 4}, size, append([]string{"zgrep", "-c", "-E", pattern}, files...), ours)
			if _, err := exec.LookPath("rg"); err == nil {
				tellRatio(b, row{what: "inkwell grep -c of " + name + " ÷ rg -z", reach: 1.5}, size, append([]string{"rg", "-z", "-c", pattern}, files...), ours)
			}
		}
	}
}

// duckStats counts by URL as stats does.
const duckStats = `import duckdb, sys
print(len(duckdb.sql(r"""
SELECT url, count(*), count(*) FILTER (status >= 500), sum(bytes) FROM (
  SELECT regexp_extract(line, '"[A-Z]+ ([^ ?"]+)', 1) AS url, TRY_CAST(regexp_extract(line, '" ([0-9]{3}) ', 1) AS INT) AS status,
    TRY_CAST(regexp_extract(line, '" [0-9]{3} ([0-9]+) ', 1) AS BIGINT) AS bytes
  FROM read_csv(%s, columns={'line': 'VARCHAR'}, delim='\x01', quote='', escape='', header=false, auto_detect=false, max_line_size=16777216))
GROUP BY url ORDER BY 2 DESC LIMIT 50
""" % sys.argv[1:]).fetchall()))`

// BenchmarkStats compares stats with DuckDB and GoAccess on the same files.
func BenchmarkStats(b *testing.B) {
	size, _ := load(b)
	category, files := archived(b)
	for b.Loop() {
		ours := []string{ink.Path, "stats", "--by", "url", category}
		if env := harness.Fetched("readers-1"); env != "" {
			tellRatio(b, row{what: "inkwell stats --by url ÷ DuckDB", reach: 1}, size, append([]string{filepath.Join(env, "bin", "python"), "-c", duckStats}, files...), ours)
		}
		if _, err := exec.LookPath("goaccess"); err == nil {
			goaccess := "zcat " + strings.Join(files, " ") + " | goaccess --log-format=COMBINED --no-progress --no-global-config -o " + filepath.Join(b.TempDir(), "out.json") + " -"
			tellRatio(b, row{what: "inkwell stats --by url ÷ GoAccess", reach: 1}, size, []string{"sh", "-c", goaccess}, ours)
		}
	}
}

// BenchmarkConvert converts the access log to Parquet with all fields, and reports the best run.
func BenchmarkConvert(b *testing.B) {
	size, lines := load(b)
	category, _ := archived(b)
	for b.Loop() {
		best := best(b, size/4, func() cost {
			out := filepath.Join(b.TempDir(), "parquet")
			p := ink.Start(b, harness.Command{Args: []string{"convert", "--format", "combined", "--out", out, category}})
			memory := watch(p)
			began := time.Now()
			p.Expect(b, 0)
			spent := cost{wall: time.Since(began)}
			spent.use(p, memory)
			if err := os.RemoveAll(out); err != nil {
				b.Fatal(err)
			}
			return spent
		})[0]
		rate := func(d time.Duration) float64 { return float64(lines) / 1e6 / d.Seconds() }
		tellRow(row{what: "convert: lines a second, wall", value: rate(best.wall), unit: "M", reach: 1.5, atLeast: true,
			note: fmt.Sprintf("%.2f M lines a CPU second", rate(best.cpu))})
		tellRow(row{what: "convert: peak memory", value: float64(best.rss[0]) / 1e6, unit: "MB", reach: 500})
	}
}

// BenchmarkBeside sends to a collector alone, and while inkwell grep reads a category of it again and again, niced.
func BenchmarkBeside(b *testing.B) {
	const conns, batch, length = 4, 1000, 200
	calls := max(1, megabytes*1e6/(conns*batch*length))
	entries := make([]harness.Entry, batch)
	for i := range entries {
		entries[i] = harness.Entry{Category: "ingest", Message: fmt.Sprintf("%09d %s\n", i, strings.Repeat("x", length-11))}
	}
	load(b)
	category, _ := archived(b)
	send := func(beside bool) time.Duration {
		dir := b.TempDir()
		c := ink.Collect(b, dir)
		ctx, stop := context.WithCancel(context.Background())
		var reading sync.WaitGroup
		if beside {
			reading.Go(func() {
				for ctx.Err() == nil {
					// With autogroups nice counts within a session only: the session gets the priority, too.
					idle := `echo 19 >/proc/self/autogroup; exec nice -n 19 "$@"`
					_ = exec.CommandContext(ctx, "setsid", "sh", "-c", idle, "sh", ink.Path, "grep", "-c", "item/[0-9]+ needle", category).Run() // nothing is found, or it is killed
				}
			})
		}
		began := time.Now()
		hammer(b, c.Addr, conns, calls, func(int) []harness.Entry { return entries })
		took := time.Since(began)
		stop()
		reading.Wait()
		c.Stop(b)
		return took
	}
	for b.Loop() {
		var alone, beside time.Duration
		for round := range 3 {
			a, w := send(false), send(true)
			if round == 0 || a < alone {
				alone = a
			}
			if round == 0 || w < beside {
				beside = w
			}
		}
		tellRow(row{what: "ingest beside a niced grep: slower by", value: 100 * (beside.Seconds()/alone.Seconds() - 1), unit: "%", reach: 10})
	}
}

// bytesRead says how many bytes inkwell reads of files. It ends within a shell, whose own account then has that of its child.
func bytesRead(b *testing.B, args ...string) (n int64) {
	b.Helper()
	count := `"$@" >/dev/null 2>&1; cat /proc/$$/io`
	out, err := exec.Command("sh", append([]string{"-c", count, "sh", ink.Path}, args...)...).Output()
	if err != nil {
		b.Fatal(err)
	}
	if k, err := fmt.Sscanf(string(out), "rchar: %d", &n); k != 1 {
		b.Fatalf("%v of %q", err, out)
	}
	return n
}

// BenchmarkSince reads the last minute of a day of 20 GB on disk, which has holes where nobody looks.
func BenchmarkSince(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "logs")
	c := ink.Collect(b, dir)
	line := strings.Repeat("one line of the last minute\n", 100)
	s, err := harness.DialScribe(c.Addr)
	if err != nil {
		b.Fatal(err)
	}
	if code, err := s.Log(harness.Entry{Category: "web", Message: line}); err != nil || code != 0 {
		b.Fatal(code, err)
	}
	c.Stop(b)
	files := harness.Published(b, dir, "web")
	packed, err := os.ReadFile(files[0])
	if err != nil {
		b.Fatal(err)
	}
	const blocks, length = 140_000, 148_000
	path := filepath.Join(dir, "day", "day-2026-11-28_00000.gz")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	end := int64(10 + blocks*length)
	_, err = f.Write(packed[:10])
	if err == nil {
		_, err = f.WriteAt(packed[10:], end)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	begun := time.Now().Add(-24 * time.Hour)
	list := make([]index.Block, 0, blocks+1)
	for k := range int64(blocks) {
		at := begun.Add(time.Duration(k) * 24 * time.Hour / blocks)
		list = append(list, index.Block{Offset: 10 + k*length, Length: length, Raw: 1 << 20, Entries: 9000, First: at, Last: at.Add(time.Second)})
	}
	list = append(list, index.Block{Offset: end, Length: int64(len(packed)) - 20, Raw: int64(len(line)), Entries: 100, Sum: crc32.ChecksumIEEE([]byte(line)), First: time.Now().Add(time.Hour), Last: time.Now().Add(time.Hour)})
	d, err := faultfs.OpenDir(filepath.Dir(path), nil)
	if err == nil {
		err = index.Write(d, filepath.Base(path), list)
	}
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	since := time.Now().Add(30 * time.Minute).Format(time.RFC3339)
	r := exec.Command(ink.Path, "cat", "--since", since, filepath.Dir(path))
	got, err := r.Output()
	if err != nil && r.ProcessState.ExitCode() != 1 || !strings.HasPrefix(string(got), "one line") {
		b.Fatalf("%v, %.100q", err, got)
	}
	for b.Loop() {
		wall, cpu := took(b, []int{0, 1}, ink.Path, "cat", "--since", since, filepath.Dir(path))
		tellRow(row{what: "cat --since of the last minute of 20 GB", value: wall.Seconds(), reach: 0.2, unit: "s", note: fmt.Sprintf("CPU %v", cpu)})
		tellRow(row{what: "cat --since of the last minute of 20 GB: reads", value: 100 * float64(bytesRead(b, "cat", "--since", since, filepath.Dir(path))) / float64(end),
			reach: 1, unit: "%"})
	}
}
