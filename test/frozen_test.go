package test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

// TestCopytruncateBeforeAnythingWasRead: a new log waits until the one before it is quiet. Meanwhile the forwarder is
// stopped, and the log is written, copied and truncated: nothing in the log tells of that, and the copy has to come first.
func TestCopytruncateBeforeAnythingWasRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.Mkdir(in, 0o755); err != nil {
		t.Fatal(err)
	}
	c := ink.Collect(t, out)
	log := filepath.Join(in, "app.log")
	harness.WriteFile(t, log, "one\n")
	f := ink.Start(t, harness.Command{Args: []string{"forward", "--to", c.Addr, "--state", filepath.Join(dir, "state"), "app=" + log}})
	harness.Until(t, "the first line arrives", func() bool { return c.Counter(t, "app:received good") >= 1 })
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, log, "two\n")
	harness.Until(t, "the new log is found", func() bool { return strings.Contains(f.Stderr(), "new file is followed") })
	f.Signal(syscall.SIGSTOP)
	before := "two\n" + strings.Repeat("before\n", 1000)
	harness.WriteFile(t, log+".2", before) // the copy of what the log had become
	harness.WriteFile(t, log, strings.Repeat("after\n", 500))
	f.Signal(syscall.SIGCONT)
	harness.Until(t, "all lines arrive", func() bool { return c.Counter(t, "app:received good") >= 1502 })
	f.Stop(t)
	c.Stop(t)
	want := "one\n" + before + strings.Repeat("after\n", 500)
	if got := string(harness.Contents(t, out, "app")); got != want {
		t.Errorf("%d bytes of %d, equal up to %d", len(got), len(want), common([]byte(got), []byte(want)))
	}
}
