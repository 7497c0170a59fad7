package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

// logged waits until the log at path has text.
func logged(t *testing.T, path, text string) {
	t.Helper()
	harness.Until(t, "the log says "+text, func() bool {
		log, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(log), text)
	})
}

// TestForwarderTellsWhatItFollows: how many files, new ones, rotations, and a pattern that leads to none, each line
// an object.
func TestForwarderTellsWhatItFollows(t *testing.T) {
	t.Parallel()
	in := t.TempDir()
	c := ink.Collect(t, t.TempDir(), bulk...)
	first, second := newLogger(t, filepath.Join(in, "first.log"), "first"), filepath.Join(in, "second.log")
	first.write(t, 10, false)
	f := ink.Start(t, harness.Command{Args: []string{"forward", "--to", c.Addr, "--state", t.TempDir(), "--log-format", "json",
		"app=" + filepath.Join(in, "*.log"), "none=" + filepath.Join(in, "*.none")}})
	said := func(msg string) bool {
		for line := range strings.Lines(f.Stderr()) {
			var entry struct{ Msg string }
			if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &entry) != nil {
				t.Fatalf("no object: %s", line)
			}
			if strings.HasPrefix(entry.Msg, msg) {
				return true
			}
		}
		return false
	}
	c.Received(t, 10)
	harness.Until(t, "the number of files is told", func() bool { return said("following files") })
	harness.WriteFile(t, second, "late\n")
	harness.Until(t, "the new file is told", func() bool { return said("new file is followed") })
	first.rotate(t, 0, false)
	first.write(t, 10, false)
	harness.Until(t, "the rotation is told", func() bool { return said("file was rotated") })
	harness.Until(t, "the pattern without files is told", func() bool { return said("a pattern follows no file") })
	c.Received(t, 21)
	f.Stop(t)
}

// TestLogFileOfAnotherUserOutlivesRotation: a log file in a directory of root, of a process that has become nobody,
// and SIGHUP: with a file that nobody can open the log goes on there, and else where it was.
func TestLogFileOfAnotherUserOutlivesRotation(t *testing.T) {
	t.Parallel()
	top := publicDir(t)
	logs := filepath.Join(top, "logs")
	if err := os.Mkdir(logs, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(logs, "forward.log")
	harness.WriteFile(t, filepath.Join(top, "app.log"), "one\n")
	f := ink.Start(t, harness.Command{Args: []string{"forward", "--to", harness.FreeAddr(t), "--state", filepath.Join(top, "state"), "--user", "nobody",
		"--log-file", path, "app=" + filepath.Join(top, "app.log")}})
	logged(t, path, "following files")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	f.Signal(syscall.SIGHUP)
	logged(t, path+".1", "cannot be reopened")
	harness.WriteFile(t, path, "")
	if err := os.Chown(path, nobodyID, nobodyID); err != nil {
		t.Fatal(err)
	}
	f.Signal(syscall.SIGHUP)
	logged(t, path, "log file reopened")
	f.Stop(t)
	logged(t, path, "counters")
}
