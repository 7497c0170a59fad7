// Package testkit has what the tests of several packages need, below everything that they test.
package testkit

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// Main runs the tests of a package, with their temporary directories in memory where that is possible, and fails if
// they leave a goroutine behind.
//
// The directories are in memory because these tests call fsync some ten thousand times, and none of them depends on
// what a disk does: power cuts are simulated by internal/faultfs/crashfs, and the tests of the whole program, in test/,
// run on the disk. For store/series that makes 4 s of 100.
func Main(m *testing.M) {
	dir, err := os.MkdirTemp("/dev/shm", "inkwell-test-")
	if err != nil { // without such a file system it only takes longer
		goleak.VerifyTestMain(m)
		return
	}
	if err := os.Setenv("TMPDIR", dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// AtOnce lets n parallel tests run at once, unless -parallel says otherwise. It is for packages whose tests wait for
// files and timers more than they work; TestMain calls it before Main.
func AtOnce(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
