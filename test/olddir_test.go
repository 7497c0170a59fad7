package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// TestFileMovedBelowWhileAway: the forwarder has read the rotated file to its end. While it is away the next one is written and moved
// to a directory below, where it has not seen a rotated file before.
func TestFileMovedBelowWhileAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.MkdirAll(filepath.Join(in, "old"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := ink.Collect(t, out)
	log := filepath.Join(in, "app.log")
	var want string
	write := func(name string) {
		var text strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&text, "%s %d\n", name, i)
		}
		harness.WriteFile(t, log, text.String())
		want += text.String()
	}
	move := func(to string) {
		if err := os.Rename(log, filepath.Join(in, to)); err != nil {
			t.Fatal(err)
		}
	}
	forward := func() *harness.Process {
		return ink.Start(t, harness.Command{Args: []string{"forward", "--to", c.Addr, "--state", filepath.Join(dir, "state"), "app=" + log}})
	}
	arrived := func(n int64) func() bool { return func() bool { return c.Counter(t, "app:received good") >= n } }
	write("first")
	f := forward()
	harness.Until(t, "the first file arrives", arrived(1000))
	move("app.log.1")
	time.Sleep(13 * time.Second) // a rotated file that was quiet for ten is done
	f.Kill()
	write("second")
	move("old/app.log.2")
	write("third")
	f = forward()
	harness.Until(t, "both files arrive", arrived(3000))
	f.Stop(t)
	c.Stop(t)
	if got := string(harness.Contents(t, out, "app")); got != want {
		t.Errorf("%d bytes of %d, equal up to %d", len(got), len(want), common([]byte(got), []byte(want)))
	}
}
