package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

// journalctlOf is the journalctl that a forwarder has started, 0 if there is none.
func journalctlOf(t *testing.T, forwarder int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", forwarder, forwarder))
	threads, globErr := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", forwarder))
	if err = errors.Join(err, globErr); err != nil {
		return 0 // it has ended
	}
	for _, path := range threads {
		more, err := os.ReadFile(path)
		if err == nil {
			text = append(append(text, ' '), more...)
		}
	}
	for _, word := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil {
			return pid
		}
	}
	return 0
}

// linesSoFar are the lines of a category, those of open files included.
func linesSoFar(t *testing.T, dir, category string) []string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, category)); err != nil {
		return nil
	}
	return strings.SplitAfter(strings.TrimSuffix(ink.Run(t, "cat", filepath.Join(dir, category)).Stdout, "\n"), "\n")
}

// TestJournalIsThereOnce kills the forwarder and journalctl again and again, stops and starts the collector, and kills journald, while
// programs log and the journal is rotated. In the end each entry is in the files once, in the order in which it was logged.
func TestJournalIsThereOnce(t *testing.T) {
	t.Parallel()
	j := ink.Journal(t, "once")
	dir, state := t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	args := []string{"forward", "--to", c.Addr, "--state", state, "--journal", "all category=j.{identifier} format=message namespace=" + j.Namespace}
	f := ink.Start(t, harness.Command{Args: args})
	n := 0
	batch := func() {
		if err := errors.Join(j.Log("one", n, n+500), j.Log("two", n, n+500)); err != nil {
			t.Fatal(err)
		}
		n += 500
	}
	for round := range 10 {
		before := c.Counter(t, "received good")
		batch()
		harness.Until(t, "entries arrive", func() bool { return c.Counter(t, "received good") > before })
		switch round % 5 {
		case 0:
			f.Kill()
			batch()
			f = ink.Start(t, harness.Command{Args: args})
		case 1:
			if pid := journalctlOf(t, f.PID()); pid == 0 || syscall.Kill(pid, syscall.SIGKILL) != nil {
				t.Error("there is no journalctl to kill")
			}
			j.Rotate(t)
		case 2:
			c.Stop(t)
			batch()
			f.Kill() // with entries in its spool
			f = ink.Start(t, harness.Command{Args: args})
			c.Restart(t)
		case 4: // with nothing in its socket, which would be lost
			harness.Until(t, "all entries arrive", func() bool { return len(linesSoFar(t, dir, "j.two")) >= n })
			j.Daemon.Kill()
			j.Start(t)
		case 3:
			f.Stop(t)
			batch()
			j.Rotate(t)
			f = ink.Start(t, harness.Command{Args: args})
		}
	}
	harness.Until(t, "everything arrives", func() bool { return len(linesSoFar(t, dir, "j.one")) >= n && len(linesSoFar(t, dir, "j.two")) >= n })
	f.Stop(t)
	c.Stop(t)
	harness.Clean(t, dir)
	harness.Audit(t, dir, "j.one").Exactly(t, map[string]int{"one": n})
	harness.Audit(t, dir, "j.two").Exactly(t, map[string]int{"two": n})
	if _, code := audit(t, "--verify", "--state", state, dir); code != 0 {
		t.Errorf("the audit ends with %d", code)
	}
}
