package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"inkwell/test/harness"
)

// linesIn counts the rows of Parquet files by the first eight bytes of their lines.
func linesIn(t *testing.T, paths []string) map[string]int {
	t.Helper()
	seen := make(map[string]int)
	for _, path := range paths {
		rows, err := parquet.ReadFile[struct {
			Line string `parquet:"line"`
		}](path)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			seen[row.Line[:8]]++
		}
	}
	return seen
}

// TestConvertPlain converts plain files: all but the newest, which grows under its name, and any that is named.
func TestConvertPlain(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "parquet")
	c := ink.Collect(t, dir, "--compress", "none", "--max-size", "30kB")
	const calls = 10
	for k := range calls {
		if code := sendNoise(t, c.Addr, k*100, 100); code != harness.OK {
			t.Fatal(code)
		}
	}
	finals := func() []string { return files(t, dir, "web/web-*[0-9]") }
	convert := func(args ...string) (stdout, stderr string, code int) {
		r := ink.Run(t, append([]string{"convert", "--out", out}, args...)...)
		return r.Stdout, r.Stderr, r.Code
	}
	harness.Until(t, "several files have their names, and all lines are in files", func() bool {
		lines := 0
		for _, path := range finals() {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines += strings.Count(string(text), "\n")
		}
		return lines == calls*100
	})
	all := finals()
	newest := all[len(all)-1]
	stdout, stderr, code := convert(dir)
	if code != 0 || !strings.Contains(stdout, "1 not finished yet") {
		t.Fatalf("exit code %d, %q, %q", code, stdout, stderr)
	}
	made := func() []string { return files(t, out, "web/dt=*/*.parquet") }
	if len(made()) != len(all)-1 || len(all) < 3 {
		t.Errorf("%d files were made of %d", len(made()), len(all))
	}
	if _, stderr, code := convert(newest); code != 1 || !strings.Contains(stderr, "still writing it") {
		t.Errorf("the newest one: exit code %d, %q", code, stderr)
	}
	c.Stop(t)
	if stdout, stderr, code := convert(newest); code != 0 {
		t.Errorf("the newest one, finished: exit code %d, %q, %q", code, stdout, stderr)
	}
	seen := linesIn(t, made()) // beside the others, where it will be found to be there
	for k := range calls * 100 {
		if n := seen[fmt.Sprintf("%08d", k)]; n != 1 {
			t.Fatalf("line %d is there %d times, of %d", k, n, len(seen))
		}
	}
	foreign := filepath.Join(t.TempDir(), "access.log")
	harness.WriteFile(t, foreign, "00000000 one\n00000001 two\n")
	if stdout, stderr, code := convert(foreign); code != 0 || !strings.HasPrefix(stdout, "1 file made of 2 lines") {
		t.Errorf("a file of others: exit code %d, %q, %q", code, stdout, stderr)
	}
}

// TestConvertFollows converts the files of a running collector as they are finished, of both layouts, and is killed again
// and again: in the end each line is there once.
func TestConvertFollows(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "parquet")
	flags := []string{"--max-size", "30kB", "--rotate", "hourly"}
	follow := func() *harness.Process {
		return ink.Start(t, harness.Command{Args: []string{"convert", "--follow", "--out", out, dir, filepath.Join(dir, "no", "such")}})
	}
	p := follow() // before there is anything
	c := ink.Collect(t, dir, flags...)
	made := func() []string { return files(t, out, "web/dt=*/*.parquet") }
	hourly := func() []string { return files(t, out, "web/dt=*/hr=*/*.parquet") }
	before := 0
	const calls = 40
	for k := range calls {
		if k == calls/2 {
			c.Stop(t)
			c = ink.Collect(t, dir, append(flags, "--layout", "hive")...)
		}
		if code := sendNoise(t, c.Addr, k*100, 100); code != harness.OK {
			t.Fatal(code)
		}
		if k%10 == 9 {
			harness.Until(t, "a file is being converted, or was", func() bool {
				all := files(t, out, "web/dt=*/.*.tmp")
				all = append(all, files(t, out, "web/dt=*/hr=*/.*.tmp")...)
				all = append(append(all, made()...), hourly()...)
				n := len(all)
				defer func() { before = n }()
				return n != before
			})
			p.Kill()
			p = follow()
		}
	}
	c.Stop(t)
	finished := append(files(t, dir, "web/*.gz"), files(t, dir, "web/dt=*/hr=*/*.gz")...)
	harness.Until(t, "all is converted", func() bool { return len(made())+len(hourly()) == len(finished) })
	p.Stop(t)
	if len(made()) == 0 || len(hourly()) == 0 {
		t.Errorf("%d files in days, %d in hours", len(made()), len(hourly()))
	}
	seen := linesIn(t, append(made(), hourly()...))
	for k := range calls * 100 {
		if n := seen[fmt.Sprintf("%08d", k)]; n != 1 {
			t.Fatalf("line %d is there %d times, of %d", k, n, len(seen))
		}
	}
	if left := append(files(t, out, "web/dt=*/.*"), files(t, out, "web/dt=*/hr=*/.*")...); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}
