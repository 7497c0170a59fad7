package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// TestDepotIsRead reads what a collector brought to a directory and to a bucket by the commands that read a directory:
// they print the same.
func TestDepotIsRead(t *testing.T) {
	t.Parallel()
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		readDepot(t, t.TempDir(), "")
	})
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		if g, ok := harness.NewGateway(t, "logs"); ok {
			readDepot(t, "s3://logs/prod", "?path_style=yes&region=us-east-1&endpoint=http://"+g.Addr)
		}
	})
}

func readDepot(t *testing.T, root, query string) {
	dir := t.TempDir()
	env := []string{"AWS_ACCESS_KEY_ID=" + harness.GatewayKey, "AWS_SECRET_ACCESS_KEY=" + harness.GatewaySecret}
	c := ink.NewCollector(t, dir, "--max-size", "40kB", "--who", "w1", "--publish", root+query)
	c.Env(env...)
	c.Restart(t)
	for k := range 6 {
		if code := sendNoise(t, c.Addr, k*100, 100); code != harness.OK {
			t.Fatal(code)
		}
	}
	c.Stop(t)
	run := func(code int, args ...string) harness.Result {
		t.Helper()
		r := ink.RunCommand(t, harness.Command{Args: args, Env: env})
		if r.Code != code {
			t.Fatalf("%q: exit code %d, want %d\n%s%s", args, r.Code, code, r.Stdout, r.Stderr)
		}
		return r
	}
	local, web := filepath.Join(dir, "web"), root+"/web"+query
	for _, args := range [][]string{
		{"cat"}, {"cat", "--since", "1h"}, {"cat", "--tail", "7"}, {"cat", "--source", "*"}, {"cat", "--dedupe"}, {"cat", "--merge"},
		{"grep", "-c", "^000001"}, {"grep", "-n", "-B", "1", "^00000399"},
		{"stats", "--format", "regexp=^0000(?P<hundred>..)", "--by", "hundred", "--output", "csv"},
	} {
		want, got := run(0, append(args, local)...), run(0, append(args, web)...)
		if want.Stdout == "" || got.Stdout != want.Stdout {
			t.Errorf("%q prints %d bytes of the depot, %d of the directory\n%s", args, len(got.Stdout), len(want.Stdout), got.Stderr)
		}
	}
	if r := run(0, "cat", "--until", "yesterday", web); r.Stdout != "" {
		t.Errorf("%d bytes came before yesterday", len(r.Stdout))
	}
	if r := run(0, "ls", root+query); !strings.Contains(r.Stdout, "web ") || !strings.Contains(r.Stdout, " 600 ") {
		t.Errorf("%s", r.Stdout)
	}
	if r := run(0, "ls", web); !strings.Contains(r.Stdout, "_w1_00000") || strings.Contains(r.Stdout, "?") {
		t.Errorf("%s", r.Stdout)
	}
	if r := run(0, "convert", "--out", t.TempDir(), web); !strings.Contains(r.Stdout, " made of 600 lines") {
		t.Errorf("%s", r.Stdout)
	}
	if r := run(75, "wait", "--timeout", "1ms", web, "today"); !strings.Contains(r.Stderr, "no done markers") {
		t.Errorf("%s", r.Stderr)
	}
	run(2, "cat", "-f", web)
	run(1, "cat", root+"/other"+query)
	if query == "" {
		damageDepot(t, root, run)
	}
}

// damageDepot damages a file of a depot in a directory: the others are printed, and the exit code says it.
func damageDepot(t *testing.T, root string, run func(code int, args ...string) harness.Result) {
	files, err := filepath.Glob(filepath.Join(root, "web", "dt=*", "*.gz"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	data, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	clear(data[len(data)/2 : len(data)/2+64])
	if err := os.WriteFile(files[1], data, 0o600); err != nil {
		t.Fatal(err)
	}
	web := filepath.Join(root, "web")
	r := run(1, "cat", web)
	if n := strings.Count(r.Stdout, "\n"); n < 300 || n >= 600 || !strings.Contains(r.Stderr, filepath.Base(files[1])) {
		t.Errorf("%d lines\n%s", n, r.Stderr)
	}
	run(1, "cat", "--strict", web)
	run(2, "grep", "-c", "^0", web)
	run(0, "cat", files[0])
}
