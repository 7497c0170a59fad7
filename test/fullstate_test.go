package test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

// fill writes to a file until there is no room.
func (d disk) fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(d.at("ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// TestForwarderKilledWithFullState kills forwarders whose state directory has no room. What they have sent is sent again by the next one
// with the same numbers, also that of files which are new since the disk was full.
func TestForwarderKilledWithFullState(t *testing.T) {
	t.Parallel()
	const each, rounds = 300, 5
	d, dir, logs := newDisk(t, 3), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	args := []string{"forward", "--to", c.Addr, "--state", d.at("state"), "full=" + filepath.Join(logs, "*.log")}
	path := func(n int) string { return filepath.Join(logs, strconv.Itoa(n)+".log") }
	lines := func(round int) string { return string(harness.Lines(fullSource, round*each, (round+1)*each)) }
	harness.WriteFile(t, path(0), lines(0))
	f := ink.Start(t, harness.Command{Args: args})
	taken := func(n int) func() bool { return func() bool { return c.Distinct(t) >= n } }
	harness.Until(t, "the first file is collected", taken(each))
	d.fill(t)
	for round := 1; round < rounds; round++ {
		if round == 3 { // the oldest one is rotated, and another begins in its place
			if err := os.Rename(path(0), path(0)+".1"); err != nil {
				t.Fatal(err)
			}
			harness.WriteFile(t, path(0), lines(round))
		} else {
			harness.WriteFile(t, path(round), lines(round))
		}
		harness.Until(t, "the new file is collected", taken((round+1)*each))
		f.Kill()
		f = ink.Start(t, harness.Command{Args: args})
	}
	harness.Until(t, "the last forwarder follows", func() bool { return strings.Contains(f.Stderr(), "following files") })
	d.grow(t, 100)
	f.Stop(t)
	if r := ink.Run(t, append(args, "--once")...); r.Code != 0 {
		t.Errorf("forward --once: %d\n%s", r.Code, r.Stderr)
	}
	c.Stop(t)
	harness.Clean(t, dir)
	harness.Audit(t, dir, "full").Exactly(t, map[string]int{fullSource: rounds * each})
}
