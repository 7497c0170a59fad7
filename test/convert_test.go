package test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"

	"inkwell/test/harness"
)

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
	seen := make(map[string]int)
	for _, path := range append(made(), hourly()...) {
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
	for k := range calls * 100 {
		if n := seen[fmt.Sprintf("%08d", k)]; n != 1 {
			t.Fatalf("line %d is there %d times, of %d", k, n, len(seen))
		}
	}
	if left := append(files(t, out, "web/dt=*/.*"), files(t, out, "web/dt=*/hr=*/.*")...); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}
