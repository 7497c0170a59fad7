package test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

// httpd is a real Apache with a configuration, a port and a directory of its own, in the foreground. The system's is never touched.
type httpd struct {
	*harness.Process
	url, dir string

	mu   sync.Mutex
	made map[string]int // requests that were answered, by URL
}

const httpdConf = `
ServerRoot %[1]q
ServerName localhost
Listen %[2]s
PidFile %[1]s/httpd.pid
DefaultRuntimeDir %[1]s
Mutex file:%[1]s default
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
ErrorLog %[1]s/error.log
DocumentRoot %[1]s/www
KeepAlive On
MaxKeepAliveRequests 0
GracefulShutdownTimeout 20
LogFormat "%%h %%l %%u %%t \"%%r\" %%>s %%b \"%%{Referer}i\" \"%%{User-Agent}i\"" combined
CustomLog %[3]s combined
`

// startHTTPD starts an Apache whose access log goes to log, as in its CustomLog directive.
func startHTTPD(t *testing.T, log string) *httpd {
	t.Helper()
	h := &httpd{dir: t.TempDir(), made: map[string]int{}}
	addr := harness.FreeAddr(t)
	h.url = "http://" + addr
	harness.WriteFile(t, filepath.Join(h.dir, "www", "index.html"), strings.Repeat("It works.\n", 50))
	conf := filepath.Join(h.dir, "httpd.conf")
	harness.WriteFile(t, conf, fmt.Sprintf(httpdConf, h.dir, addr, strings.ReplaceAll(log, "DIR", h.dir)))
	h.Process = ink.Start(t, harness.Command{Program: "/usr/sbin/apache2", Args: []string{"-f", conf, "-DFOREGROUND"}, Group: true})
	t.Cleanup(func() { // the whole group that was made for it: its workers and its loggers
		if !h.Ended() {
			_ = syscall.Kill(-h.PID(), syscall.SIGKILL)
		}
	})
	harness.Until(t, "httpd answers", func() bool {
		if h.Ended() {
			t.Fatalf("httpd has ended: %s\n%s", h.Stderr(), h.errors())
		}
		r, err := http.Get(h.url + "/ready")
		if err == nil {
			h.done(t, "/ready", r)
		}
		return err == nil
	})
	return h
}

// errors is httpd's error log.
func (h *httpd) errors() string {
	text, err := os.ReadFile(filepath.Join(h.dir, "error.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// done counts a request that was answered.
func (h *httpd) done(t *testing.T, path string, r *http.Response) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		t.Errorf("GET %s: %v", path, err)
	}
	if err := r.Body.Close(); err != nil {
		t.Error(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.made[path]++
}

// requests makes n requests, each with a URL of its own.
func (h *httpd) requests(t *testing.T, name string, n int) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: n%2 == 0}}
	for i := range n {
		path := fmt.Sprintf("/%s/%d", name, i)
		r, err := client.Get(h.url + path)
		if err != nil {
			t.Errorf("GET %s: %v", path, err)
			return
		}
		h.done(t, path, r)
	}
	client.CloseIdleConnections()
}

// ab has ab make n requests of one URL.
func (h *httpd) ab(t *testing.T, path string, n int) {
	out := harness.Tool(t, "ab", "-q", "-n", strconv.Itoa(n), "-c", "20", h.url+path)
	m := regexp.MustCompile(`Complete requests:\s+(\d+)`).FindStringSubmatch(out)
	if m == nil || !regexp.MustCompile(`Failed requests:\s+0\b`).MatchString(out) {
		t.Errorf("ab has not done what it should:\n%s", out)
		return
	}
	complete, err := strconv.Atoi(m[1])
	if err != nil {
		t.Error(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.made[path] += complete
}

// load makes requests in several ways at once, of URLs below name, calling meanwhile a few times a second.
func (h *httpd) load(t *testing.T, name string, rounds int, meanwhile func()) {
	var loaders sync.WaitGroup
	for i := range 2 {
		loaders.Go(func() {
			for round := range rounds {
				h.requests(t, fmt.Sprintf("%sone/%d/%d", name, i, round), 150+i)
			}
		})
	}
	loaders.Go(func() {
		for round := range rounds {
			h.ab(t, fmt.Sprintf("/%sab/%d", name, round), amount(5000))
		}
	})
	ended := make(chan struct{})
	go func() { loaders.Wait(); close(ended) }()
	for {
		select {
		case <-ended:
			return
		case <-time.After(300 * time.Millisecond):
			meanwhile()
		}
	}
}

func (h *httpd) sum() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range h.made {
		n += k
	}
	return n
}

// judge compares the category with the requests made: each line is one of them, each request has its line.
func (h *httpd) judge(t *testing.T, dir, category string) {
	t.Helper()
	line := regexp.MustCompile(`^127\.0\.0\.1 - - \[[^]]+\] "GET (\S+) HTTP/1\.[01]" \d{3} \S+ "-" "[^"]+"$`)
	got := map[string]int{}
	for text := range strings.Lines(string(harness.Contents(t, dir, category))) {
		m := line.FindStringSubmatch(strings.TrimSuffix(text, "\n"))
		if m == nil {
			t.Errorf("not a line of the access log: %q", text)
			continue
		}
		got[m[1]]++
	}
	for path, n := range h.made {
		if got[path] != n {
			t.Errorf("%d requests of %s, %d lines", n, path, got[path])
		}
		delete(got, path)
	}
	for path, n := range got {
		t.Errorf("%d lines of %s, which was not requested", n, path)
	}
	t.Logf("%d requests of %d URLs", h.sum(), len(h.made))
}

const logrotateConf = `%s/access.log {
	rotate 100
	missingok
	notifempty
	create 640 root adm
	compress
	delaycompress
	postrotate
		kill -USR1 $(cat %s/httpd.pid)
	endscript
}
`

// TestApacheFile follows the access log of a web server under load, which logrotate rotates as Debian configures it: rename, create,
// tell the server to begin a new file gracefully.
func TestApacheFile(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	h := startHTTPD(t, "DIR/access.log")
	f := forward(t, c.Addr, state, "apache.access="+h.dir+"/access.log")
	conf := filepath.Join(h.dir, "logrotate.conf")
	harness.WriteFile(t, conf, fmt.Sprintf(logrotateConf, h.dir, h.dir))
	turns := 0
	h.load(t, "", 12, func() {
		if turns++; turns%6 == 0 && turns <= 36 {
			harness.Tool(t, "logrotate", "-f", "-s", filepath.Join(h.dir, "logrotate.state"), conf)
		}
	})
	c.Received(t, h.sum())
	rotated, err := filepath.Glob(h.dir + "/access.log.*")
	if err != nil || len(rotated) == 0 {
		t.Errorf("rotated files %q, %v", rotated, err)
	}
	h.Signal(syscall.SIGTERM)
	h.Expect(t, 0)
	f.Stop(t)
	c.Stop(t)
	harness.Clean(t, dir)
	h.judge(t, dir, "apache.access")
}

// TestApachePipe has a web server write its access log to an inkwell pipe, with graceful restarts between the requests: each of them
// starts a pipe, with the same spool, before the one of the old configuration has ended. (During requests httpd sends SIGTERM to a
// logger that its old workers still write to; what they write then nobody can read, whatever the logger is.)
func TestApachePipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir)
	h := startHTTPD(t, fmt.Sprintf(`"|%s pipe --to %s --spool DIR/spool apache.access"`, ink.Path, c.Addr))
	for restart := range 4 {
		h.load(t, fmt.Sprintf("%d/", restart), 3, func() {})
		c.Received(t, h.sum())
		h.Signal(syscall.SIGUSR1)
		harness.Until(t, "httpd has begun anew", func() bool { return strings.Count(h.errors(), "resuming normal operations") == restart+2 })
	}
	h.load(t, "last/", 1, func() {})
	c.Received(t, h.sum())
	h.Signal(syscall.SIGWINCH) // graceful stop
	h.Expect(t, 0)
	c.Stop(t)
	harness.Clean(t, dir)
	h.judge(t, dir, "apache.access")
}
