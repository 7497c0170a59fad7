package test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// inDepot are the decompressed bytes of all files of a category in a depot, in the order of their names.
func inDepot(t *testing.T, root, category string) (data []byte, files int) {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(filepath.Join(root, category), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && !strings.HasPrefix(e.Name(), "_") && !strings.HasPrefix(e.Name(), ".") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	slices.Sort(paths)
	for _, path := range paths {
		part, err := harness.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, part...)
	}
	return data, len(paths)
}

// sendNoise sends numbered lines of a kilobyte that do not compress well, and returns the answer.
func sendNoise(t *testing.T, addr string, from, n int) int {
	t.Helper()
	s, err := harness.DialScribe(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var entries []harness.Entry
	for i := from; i < from+n; i++ {
		entries = append(entries, harness.Entry{Category: "web", Message: fmt.Sprintf("%08d %s\n", i, hexNoise(i, 500))})
	}
	code, err := s.Log(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// hexNoise is hexadecimal digits that look like chance.
func hexNoise(seed, n int) string {
	var b strings.Builder
	for x := uint64(seed)*0x9E3779B97F4A7C15 + 1; b.Len() < n; {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		fmt.Fprintf(&b, "%016x", x)
	}
	return b.String()
}

// TestDepotThatIsAway runs a collector whose bucket is away: files wait, which the status tells; the collector is killed
// and started again; at --away-max it says TRY_LATER; and when the bucket is there everything comes, once, and calls are
// taken again.
func TestDepotThatIsAway(t *testing.T) {
	t.Parallel()
	g, ok := harness.NewGateway(t, "logs")
	if !ok {
		return
	}
	dir := t.TempDir()
	c := ink.NewCollector(t, dir, "--max-size", "20kB", "--rotate", "never", "--who", "w1", "--away-max", "200kB",
		"--publish", "s3://logs/prod?path_style=yes&region=us-east-1&endpoint=http://"+g.Addr)
	c.Env("AWS_ACCESS_KEY_ID="+harness.GatewayKey, "AWS_SECRET_ACCESS_KEY="+harness.GatewaySecret)
	c.Restart(t)
	sent := 0
	send := func(n int) int {
		code := sendNoise(t, c.Addr, sent, n)
		if code == harness.OK {
			sent += n
		}
		return code
	}
	depot := filepath.Join(g.Dir, "logs", "prod")
	send(200)
	harness.Until(t, "a file is in the bucket", func() bool { _, n := inDepot(t, depot, "web"); return n > 0 })
	g.Kill()
	if send(100) != harness.OK { // two files
		t.Fatal("a call was refused before much waited")
	}
	harness.Until(t, "the status tells that the bucket is away", func() bool {
		r := ink.Run(t, "ctl", "status", "-v", c.Addr)
		return strings.Contains(r.Stdout, "depot s3://logs/prod") && strings.Contains(r.Stdout, "nothing is lost")
	})
	c.Kill()
	c.Restart(t)
	harness.Until(t, "calls are refused when too much waits", func() bool { return send(20) != harness.OK })
	if n := c.Counter(t, "depot waiting bytes"); n < 200_000 {
		t.Errorf("calls are refused, and %d bytes wait", n)
	}
	c.Kill()
	g.Begin(t)
	c.Restart(t)
	harness.Until(t, "calls are taken again", func() bool { return send(20) == harness.OK })
	c.Stop(t)
	got, files := inDepot(t, depot, "web")
	want := harness.Contents(t, dir, "web")
	if !bytes.Equal(got, want) || bytes.Count(got, []byte("\n")) != sent || files < 10 {
		t.Errorf("%d lines are in %d files of the bucket, %d in those here, %d were sent", bytes.Count(got, []byte("\n")), files, bytes.Count(want, []byte("\n")), sent)
	}
	total := fmt.Sprintf("written %d,", sent)
	if sent >= 1000 {
		total = fmt.Sprintf("written %d,%03d,", sent/1000, sent%1000)
	}
	keys := []string{"AWS_ACCESS_KEY_ID=" + harness.GatewayKey, "AWS_SECRET_ACCESS_KEY=" + harness.GatewaySecret}
	for _, of := range []string{dir, depot, "s3://logs/prod?path_style=yes&region=us-east-1&endpoint=http://" + g.Addr} {
		r := ink.RunCommand(t, harness.Command{Args: []string{"audit", of}, Env: keys})
		if r.Code != 0 || !strings.Contains(r.Stdout, total) {
			t.Errorf("audit %s: %d, want %s in %s%s", of, r.Code, total, r.Stdout, r.Stderr)
		}
	}
}
