package test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

// journal is a systemd-journald of the test's own, in a namespace.
type journal struct {
	namespace string
	daemon    *harness.Process
	socket    *net.UnixConn
}

// startJournal starts journald. It throws nothing away, and its files are small, so that they are rotated.
func startJournal(t *testing.T) *journal {
	t.Helper()
	j := &journal{namespace: fmt.Sprintf("inkwell-test-%d-%s", os.Getpid(), strings.ToLower(t.Name()[len("Test"):]))}
	conf := filepath.Join("/run/systemd", "journald@"+j.namespace+".conf.d")
	harness.WriteFile(t, filepath.Join(conf, "test.conf"), "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nSystemMaxFileSize=512K\nSystemMaxFiles=100\n")
	t.Cleanup(func() {
		files, err := filepath.Glob("/var/log/journal/*." + j.namespace)
		for _, path := range append(files, conf, "/run/systemd/journal."+j.namespace) {
			err = errors.Join(err, os.RemoveAll(path))
		}
		if err != nil {
			t.Error(err)
		}
	})
	j.start(t)
	return j
}

func (j *journal) start(t *testing.T) {
	t.Helper()
	j.daemon = ink.Start(t, harness.Command{Program: "/lib/systemd/systemd-journald", Args: []string{j.namespace}})
	harness.Until(t, "journald listens", func() bool {
		var err error
		j.socket, err = net.DialUnix("unixgram", nil, &net.UnixAddr{Name: "/run/systemd/journal." + j.namespace + "/socket", Net: "unixgram"})
		return err == nil
	})
}

// log sends lines from … to-1 of a source to the journal, as its own program.
func (j *journal) log(t *testing.T, source string, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		line := bytes.TrimSuffix(harness.AppendLine(nil, source, i), []byte("\n"))
		if _, err := fmt.Fprintf(j.socket, "SYSLOG_IDENTIFIER=%s\nPRIORITY=6\nMESSAGE=%s\n", source, line); err != nil {
			t.Errorf("log to the journal: %v", err)
			return
		}
	}
}

func (j *journal) rotate(t *testing.T) {
	t.Helper()
	harness.Tool(t, "journalctl", "--namespace="+j.namespace, "--rotate")
}

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
	j := startJournal(t)
	dir, state := t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	args := []string{"forward", "--to", c.Addr, "--state", state, "--journal", "all category=j.{identifier} format=message namespace=" + j.namespace}
	f := ink.Start(t, harness.Command{Args: args})
	n := 0
	batch := func() {
		j.log(t, "one", n, n+500)
		j.log(t, "two", n, n+500)
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
			j.rotate(t)
		case 2:
			c.Stop(t)
			batch()
			f.Kill() // with entries in its spool
			f = ink.Start(t, harness.Command{Args: args})
			c.Restart(t)
		case 4: // with nothing in its socket, which would be lost
			harness.Until(t, "all entries arrive", func() bool { return len(linesSoFar(t, dir, "j.two")) >= n })
			j.daemon.Kill()
			j.start(t)
		case 3:
			f.Stop(t)
			batch()
			j.rotate(t)
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
