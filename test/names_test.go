package test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// as makes a link of another name to the program.
func as(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(ink.Path, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// runAs runs the program by another name, with text on standard input.
func runAs(t *testing.T, stdin, name string, args ...string) (stdout string, p *harness.Process) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdin")
	harness.WriteFile(t, path, stdin)
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out strings.Builder
	p = ink.Start(t, harness.Command{Program: as(t, name), Args: args, Stdin: in, Stdout: &out})
	p.Wait(t)
	return out.String(), p
}

// TestScribesToolsByName uses the tools of the original, by their names, on a collector.
func TestScribesToolsByName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	_, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if out, p := runAs(t, "", "scribe_ctrl", "status", port); out != "ALIVE\n" || p.Stderr() != "" {
		t.Errorf("status: %q, %q", out, p.Stderr())
	} else {
		p.Expect(t, 2)
	}
	_, p := runAs(t, "one\ntwo\n", "scribe_cat", "-h", c.Addr, "cat")
	p.Expect(t, 0)
	_, p = runAs(t, "three\nfour", "scribe_pipe", "-h", c.Addr, "cat")
	p.Expect(t, 0)
	if out, _ := runAs(t, "", "scribe_ctrl", "counters", port); !strings.Contains(out, "cat:received good: 3\n") {
		t.Errorf("counters: %q", out)
	}
	if out, p := runAs(t, "", "scribe_ctrl", "name", port); out == "" {
		t.Errorf("no name: %s", p.Stderr())
	}
	c.Stop(t)
	if got, want := string(harness.Contents(t, dir, "cat")), "one\ntwo\nthree\nfour\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	out, p := runAs(t, "", "scribe_ctrl", "status", port)
	p.Expect(t, 3)
	if out != "Failed to get status\n" {
		t.Errorf("status of nobody: %q", out)
	}
}

// TestEveryCounterIsExplained asks servers of each kind for their counters: docs/operating.md has a line for each, and
// Prometheus a name, a type and a help text.
func TestEveryCounterIsExplained(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	collect := ink.Collect(t, t.TempDir())
	_, port, _ := strings.Cut(collect.Addr, ":")
	network := "type=network\nremote_host=127.0.0.1\nremote_port=" + port + "\n"
	s := ink.Scribed(t, globals+"<store>\ncategory=relayed\ntype=buffer\nretry_interval=1\n<primary>\n"+network+"</primary>\n<secondary>\ntype=file\nfile_path={DIR}/buffer\n</secondary>\n</store>\n"+
		"<store>\ncategory=direct\n"+network+"</store>\n<store>\ncategory=thrift\ntype=thriftfile\nfile_path={DIR}/out\n</store>\n<store>\ncategory=none\ntype=null\n</store>\n")
	c := dialScribe(t, s.Addr)
	for _, category := range []string{"relayed", "direct", "thrift", "none", "unknown", "", "../x"} {
		mustLog(t, c, harness.Entry{Category: category, Message: "m\n"})
	}
	s.Reaches(t, "scribe_overall:sent", 2)
	d := dialScribe(t, collect.Addr)
	mustLog(t, d, harness.Entry{Category: "../x", Message: "m\n"}, harness.Entry{Message: "blank"})
	theirs, err := d.Counters()
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, counters := range []map[string]int64{s.Counters(t), theirs} {
		for name := range counters {
			names[name[strings.LastIndex(name, ":")+1:]] = true
		}
	}
	for name := range names {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("%q is not explained", name)
		}
	}
	for _, addr := range []string{s.Addr, collect.Addr} {
		for line := range strings.Lines(httpGet(t, "http://"+addr+"/metrics")) {
			if strings.HasPrefix(line, "# TYPE ") && strings.HasSuffix(line, " untyped\n") {
				t.Errorf("internal/metrics/names.go has no line for the counter behind %q", line)
			}
		}
	}
	if len(names) < 30 {
		t.Errorf("only %d counters: %v", len(names), names)
	}
}
