package test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

// syslogInput is a forwarder that takes syslog messages in, and its collector.
type syslogInput struct {
	c              *harness.Collector
	f              *harness.Process
	dir, addr, tmp string
}

// startSyslog listens on UDP and TCP at addr, and on the sockets stream and dgram below tmp.
func startSyslog(t *testing.T, words string) *syslogInput {
	t.Helper()
	s := &syslogInput{dir: t.TempDir(), tmp: t.TempDir(), addr: harness.FreeAddr(t)}
	s.c = ink.Collect(t, s.dir, "--compress", "none")
	s.f = ink.Start(t, harness.Command{Args: []string{"forward", "--to", s.c.Addr, "--state", t.TempDir(), "--syslog",
		fmt.Sprintf("udp://%s tcp://%s unix:%s unixgram:%s %s", s.addr, s.addr, s.at("stream"), s.at("dgram"), words)}})
	harness.Until(t, "the forwarder listens", func() bool { return strings.Count(s.f.Stderr(), "listening for syslog") == 4 })
	return s
}

func (s *syslogInput) at(name string) string { return filepath.Join(s.tmp, name) }

// end stops both and returns the lines of a category.
func (s *syslogInput) end(t *testing.T, category string, n int) []string {
	t.Helper()
	harness.Until(t, "everything arrives", func() bool { return len(linesSoFar(t, s.dir, category)) >= n })
	s.f.Stop(t)
	s.c.Stop(t)
	harness.Clean(t, s.dir)
	var lines []string
	for line := range bytes.Lines(harness.Contents(t, s.dir, category)) {
		lines = append(lines, string(line))
	}
	return lines
}

// texts fails the test unless each of want is the end of one of lines, once, and there are no others.
func texts(t *testing.T, lines, want []string) {
	t.Helper()
	for _, text := range want {
		n := 0
		for _, line := range lines {
			if strings.HasSuffix(line, text+"\n") {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%q is there %d times", text, n)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("%d lines, want %d: %q", len(lines), len(want), lines)
	}
}

// TestSyslogOfLogger takes what logger of util-linux sends, in every way it has.
func TestSyslogOfLogger(t *testing.T) {
	t.Parallel()
	s := startSyslog(t, "category=log.{app}.{facility}")
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, args := range [][]string{
		{"-d"}, {"-d", "--rfc3164"}, {"-d", "--rfc5424"}, {"-T"}, {"-T", "--rfc3164"}, {"-T", "--rfc5424"}, {"-T", "--octet-count"},
		{"-T", "--octet-count", "--rfc3164"}, {"-T", "--octet-count", "--rfc5424=notime,notq,nohost"}, {"-d", "--sd-id", "x@1", "--sd-param", "a=\"b\""},
		{"-u", s.at("dgram")}, {"-u", s.at("stream")},
	} {
		text := fmt.Sprintf("message %d, %s", i, strings.Join(args, " "))
		if args[0] != "-u" {
			args = append(args, "-n", host, "-P", port)
		}
		harness.Tool(t, "logger", append(args, "-t", "prog", "-p", "local3.warning", "--id=77", "--", text)...)
		want = append(want, text)
	}
	lines := s.end(t, "log.prog.local3", len(want))
	texts(t, lines, want)
	for _, line := range lines {
		if !strings.Contains(line, " prog[77]: message") {
			t.Errorf("%q has no program and number", line)
		}
	}
}

// haproxyConf logs each request in four ways: two formats over UDP, one to a unix socket, one over TCP with octet counting.
const haproxyConf = `global
	log %[1]s format rfc3164 local0
	log %[1]s format rfc5424 local1
	log %[2]s local2
	log ring@tcp format rfc5424 local4
ring tcp
	format rfc5424
	maxlen 1200
	size 32764
	server s %[1]s log-proto octet-count
defaults
	mode http
	log global
	option httplog
	timeout client 10s
	timeout connect 10s
	timeout server 10s
frontend web
	bind %[3]s
	http-request return status 200 content-type text/plain string "ok"
`

func TestSyslogOfHAProxy(t *testing.T) {
	t.Parallel()
	s := startSyslog(t, "category={app}.{facility}")
	web, conf := harness.FreeAddr(t), filepath.Join(s.tmp, "haproxy.cfg")
	harness.WriteFile(t, conf, fmt.Sprintf(haproxyConf, s.addr, s.at("dgram"), web))
	ink.Start(t, harness.Command{Program: "/usr/sbin/haproxy", Args: []string{"-db", "-f", conf}})
	harness.Until(t, "HAProxy listens", func() bool {
		c, err := net.Dial("tcp", web)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	requests := func(facility string) (n int) {
		for _, line := range linesSoFar(t, s.dir, "haproxy."+facility) {
			if strings.Contains(line, "GET /page/") && strings.Contains(line, "haproxy[") {
				n++
			}
		}
		return n
	}
	facilities := []string{"local0", "local1", "local2", "local4"}
	for i := range 50 {
		r, err := http.Get(fmt.Sprintf("http://%s/page/%d", web, i))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, r.Body)
		if err := r.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, facility := range facilities { // HAProxy drops what a socket has no room for
			if i%10 == 9 {
				harness.Until(t, "the requests of "+facility, func() bool { return requests(facility) == i+1 })
			}
		}
	}
	s.f.Stop(t)
	s.c.Stop(t)
}

// unpacked is where .ci/deps unpacks the packages of rsyslog and syslog-ng, which cannot be installed beside each other, and of Nagios, which
// wants a web server and a mail server.
const unpacked = "/usr/local/lib/inkwell-test/"

// modulesOf is the directory in which an unpacked program has its modules.
func modulesOf(t *testing.T, pattern string) string {
	t.Helper()
	dirs, err := filepath.Glob(unpacked + pattern)
	if err != nil || len(dirs) != 1 {
		t.Fatalf("%q, %v: run .ci/deps", dirs, err)
	}
	return dirs[0]
}

// rsyslogConf sends what comes to a socket in five ways.
const rsyslogConf = `module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="%[1]s" RateLimit.Interval="0")
global(workDirectory="%[2]s" maxMessageSize="64k")
template(name="udp" type="string" string="<%%PRI%%>%%TIMESTAMP%% %%HOSTNAME%% udp:%%msg%%")
template(name="lines" type="string" string="<%%PRI%%>%%TIMESTAMP:::date-rfc3339%% %%HOSTNAME%% lines:%%msg%%\n")
template(name="counted" type="string" string="<%%PRI%%>1 %%TIMESTAMP:::date-rfc3339%% %%HOSTNAME%% counted - - - %%msg:2:$%%")
action(type="omfwd" target="%[3]s" port="%[4]s" protocol="udp" template="udp")
action(type="omfwd" target="%[3]s" port="%[4]s" protocol="tcp" template="lines")
action(type="omfwd" target="%[3]s" port="%[4]s" protocol="tcp" TCP_Framing="octet-counted" template="counted")
`

func TestSyslogOfRsyslog(t *testing.T) {
	t.Parallel()
	s := startSyslog(t, "category={app} format=message")
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	conf, in := filepath.Join(s.tmp, "rsyslog.conf"), filepath.Join(s.tmp, "in")
	harness.WriteFile(t, conf, fmt.Sprintf(rsyslogConf, in, s.tmp, host, port))
	daemon := ink.Start(t, harness.Command{Program: unpacked + "rsyslog/usr/sbin/rsyslogd",
		Args: []string{"-n", "-f", conf, "-i", filepath.Join(s.tmp, "pid"), "-M", modulesOf(t, "rsyslog/usr/lib/*/rsyslog")}})
	n := amount(10_000)
	logTo(t, in, n)
	for _, category := range []string{"udp", "lines", "counted"} {
		harness.Until(t, "everything of "+category, func() bool { return len(linesSoFar(t, s.dir, category)) >= n })
	}
	daemon.Signal(syscall.SIGTERM)
	daemon.Wait(t)
	s.f.Stop(t)
	s.c.Stop(t)
	for _, category := range []string{"udp", "lines", "counted"} {
		harness.Audit(t, s.dir, category).Exactly(t, map[string]int{"app": n})
	}
}

// logTo sends n lines to a syslog socket as a program does, with the C library's header.
func logTo(t *testing.T, socket string, n int) {
	t.Helper()
	var c net.Conn
	harness.Until(t, "the daemon has its socket", func() (ok bool) {
		var err error
		c, err = net.Dial("unixgram", socket)
		return err == nil
	})
	defer c.Close()
	for i := range n {
		line := bytes.TrimSuffix(harness.AppendLine(nil, "app", i), []byte("\n"))
		if _, err := fmt.Fprintf(c, "<13>Nov 29 10:00:00 test: %s", line); err != nil {
			t.Fatal(err)
		}
	}
}

// syslogNGConf sends what comes to a socket by network() and syslog(), over each transport.
const syslogNGConf = `@version: 3.38
options { keep-hostname(yes); log-msg-size(65536); stats-freq(0); };
source s { unix-dgram("%[1]s"); };
rewrite udp { set("udp", value("PROGRAM")); };
rewrite lines { set("lines", value("PROGRAM")); };
rewrite counted { set("counted", value("PROGRAM")); };
rewrite stream { set("stream", value("PROGRAM")); };
destination udp { network("%[2]s" port(%[3]s) transport("udp") persist-name("udp")); };
destination lines { network("%[2]s" port(%[3]s) transport("tcp") persist-name("lines")); };
destination counted { syslog("%[2]s" port(%[3]s) transport("tcp") persist-name("counted")); };
destination stream { unix-stream("%[4]s"); };
log { source(s); rewrite(udp); destination(udp); flags(flow-control); };
log { source(s); rewrite(lines); destination(lines); flags(flow-control); };
log { source(s); rewrite(counted); destination(counted); flags(flow-control); };
log { source(s); rewrite(stream); destination(stream); flags(flow-control); };
`

func TestSyslogOfSyslogNG(t *testing.T) {
	t.Parallel()
	s := startSyslog(t, "category={app} format=message")
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	conf, in := filepath.Join(s.tmp, "syslog-ng.conf"), filepath.Join(s.tmp, "in")
	harness.WriteFile(t, conf, fmt.Sprintf(syslogNGConf, in, host, port, s.at("stream")))
	modules := modulesOf(t, "syslog-ng-core/usr/lib/syslog-ng/[0-9]*")
	daemon := ink.Start(t, harness.Command{Program: unpacked + "syslog-ng-core/usr/sbin/syslog-ng", Env: []string{"LD_LIBRARY_PATH=" + filepath.Dir(modules)}, Args: []string{"-F", "--no-caps", "-f", conf, "--module-path", modules,
		"-R", filepath.Join(s.tmp, "persist"), "-p", filepath.Join(s.tmp, "pid"), "-c", filepath.Join(s.tmp, "ctl")}})
	n := amount(10_000)
	logTo(t, in, n)
	categories := []string{"udp", "lines", "counted", "stream"}
	for _, category := range categories {
		harness.Until(t, "everything of "+category, func() bool { return len(linesSoFar(t, s.dir, category)) >= n })
	}
	daemon.Signal(syscall.SIGTERM)
	daemon.Wait(t)
	s.f.Stop(t)
	s.c.Stop(t)
	for _, category := range categories {
		harness.Audit(t, s.dir, category).Exactly(t, map[string]int{"app": n})
	}
}

// TestSyslogWhileTheCollectorIsAway stops the forwarder while nobody takes what it has: it is in its spool, and delivered by the next run.
func TestSyslogWhileTheCollectorIsAway(t *testing.T) {
	t.Parallel()
	dir, state, socket := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "log")
	c := ink.NewCollector(t, dir, "--compress", "none")
	args := []string{"forward", "--to", c.Addr, "--state", state, "--syslog", "unixgram:" + socket + " category=log format=message"}
	n := amount(10_000)
	for range 2 {
		f := ink.Start(t, harness.Command{Args: args})
		logTo(t, socket, n)
		f.Stop(t)
	}
	c.Begin(t)
	c.Listening(t)
	f := ink.Start(t, harness.Command{Args: args})
	harness.Until(t, "everything arrives", func() bool { return len(linesSoFar(t, dir, "log")) >= 2*n })
	f.Stop(t)
	c.Stop(t)
	ledger := harness.Audit(t, dir, "log")
	if got := ledger.Of("app"); got.Lines != 2*n {
		t.Errorf("%d lines, want %d", got.Lines, 2*n)
	}
}
