package test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

var (
	// ink is the program under test, with the race detector if the tests have it.
	ink harness.Inkwell
	// bulk is what collectors are told that have much to write: under the race detector deflate does 1 MB/s, and is not what is tested.
	bulk []string
	// scale is how much of the full amount of data is used.
	scale = 0.2
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if text := os.Getenv("INKWELL_TEST_SCALE"); text != "" {
		var err error
		if scale, err = strconv.ParseFloat(text, 64); err != nil || scale <= 0 {
			return fail(fmt.Errorf("INKWELL_TEST_SCALE=%q: must be a number above 0", text))
		}
	}
	dir, err := os.MkdirTemp("", "inkwell-test-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // other users run it too
		return fail(err)
	}
	if err := roomy(dir); err != nil {
		return fail(err)
	}
	if ink, err = harness.Build(dir, raced || os.Getenv("INKWELL_TEST_RACE") == "1"); err != nil {
		return fail(err)
	}
	if ink.Race {
		bulk = []string{"--compress", "none"}
	}
	defer harness.ReportNotRun()
	// The tests wait for programs more than they work: two of them have a processor. -parallel says otherwise.
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		return fail(err)
	}
	return m.Run()
}

// roomy returns an error if the disk of dir is so full that no daemon on it is healthy, which is below a tenth by
// `inkwell health`: tests that wait for good health would wait in vain.
func roomy(dir string) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return fmt.Errorf("statfs %s: %w", dir, err)
	}
	if used := st.Blocks - st.Bfree; 9*st.Bavail < used {
		return fmt.Errorf("less than a tenth of the disk of %s is free, which is no good health for the daemons under test: make room, "+
			"for example with `go clean -cache`, or set TMPDIR", dir)
	}
	return nil
}

// amount is the scaled part of a full amount.
func amount(full int) int { return max(1, int(float64(full)*scale)) }
