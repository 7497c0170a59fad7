package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// curl asks for a URL and returns what it prints: the body, and the status code on a line of its own.
func curl(t *testing.T, args ...string) (body, code string) {
	t.Helper()
	out, err := exec.Command("curl", append([]string{"-sS", "--max-time", "20", "-w", "\n%{http_code}"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %v: %v\n%s", args, err, out)
	}
	i := bytes.LastIndexByte(out, '\n')
	return string(out[:i]), string(out[i+1:])
}

// fetched waits until the answer to a URL holds a text.
func fetched(t *testing.T, text string, args ...string) (body string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		body, code := curl(t, args...)
		if strings.Contains(body, text) {
			return body
		}
		if time.Now().After(deadline) {
			t.Fatalf("curl %v: %s %s, want %q in it", args, code, body, text)
		}
	}
}

const haproxyCheck = `global
  log stderr format raw local0
defaults
  mode tcp
  log global
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen scribe
  bind %[1]s
  option httpchk GET /readyz
  server inkwell %[2]s check inter 100ms rise 1 fall 1
listen default
  bind %[3]s
  option httpchk
  server inkwell %[2]s check inter 100ms rise 1 fall 1
`

// TestHTTPOnTheScribePort asks a collector by curl and by haproxy's check on the port that Scribe clients use, and one of them sends
// through haproxy meanwhile.
func TestHTTPOnTheScribePort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir)
	old := dialScribe(t, c.Addr)
	mustLog(t, old, harness.Entry{Category: "web", Message: "1\n"})
	if body, code := curl(t, "http://"+c.Addr+"/healthz"); code != "200" || body != "good: all is well\n" {
		t.Errorf("healthz: %s %q", code, body)
	}
	mustLog(t, old, harness.Entry{Category: "web", Message: "2\n"}) // the connection of before
	text := fetched(t, `"entries":2`, "http://"+c.Addr+"/status.json")
	if !json.Valid([]byte(text)) {
		t.Errorf("no JSON: %s", text)
	}
	front, other, conf := harness.FreeAddr(t), harness.FreeAddr(t), filepath.Join(t.TempDir(), "haproxy.cfg")
	harness.WriteFile(t, conf, fmt.Sprintf(haproxyCheck, front, c.Addr, other))
	ink.Start(t, harness.Command{Program: "/usr/sbin/haproxy", Args: []string{"-db", "-f", conf}})
	for _, addr := range []string{front, other} {
		var through *harness.Scribe
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			var err error
			if through, err = harness.DialScribe(addr); err == nil {
				var code int
				if code, err = through.Log(harness.Entry{Category: "web", Message: addr + "\n"}); err == nil && code == 0 {
					break
				}
				through.Close()
			}
			if time.Now().After(deadline) {
				t.Fatalf("nothing comes through haproxy: %v", err)
			}
		}
		through.Close()
	}
	fetched(t, `"entries":4`, "http://"+c.Addr+"/status.json")
}

// TestHTTPOverTLS asks where every client needs a certificate, by one that a rule names and by one that none does.
func TestHTTPOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := harness.NewAuthority(t, dir)
	cert, key := a.Issue(t, "localhost")
	secure, web := harness.FreeAddr(t), harness.FreeAddr(t)
	ink.Collect(t, filepath.Join(dir, "out"), "--listen", "tls://"+secure, "--http", "tls://"+web, "--tls-cert", cert, "--tls-key", key, "--tls-ca", a.CA())
	mine, myKey := a.Issue(t, "monitor.example.com")
	for _, addr := range []string{secure, web} {
		_, port, _ := strings.Cut(addr, ":")
		text := fetched(t, `"role":"collector"`, "--cacert", a.CA(), "--cert", mine, "--key", myKey, "https://localhost:"+port+"/status.json")
		if !strings.Contains(text, `"certificates":[{"file":"`+cert) {
			t.Errorf("the certificate is not told: %s", text)
		}
		if out, err := exec.Command("curl", "-sS", "--max-time", "20", "--cacert", a.CA(), "https://localhost:"+port+"/healthz").CombinedOutput(); err == nil {
			t.Errorf("without a certificate: %s", out)
		}
	}
}

// TestHTTPOfAForwarder asks one on its control socket and on a port, while its next hop is away.
func TestHTTPOfAForwarder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "a.log")
	harness.WriteFile(t, log, "one\ntwo\n")
	state, web, away := filepath.Join(dir, "state"), harness.FreeAddr(t), harness.FreeAddr(t)
	ink.Start(t, harness.Command{Args: []string{"forward", "--to", away, "--state", state, "--http", web, "app=" + log}})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err := exec.Command("curl", "-sS", "http://"+web+"/healthz").Run(); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing answers")
		}
	}
	for _, how := range [][]string{{"http://" + web}, {"--unix-socket", filepath.Join(state, "control"), "http://localhost"}} {
		args, url := how[:len(how)-1], how[len(how)-1]
		text := fetched(t, `"code":"hop_down"`, append(args, url+"/status.json")...)
		for _, part := range []string{`"role":"forwarder"`, `"address":"` + away + `","up":false`, `"level":"warning"`, `"path":"` + log, `"state":"following"`} {
			if !strings.Contains(text, part) {
				t.Errorf("%v: %s is not in %s", how, part, text)
			}
		}
		fetched(t, `inkwell_hop_up{address="`+away+`"} 0`, append(args, url+"/metrics")...)
		fetched(t, "Inkwell forwarder on", append(args, url+"/")...)
	}
	ink.Start(t, harness.Command{Args: []string{"collect", "--dir", filepath.Join(dir, "out"), "--listen", away}})
	fetched(t, `"level":"good"`, "http://"+web+"/status.json")
}

// TestFilesOverHTTP downloads what was written, and nothing else: not above the directory, not what a link points to, nor what is hidden.
func TestFilesOverHTTP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	mustLog(t, dialScribe(t, c.Addr), harness.Entry{Category: "web", Message: "secret line\n"}, harness.Entry{Category: "linked", Message: "x\n"})
	harness.WriteFile(t, filepath.Join(dir, "web", "other.txt"), "not ours")
	harness.WriteFile(t, filepath.Join(dir, "web", "_SUCCESS.2026-01-01"), "{}")
	harness.WriteFile(t, filepath.Join(dir, "outside-2026-01-01_00000"), "outside")
	name := fetched(t, "/file?category=web", "http://"+c.Addr+"/category?name=web")
	if !strings.Contains(name, "<li>2026-01-01</li>") {
		t.Errorf("the complete day is not told: %s", name)
	}
	_, name, _ = strings.Cut(name, `download>`)
	name, _, _ = strings.Cut(name, "<")
	if body, code := curl(t, "http://"+c.Addr+"/file?category=web&name="+name); code != "200" || body != "secret line\n" {
		t.Errorf("%s: %s %q", name, code, body)
	}
	fetched(t, "/file?category=linked", "http://"+c.Addr+"/category?name=linked")
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "web", "web-2026-01-01_00000")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "linked"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", filepath.Join(dir, "linked")); err != nil {
		t.Fatal(err)
	}
	linked := "linked" + strings.TrimPrefix(name, "web")
	for _, query := range []string{
		"category=web&name=other.txt", "category=web&name=../outside-2026-01-01_00000", "category=web&name=web-2026-01-01_00000", "category=web&name=.manifest",
		"category=..&name=outside-2026-01-01_00000", "category=&name=outside-2026-01-01_00000", "category=.inkwell&name=checkpoint",
		"category=web/../linked&name=" + linked, "category=web&name=", "category=nosuch&name=nosuch-2026-01-01_00000", "category=linked&name=" + linked,
	} {
		if body, code := curl(t, "http://"+c.Addr+"/file?"+query); code == "200" || strings.Contains(body, "outside") {
			t.Errorf("%s: %s %q", query, code, body)
		}
	}
}

// TestLiveTailOverHTTP looks on while entries come in.
func TestLiveTailOverHTTP(t *testing.T) {
	t.Parallel()
	c := ink.Collect(t, t.TempDir())
	s := dialScribe(t, c.Addr)
	mustLog(t, s, harness.Entry{Category: "web", Message: "before\n"})
	out, err := os.Create(filepath.Join(t.TempDir(), "tail"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ink.Start(t, harness.Command{Program: "curl", Args: []string{"-sSN", "http://" + c.Addr + "/tail?category=web"}, Stdout: out})
	for i := 0; ; i++ {
		mustLog(t, s, harness.Entry{Category: "other", Message: "not shown\n"}, harness.Entry{Category: "web", Message: fmt.Sprintf("line %d", i)})
		text, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Split(string(text), "\n"); len(lines) > 3 {
			if !strings.HasPrefix(lines[0], "line ") || strings.Contains(string(text), "not shown") || strings.Contains(string(text), "before") {
				t.Errorf("%q", text)
			}
			return
		}
		if i > 2000 {
			t.Fatalf("%q", text)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
