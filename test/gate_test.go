package test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// command runs a subcommand to its end, with text on standard input.
func command(t *testing.T, stdin string, args ...string) (stdout string, p *harness.Process) {
	t.Helper()
	return runAs(t, stdin, "inkwell", args...)
}

// TestGateOfACollector has plain, TLS and unix listeners side by side, and rules for who writes what.
func TestGateOfACollector(t *testing.T) {
	t.Parallel()
	dir, logs := t.TempDir(), t.TempDir()
	ca := harness.NewAuthority(t, t.TempDir())
	cert, key := ca.Issue(t, "127.0.0.1")
	secure, socket := "tls://"+harness.FreeAddr(t), "unix:"+filepath.Join(t.TempDir(), "run", "inkwell", "sock")
	c := ink.Collect(t, dir, "--compress", "none", "--listen", secure, "--listen", socket, "--tls-cert", cert, "--tls-key", key, "--tls-ca", ca.CA(),
		"--allow", "*.example.com=web.*,mail", "--allow", "unix=app", "--max-message", "1000")

	cert, key = ca.Issue(t, "web1.example.com")
	client := []string{"--tls-ca", ca.CA(), "--tls-cert", cert, "--tls-key", key}
	harness.WriteFile(t, filepath.Join(logs, "access.log"), "one\ntwo\n"+strings.Repeat("x", 2000)+"\nthree\n")
	harness.WriteFile(t, filepath.Join(logs, "secret.log"), "not for the web\n")
	_, p := command(t, "", append([]string{"forward", "--once", "--state", t.TempDir(), "--to", secure, "web.access=" + filepath.Join(logs, "access.log"),
		"secret=" + filepath.Join(logs, "secret.log")}, client...)...)
	p.Expect(t, 0)
	_, p = command(t, "four\nfive\n", "pipe", "--to", socket, "app")
	p.Expect(t, 0)
	_, p = runAs(t, "six\n", "scribe_cat", "-h", strings.TrimPrefix(socket, "unix:"), "app")
	p.Expect(t, 0)
	if out, p := runAs(t, "", "scribe_ctrl", "name", strings.TrimPrefix(socket, "unix:")); out != "Scribe\n" {
		t.Errorf("name by the socket: %q, %s", out, p.Stderr())
	}
	_, p = command(t, "plain and anonymous\n", "cat-to", c.Addr, "web.access")
	p.Expect(t, 0) // answered OK, so that nobody sends it for ever
	if n, long := c.Counter(t, "refused not allowed"), c.Counter(t, "refused message size"); n != 2 || long != 1 {
		t.Errorf("refused %d and %d for their size, want the secret, the plain, and a long one", n, long)
	}

	for _, tt := range []struct {
		want string
		args []string
	}{
		{"the peer wants a certificate", []string{"cat-to", "--tls-ca", ca.CA(), secure, "web.access"}},
		{"unknown authority", []string{"cat-to", secure, "web.access"}},
		{"is this a plain listener?", []string{"cat-to", "--tls-ca", ca.CA(), "tls://" + c.Addr, "web.access"}},
		{"valid for 127.0.0.1, not for", append([]string{"cat-to", "--tls-server-name", "logs.example.com", secure, "web.access"}, client...)},
	} {
		_, p = command(t, "x\n", tt.args...)
		p.Expect(t, 1)
		if !strings.Contains(p.Stderr(), tt.want) {
			t.Errorf("want %q, got %s", tt.want, p.Stderr())
		}
	}
	out, p := command(t, "", append([]string{"ctl", "status", secure}, client...)...)
	p.Expect(t, 2)
	if out != "ALIVE\n" {
		t.Errorf("status over TLS: %q", out)
	}
	_, p = command(t, "", "ctl", "stop", socket)
	p.Expect(t, 0)
	c.Wait(t)
	c.Expect(t, 0)
	for category, want := range map[string]string{"web.access": "one\ntwo\nthree\n", "app": "four\nfive\nsix\n"} {
		if got := string(harness.Contents(t, dir, category)); got != want {
			t.Errorf("%s: %q, want %q", category, got, want)
		}
	}
	if log := c.Stderr(); !strings.Contains(log, "no rule allows this peer") || !strings.Contains(log, "shows no certificate") { // the first failure of this minute
		t.Errorf("log: %s", log)
	}
}

// TestStrangersDoNotStopACollector: who comes by an address of the network may not, who comes by the loopback may.
func TestStrangersDoNotStopACollector(t *testing.T) {
	t.Parallel()
	_, port, err := net.SplitHostPort(harness.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	c := ink.Collect(t, t.TempDir(), "--listen", "0.0.0.0:"+port)
	outside := outsideAddr(t)
	if outside == "" {
		t.Log("this machine has no address but the loopback: only that is tried here (collector's TestControlIsForThoseWhoMay has the others)")
	} else {
		_, p := command(t, "", "ctl", "stop", net.JoinHostPort(outside, port))
		p.Expect(t, 0) // there is no answer to it
		_, p = command(t, "x\n", "cat-to", net.JoinHostPort(outside, port), "web")
		p.Expect(t, 0)
		harness.Until(t, "the refusal", func() bool { return c.Counter(t, "refused control") == 1 })
		if c.Ended() {
			t.Fatal("a stranger stopped the collector")
		}
	}
	_, p := command(t, "", "ctl", "stop", "127.0.0.1:"+port)
	p.Expect(t, 0)
	c.Wait(t)
	c.Expect(t, 0)
}

// outsideAddr is an IPv4 address of this machine that is not of the loopback, "" if there is none.
func outsideAddr(t *testing.T) string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}
