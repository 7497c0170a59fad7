package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"inkwell/forwarder"
	"inkwell/forwarder/lines"
	"inkwell/internal/faultfs"
)

// result is the outcome of one run of the program.
type result struct {
	code           int
	stdout, stderr string
}

// inkwell runs a command line in this process, with env as NAME=VALUE.
func inkwell(t *testing.T, env []string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	lookup := func(name string) (string, bool) {
		for _, e := range env {
			if n, v, _ := strings.Cut(e, "="); n == name {
				return v, true
			}
		}
		return "", false
	}
	a := &app{stdout: &out, screen: newScreen(&errs, func() int { return 0 }), lookup: lookup}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // in case it begins to work instead of failing
	defer cancel()
	code := a.main(ctx, args)
	return result{code: code, stdout: out.String(), stderr: errs.String()}
}

func TestUsageErrors(t *testing.T) {
	cases := []struct {
		env, args string
		want      string // of standard error
	}{
		{"", "colect", "did you mean collect?"},
		{"", "foo", "unknown command \"foo\"\n"},
		{"", "collect", "--dir DIR is missing"},
		{"", "collect --dir d extra", `"extra" is one argument too many`},
		{"", "collect --dir d --max-size lots", "256MiB"},
		{"", "collect --dir d --bogus", "--bogus"},
		{"", "collect -c f --dir d --keep 3d --log-level warn", "--dir, --keep beside -c: say it in f"},
		{"", "collect --dir d --compress lzma", "lzma"},
		{"", "collect --dir d --rotate fortnightly", "fortnightly"},
		{"", "collect --dir d --rotate-at 25:00", "25:00"},
		{"", "collect --dir d --durability maybe", "maybe"},
		{"", "collect --dir d --add-newlines sometimes", "sometimes"},
		{"", "collect --dir d --max-frame 3GiB", "between 1KiB and 256MiB"},
		{"", "collect --dir d --max-connections 0", "above 0"},
		{"INKWELL_KEEP=soon", "collect --dir d", "INKWELL_KEEP"},
		{"INKWELL_LOG_LEVEL=loud", "version", "INKWELL_LOG_LEVEL"},
		{"", "forward --state s a=b", "--to HOST:PORT is missing"},
		{"", "forward --to h:1 a=b", "--state DIR is missing"},
		{"", "forward --to h:1 --state s", "CATEGORY=GLOB is missing"},
		{"", "forward --to h:1 --state s web", "web"},
		{"", "forward --to h:1 --state s --from middle a=b", "must be start or end"},
		{"", "forward --to :1463 --state s a=b", `":1463": want HOST:PORT`},
		{"", "forward --to host:x:y --state s a=b", `"host:x:y": want HOST:PORT`},
		{"", "pipe --to unix: c", `"unix:": want HOST:PORT`},
		{"", "forward --to h:1 --state s --max-line 1GiB a=b", "between 1KiB and 64MiB"},
		{"", "pipe c", "--to HOST:PORT is missing"},
		{"", "pipe --to h:1", "CATEGORY is missing"},
		{"", "pipe --to h:1 --when-full explode c", "must be block or drop"},
		{"", "cat", "DIR/CATEGORY or FILE is missing"},
		{"", "spool ls", "DIR is missing"},
		{"", "spool frobnicate", `unknown command "frobnicate"`},
		{"", "--log-level loud version", "must be debug, info, warn or error"},
		{"", "colect --dir d", "did you mean collect?"},
		{"", "--dir d colect", "did you mean collect?"},
		{"", "colect --help", "did you mean collect?"},
		{"", "frobnicate -h", `unknown command "frobnicate"`},
		{"", "spool veryfi --help", "did you mean verify?"},
		{"", "ctl frobnicate", "want alive, counters, name, reload, status, stop, version, watch"},
		{"", "completion tcsh", `no completion for the shell "tcsh"`},
		{"", "help frobnicate", `unknown command "frobnicate"`},
		{"", "help spool frobnicate", `unknown command "frobnicate"`},
		{"", "help collect frobnicate", `"inkwell collect" has no command "frobnicate"`},
	}
	for _, c := range cases {
		r := inkwell(t, strings.Fields(c.env), strings.Fields(c.args)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, c.want) || !strings.Contains(r.stderr, "--help'") || r.stdout != "" {
			t.Errorf("%s inkwell %s: code %d, stdout %q, stderr %q; want code 2 and %q", c.env, c.args, r.code, r.stdout, r.stderr, c.want)
		}
	}
}

// TestUnknownVariables warns of a variable that has no effect because its name is wrong, and only of that.
func TestUnknownVariables(t *testing.T) {
	var out, errs bytes.Buffer
	a := &app{stdout: &out, screen: newScreen(&errs, func() int { return 0 }), lookup: func(string) (string, bool) { return "", false }}
	a.environ = func() []string {
		return []string{"INKWELL_SPOL=/x", "INKWELL_SPOOL=/x", "INKWELL_STATE=/x", "INKWELL_PORT_1463_TCP_ADDR=10.0.0.1", "INKWELL_TEST_KILLS=3", "HOME=/root", "INKWELL_FROBNICATE\x1b=1"}
	}
	if code := a.main(t.Context(), []string{"version"}); code != 0 {
		t.Errorf("code %d", code)
	}
	want := "inkwell: the variable INKWELL_SPOL stands for no flag and has no effect: did you mean INKWELL_SPOOL?\n" +
		"inkwell: the variable INKWELL_FROBNICATE\\x1b stands for no flag and has no effect\n"
	if errs.String() != want {
		t.Errorf("%q, want %q", errs.String(), want)
	}
}

// TestPortOfAddressesWithoutOne takes --to HOST as its port 1463, both in what runs and in what is printed.
func TestPortOfAddressesWithoutOne(t *testing.T) {
	r := inkwell(t, nil, "check", "--print", "--", "pipe", "--to", "localhost,tls://logs,unix:/run/s,h:15,::1", "c")
	if want := "service_list=localhost:1463 tls://logs:1463 unix:/run/s h:15 [::1]:1463\n"; r.code != 0 || !strings.Contains(r.stdout, want) {
		t.Errorf("%+v, want %q", r, want)
	}
}

// TestCompletionOfValues completes the values of flags, and offers files only where one is wanted.
func TestCompletionOfValues(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"collect --compress =", "gzip\nzstd\nnone\n:4\n"},
		{"forward --format =", "auto\ncri\ndocker\nnone\n:4\n"},
		{"health --format =", "nagios\njson\n:4\n"},
		{"stats --format =", "combined\ncommon\njson\nlogfmt\nsyslog\nregexp=\n:4\n"},
		{"completion =", "bash\nzsh\nfish\n:4\n"},
		{"pipe --when-full =", "block\ndrop\n:4\n"},
		{"collect --dir =", ":16\n"},
		{"collect --tls-key =", "pem\nkey\n:8\n"},
		{"check =", "conf\n:8\n"},
		{"pipe =", ":4\n"},
		{"spool verify =", ":16\n"},
	} {
		args := append([]string{"__complete"}, strings.Fields(strings.TrimSuffix(c.line, "="))...)
		if r := inkwell(t, nil, append(args, "")...); r.code != 0 || r.stdout != c.want {
			t.Errorf("%s: code %d, %q, want %q", c.line, r.code, r.stdout, c.want)
		}
	}
}

func TestFailuresBeforeAnythingIsAccepted(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"collect", "--dir", filepath.Join(file, "below"), "--listen", "127.0.0.1:0"},
		{"collect", "--dir", filepath.Join(dir, "out"), "--listen", "127.0.0.1:0", "--log-file", filepath.Join(file, "log")},
		{"forward", "--to", "127.0.0.1:1", "--state", filepath.Join(file, "below"), "a=b"},
		{"forward", "--once", "--to", "127.0.0.1:1", "--state", filepath.Join(dir, "state"), "a=" + filepath.Join(dir, "missing")},
		{"pipe", "--to", "127.0.0.1:1", "--spool", filepath.Join(file, "below"), "c"},
		{"cat", filepath.Join(dir, "missing")},
		{"spool", "ls", filepath.Join(dir, "missing")},
	} {
		if r := inkwell(t, nil, args...); r.code != exitFailed || !strings.HasPrefix(r.stderr, "inkwell "+args[0]) || strings.Contains(r.stderr, "--help") {
			t.Errorf("inkwell %v: code %d, stderr %q; want code 1 and what is wrong", args, r.code, r.stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking at a directory that is not there made it: %v", err)
	}
}

func TestStateInUse(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{"collect", "--dir", dir, "--state", dir, "--listen", "127.0.0.1:0"},
		{"forward", "--to", "127.0.0.1:1", "--state", dir, "a=b"},
	} {
		d, err := faultfs.OpenDir(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		lock, err := d.Lock("lock")
		if err != nil {
			t.Fatal(err)
		}
		r := inkwell(t, nil, args...)
		if r.code != exitLocked || !strings.Contains(r.stderr, "in use by another process") {
			t.Errorf("inkwell %v: code %d, stderr %q", args, r.code, r.stderr)
		}
		if err := errors.Join(lock.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExitCodes(t *testing.T) {
	cmd := &cobra.Command{Use: "inkwell"}
	for _, c := range []struct {
		err  error
		code int
		says string
	}{
		{nil, exitOK, ""},
		{fmt.Errorf("write: %w", errReaderGone), exitOK, ""},
		{errors.New("broken"), exitFailed, "broken"},
		{usagef("bad %s", "flag"), exitUsage, "--help"},
		{fmt.Errorf("drain: %w", forwarder.ErrLeftInSpool), exitLeft, "left in the spool"},
		{fmt.Errorf("open: %w", faultfs.ErrLocked), exitLocked, "another process"},
		{&os.PathError{Op: "open", Path: "f", Err: syscall.EACCES}, exitFailed, "Run as a user"},
		{&os.PathError{Op: "open", Path: "f", Err: syscall.EROFS}, exitFailed, "read-only"},
		{&os.PathError{Op: "write", Path: "f", Err: syscall.ENOSPC}, exitFailed, "Make room"},
	} {
		var errs bytes.Buffer
		a := &app{running: true, screen: newScreen(&errs, func() int { return 0 })}
		if code := a.finish(cmd, c.err); code != c.code || !strings.Contains(errs.String(), c.says) || (c.says == "" && errs.Len() > 0) {
			t.Errorf("%v: code %d, said %q; want %d and %q", c.err, code, errs.String(), c.code, c.says)
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	a := &app{screen: newScreen(&bytes.Buffer{}, func() int { return 0 })}
	var look func(cmd *cobra.Command, path []string)
	look = func(cmd *cobra.Command, path []string) {
		r := inkwell(t, nil, append(path, "--help")...)
		if r.code != exitOK || cmd.Example == "" || !strings.Contains(r.stdout, cmd.Example) || !strings.Contains(r.stdout, "--log-file") {
			t.Errorf("inkwell %v --help: code %d, no example or flag in %q", path, r.code, r.stdout)
		}
		for _, sub := range cmd.Commands() {
			look(sub, append(path[:len(path):len(path)], sub.Name()))
		}
	}
	look(a.root(), nil)
}

func TestDefaultsAndEnvironment(t *testing.T) {
	r := inkwell(t, nil, "collect", "--help")
	for _, want := range []string{"default [127.0.0.1:1463]", "default gzip", "default daily", "default 00:00", "default 1GB", "default sync", "default never", "default 64MiB"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("the help of collect does not say %q", want)
		}
	}
	dir := t.TempDir()
	env := []string{"INKWELL_TO=127.0.0.1:1", "INKWELL_STATE=" + filepath.Join(dir, "state"), "INKWELL_ONCE=true"}
	missing := filepath.Join(dir, "missing")
	if r := inkwell(t, env, "forward", "a="+missing); r.code != exitFailed || !strings.Contains(r.stderr, missing) {
		t.Errorf("variables in the place of flags: code %d, %q", r.code, r.stderr)
	}
	if r := inkwell(t, append(env, "INKWELL_TO=bad"), "forward", "--to", "bad:x", "a="+missing); r.code != exitUsage {
		t.Errorf("a flag does not beat the variable: code %d, %q", r.code, r.stderr)
	}
}

func TestVersionAndCompletion(t *testing.T) {
	if r := inkwell(t, nil, "version"); r.code != 0 || !strings.HasPrefix(r.stdout, "inkwell ") {
		t.Errorf("version: %+v", r)
	}
	for shell, want := range map[string]string{"bash": "complete -o default", "zsh": "#compdef inkwell", "fish": "complete -c inkwell"} {
		if r := inkwell(t, nil, "completion", shell); r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("completion %s: code %d, %q, want %q", shell, r.code, r.stderr, want)
		}
	}
}

// TestTailBlocksHaveTheirOwnChoices reads a configuration whose <tail> blocks differ; a flag overrides them.
func TestTailBlocksHaveTheirOwnChoices(t *testing.T) {
	file := filepath.Join(t.TempDir(), "forward.conf")
	text := "inkwell 1\nmax_categories=9\n<tail>\ncategory=a\npath=/a\nfrom_end=yes\nmax_line=1KiB\nformat=cri\nexclude=x\n</tail>\n<tail>\ncategory=b\npath=/b\n</tail>\n" +
		"<store>\ncategory=default\ntype=network\nremote_host=logs\nremote_port=1463\n</store>\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{screen: newScreen(&bytes.Buffer{}, func() int { return 0 }), lookup: func(string) (string, bool) { return "", false }}
	of := func(longest int) lines.Options {
		return lines.Options{MaxLine: longest, MaxLines: 500, Wait: 5 * time.Second}
	}
	for _, c := range []struct {
		args   []string
		change func(a, b *forwarder.Input)
	}{
		{[]string{"--once"}, func(*forwarder.Input, *forwarder.Input) {}},
		{[]string{"--max-line=2KiB"}, func(a, b *forwarder.Input) { a.Lines.MaxLine, b.Lines.MaxLine = 0, 0 }},
		{[]string{"--exclude=y", "--exclude=z"}, func(a, b *forwarder.Input) { a.Exclude, b.Exclude = []string{"x", "y", "z"}, []string{"y", "z"} }},
		{[]string{"--format=docker", "--encoding=utf-16le", "--stamp", "--multiline-start=^x", "--multiline-lines=3", "--multiline-wait=1s"},
			func(a, b *forwarder.Input) {
				o := lines.Options{Encoding: lines.UTF16LE, Format: lines.Docker, Stamp: true, Start: "^x", MaxLines: 3, Wait: time.Second}
				a.Lines, b.Lines = o, o
				a.Lines.MaxLine, b.Lines.MaxLine = 1<<10, 16<<20
			}},
	} {
		cmd := a.forward()
		if err := cmd.ParseFlags(c.args); err != nil {
			t.Fatal(err)
		}
		conf, hop, err := readForwarding(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := &forwarding{c: conf, hop: hop, file: file, flags: lineFlagsOf(t, c.args), feeds: new(feedFlags)}
		if err := w.configure(cmd, a.lookup); err != nil {
			t.Fatal(err)
		}
		o := &w.o
		want := []forwarder.Input{{Category: "a", Glob: "/a", FromEnd: true, Exclude: []string{"x"}, Lines: of(1 << 10)}, {Category: "b", Glob: "/b", Lines: of(16 << 20)}}
		want[0].Lines.Format = lines.CRI
		c.change(&want[0], &want[1])
		if !reflect.DeepEqual(o.Inputs, want) || o.FromEnd || o.MaxCategories != 9 {
			t.Errorf("%s: %+v, want %+v", c.args, o.Inputs, want)
		}
	}
}

func lineFlagsOf(t *testing.T, args []string) *lineFlags {
	t.Helper()
	f, flags := new(lineFlags), pflag.NewFlagSet("", pflag.ContinueOnError)
	f.register(flags)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestASenderKeepsWhatItCannotSend refuses a buffer whose spool would depend on the working directory.
func TestASenderKeepsWhatItCannotSend(t *testing.T) {
	file := filepath.Join(t.TempDir(), "forward.conf")
	text := "inkwell 1\n<tail>\ncategory=a\npath=/a\n</tail>\n<store>\ncategory=default\ntype=buffer\n<primary>\ntype=network\nremote_host=logs\nremote_port=1463\n</primary>\n<secondary>\ntype=null\n</secondary>\n</store>\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := inkwell(t, nil, "forward", "-c", file, "--state", t.TempDir()); r.code != 1 || !strings.Contains(r.stderr, file+":6: what cannot be sent is kept on disk") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
}
