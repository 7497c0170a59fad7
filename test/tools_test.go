package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

// must runs the program, which must end with 0, and returns what it printed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	got := ink.Run(t, args...)
	if got.Code != 0 {
		t.Fatalf("%q ended with %d\n%s", args, got.Code, got.Stderr)
	}
	return got.Stdout
}

func TestCatPrintsACategoryInOrder(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"gzip", "zstd", "none"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := ink.Collect(t, dir, "--compress", codec, "--max-size", "64KiB", "--keep-open")
			s := dialScribe(t, c.Addr)
			const lines = 2000
			for from := 0; from < lines; from += 100 {
				var entries []harness.Entry
				for i := range 100 {
					entries = append(entries, harness.Entry{Category: "web", Message: string(harness.AppendLine(nil, "cat", from+i))})
				}
				mustLog(t, s, entries...)
			}
			category := filepath.Join(dir, "web")
			want := string(harness.Lines("cat", 0, lines))
			c.Stop(t) // leaves the last file open
			if codec != "none" && len(harness.Unfinished(t, dir)) != 1 {
				t.Errorf("open files: %q, want one", harness.Unfinished(t, dir))
			}
			if got := must(t, "cat", category); got != want {
				t.Errorf("%d bytes, want %d, equal up to %d", len(got), len(want), common([]byte(got), []byte(want)))
			}
			files := harness.Published(t, dir, "web")
			if len(files) < 2 {
				t.Fatalf("only %d finished files", len(files))
			}
			for _, path := range files {
				if st, err := os.Stat(path); err != nil || st.Size() > 64<<10 {
					t.Errorf("%s is larger than --max-size, or %v", path, err)
				}
			}
			first, err := harness.Read(files[0])
			if err != nil {
				t.Fatal(err)
			}
			second, err := harness.Read(files[1])
			if err != nil {
				t.Fatal(err)
			}
			if got := must(t, "cat", files[1], files[0]); got != string(second)+string(first) {
				t.Error("two files by name are not printed as they were named")
			}
		})
	}
}

// tape is a buffer that a process writes to while it is looked at.
type tape struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *tape) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *tape) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestCatFollows(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"gzip", "none"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := ink.Collect(t, dir, "--compress", codec, "--max-size", "32KiB")
			s := dialScribe(t, c.Addr)
			mustLog(t, s, harness.Entry{Category: "web", Message: string(harness.Lines("f", 0, 1))})
			category := filepath.Join(dir, "web")
			harness.Until(t, "the category has a file", func() bool {
				names, err := os.ReadDir(category)
				return err == nil && len(names) > 0
			})
			out := new(tape)
			f := ink.Start(t, harness.Command{Args: []string{"cat", "-f", "--from", "start", category}, Stdout: out})
			const calls, each = 10, 50
			for call := range calls {
				mustLog(t, s, harness.Entry{Category: "web", Message: string(harness.Lines("f", 1+call*each, 1+(call+1)*each))})
			}
			c.Stop(t) // finishes the last file
			want := string(harness.Lines("f", 0, 1+calls*each))
			harness.Until(t, "all is printed", func() bool { return len(out.String()) >= len(want) })
			f.Signal(os.Interrupt)
			f.Wait(t)
			if got := out.String(); got != want {
				t.Errorf("%d bytes, want %d, equal up to %d", len(got), len(want), common([]byte(got), []byte(want)))
			}
		})
	}
}

func TestSpoolTools(t *testing.T) {
	t.Parallel()
	dir, in := t.TempDir(), t.TempDir()
	parts := []string{string(harness.Lines("spooled", 0, 500)) + "odd \x00\xff bytes\n", string(harness.Lines("spooled", 500, 1000))}
	text := strings.Join(parts, "")
	for i, part := range parts { // two groups at least: damage in the last one is a torn write, which is no damage
		path := filepath.Join(in, fmt.Sprint(i))
		harness.WriteFile(t, path, part)
		stdin, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		p := ink.RunCommand(t, harness.Command{Args: []string{"pipe", "--to", harness.FreeAddr(t), "--spool", dir, "--drain-timeout", "0s", "web"}, Stdin: stdin})
		if p.Code != 75 {
			t.Fatalf("the pipe ended with %d, want 75\n%s", p.Code, p.Stderr)
		}
		if err := stdin.Close(); err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t, dir)
	if got := must(t, "spool", "cat", dir); got != text {
		t.Errorf("cat prints %d bytes, want %d", len(got), len(text))
	}
	if got := must(t, "spool", "ls", dir); !strings.Contains(got, ".log") || !strings.Contains(got, "waiting") {
		t.Errorf("ls does not show a segment that waits:\n%s", got)
	}
	if got := must(t, "spool", "verify", dir); !strings.Contains(got, "1001") {
		t.Errorf("verify does not tell of 1001 entries:\n%s", got)
	}
	var messages strings.Builder
	last := int64(-1)
	lines := strings.Split(strings.TrimSuffix(must(t, "spool", "export", dir), "\n"), "\n")
	for i, line := range lines {
		var e struct {
			Category, Message string
			Base64            []byte `json:"message_base64"`
			Offset            int64
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("line %d: %v", i, err)
		}
		if e.Category != "web" || e.Offset <= last {
			t.Errorf("line %d: %s", i, line)
		}
		last = e.Offset
		messages.WriteString(e.Message + string(e.Base64))
	}
	if len(lines) != 1001 || messages.String() != text {
		t.Errorf("export prints %d entries of %d bytes", len(lines), messages.Len())
	}
	if after := tree(t, dir); after != before {
		t.Errorf("the tools changed the spool:\n%s\nbefore:\n%s", after, before)
	}

	segments, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments: %v, %v", segments, err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, harness.AppendLine(nil, "spooled", 10))
	data[at+5] ^= 1
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"verify", "cat", "export"} {
		if got := ink.Run(t, "spool", tool, dir); got.Code != 1 || !strings.Contains(got.Stdout+got.Stderr, filepath.Base(segments[0])) {
			t.Errorf("spool %s of a damaged spool ended with %d, want 1 and the segment:\n%s%.500s", tool, got.Code, got.Stderr, got.Stdout)
		}
	}
}

// tree tells names and sizes of what is below dir.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, e.Name(), info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}

func TestVersionHelpAndCompletion(t *testing.T) {
	t.Parallel()
	if got := must(t, "version"); !strings.HasPrefix(got, "inkwell ") || strings.Count(got, "\n") != 1 {
		t.Errorf("version prints %q", got)
	}
	for _, command := range []string{"collect", "forward", "pipe", "cat", "spool ls", "spool verify", "spool cat", "spool export", "version"} {
		help := must(t, append(strings.Fields(command), "--help")...)
		for _, text := range []string{"Usage:", "Examples:", "inkwell " + command, "--log-level", "--log-file"} {
			if !strings.Contains(help, text) {
				t.Errorf("%s --help does not have %q:\n%s", command, text, help)
			}
		}
	}
	script := filepath.Join(t.TempDir(), "inkwell.bash")
	harness.WriteFile(t, script, must(t, "completion", "bash"))
	harness.Tool(t, "bash", "-n", script)
	if got := must(t, "__complete", "collect", "--max-s"); !strings.Contains(got, "--max-size") {
		t.Errorf("completion of --max-s: %q", got)
	}
	pages := t.TempDir()
	must(t, "man", pages)
	if page, err := os.ReadFile(filepath.Join(pages, "inkwell-collect.1")); err != nil || !bytes.Contains(page, []byte(`max\-size`)) {
		t.Errorf("man page: %v", err)
	}
}

func TestFlagsFromTheEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr := harness.FreeAddr(t)
	c := &harness.Collector{Addr: addr, Dir: dir}
	c.Process = ink.Start(t, harness.Command{Args: []string{"collect", "--compress", "none"}, Env: []string{
		"INKWELL_DIR=" + dir, "INKWELL_LISTEN=" + addr, "INKWELL_COMPRESS=zstd", "INKWELL_ROTATE=never", "INKWELL_ADD_NEWLINES=if-missing", "INKWELL_MAX_SIZE=",
	}})
	c.Listening(t)
	mustLog(t, dialScribe(t, addr), harness.Entry{Category: "env", Message: "no newline"}, harness.Entry{Category: "env", Message: "one\n"})
	c.Stop(t)
	got, err := os.ReadFile(filepath.Join(dir, "env", "env_00000")) // plain, because a flag beats the variable
	if err != nil || string(got) != "no newline\none\n" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	bad := ink.RunCommand(t, harness.Command{Args: []string{"collect", "--dir", dir}, Env: []string{"INKWELL_MAX_SIZE=much"}})
	if bad.Code != 2 || !strings.Contains(bad.Stderr, "INKWELL_MAX_SIZE") {
		t.Errorf("ended with %d\n%s", bad.Code, bad.Stderr)
	}
}

func TestLogFileIsOpenedAnewOnHangup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(t.TempDir(), "inkwell.log")
	c := ink.Collect(t, dir, "--log-file", log)
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	c.Signal(syscall.SIGHUP)
	harness.Until(t, "there is a new log file", func() bool {
		text, err := os.ReadFile(log)
		return err == nil && len(text) > 0
	})
	c.Stop(t)
	if c.Stderr() != "" {
		t.Errorf("standard error has\n%s", c.Stderr())
	}
	for _, name := range []string{log, log + ".1"} {
		if text, err := os.ReadFile(name); err != nil || !bytes.Contains(text, []byte("level=INFO")) {
			t.Errorf("%s holds %q, %v", name, text, err)
		}
	}
}
