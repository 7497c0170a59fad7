package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// recipe is a piece of Python in docs/reading.md, whose first line says what it is for and how files may be compressed.
var recipe = regexp.MustCompile("(?s)```python\n# ([A-Za-z]+)((?: \\.[a-z]+)+)[^\n]*\n(.*?)```")

// TestRecipesOfReading runs the recipes of docs/reading.md with the real engines on what a collector wrote: each prints
// as many lines as inkwell ls.
func TestRecipesOfReading(t *testing.T) {
	doc, err := os.ReadFile("../docs/reading.md")
	if err != nil {
		t.Fatal(err)
	}
	recipes := recipe.FindAllStringSubmatch(string(doc), -1)
	if len(recipes) < 4 {
		t.Fatalf("%d recipes in docs/reading.md", len(recipes))
	}
	bin := t.TempDir() // the program under its own name, which has another one with the race detector
	if err := os.Symlink(ink.Path, filepath.Join(bin, "inkwell")); err != nil {
		t.Fatal(err)
	}
	engines := harness.Fetched("readers-1")
	python := filepath.Join(engines, "bin", "python")
	for codec, suffix := range map[string]string{"gzip": ".gz", "zstd": ".zst"} {
		dir := t.TempDir()
		c := ink.Collect(t, dir, "--compress", codec, "--max-size", "20KiB")
		s := dialScribe(t, c.Addr)
		for k := range 20 {
			mustLog(t, s, harness.Entry{Category: "apache.access", Message: string(harness.Lines("r", k*300, (k+1)*300))})
		}
		c.Stop(t)
		var files []struct {
			Entries int64
			Path    string
		}
		r := ink.Run(t, "ls", "--json", filepath.Join(dir, "apache.access"))
		if err := json.Unmarshal([]byte(r.Stdout), &files); err != nil {
			t.Fatal(err, r.Stdout)
		}
		lines := 0
		for _, f := range files {
			lines += strings.Count(ink.Run(t, "cat", f.Path).Stdout, "\n")
		}
		if lines != 6000 || len(files) < 2 {
			t.Fatalf("%d lines in %d files", lines, len(files))
		}
		for _, m := range recipes {
			name, suffixes, code := m[1], m[2], m[3]
			if !strings.Contains(suffixes+" ", suffix+" ") {
				continue
			}
			if engines == "" && name != "Python" {
				harness.NotRun(t, "the recipe for %s: its engine could not be fetched", name)
				continue
			}
			with := python
			if engines == "" {
				with = "python3"
			}
			code = strings.NewReplacer("/srv/logs", dir, "/srv/parquet", filepath.Join(t.TempDir(), "parquet"), "*.gz", "*"+suffix).Replace(code)
			cmd := exec.Command(with, "-c", code)
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if n, cerr := strconv.Atoi(strings.TrimSpace(string(out))); err != nil || cerr != nil || n != lines {
				t.Errorf("%s of %s files: %v\n%s\nwant %d", name, suffix, err, out, lines)
			}
		}
	}
}
