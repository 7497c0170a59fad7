package test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// TestHiveLayout runs a collector on what a flat layout left, kills it, and reads what is in both layouts by all
// commands.
func TestHiveLayout(t *testing.T) {
	t.Parallel()
	dir, depot := t.TempDir(), t.TempDir()
	flags := []string{"--max-size", "40kB", "--rotate", "hourly", "--lateness", "0", "--publish", depot, "--who", "w1"}
	c := ink.Collect(t, dir, flags...)
	sendAll := func(from int) {
		t.Helper()
		for k := range 4 {
			if code := sendNoise(t, c.Addr, from+k*100, 100); code != harness.OK {
				t.Fatal(code)
			}
		}
	}
	web := filepath.Join(dir, "web")
	sendAll(0)
	harness.Until(t, "files are finished", func() bool { return len(files(t, web, "web-*.gz")) > 0 })
	c.Kill()
	c = ink.Collect(t, dir, append(flags, "--layout", "hive")...)
	sendAll(400)
	c.Kill()
	c.Restart(t)
	sendAll(800)
	harness.Until(t, "files are in partitions", func() bool { return len(files(t, web, "dt=*/hr=*/web-*.gz")) > 0 })
	flat, partitioned := files(t, web, "web-*.gz"), files(t, web, "dt=*/hr=*/web-*.gz")
	if len(flat) == 0 || len(partitioned) == 0 {
		t.Fatalf("flat: %v, in partitions: %v", flat, partitioned)
	}
	c.Stop(t)
	partitioned = files(t, web, "dt=*/hr=*/web-*.gz")
	for _, path := range partitioned {
		hour := filepath.Base(filepath.Dir(path))[len("hr="):]
		day := filepath.Base(filepath.Dir(filepath.Dir(path)))[len("dt="):]
		if !strings.HasPrefix(filepath.Base(path), "web-"+day+"T"+hour+"_") {
			t.Errorf("%s is in a partition of another hour", path)
		}
	}
	var listed []struct {
		Entries int
		Path    string
	}
	if err := json.Unmarshal([]byte(ink.Run(t, "ls", "--json", web).Stdout), &listed); err != nil {
		t.Fatal(err)
	}
	sum, paths := 0, []string(nil)
	for _, f := range listed {
		sum, paths = sum+f.Entries, append(paths, f.Path)
	}
	if want := append(flat, partitioned...); sum != 1200 || !slices.Equal(slices.Sorted(slices.Values(paths)), slices.Sorted(slices.Values(want))) {
		t.Errorf("ls knows of %d entries in %v, there are %v", sum, paths, want)
	}
	whole := ink.Run(t, "cat", web).Stdout
	for _, args := range [][]string{{"cat", "--since", "1h"}, {"cat", "--merge"}, {"cat", "--dedupe"}} {
		if got := ink.Run(t, append(args, web)...).Stdout; got != whole || strings.Count(got, "\n") != 1200 {
			t.Errorf("%v prints %d bytes, want %d", args, len(got), len(whole))
		}
	}
	for want, args := range map[string][]string{
		"1200": {"grep", "-c", "", web}, ",1200,": {"stats", "--format", "regexp=^(?P<zero>0)", "--by", "zero", "--output", "csv", web},
		" made of 1,200 lines": {"convert", "--out", t.TempDir(), web}, "1,200 lines": {"verify", dir},
		fmt.Sprintf("%d files", len(listed)): {"verify", web}, "missing 0": {"audit", dir, "--verify"},
		" 1,200 ": {"ls", depot},
	} {
		if r := ink.Run(t, args...); r.Code != 0 || !strings.Contains(r.Stdout, want) {
			t.Errorf("%v: exit code %d, no %q\n%s%s", args, r.Code, want, r.Stdout, r.Stderr)
		}
	}
	if got := ink.Run(t, "cat", filepath.Join(depot, "web")).Stdout; strings.Count(got, "\n") != 1200 {
		t.Errorf("the depot has %d lines", strings.Count(got, "\n"))
	}
	hour := filepath.Dir(partitioned[0])
	if n := len(files(t, hour, "*.gz")); strings.Count(ink.Run(t, "ls", hour).Stdout, "\n") != n+1 {
		t.Errorf("ls of a partition does not list its %d files", n)
	}
	if len(files(t, depot, "web/dt=*/hr=*/*_w1_*.gz")) != len(partitioned) {
		t.Errorf("the depot has not the %d files of the partitions", len(partitioned))
	}
	index := files(t, web, ".web-*T*_00001.gz.idx")
	if len(index) != 1 {
		t.Fatal(index)
	}
	if err := os.Remove(index[0]); err != nil {
		t.Fatal(err)
	}
	if r := ink.Run(t, "repair", web); r.Code != 0 {
		t.Errorf("repair: %s%s", r.Stdout, r.Stderr)
	}
	if _, err := os.Stat(index[0]); err != nil {
		t.Errorf("no index was made: %v", err)
	}
}

// files lists the files of a pattern in a directory.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestHiveIsMarked waits for an hour to be complete, in a zone whose hour ends some seconds after the start: no _SUCCESS
// comes before, it lists all files of the partition, and inkwell wait says the same.
func TestHiveIsMarked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	zone := "TZ=" + zoneFile(t, 3600-8-int(now.Unix()%3600))
	hour := now.Add(time.Duration(3600-8-now.Unix()%3600) * time.Second).UTC().Format("2006-01-02T15")
	c := ink.NewCollector(t, dir, "--rotate", "hourly", "--layout", "hive", "--lateness", "1s", "--max-size", "40kB")
	c.Env(zone)
	c.Restart(t)
	for k := range 3 {
		if code := sendNoise(t, c.Addr, k*100, 100); code != harness.OK {
			t.Fatal(code)
		}
	}
	web := filepath.Join(dir, "web")
	harness.Until(t, "a file is finished", func() bool { return len(files(t, web, "dt=*/hr=*/*.gz")) > 0 })
	if early := files(t, web, "dt=*/hr=*/_SUCCESS"); len(early) > 0 && time.Since(now) < 8*time.Second {
		t.Errorf("complete before the hour is over: %v", early)
	}
	run := func(args ...string) harness.Result {
		return ink.RunCommand(t, harness.Command{Args: args, Env: []string{zone}})
	}
	if r := run("wait", "--timeout", "1m", web, hour); r.Code != 0 || !strings.Contains(r.Stdout, "complete: 300 entries") {
		t.Fatalf("wait: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	done := files(t, web, "dt=*/hr=*/_SUCCESS")
	if len(done) != 1 || !strings.HasSuffix(filepath.Dir(done[0]), "/dt="+strings.Replace(hour, "T", "/hr=", 1)) {
		t.Fatalf("complete are %v, want the partition of %s", done, hour)
	}
	data, err := os.ReadFile(done[0])
	if err != nil {
		t.Fatal(err)
	}
	var marker struct{ Files []struct{ File string } }
	if err := json.Unmarshal(data, &marker); err != nil {
		t.Fatal(err)
	}
	there := files(t, filepath.Dir(done[0]), "*.gz")
	for _, path := range there {
		if !slices.ContainsFunc(marker.Files, func(f struct{ File string }) bool { return f.File == filepath.Base(path) }) {
			t.Errorf("the marker does not list %s: %s", path, data)
		}
	}
	if len(marker.Files) != len(there) {
		t.Errorf("it lists %d files, there are %d", len(marker.Files), len(there))
	}
	c.Stop(t)
}

// zoneFile writes a file of a time zone with a fixed offset in seconds.
func zoneFile(t *testing.T, offset int) string {
	t.Helper()
	data := append([]byte("TZif"), make([]byte, 16+16)...)     // version 1, no leap seconds, no transitions
	data = binary.BigEndian.AppendUint32(data, 1)              // one type
	data = binary.BigEndian.AppendUint32(data, 4)              // four characters of names
	data = binary.BigEndian.AppendUint32(data, uint32(offset)) // of the type, which
	data = append(data, 0, 0, 'T', 'S', 'T', 0)                // is no summer time, and its name
	path := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
