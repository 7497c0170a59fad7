package bench

import (
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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

// BenchmarkReading compares cat and grep with zcat, zgrep and rg -z, on a file of ours and on one of gzip, warm.
func BenchmarkReading(b *testing.B) {
	size, _ := load(b)
	dir := filepath.Join(b.TempDir(), "logs")
	c := ink.Collect(b, dir)
	ink.Run(b, "forward", "--once", "--to", c.Addr, "--state", filepath.Join(b.TempDir(), "state"), "access="+accessLog)
	c.Stop(b)
	category := filepath.Join(dir, "access")
	files := harness.Published(b, dir, "access")
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
		ratio := func(what string, reach float64, theirs, ours []string) {
			b.Helper()
			wall, cpu := took(b, []int{0, 1}, theirs...)
			wall2, cpu2 := took(b, []int{0, 1}, ours...)
			tellRow(row{what: what + ": speed, wall", value: wall.Seconds() / wall2.Seconds(), reach: reach, atLeast: true, unit: "×",
				note: fmt.Sprintf("%.0f MB/s; CPU %.2f ×", float64(size)/1e6/wall2.Seconds(), cpu.Seconds()/cpu2.Seconds())})
		}
		zcat := append([]string{"zcat"}, files...)
		ratio("inkwell cat ÷ zcat", 3, zcat, []string{ink.Path, "cat", category})
		ratio("inkwell cat ÷ zcat, a file of gzip", 1, []string{"zcat", foreign}, []string{ink.Path, "cat", foreign})
		for name, pattern := range map[string]string{"a rare literal": "needle in the hay", "a regexp": "item/[0-9]+ needle [a-z]+"} {
			ratio("inkwell grep -c of "+name+" ÷ zgrep", 4, append([]string{"zgrep", "-c", "-E", pattern}, files...), []string{ink.Path, "grep", "-c", pattern, category})
			if _, err := exec.LookPath("rg"); err == nil {
				ratio("inkwell grep -c of "+name+" ÷ rg -z", 1.5, append([]string{"rg", "-z", "-c", pattern}, files...), []string{ink.Path, "grep", "-c", pattern, category})
			}
		}
	}
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
	}
}
