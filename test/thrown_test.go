package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// TestSendersAreToldWhatIsThrownAway: what no rule of the collector allows is not "delivered" for a pipe, which ends
// with 1, and a WARNING of a forwarder; what is allowed beside it arrives.
func TestSendersAreToldWhatIsThrownAway(t *testing.T) {
	t.Parallel()
	c := ink.Collect(t, t.TempDir(), append(bulk, "--allow", "loopback=good")...)
	input := func(lines int) *os.File {
		path := filepath.Join(t.TempDir(), "in")
		harness.WriteFile(t, path, strings.Repeat("a line\n", lines))
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	r := ink.RunCommand(t, harness.Command{Args: []string{"pipe", "--to", c.Addr, "--spool", t.TempDir(), "bad"}, Stdin: input(3)})
	if r.Code != 1 || !strings.Contains(r.Stderr, "read 3, delivered 0, spooled 0, dropped 0, refused 3") || !strings.Contains(r.Stderr, "the next hop discards entries") {
		t.Errorf("what is not allowed: %+v", r)
	}
	r = ink.RunCommand(t, harness.Command{Args: []string{"pipe", "--to", c.Addr, "good"}, Stdin: input(2)})
	if r.Code != 0 || !strings.Contains(r.Stderr, "read 2, delivered 2, spooled 0, dropped 0\n") {
		t.Errorf("what is allowed: %+v", r)
	}
	state, dir := t.TempDir(), t.TempDir()
	good, bad := newLogger(t, filepath.Join(dir, "good.log"), "good"), newLogger(t, filepath.Join(dir, "bad.log"), "bad")
	good.write(t, 10, false)
	bad.write(t, 5, false)
	f := forward(t, c.Addr, state, "good="+good.path, "bad="+bad.path)
	harness.Until(t, "the forwarder warns", func() bool {
		a := ask(t, state)
		return a.Status == "WARNING" && strings.Contains(a.Details, c.Addr+" has thrown 5 entries away") && a.Counters["scribe_overall:refused by the next hop"] == 5
	})
	c.Received(t, 12)
	f.Stop(t)
}
