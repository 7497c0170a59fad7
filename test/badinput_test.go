package test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"inkwell/test/harness"
)

func dialScribe(t *testing.T, addr string) *harness.Scribe {
	t.Helper()
	s, err := harness.DialScribe(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// mustLog sends entries in one call, which must be answered OK.
func mustLog(t *testing.T, s *harness.Scribe, entries ...harness.Entry) {
	t.Helper()
	if code, err := s.Log(entries...); err != nil || code != harness.OK {
		t.Fatalf("answer %d, %v", code, err)
	}
}

func TestCategoriesThatAreNoFileNames(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "a", "b", "out")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("n", 200)
	unsafe := []string{
		"../x", "../../x", "/abs", "a/b", "..", ".", ".hidden", "nul\x00", "new\nline", "\xff\xfe", long + "n", "../" + strings.Repeat("../", 300) + "tmp/x",
		"_unsafe", "_overflow",
	}
	c := ink.Collect(t, dir)
	s := dialScribe(t, c.Addr)
	var kept strings.Builder
	for i, category := range unsafe {
		mustLog(t, s, harness.Entry{Category: category, Message: fmt.Sprintf("message %d\n", i)}, harness.Entry{Category: "good", Message: fmt.Sprintln(i)})
		fmt.Fprintf(&kept, "%s message %d\n", strconv.Quote(category), i)
	}
	mustLog(t, s, harness.Entry{Message: "nobody will see this"}, harness.Entry{Category: long, Message: "the longest\n"}, harness.Entry{Message: "nor this"})
	mustLog(t, s, harness.Entry{Message: "nor a call of nothing else"})
	for name, want := range map[string]int64{"received blank category": 3, "received good": int64(2*len(unsafe) + 1)} {
		if n := c.Counter(t, name); n != want {
			t.Errorf("%s: %d, want %d", name, n, want)
		}
	}
	if n := c.Counter(t, "received unsafe category"); n == 0 {
		t.Error("unsafe categories are not counted")
	}
	c.Stop(t)
	harness.Clean(t, dir)
	if got := string(harness.Contents(t, dir, "_unsafe")); got != kept.String() {
		t.Errorf("_unsafe holds\n%swant\n%s", got, kept.String())
	}
	if got := string(harness.Contents(t, dir, long)); got != "the longest\n" {
		t.Errorf("the longest name holds %q", got)
	}
	want := []string{"_unsafe", "good", long}
	if names := directories(t, dir); fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("the output directory has %q, want %q", names, want)
	}
	for _, above := range []string{top, filepath.Join(top, "a"), filepath.Join(top, "a", "b")} {
		if names := directories(t, above); len(names) != 1 {
			t.Errorf("%s has %q", above, names)
		}
	}
}

// directories lists what is in dir, but for what begins with a dot.
func directories(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestMoreCategoriesThanAllowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir, "--max-categories", "5")
	s := dialScribe(t, c.Addr)
	var over strings.Builder
	for i := range 40 {
		category := fmt.Sprintf("c%02d", i%20)
		mustLog(t, s, harness.Entry{Category: category, Message: fmt.Sprintln(i)})
		if i%20 >= 5 {
			fmt.Fprintf(&over, "%q %d\n", category, i)
		}
	}
	if n := c.Counter(t, "_overflow:received good"); n != 30 {
		t.Errorf("%d entries are counted as overflow, want 30", n)
	}
	c.Stop(t)
	harness.Clean(t, dir)
	for i := range 5 {
		if got, want := string(harness.Contents(t, dir, fmt.Sprintf("c%02d", i))), fmt.Sprintf("%d\n%d\n", i, i+20); got != want {
			t.Errorf("c%02d holds %q, want %q", i, got, want)
		}
	}
	if got := string(harness.Contents(t, dir, "_overflow")); got != over.String() {
		t.Errorf("_overflow holds\n%swant\n%s", got, over.String())
	}
	if names := directories(t, dir); len(names) != 6 {
		t.Errorf("there are %q", names)
	}
}

// oddMessages are bytes that other programs have stumbled over.
func oddMessages() [][]byte {
	noise := make([]byte, 16<<20-1)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	return [][]byte{
		{}, {0}, []byte("\x00\x00\x00"), []byte("nul \x00 within\n"), []byte("\xff\xfe\x80 no UTF-8\n"), []byte("\n"), bytes.Repeat([]byte("\n"), 100_000),
		[]byte("no newline"), []byte("\r\n"), []byte("\x1f\x8b\x08 looks like gzip"), append(noise, '\n'), bytes.Repeat([]byte{0}, 1<<20), {},
	}
}

func TestMessagesComeOutAsTheyWentIn(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"gzip", "zstd", "none"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := ink.Collect(t, dir, "--compress", codec)
			s := dialScribe(t, c.Addr)
			var want []byte
			for _, m := range oddMessages() {
				mustLog(t, s, harness.Entry{Category: "odd", Message: string(m)})
				want = append(want, m...)
			}
			mustLog(t, s)
			c.Stop(t)
			harness.Clean(t, dir)
			if got := harness.Contents(t, dir, "odd"); !bytes.Equal(got, want) {
				t.Errorf("%d bytes came out of %d, equal up to %d", len(got), len(want), common(got, want))
			}
		})
	}
}

// common is how many bytes a and b begin with in common.
func common(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func TestOddLinesThroughTailAndPipe(t *testing.T) {
	t.Parallel()
	dir, in := t.TempDir(), t.TempDir()
	lines := bytes.Join(oddMessages(), nil)
	path := filepath.Join(in, "odd.log")
	harness.WriteFile(t, path, string(lines))
	c := ink.Collect(t, dir)
	f := ink.Run(t, "forward", "--once", "--to", c.Addr, "--state", filepath.Join(in, "state"), "tailed="+path)
	if f.Code != 0 {
		t.Errorf("forward ended with %d\n%s", f.Code, f.Stderr)
	}
	stdin, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	p := ink.RunCommand(t, harness.Command{Args: []string{"pipe", "--to", c.Addr, "--spool", filepath.Join(in, "spool"), "--echo", "--drain-timeout", "2m", "piped"}, Stdin: stdin})
	if p.Code != 0 || p.Stdout != string(lines) {
		t.Errorf("pipe ended with %d and echoed %d of %d bytes\n%s", p.Code, len(p.Stdout), len(lines), p.Stderr)
	}
	c.Stop(t)
	harness.Clean(t, dir)
	for category, want := range map[string][]byte{
		"tailed": bytes.TrimRight(lines, "\x00"), // NULs that end a file are no content yet
		"piped":  append(lines, '\n'),            // the last line has no end
	} {
		if got := harness.Contents(t, dir, category); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes came out of %d, equal up to %d", category, len(got), len(want), common(got, want))
		}
	}
}

func TestCommandLinesThatCannotWork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	harness.WriteFile(t, at("file"), "x\n")
	harness.WriteFile(t, at("newer/.inkwell/checkpoint"), `{"version":99,"low":0,"drained":0,"categories":{}}`)
	for _, name := range []string{"out", "readonly"} {
		if err := os.Mkdir(at(name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := ink.Collect(t, t.TempDir())
	for _, test := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"collect"}, 2, []string{"--dir DIR is missing", "--help"}},
		{[]string{"collect", "--dir", at("out"), "--max-size", "1 parsec"}, 2, []string{"--max-size", "1 parsec", "256MiB"}},
		{[]string{"collect", "--dir", at("out"), "--compress", "lzma"}, 2, []string{"lzma", "gzip", "zstd", "none"}},
		{[]string{"collect", "--dir", at("out"), "--durability", "maybe"}, 2, []string{"maybe", "sync", "write", "memory"}},
		{[]string{"collect", "--dir", at("out"), "--rotate", "often"}, 2, []string{"often", "hourly"}},
		{[]string{"collect", "--dir", at("out"), "--rotate-at", "25:00"}, 2, []string{"25:00", "HH:MM"}},
		{[]string{"collect", "--dir", at("out"), "--no-such-flag"}, 2, []string{"--no-such-flag", "--help"}},
		{[]string{"collect", "--dir", at("out"), "--max-categories", "0"}, 2, []string{"--max-categories"}},
		{[]string{"collect", "--dir", at("out"), "surplus"}, 2, []string{"surplus"}},
		{[]string{"colect"}, 2, []string{"colect", "collect"}},
		{[]string{"forward", "--state", at("s"), "a=b"}, 2, []string{"--to HOST:PORT is missing"}},
		{[]string{"forward", "--to", "127.0.0.1:1", "a=b"}, 2, []string{"--state DIR is missing"}},
		{[]string{"forward", "--to", "127.0.0.1:99999", "--state", at("s"), "a=b"}, 2, []string{"127.0.0.1:99999", "port"}},
		{[]string{"forward", "--to", "127.0.0.1:1", "--state", at("s")}, 2, []string{"CATEGORY=GLOB"}},
		{[]string{"forward", "--to", "127.0.0.1:1", "--state", at("s"), "no-equals-sign"}, 2, []string{"no-equals-sign", "CATEGORY=GLOB"}},
		{[]string{"forward", "--to", "127.0.0.1:1", "--state", at("s"), "--from", "middle", "a=b"}, 2, []string{"middle", "start", "end"}},
		{[]string{"pipe", "--to", "127.0.0.1:1"}, 2, []string{"CATEGORY"}},
		{[]string{"pipe", "--to", "127.0.0.1:1", "--when-full", "explode", "x"}, 2, []string{"explode", "block", "drop"}},
		{[]string{"collect", "--dir", at("file"), "--listen", "127.0.0.1:0"}, 1, []string{at("file"), "directory"}},
		{[]string{"collect", "--dir", at("out"), "--state", at("file"), "--listen", "127.0.0.1:0"}, 1, []string{at("file"), "directory"}},
		{[]string{"collect", "--dir", at("out"), "--listen", taken.Addr().String()}, 1, []string{taken.Addr().String(), "choose another port"}},
		{[]string{"collect", "--dir", at("newer"), "--listen", "127.0.0.1:0"}, 1, []string{"version 99", "checkpoint"}},
		{[]string{"forward", "--once", "--to", c.Addr, "--state", at("s"), "a=" + at("missing")}, 1, []string{at("missing"), "does not exist"}},
		{[]string{"forward", "--to", c.Addr, "--state", at("file"), "a=" + at("missing")}, 1, []string{at("file")}},
		{[]string{"cat", at("missing")}, 1, []string{at("missing"), "no such file"}},
		{[]string{"cat", at("out")}, 1, []string{at("out"), "no files of a collector yet"}},
		{[]string{"spool", "ls", at("missing")}, 1, []string{at("missing"), "no such file"}},
		{[]string{"collect", "--dir", c.Dir, "--listen", "127.0.0.1:0"}, 111, []string{c.Dir, "end the other"}},
	} {
		got := ink.Run(t, test.args...)
		if got.Code != test.code || got.Stdout != "" {
			t.Errorf("%q: ended with %d, want %d\n%s%s", test.args, got.Code, test.code, got.Stdout, got.Stderr)
		}
		for _, text := range test.says {
			if !strings.Contains(got.Stderr, text) {
				t.Errorf("%q: does not say %q:\n%s", test.args, text, got.Stderr)
			}
		}
	}
	c.Stop(t)
}

// TestUnwritableDirectories runs the program as another user: root may write anywhere.
func TestUnwritableDirectories(t *testing.T) {
	t.Parallel()
	const nobody = 65534
	dir := t.TempDir()
	for path := dir; path != os.TempDir() && len(path) > 1; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	private := filepath.Join(dir, "private.log")
	harness.WriteFile(t, private, "x\n")
	for _, args := range [][]string{
		{"collect", "--dir", dir, "--listen", "127.0.0.1:0"},
		{"collect", "--dir", dir, "--state", filepath.Join(dir, "state"), "--listen", "127.0.0.1:0"},
		{"forward", "--to", "127.0.0.1:1", "--state", filepath.Join(dir, "state"), "x=" + private},
		{"pipe", "--to", "127.0.0.1:1", "--spool", filepath.Join(dir, "spool"), "x"},
		{"pipe", "--to", "127.0.0.1:1", "--log-file", filepath.Join(dir, "log"), "x"},
	} {
		got := ink.RunCommand(t, harness.Command{Args: args, UID: nobody})
		if got.Code != 1 || !strings.Contains(got.Stderr, dir) || !strings.Contains(got.Stderr, "permission denied") || !strings.Contains(got.Stderr, "owner or mode") {
			t.Errorf("%q: ended with %d, want 1 and the cure\n%s", args, got.Code, got.Stderr)
		}
	}
}
