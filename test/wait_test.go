package test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// TestOnceGivesUpOnAHopThatStaysAway: with --wait it ends with 75, also when the hop takes connections and never
// answers, and the next run delivers all of it, once.
func TestOnceGivesUpOnAHopThatStaysAway(t *testing.T) {
	t.Parallel()
	in, state := t.TempDir(), t.TempDir()
	l := newLogger(t, filepath.Join(in, "app.log"), "app")
	l.write(t, 1000, false)
	c := ink.Collect(t, t.TempDir(), bulk...)
	silent := harness.NewProxy(t, c.Addr)
	silent.Set(harness.Swallow)
	for _, to := range []string{harness.FreeAddr(t), silent.Addr} {
		began := time.Now()
		r := ink.Run(t, "forward", "--once", "--wait", "2s", "--to", to, "--state", state, "app="+l.path)
		if r.Code != 75 || !strings.Contains(r.Stderr, "the next hop stays away") {
			t.Fatalf("%s: exit code %d after %v\n%s", to, r.Code, time.Since(began), r.Stderr)
		}
	}
	forwardOnce(t, c.Addr, state, "app="+l.path)
	c.Received(t, 1000)
	if n := c.Counter(t, "received good"); n != 1000 {
		t.Errorf("%d entries arrived, want 1000", n)
	}
}
