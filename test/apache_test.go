package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

// httpdConf is a whole configuration: every request goes, with a number that only it has, to the log under test and to a plain file
// that nobody touches.
const httpdConf = `ServerRoot %[1]s
ServerName 127.0.0.1
Listen %[2]s
PidFile %[1]s/httpd.pid
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule unique_id_module /usr/lib/apache2/modules/mod_unique_id.so
User nobody
Group nogroup
Mutex file:%[1]s default
DocumentRoot %[1]s/htdocs
StartServers 2
ErrorLog %[1]s/error.log
LogFormat "%%h %%l %%u %%t \"%%r\" %%>s %%b \"%%{Referer}i\" \"%%{User-Agent}i\" %%{UNIQUE_ID}e" numbered
CustomLog %[1]s/truth.log numbered
CustomLog "%[3]s" numbered
`

// httpd is a running web server of the test's own.
type httpd struct {
	*harness.Process
	root, addr string
}

// startHTTPD starts Debian's Apache in the foreground, with customLog beside the plain log. It has its own process group, because it
// ends by signalling its group.
func startHTTPD(t *testing.T, root, customLog string) *httpd {
	t.Helper()
	if err := os.Chmod(filepath.Dir(root), 0o755); err != nil { // the server's children are another user
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(root, "htdocs", "page.html"), "<p>a page</p>\n")
	h := &httpd{root: root, addr: harness.FreeAddr(t)}
	conf := filepath.Join(root, "httpd.conf")
	harness.WriteFile(t, conf, fmt.Sprintf(httpdConf, root, h.addr, customLog))
	h.Process = ink.Start(t, harness.Command{Program: "/usr/sbin/apache2", Args: []string{"-DFOREGROUND", "-f", conf}, Group: true})
	t.Cleanup(func() { // before Kill: the parent ends its children and its loggers
		h.Signal(syscall.SIGTERM)
		h.Wait(t)
	})
	harness.Until(t, "Apache listens", func() bool {
		if h.Ended() {
			t.Fatalf("%s\n%s\n%s", h, h.Stderr(), h.errors())
		}
		conn, err := net.Dial("tcp", h.addr)
		if err == nil {
			_ = conn.Close()
			_, err = os.Stat(h.truthLog()) // logs are opened after the port
		}
		return err == nil
	})
	return h
}

func (h *httpd) errors() []byte {
	text, err := os.ReadFile(filepath.Join(h.root, "error.log"))
	if err != nil {
		return []byte(err.Error())
	}
	return text
}

// truth is what the server says it was asked.
func (h *httpd) truth(t *testing.T) [][]byte {
	t.Helper()
	return linesOf(t, h.truthLog())
}

func (h *httpd) truthLog() string { return filepath.Join(h.root, "truth.log") }

func linesOf(t *testing.T, path string) (lines [][]byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(bytes.Lines(data))
}

// graceful has the server take its configuration anew while it goes on with what it is at.
func (h *httpd) graceful(t *testing.T) {
	t.Helper()
	restarts := func() int { return bytes.Count(h.errors(), []byte("resuming normal operations")) }
	before := restarts()
	h.Signal(syscall.SIGUSR1)
	harness.Until(t, "Apache restarts gracefully", func() bool { return restarts() > before })
}

var complete = regexp.MustCompile(`(?m)^Complete requests:\s+(\d+)$`)

// drive makes n requests with ab and returns how many it says it completed.
func (h *httpd) drive(ctx context.Context, n int) (int, error) {
	out, err := exec.CommandContext(ctx, "ab", "-q", "-r", "-n", strconv.Itoa(n), "-c", "8", "http://"+h.addr+"/page.html").CombinedOutput()
	found := complete.FindSubmatch(out)
	if err != nil || found == nil {
		return 0, fmt.Errorf("ab: %w\n%s", err, out)
	}
	return strconv.Atoi(string(found[1]))
}

// sameLines fails the test unless got holds exactly the lines of want, in any order.
func sameLines(t *testing.T, got, want [][]byte) {
	t.Helper()
	count := make(map[string]int, len(want))
	for _, line := range want {
		count[string(line)]++
	}
	for _, line := range got {
		count[string(line)]--
	}
	missing, twice := 0, 0
	var lacks, extra string // examples
	for line, n := range count {
		switch {
		case n > 0:
			missing, lacks = missing+n, line
		case n < 0:
			twice, extra = twice-n, line
		}
	}
	if missing > 0 || twice > 0 {
		t.Errorf("%d lines, want %d: %d are missing, as %q; %d are there that should not be, as %q",
			len(got), len(want), missing, lacks, twice, extra)
	}
}

func contentLines(t *testing.T, dir, category string) [][]byte {
	t.Helper()
	return slices.Collect(bytes.Lines(harness.Contents(t, dir, category)))
}

// logrotateConf is Debian's for apache2 with the test's own files.
const logrotateConf = `%[1]s/logs/access.log {
	rotate 50
	missingok
	notifempty
	compress
	delaycompress
	create 644 root root
	sharedscripts
	postrotate
		kill -USR1 $(cat %[1]s/httpd.pid)
	endscript
}
`

func TestApacheLogTailedAndRotatedByLogrotate(t *testing.T) {
	t.Parallel()
	root, dir := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := ink.Collect(t, dir)
	h := startHTTPD(t, root, filepath.Join(root, "logs", "access.log"))
	f := ink.Start(t, harness.Command{Args: []string{
		"forward", "--to", c.Addr, "--state", filepath.Join(root, "state"), "apache.access=" + filepath.Join(root, "logs", "access.log"),
	}})
	// A log that is rotated before the forwarder has looked at it is nobody's.
	harness.Until(t, "the log is followed", func() bool { return follows(f) })
	conf := filepath.Join(root, "logrotate.conf")
	harness.WriteFile(t, conf, fmt.Sprintf(logrotateConf, root))

	var load sync.WaitGroup
	const rotations = 3
	asked := 0
	load.Go(func() {
		for range rotations + 1 {
			n, err := h.drive(t.Context(), amount(10_000))
			if err != nil {
				t.Error(err)
				return
			}
			asked += n
		}
	})
	for i := range rotations {
		truth := filepath.Join(root, "truth.log")
		harness.Until(t, "requests come in", func() bool {
			st, err := os.Stat(truth)
			return err == nil && st.Size() > int64((i+1)*amount(10_000)*150) || t.Failed()
		})
		harness.Tool(t, "/usr/sbin/logrotate", "-f", "-s", filepath.Join(root, "logrotate.state"), conf)
	}
	load.Wait()
	h.drained(t)
	truth := h.truth(t)
	if len(truth) < asked || asked < (rotations+1)*amount(10_000) {
		t.Errorf("ab counts %d requests, Apache %d", asked, len(truth))
	}
	if generations, err := filepath.Glob(filepath.Join(root, "logs", "access.log.*")); err != nil || len(generations) != rotations {
		t.Errorf("logrotate left %v, %v; want %d generations", generations, err, rotations)
	}
	c.Received(t, len(truth))
	f.Stop(t)
	c.Stop(t)
	harness.Clean(t, dir)
	sameLines(t, contentLines(t, dir, "apache.access"), truth)
}

// drained waits until the plain log has stood still, so that no request is at work any more: httpd writes the log behind the answer.
func (h *httpd) drained(t *testing.T) {
	t.Helper()
	last, still := -1, 0
	harness.Until(t, "Apache's log stands still", func() bool {
		n := len(h.truth(t))
		if n != last {
			last, still = n, 0
			return false
		}
		still++
		time.Sleep(50 * time.Millisecond)
		return still > 10
	})
}

func TestApachePipesItsLog(t *testing.T) {
	t.Parallel()
	root, dir := t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	h := startHTTPD(t, root, fmt.Sprintf("|%s pipe --to %s --spool %s apache.pipe", ink.Path, c.Addr, filepath.Join(root, "spool")))
	const rounds = 3
	asked := 0
	for i := range rounds {
		n, err := h.drive(t.Context(), amount(10_000))
		if err != nil {
			t.Fatal(err)
		}
		asked += n
		switch i {
		case 0: // httpd ends its logger and starts another, on the same spool
			h.drained(t)
			c.Received(t, asked) // the pipe is there: before that a signal would end it
			h.graceful(t)
		case 1: // the collector is away for a while: the spool takes what comes
			c.Stop(t)
		}
	}
	c.Restart(t)
	h.drained(t)
	truth := h.truth(t)
	if len(truth) != asked || asked != rounds*amount(10_000) {
		t.Errorf("ab counts %d requests, Apache %d", asked, len(truth))
	}
	before := len(contentLines(t, dir, "apache.pipe"))
	c.Received(t, len(truth)-before)
	h.Stop(t)
	c.Stop(t)
	harness.Clean(t, dir)
	sameLines(t, contentLines(t, dir, "apache.pipe"), truth)
}

// TestApacheRestartsGracefullyWhileTheCollectorIsAway restarts httpd at rest and under load. Each restart starts a pipe on the spool that
// the one before still has: nothing that httpd logged is missing.
func TestApacheRestartsGracefullyWhileTheCollectorIsAway(t *testing.T) {
	t.Parallel()
	root, dir := t.TempDir(), t.TempDir()
	c := ink.NewCollector(t, dir)
	h := startHTTPD(t, root, fmt.Sprintf("|%s pipe --to %s --spool %s apache.pipe", ink.Path, c.Addr, filepath.Join(root, "spool")))
	drive := func(n int) {
		if got, err := h.drive(t.Context(), n); err != nil || got != n {
			t.Errorf("%d of %d requests were answered: %v", got, n, err)
		}
	}
	started := func(before int) {
		t.Helper()
		harness.Until(t, "the pipe is there: before that a signal would end it", func() bool {
			return bytes.Contains(h.errors(), []byte("trouble")) && bytes.Count(h.errors(), []byte("took over the spool")) == before
		})
	}
	for before := range 3 {
		drive(200)
		started(before)
		h.graceful(t)
		drive(100)
	}
	started(3)
	var load sync.WaitGroup
	load.Go(func() { drive(amount(20_000)) })
	before := len(h.truth(t))
	harness.Until(t, "requests come in", func() bool { return len(h.truth(t)) > before+1000 })
	h.graceful(t)
	load.Wait()
	h.drained(t)
	truth := h.truth(t)
	c.Begin(t)
	c.Listening(t)
	c.Received(t, len(truth))
	h.Stop(t)
	c.Stop(t)
	harness.Clean(t, dir)
	sameLines(t, contentLines(t, dir, "apache.pipe"), truth)
	if text := h.Stderr() + string(h.errors()); !strings.Contains(text, "took over the spool") {
		t.Errorf("no pipe took over the spool from another:\n%s", text)
	}
}
