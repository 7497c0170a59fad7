package test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

// addTo appends lines to a file, which is made if it is missing.
func addTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestFileSystemThatHangs: one that does not answer holds up its own files only, from the start and while it runs; that is told, and a
// stop comes through.
func TestFileSystemThatHangs(t *testing.T) {
	t.Parallel()
	d, ok := newFailingDisk(t)
	if !ok {
		return
	}
	in, state := t.TempDir(), t.TempDir()
	hang := filepath.Join(d.control, "hang")
	hangs := func(now bool) {
		t.Helper()
		if !now {
			if err := os.Remove(hang); err != nil {
				t.Fatal(err)
			}
			return
		}
		if err := os.WriteFile(hang, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	slow := filepath.Join(filepath.Dir(d.at), "backing", "slow.log") // as somebody else writes it: on the server
	c := ink.Collect(t, t.TempDir())
	addTo(t, slow, "slow 1\n")
	addTo(t, filepath.Join(in, "quick.log"), "quick 1\n")
	root := filepath.Dir(d.at)
	local := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
		addTo(t, filepath.Join(root, name, "span.log"), text)
	}
	start := func() *harness.Process { // the last pattern leads over both file systems
		return forward(t, c.Addr, state, "span="+filepath.Join(root, "[dl]*", "*.log"), "slow="+filepath.Join(d.at, "*.log"), "quick="+filepath.Join(in, "*.log"))
	}
	f := start()
	c.Received(t, 2)

	hangs(true)
	addTo(t, slow, "slow 2\n")
	harness.Until(t, "it is told", func() bool { return strings.Contains(f.Stderr(), "file system hangs") })
	addTo(t, filepath.Join(in, "quick.log"), "quick 2\n")
	addTo(t, filepath.Join(in, "another.log"), "quick 3\n")
	local("local", "span 1\n")
	c.Received(t, 5)
	hangs(false)
	c.Received(t, 6)
	harness.Until(t, "that is told, too", func() bool { return strings.Contains(f.Stderr(), "answers again") })

	hangs(true)
	harness.Until(t, "it hangs again", func() bool { return strings.Count(f.Stderr(), "file system hangs") == 2 })
	f.Signal(syscall.SIGTERM)
	f.Expect(t, 0)

	addTo(t, filepath.Join(in, "quick.log"), "quick 4\n")
	addTo(t, slow, "slow 3\n")
	f = start()
	local("local", "span 2\n")
	local("local2", "span 3\n")
	c.Received(t, 9)
	hangs(false)
	c.Received(t, 10)
	f.Stop(t)
	c.Stop(t)
	harness.Clean(t, c.Dir)
}

// TestFileThatWasReplacedOnTheServer: what is open is stale, as under NFS; it is told, and what stands at the path is read.
func TestFileThatWasReplacedOnTheServer(t *testing.T) {
	t.Parallel()
	d, ok := newFailingDisk(t)
	if !ok {
		return
	}
	backing := filepath.Join(filepath.Dir(d.at), "backing")
	if err := os.WriteFile(filepath.Join(d.control, "stale"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := ink.Collect(t, t.TempDir())
	addTo(t, filepath.Join(backing, "app.log"), string(harness.Lines("app", 0, 100)))
	f := forward(t, c.Addr, t.TempDir(), "web="+filepath.Join(d.at, "app.log"))
	c.Received(t, 100)
	addTo(t, filepath.Join(backing, "new"), string(harness.Lines("app", 100, 200)))
	if err := os.Rename(filepath.Join(backing, "new"), filepath.Join(backing, "app.log")); err != nil {
		t.Fatal(err)
	}
	c.Received(t, 200)
	addTo(t, filepath.Join(backing, "app.log"), string(harness.Lines("app", 200, 300)))
	c.Received(t, 300)

	// A disk that is broken for a while: told, and read on.
	broken := filepath.Join(d.control, "read")
	if err := os.WriteFile(broken, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	addTo(t, filepath.Join(backing, "app.log"), string(harness.Lines("app", 300, 400)))
	harness.Until(t, "it is told", func() bool { return strings.Contains(f.Stderr(), "input/output error") })
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	c.Received(t, 400)
	f.Stop(t)
	c.Stop(t)
	harness.Clean(t, c.Dir)
}
