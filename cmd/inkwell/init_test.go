package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/internal/config"
)

// machine makes a root directory with files and their parents.
func machine(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("line\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFindInputs(t *testing.T) {
	for name, c := range map[string]struct {
		files   []string
		journal bool
		names   string
		want    []string // lines of the blocks
		tails   int
	}{
		"nothing": {nil, false, "", nil, 0},
		"Debian with Apache and the journal": {[]string{"var/log/apache2/access.log", "var/log/apache2/shop_access.log", "var/log/apache2/error.log", "var/log/syslog"}, true,
			"Apache's access logs, Apache's error logs, the systemd journal", []string{"path=/var/log/apache2/*access.log", "#path=/var/log/syslog", "category=journal.{unit}"}, 2},
		"Debian without the journal": {[]string{"var/log/syslog", "var/log/auth.log"}, false,
			"syslog, syslog of log-ins", []string{"path=/var/log/syslog", "path=/var/log/auth.log"}, 2},
		"Red Hat with nginx": {[]string{"var/log/nginx/access.log", "var/log/messages", "var/log/httpd/access_log"}, false,
			"Apache's access logs, nginx's access logs, syslog", []string{"path=/var/log/httpd/*access_log", "path=/var/log/messages"}, 3},
		"a node of Kubernetes": {[]string{"var/log/pods/shop_web-1_uid/nginx/0.log"}, false,
			"the logs of containers", []string{"path=/var/log/pods/{ns}_{pod}_*/{container}/*.log", "format=cri"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			found := findInputs(machine(t, c.files...), c.journal)
			if got := strings.Join(found.names, ", "); got != c.names || len(found.unread) > 0 {
				t.Errorf("found %q, want %q; unread %v", got, c.names, found.unread)
			}
			text := "inkwell 1\n" + strings.Join(found.blocks, "\n")
			for _, line := range c.want {
				if !strings.Contains(text, "\n"+line+"\n") {
					t.Errorf("no line %q in\n%s", line, text)
				}
			}
			loaded := config.Load("f", []byte(text))
			if len(loaded.Tails) != c.tails || len(loaded.Problems) > 0 {
				t.Errorf("%d <tail> blocks, want %d; %v", len(loaded.Tails), c.tails, loaded.Problems)
			}
		})
	}
}

// TestInit writes configurations that a start accepts, overwrites nothing, and prints the next command.
func TestInit(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "etc", "collect.conf")
	args := []string{"init", "collect", "-o", conf, "--dir", filepath.Join(dir, "logs #1"), "--listen", "127.0.0.1:0"}
	r := inkwellAs(t, 0, args...)
	if want := "next: inkwell collect -c " + conf + "\n"; r.code != 0 || !strings.HasSuffix(r.stdout, want) || !strings.Contains(r.stdout, "a start would succeed") {
		t.Errorf("%+v, want %q", r, want)
	}
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Load(conf, text); len(c.Problems) > 0 || len(c.Stores) != 1 || config.Files(c.Stores[0].Sink)[0] != filepath.Join(dir, "logs #1") {
		t.Errorf("%v, %v", c.Problems, c.Stores)
	}
	if r := inkwellAs(t, 0, args...); r.code != exitFailed || !strings.Contains(r.stderr, "exists already") {
		t.Errorf("over what is there: %+v", r)
	}
	if r := inkwellAs(t, 0, append(args, "--force")...); r.code != 0 {
		t.Errorf("--force: %+v", r)
	}
	if r := inkwellAs(t, 0, "init", "collect", "-o", "-", "--dir", dir, "--listen", "127.0.0.1:0"); r.code != 0 || !strings.HasPrefix(r.stdout, "inkwell 1\n") {
		t.Errorf("to standard output: %+v", r)
	}
	if r := inkwellAs(t, 0, "init", "forward", "-o", filepath.Join(dir, "f.conf"), "--to", "h:x:y"); r.code != exitUsage || !strings.Contains(r.stderr, "want HOST:PORT") {
		t.Errorf("an address that is none: %+v", r)
	}
}

// TestForwarderTextOf a machine with the unit of the package puts the spool where the unit may write.
func TestForwarderTextOfAMachine(t *testing.T) {
	root := machine(t, "var/log/nginx/access.log", "usr/lib/systemd/system/inkwell-forward.service")
	var said bytes.Buffer
	a := &app{stdout: io.Discard, screen: newScreen(&said, func() int { return 0 }), uid: func() int { return 0 },
		lookup: func(string) (string, bool) { return "", false }}
	text, err := a.forwarderText(&initOptions{to: "logs,tls://other:1464", root: root})
	if err != nil {
		t.Fatal(err)
	}
	c := config.Load("f", []byte(text))
	if len(c.Problems) > 0 || len(c.Tails) != 1 || c.Tails[0].Category != "nginx.access" {
		t.Errorf("%v in\n%s", c.Problems, text)
	}
	hop, err := hopOf(c.Stores[0])
	if err != nil || strings.Join(hop.to, " ") != "logs:1463 tls://other:1464" || hop.spool != "/var/lib/inkwell-forward/spool" {
		t.Errorf("%+v, %v", hop, err)
	}
	if !strings.Contains(said.String(), "found nginx's access logs") {
		t.Errorf("said %q", said.String())
	}
	bare := &initOptions{to: "logs", root: t.TempDir(), output: filepath.Join(t.TempDir(), "f.conf")}
	if text, err = a.forwarderText(bare); err != nil || !strings.Contains(text, "No logs were found") {
		t.Errorf("of a machine without logs: %v\n%s", err, text)
	}
	err = a.writeInitial(bare, "forward", text)
	if err == nil || !strings.Contains(err.Error(), "name yours in "+bare.output) || strings.Contains(err.Error(), "spool_dir") {
		t.Errorf("says of a machine without logs: %v", err)
	}
}

// inkwellAs runs a command line as if by a user, with an empty environment.
func inkwellAs(t *testing.T, uid int, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{stdout: &out, screen: newScreen(&errs, func() int { return 0 }), lookup: func(string) (string, bool) { return "", false }, uid: func() int { return uid }}
	code := a.main(t.Context(), args)
	return result{code: code, stdout: out.String(), stderr: errs.String()}
}
