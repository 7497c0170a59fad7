package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"inkwell/test/harness"
)

// deposit writes a file and makes the directories that it needs.
func deposit(t *testing.T, text string, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, name, text)
}

// TestCategoryFromThePath follows the logs of pods and of virtual hosts, some with names that nobody should have.
func TestCategoryFromThePath(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	files := map[string]string{
		"k8s.kube-system.coredns":  "pods/kube-system_coredns-76f75df574-abcde_0b1c/coredns/0.log",
		"k8s.shop.cart":            "pods/shop_cart-0_77/cart/3.log",
		"web.www.example.com":      "www.example.com_access.log",
		"web.a%20%0A%C3%BC%FF%25b": "a \nü\xff%b_access.log",
		"web.%5C..%5Cetc":          "\\..\\etc_access.log",
		"web._unsafe":              "_unsafe_access.log",
		"%2E.":                     "dots/...",
	}
	for category, name := range files {
		deposit(t, "line of "+category+"\n", in, name)
	}
	deposit(t, "not in the directory of a pod\n", in, "pods", "nobody", "x", "0.log")
	deposit(t, "of a long name\n", in, strings.Repeat("l", 230)+"_access.log")
	forwardOnce(t, c.Addr, state, "k8s.{ns}.{container}="+in+"/pods/{ns}_{pod}_*/{container}/*.log", "web.{vhost}="+in+"/{vhost}_access.log",
		"{name}="+in+"/dots/.{name}")
	c.Stop(t)
	for category := range files {
		if got, want := string(harness.Contents(t, dir, category)), "line of "+category+"\n"; got != want {
			t.Errorf("%q: %q, want %q", category, got, want)
		}
	}
	long, err := filepath.Glob(filepath.Join(dir, "web.lll*~????????????????"))
	if err != nil || len(long) != 1 {
		t.Errorf("the category of a long name: %q, %v", long, err)
	}
	for _, none := range []string{"_unsafe", "_overflow"} {
		if _, err := os.Stat(filepath.Join(dir, none)); !os.IsNotExist(err) {
			t.Errorf("%s: %v", none, err)
		}
	}
}

// TestDeepPatternsAndExcludes finds files at any depth, also those that come later, and leaves out what is excluded.
func TestDeepPatternsAndExcludes(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	f := forward(t, c.Addr, state, "--exclude", "*-debug.log", "--exclude", "secret", "--exclude", in+"/b/c", "app="+in+"/**/*.log", "two="+in+"/{x,y/z}/*.txt")
	deposit(t, "0\n", in, "0.log")
	deposit(t, "no\n", in, "0-debug.log")
	c.Received(t, 1)
	deposit(t, "1\n", in, "a", "1.log")
	deposit(t, "2\n", in, "a", "b", "c", "2.log")
	deposit(t, "no\n", in, "a", "secret", "d", "3.log")
	deposit(t, "no\n", in, "b", "c", "d", "4.log")
	deposit(t, "no\n", in, ".hidden", "5.log")
	deposit(t, "x\n", in, "x", "1.txt")
	deposit(t, "z\n", in, "y", "z", "1.txt")
	deposit(t, "no\n", in, "y", "1.txt")
	harness.Until(t, "all that is wanted", func() bool {
		return c.Counter(t, "app:received good") >= 3 && c.Counter(t, "two:received good") >= 2
	})
	deposit(t, "3\n", in, "a", "later", "3.log")
	harness.Until(t, "the last one", func() bool { return c.Counter(t, "app:received good") >= 4 })
	f.Stop(t)
	c.Stop(t)
	if got := string(harness.Contents(t, dir, "app")); len(got) != len("0\n1\n2\n3\n") || strings.Contains(got, "no") {
		t.Errorf("app: %q", got)
	}
	if got := string(harness.Contents(t, dir, "two")); len(got) != len("x\nz\n") || strings.Contains(got, "no") {
		t.Errorf("two: %q", got)
	}
}

// TestCategoriesAreBounded follows files of no more categories than are allowed, and says how many are not followed.
func TestCategoriesAreBounded(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	for i := range 20 {
		deposit(t, "line\n", in, fmt.Sprintf("%02d.log", i))
	}
	f := forward(t, c.Addr, state, "--max-categories", "7", "x.{n}="+in+"/{n}.log")
	c.Received(t, 7)
	harness.Until(t, "it is told", func() bool { return strings.Contains(f.Stderr(), "files=13") })
	if n := strings.Count(f.Stderr(), "max_categories=7"); n != 1 {
		t.Errorf("told %d times: %s", n, f.Stderr())
	}
	if err := os.Remove(filepath.Join(in, "00.log")); err != nil {
		t.Fatal(err)
	}
	f.Stop(t)
	c.Stop(t)
}

// TestPatternsThatLeadNowhere tells what is wrong with a pattern once, and when it is right.
func TestPatternsThatLeadNowhere(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	deposit(t, "x\n", in, "file")
	harness.Tool(t, "mkfifo", filepath.Join(in, "fifo.log"))
	harness.Tool(t, "mkdir", filepath.Join(in, "dir.log"))
	f := forward(t, c.Addr, state, "a="+in+"/none/*.log", "b="+in+"/file/x.log", "c="+in+"/*.txt", "d="+in+"/fifo.log", "e="+in+"/dir.log", "f="+in+"/*/fifo*")
	for _, text := range []string{"none does not exist", "file is not a directory", "no file matches", "kind=\"FIFO", "kind=\"directory"} {
		harness.Until(t, text, func() bool { return strings.Contains(f.Stderr(), text) })
	}
	deposit(t, "line\n", in, "a.txt")
	deposit(t, "line\n", in, "none", "a.log")
	c.Received(t, 2)
	harness.Until(t, "they are followed now", func() bool { return strings.Count(f.Stderr(), "a pattern follows files now") == 2 })
	if n := strings.Count(f.Stderr(), "none does not exist"); n != 1 {
		t.Errorf("told %d times", n)
	}
	f.Stop(t)
	c.Stop(t)
}

// container writes numbered lines as containerd does: those of stdout in parts, those of stderr between them.
type container struct {
	file *os.File
	next int
	rng  *rand.Rand
}

func (c *container) put(t *testing.T, stream, tag, text string) {
	t.Helper()
	line := time.Now().Format(time.RFC3339Nano) + " " + stream + " " + tag + " " + text + "\n"
	for len(line) > 0 { // in pieces, as a reader may see them
		n := 1 + c.rng.IntN(len(line))
		if _, err := c.file.WriteString(line[:n]); err != nil {
			t.Fatal(err)
		}
		line = line[n:]
	}
}

// line writes a line of stdout in up to four parts, and one of stderr. within, if there is one, is called in the
// middle.
func (c *container) line(t *testing.T, within func()) {
	t.Helper()
	text := strings.TrimSuffix(string(harness.Lines("out", c.next, c.next+1)), "\n")
	parts := c.rng.IntN(4)
	if within != nil {
		parts = max(parts, 1)
	}
	for i := range parts {
		n := c.rng.IntN(len(text))
		c.put(t, "stdout", "P", text[:n])
		text = text[n:]
		if i == 0 {
			c.put(t, "stderr", "F", strings.TrimSuffix(string(harness.Lines("err", c.next, c.next+1)), "\n"))
			if within != nil {
				within()
			}
		}
	}
	if parts == 0 {
		c.put(t, "stderr", "F", strings.TrimSuffix(string(harness.Lines("err", c.next, c.next+1)), "\n"))
	}
	c.put(t, "stdout", "F", text)
	c.next++
}

// TestContainerLogsOverKills kills the forwarder in the middle of lines that are in parts, again and again, with
// rotations as kubelet makes them.
func TestContainerLogsOverKills(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir, bulk...)
	input := []string{"--format", "cri", "k8s.{ns}.{container}=" + in + "/{ns}_{pod}_*/{container}/*.log"}
	path := filepath.Join(in, "shop_cart-0_77", "cart", "0.log")
	deposit(t, "", path)
	open := func() *os.File {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	pod := &container{file: open(), rng: rand.New(rand.NewPCG(7, 7))}
	t.Cleanup(func() { pod.file.Close() })
	f := forward(t, c.Addr, state, input...)
	for round := range 12 {
		for range 300 {
			pod.line(t, nil)
		}
		pod.line(t, func() {
			before := pod.next
			harness.Until(t, "what is complete arrives", func() bool { return c.Distinct(t) >= 2*before })
			f.Kill()
		})
		if round%3 == 1 {
			if err := os.Rename(path, fmt.Sprintf("%s.2026112%d-100000", path, round%10)); err != nil {
				t.Fatal(err)
			}
			if err := pod.file.Close(); err != nil {
				t.Fatal(err)
			}
			pod.file = open()
		}
		f = forward(t, c.Addr, state, input...)
	}
	harness.Until(t, "all lines arrive", func() bool { return c.Distinct(t) == 2*pod.next })
	f.Stop(t)
	c.Stop(t)
	harness.Audit(t, dir, "k8s.shop.cart").Exactly(t, map[string]int{"out": pod.next, "err": pod.next})
	auditAgrees(t, dir, state)
}

// auditAgrees has inkwell audit compare what was sent with what is there.
func auditAgrees(t *testing.T, dir, state string) {
	t.Helper()
	if r := ink.Run(t, "audit", "--verify", "--state", state, dir); r.Code != 0 {
		t.Errorf("inkwell audit ends with %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// TestMultilineOverKills kills the forwarder while messages of several lines are written: each is one entry, and
// there once.
func TestMultilineOverKills(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	input := []string{"--multiline-start", `^\d{4}-`, "--multiline-wait", "1h", "app=" + in + "/*.log"}
	f := forward(t, c.Addr, state, input...)
	var want strings.Builder
	file, err := os.OpenFile(filepath.Join(in, "app.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	write := func(text string) {
		want.WriteString(text)
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	messages := 0
	for range 10 {
		for range 200 {
			write(fmt.Sprintf("2026-11-29 10:00:00 ERROR message %d\njava.lang.Exception\n", messages))
			if messages++; messages%200 == 0 {
				break
			}
			write("\tat a.B(C.java:1)\n\n\tat a.B(C.java:2)\n")
		}
		harness.Until(t, "all but the last", func() bool { return c.Distinct(t) == messages-1 })
		f.Kill()
		write("\tat a.B(C.java:1)\n")
		f = forward(t, c.Addr, state, input...)
		write("\tat a.B(C.java:3)\n")
	}
	write("2026-11-29 10:00:00 INFO the end\n")
	harness.Until(t, "all messages arrive", func() bool { return c.Distinct(t) == messages })
	f.Stop(t)
	forwardOnce(t, c.Addr, state, input...)
	if n := c.Distinct(t); n != messages+1 {
		t.Errorf("%d entries, want %d", n, messages+1)
	}
	c.Stop(t)
	if got := string(harness.Contents(t, dir, "app")); got != want.String() {
		t.Errorf("%d bytes, want %d", len(got), want.Len())
	}
	auditAgrees(t, dir, state)
}

// TestQuietFilesOverKills kills the forwarder about when a file has been quiet for long enough to end a message, and goes on with that
// message then: wherever it was cut, every byte is there once.
func TestQuietFilesOverKills(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	input := []string{"--multiline-start", `^\S`, "--multiline-wait", "100ms", "{n}=" + in + "/{n}.log"}
	names := []string{"a", "b", "c"}
	want := make(map[string]string)
	write := func(text string) {
		for _, name := range names {
			if want[name] == "" {
				deposit(t, "", in, name+".log")
			}
			want[name] += text
			appendBytes(t, filepath.Join(in, name+".log"), []byte(text))
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 25 {
		f := forward(t, c.Addr, state, input...)
		write(fmt.Sprintf("message %d\n more\n", i))
		time.Sleep(time.Duration(60+rng.IntN(400)) * time.Millisecond)
		write(" late\n")
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		f.Kill()
		write(" later\n")
	}
	forwardOnce(t, c.Addr, state, input...)
	c.Stop(t)
	for _, name := range names {
		if got := string(harness.Contents(t, dir, name)); got != want[name] {
			t.Errorf("%s: %d bytes, want %d: %q", name, len(got), len(want[name]), got)
		}
	}
	auditAgrees(t, dir, state)
}

// TestUTF16OverKills writes UTF-16 as SQL Server does, in both orders, kills the forwarder, and rotates.
func TestUTF16OverKills(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][2]int{"le": {0, 8}, "be": {8, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
			c := ink.Collect(t, dir, "--compress", "none")
			path := filepath.Join(in, "ERRORLOG")
			encode := func(text string) (out []byte) {
				for _, u := range utf16.Encode([]rune(text)) {
					out = append(out, byte(u>>order[0]), byte(u>>order[1]))
				}
				return out
			}
			deposit(t, string(encode("\ufeff")), path)
			f := forward(t, c.Addr, state, "sql="+path)
			var want strings.Builder
			rng := rand.New(rand.NewPCG(1, 2))
			n := 0
			for round := range 9 {
				for range 100 {
					text := fmt.Sprintf("2026-11-29 10:00:00.00 Server      line %d, Ċ ਊ 𝄞 in it\r\n", n)
					n++
					want.WriteString(text)
					data := encode(text)
					cut := rng.IntN(len(data))
					for _, part := range [][]byte{data[:cut], data[cut:]} {
						appendBytes(t, path, part)
					}
				}
				switch round % 3 {
				case 0:
					harness.Until(t, "all lines arrive", func() bool { return c.Distinct(t) == n })
					f.Kill()
					f = forward(t, c.Addr, state, "sql="+path)
				case 1:
					f.Kill()
					f = forward(t, c.Addr, state, "sql="+path)
				default:
					for i := round; i > 0; i-- {
						_ = os.Rename(fmt.Sprintf("%s.%d", path, i), fmt.Sprintf("%s.%d", path, i+1))
					}
					if err := os.Rename(path, path+".1"); err != nil {
						t.Fatal(err)
					}
					deposit(t, string(encode("\ufeff")), path)
				}
			}
			harness.Until(t, "all lines arrive", func() bool { return c.Distinct(t) == n })
			f.Stop(t)
			c.Stop(t)
			if got := string(harness.Contents(t, dir, "sql")); got != want.String() {
				t.Errorf("%d bytes, want %d: %.300q", len(got), want.Len(), got)
			}
			auditAgrees(t, dir, state)
		})
	}
}

func appendBytes(t *testing.T, path string, data []byte) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
