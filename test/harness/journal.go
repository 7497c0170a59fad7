package harness

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// Journal is a systemd-journald for one test, in a namespace of its own. It needs root.
type Journal struct {
	Namespace string
	Daemon    *Process
	inkwell   Inkwell
	socket    *net.UnixConn
}

// Journal starts journald. Its rate limit is off, and its files are small, so that rotation happens.
func (k Inkwell) Journal(tb testing.TB, name string) *Journal {
	tb.Helper()
	j := &Journal{Namespace: fmt.Sprintf("inkwell-test-%d-%s", os.Getpid(), name), inkwell: k}
	conf := filepath.Join("/run/systemd", "journald@"+j.Namespace+".conf.d")
	WriteFile(tb, filepath.Join(conf, "test.conf"),
		"[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nSystemMaxFileSize=512K\nSystemMaxFiles=1000\n")
	tb.Cleanup(func() {
		files, err := filepath.Glob("/var/log/journal/*." + j.Namespace)
		for _, path := range append(files, conf, "/run/systemd/journal."+j.Namespace) {
			err = errors.Join(err, os.RemoveAll(path))
		}
		if err != nil {
			tb.Error(err)
		}
	})
	j.Start(tb)
	return j
}

// Start starts journald, also after it was killed.
func (j *Journal) Start(tb testing.TB) {
	tb.Helper()
	j.Daemon = j.inkwell.Start(tb, Command{Program: "/lib/systemd/systemd-journald", Args: []string{j.Namespace}})
	Until(tb, "journald listens", func() bool {
		var err error
		j.socket, err = net.DialUnix("unixgram", nil,
			&net.UnixAddr{Name: "/run/systemd/journal." + j.Namespace + "/socket", Net: "unixgram"})
		return err == nil
	})
}

// Log sends lines from … to-1 of a source to the journal, under that program name.
func (j *Journal) Log(source string, from, to int) error {
	for i := from; i < to; i++ {
		line := bytes.TrimSuffix(AppendLine(nil, source, i), []byte("\n"))
		if _, err := fmt.Fprintf(j.socket, "SYSLOG_IDENTIFIER=%s\nPRIORITY=6\nMESSAGE=%s\n", source, line); err != nil {
			return fmt.Errorf("log to the journal: %w", err)
		}
	}
	return nil
}

// Rotate makes journald begin new files.
func (j *Journal) Rotate(tb testing.TB) {
	tb.Helper()
	Tool(tb, "journalctl", "--namespace="+j.Namespace, "--rotate")
}
