package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// TestForwarderStateInUse ends with 111 and leaves the first forwarder alone.
func TestForwarderStateInUse(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	l := newLogger(t, filepath.Join(in, "app.log"), "app")
	f := forward(t, c.Addr, state, "app="+l.path)
	l.write(t, 100, false)
	c.Received(t, 100)
	for _, more := range [][]string{nil, {"--once"}} {
		r := ink.Run(t, append([]string{"forward", "--to", c.Addr, "--state", state, "app=" + l.path}, more...)...)
		if r.Code != 111 || !strings.Contains(r.Stderr, state) || !strings.Contains(r.Stderr, "another process") {
			t.Errorf("%q ends with %d:\n%s", more, r.Code, r.Stderr)
		}
	}
	l.write(t, 100, false)
	c.Received(t, 200)
	f.Stop(t)
	c.Stop(t)
	harness.Audit(t, dir, "app").Exactly(t, map[string]int{"app": 200})
}

// TestServersThatListenOnPortsOfTheirOwn have states of their own, however the port is written.
func TestServersThatListenOnPortsOfTheirOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, form := range []string{"listen=%[1]s", "listen=unix:%[2]s/socket\nlisten=%[1]s"} {
		addr := harness.FreeAddr(t)
		_, port, _ := strings.Cut(addr, ":")
		path := filepath.Join(dir, port+".conf")
		harness.WriteFile(t, path, fmt.Sprintf("inkwell 1\n"+form+"\nstate_dir=%[2]s/state\n<store>\ncategory=default\ntype=null\n</store>\n", addr, dir))
		p := ink.Start(t, harness.Command{Args: []string{"collect", "-c", path}})
		harness.Until(t, "it answers", func() bool {
			c, err := harness.DialScribe(addr)
			if err != nil {
				return false
			}
			defer c.Close()
			_, err = c.Counter("scribe_overall:received good")
			return err == nil
		})
		defer p.Stop(t)
		if _, err := os.Stat(filepath.Join(dir, "state", "collect-"+port, "journal")); err != nil {
			t.Error(err)
		}
	}
}

// TestForwarderStateOfAnotherVersion is refused, with the way out, and stays as it is.
func TestForwarderStateOfAnotherVersion(t *testing.T) {
	t.Parallel()
	in, state := t.TempDir(), t.TempDir()
	c := ink.Collect(t, t.TempDir())
	l := newLogger(t, filepath.Join(in, "app.log"), "app")
	l.write(t, 100, false)
	forwardOnce(t, c.Addr, state, "app="+l.path)
	path := filepath.Join(state, "positions")
	text, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(text, []byte("inkwell positions 4\n")) {
		t.Fatalf("%q, %v", text, err)
	}
	newer := "inkwell positions 99\nlines that only that program understands\n" // with ours below it the first line would be what is damaged
	harness.WriteFile(t, path, newer)
	r := ink.Run(t, "forward", "--once", "--to", c.Addr, "--state", state, "app="+l.path)
	if r.Code != 1 || !strings.Contains(r.Stderr, "99") || !strings.Contains(r.Stderr, path) || !strings.Contains(r.Stderr, "another state directory") {
		t.Errorf("ends with %d:\n%s", r.Code, r.Stderr)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != newer {
		t.Errorf("the state was changed: %q, %v", after, err)
	}
	c.Stop(t)
}
