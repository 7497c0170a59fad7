package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// notRun lists what this machine could not run, of all tests of a package.
var notRun struct {
	mu   sync.Mutex
	list []string
}

// NotRun records that this machine cannot run a test, or a part of one, and why. That does not count as a pass:
// ReportNotRun lists it at the end of the run, and make test lists it for all packages ($TEST_NOT_RUN names the file
// for that).
func NotRun(t testing.TB, format string, args ...any) {
	t.Helper()
	why := fmt.Sprintf(format, args...)
	t.Logf("NOT RUN: %s", why)
	notRun.mu.Lock()
	defer notRun.mu.Unlock()
	notRun.list = append(notRun.list, t.Name()+": "+why)
}

// ReportNotRun prints what was not run. TestMain calls it after the tests.
func ReportNotRun() {
	notRun.mu.Lock()
	defer notRun.mu.Unlock()
	for _, line := range notRun.list {
		fmt.Println("NOT RUN:", line)
	}
	path := os.Getenv("TEST_NOT_RUN")
	if path == "" || len(notRun.list) == 0 {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err == nil {
		_, err = f.WriteString(strings.Join(notRun.list, "\n") + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "list what was not run:", err)
	}
}

// Fetched returns the directory in which the set-up (.ci/deps) has put something that tests need and no package has, ""
// if it is missing.
func Fetched(name string) string {
	dir := os.Getenv("INKWELL_TEST_CACHE")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(cache, "inkwell-test")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}
