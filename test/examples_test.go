package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// example is a configuration of examples/ with its ports and directories replaced.
func example(t *testing.T, name string, pairs ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	pairs = append(pairs, "port=1463", "port={PORT}", "port=1464", "port={PORT}", "/tmp/scribetest", "{DIR}/files", "file_path=/tmp\n", "file_path={DIR}/buffer\n",
		"/srv/logs", "{DIR}/files", "/var/spool/inkwell", "{DIR}/spool", "/var/log/apache2", "{DIR}/log", "check_interval=3", "check_interval=1",
		"retry_interval=30", "retry_interval=2", "retry_interval_range=10", "retry_interval_range=1")
	return strings.NewReplacer(pairs...).Replace(string(data))
}

func TestExamplesAreWithoutProblems(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../examples/*.conf")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, path := range files {
		r := ink.Run(t, "check", path)
		if r.Code != 0 || !strings.Contains(string(r.Stdout), "0 errors, 0 warnings") {
			t.Errorf("%s: exit code %d\n%s", path, r.Code, r.Stdout)
		}
	}
}

func TestExamplesOfCentralAndClientRunTogether(t *testing.T) {
	t.Parallel()
	central := ink.Scribed(t, example(t, "central.conf"))
	client := ink.Scribed(t, example(t, "client.conf", "remote_port=1463", "remote_port="+central.Port))
	c := dialScribe(t, client.Addr)
	mustLog(t, c, harness.Entry{Category: "test2", Message: "test message\n"}, harness.Entry{Category: "test2", Message: "no newline"}, harness.Entry{Category: "ignore_me", Message: "x"},
		harness.Entry{Message: "blank"}, harness.Entry{Category: "te st", Message: "space"})
	client.Reaches(t, "scribe_overall:sent", 4)
	central.Reaches(t, "ignore_me:ignored", 1)
	client.Shutdown(t)
	central.Shutdown(t)
	for category, want := range map[string]string{"test2": "test message\nno newline\n", "te st": "space\n"} {
		path := filepath.Join(central.Dir, "files", category, category+"-"+time.Now().Format("2006-01-02")+"_00000")
		if data, err := os.ReadFile(path); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v; want %q", path, data, err, want)
		}
	}
}

func TestExampleOfBucketsFillsThem(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, example(t, "buckets.conf"))
	mustLog(t, dialScribe(t, s.Addr), harness.Entry{Category: "bucket_me", Message: "123:hello\n"}, harness.Entry{Category: "bucket_me", Message: "nokey\n"})
	s.Shutdown(t)
	for bucket, want := range map[string]string{"bucket005": "123:hello\n", "bucket000": "nokey\n", "bucket001": ""} {
		if data, err := os.ReadFile(filepath.Join(s.Dir, "files", bucket, "bucket_me_00000")); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v; want %q", bucket, data, err, want)
		}
	}
}

func TestExamplesOfOurOwnStyleRunTogether(t *testing.T) {
	t.Parallel()
	dir, addr := t.TempDir(), harness.FreeAddr(t)
	_, port, _ := strings.Cut(addr, ":")
	fill := strings.NewReplacer("{DIR}", dir, "{PORT}", port)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		harness.WriteFile(t, path, fill.Replace(text))
		return path
	}
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o755); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(dir, "log", "access.log"), string(harness.Lines("web", 0, 5000)))
	collect := ink.Start(t, harness.Command{Args: []string{"collect", "-c", write("inkwell.conf", example(t, "inkwell.conf", "0.0.0.0:1463", "127.0.0.1:{PORT}"))}, Env: []string{"INKWELL_STATE=" + filepath.Join(dir, "state")}})
	forward := ink.Start(t, harness.Command{Args: []string{"forward", "-c", write("forward.conf", example(t, "forward.conf", "logs1.example.com:1463 logs2.example.com:1463", addr)), "--state", filepath.Join(dir, "positions")}})
	harness.Until(t, "all lines are taken", func() bool {
		c, err := harness.DialScribe(addr)
		if err != nil {
			return false
		}
		defer c.Close()
		n, err := c.Counter("apache.access:received good")
		return err == nil && n == 5000
	})
	forward.Stop(t)
	collect.Stop(t)
	harness.Audit(t, filepath.Join(dir, "files"), "apache.access").Exactly(t, map[string]int{"web": 5000})
	if left := harness.Unfinished(t, filepath.Join(dir, "files")); len(left) > 0 {
		t.Errorf("files are unfinished after an orderly end: %v", left)
	}
}

// TestExampleOfPods sends what containerd wrote for two pods, one of which is excluded.
func TestExampleOfPods(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, filepath.Join(dir, "files"), "--compress", "none")
	sample, err := os.ReadFile("../forwarder/lines/testdata/containerd.log")
	if err != nil {
		t.Fatal(err)
	}
	deposit(t, string(sample), dir, "pods", "shop_cart-0_77", "cart", "0.log")
	deposit(t, string(sample), dir, "pods", "kube-system_dns_78", "dns", "0.log")
	path := filepath.Join(dir, "forward.conf")
	harness.WriteFile(t, path, strings.NewReplacer("{DIR}", dir).Replace(example(t, "kubernetes.conf", "logs1.example.com:1463 logs2.example.com:1463", c.Addr, "/var/log/pods", "{DIR}/pods")))
	ink.Start(t, harness.Command{Args: []string{"forward", "--once", "-c", path, "--state", filepath.Join(dir, "state")}}).Expect(t, 0)
	c.Stop(t)
	got := string(harness.Contents(t, filepath.Join(dir, "files"), "k8s.shop.cart"))
	if want := "Z stderr java.lang.IllegalStateException: <init> & \"quoted\"\n\tat a.B.c(B.java:1)\n\tat a.B.main(B.java:2)\n"; !strings.Contains(got, want) {
		t.Errorf("%.3000q holds no %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "files", "k8s.kube-system.dns")); !os.IsNotExist(err) {
		t.Errorf("what is excluded: %v", err)
	}
}

// TestExampleThatOthersCanReach serves this machine plainly, and web servers by the names in their certificates.
func TestExampleThatOthersCanReach(t *testing.T) {
	t.Parallel()
	dir, plain, secure := t.TempDir(), harness.FreeAddr(t), harness.FreeAddr(t)
	ca := harness.NewAuthority(t, t.TempDir())
	cert, key := ca.Issue(t, "127.0.0.1")
	path := filepath.Join(dir, "secure.conf")
	harness.WriteFile(t, path, strings.NewReplacer("{DIR}", dir).Replace(example(t, "secure.conf", "127.0.0.1:1463", plain, "0.0.0.0:1464", secure,
		"/etc/inkwell/logs.pem", cert, "/etc/inkwell/logs.key", key, "/etc/inkwell/ca.pem", ca.CA(), "from=loopback\ncategories=*", "from=loopback\ncategories=local")))
	collect := ink.Start(t, harness.Command{Args: []string{"collect", "-c", path}, Env: []string{"INKWELL_STATE=" + filepath.Join(dir, "state")}})
	harness.Until(t, "it answers", func() bool { return ink.Run(t, "ctl", "status", plain).Code == 2 })
	for _, peer := range []string{"a.web.example.com", "ops.example.com", "other.example.com"} {
		cert, key := ca.Issue(t, peer)
		for _, category := range []string{"php", "cron", "local"} {
			_, p := command(t, peer+"\n", "cat-to", "--tls-ca", ca.CA(), "--tls-cert", cert, "--tls-key", key, "tls://"+secure, category)
			p.Expect(t, 0)
		}
	}
	collect.Stop(t)
	for category, want := range map[string]string{"php": "a.web.example.com\nops.example.com\n", "cron": "ops.example.com\n",
		"local": "a.web.example.com\nops.example.com\nother.example.com\n"} { // all of them come from this machine
		if got := string(harness.Contents(t, filepath.Join(dir, "files"), category)); got != want {
			t.Errorf("%s: %q, want %q", category, got, want)
		}
	}
}
