package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tool runs one of the other names in this process.
func tool(t *testing.T, uid int, stdin string, name string, args ...string) result {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdin")
	if err := os.WriteFile(path, []byte(stdin), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out, errs bytes.Buffer
	a := &app{stdin: in, stdout: &out, screen: newScreen(&errs, func() int { return 0 }), uid: func() int { return uid },
		lookup: func(string) (string, bool) { return "", false }}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	code := a.as(ctx, name, args)
	return result{code: code, stdout: out.String(), stderr: errs.String()}
}

// closedAddr returns an address at which nobody listens.
const closedAddr = "127.0.0.1:1"

func TestNames(t *testing.T) {
	for _, name := range []string{"scribe_cat", "scribe_ctrl", "scribe_pipe", "rotatelogs"} {
		if r := tool(t, 0, "", name); r.code == 0 || strings.Contains(r.stdout+r.stderr, "inkwell --help") || r.stdout+r.stderr == "" {
			t.Errorf("%s is not what its name says: %+v", name, r)
		}
	}
	if r := tool(t, 0, "", "ink", "version"); r.code != 0 || !strings.HasPrefix(r.stdout, "inkwell ") {
		t.Errorf("another name: %+v", r)
	}
}

func TestScribeCat(t *testing.T) {
	const usage = "usage (message is stdin): scribe_cat [-h host[:port]] category\n"
	s := startFake(t, alive())
	later := startFake(t, map[string]string{"Log": i32Result(1)})
	odd := startFake(t, map[string]string{"Log": i32Result(7)})
	silent := startFake(t, nil)
	for _, c := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"-h", s.addr, "cat"}, 0, ""},
		{[]string{"-h", later.addr, "cat"}, 84, "TRY_LATER\n"},
		{[]string{"-h", odd.addr, "cat"}, 1, "Unknown error code.\n"},
		{nil, 1, usage},
		{[]string{"a", "b"}, 1, usage},
		{[]string{"-x", s.addr, "cat"}, 1, usage},
		{[]string{"-h", s.addr, "cat", "more"}, 1, usage},
	} {
		if r := tool(t, 0, "one\ntwo\x00\xff\n", "scribe_cat", c.args...); r != (result{code: c.code, stderr: c.stderr}) {
			t.Errorf("scribe_cat %q: %+v", c.args, r)
		}
	}
	for _, addr := range []string{closedAddr, silent.addr, "host:port", "127.0.0.1:0", "127.0.0.1:65536", "no.such.host.invalid"} {
		r := tool(t, 0, "line\n", "scribe_cat", "-h", addr, "cat")
		if r.code != 1 || r.stdout != "" || !strings.HasPrefix(r.stderr, "scribe_cat: ") || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: %+v; want one line and 1", addr, r)
		}
	}
	// list<struct> with one entry: category, message; then the end of the arguments
	want := "\x0f\x00\x01\x0c\x00\x00\x00\x01" + "\x0b\x00\x01" + thriftString("cat") + "\x0b\x00\x02" + thriftString("one\ntwo\x00\xff\n") + "\x00\x00"
	if len(s.frames) != 1 || s.frames[0] != want {
		t.Errorf("sent %q, want %q", s.frames, want)
	}
}

func TestCatTo(t *testing.T) {
	s := startFake(t, alive())
	later := startFake(t, map[string]string{"Log": i32Result(1)})
	if r := tool(t, 0, "", "inkwell", "cat-to", s.addr, "cat"); r != (result{}) {
		t.Errorf("nothing on standard input: %+v", r)
	}
	if r := tool(t, 0, "x", "inkwell", "cat-to", later.addr, "cat"); r != (result{code: 84, stderr: "TRY_LATER\n"}) {
		t.Errorf("TRY_LATER: %+v", r)
	}
	if r := tool(t, 0, "x", "inkwell", "cat-to", closedAddr, "cat"); r.code != 1 || !strings.HasPrefix(r.stderr, "inkwell cat-to: connect to ") {
		t.Errorf("nobody there: %+v", r)
	}
	if r := tool(t, 0, "x", "inkwell", "cat-to", s.addr); r.code != 2 || !strings.Contains(r.stderr, "CATEGORY is missing") {
		t.Errorf("%+v", r)
	}
	if r := tool(t, 0, "x", "inkwell", "cat-to", "a:b:c", "cat"); r.code != 2 {
		t.Errorf("%+v", r)
	}
	if want := "\x0f\x00\x01\x0c\x00\x00\x00\x01" + "\x0b\x00\x01" + thriftString("cat") + "\x0b\x00\x02" + thriftString("") + "\x00\x00"; s.frames[0] != want {
		t.Errorf("sent %q, want %q", s.frames[0], want)
	}
}

// TestCatToTooMuch sends nothing, and does not read without an end.
func TestCatToTooMuch(t *testing.T) {
	s := startFake(t, alive())
	zero, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer zero.Close()
	var errs bytes.Buffer
	a := &app{stdin: zero, stdout: &errs, screen: newScreen(&errs, func() int { return 0 }), lookup: func(string) (string, bool) { return "", false }}
	if code := a.as(t.Context(), "scribe_cat", []string{"-h", s.addr, "cat"}); code != 1 || !strings.Contains(errs.String(), "longer than 268431360 bytes") {
		t.Errorf("code %d, %s", code, &errs)
	}
	if called := s.methods(); len(called) != 0 {
		t.Errorf("called %q", called)
	}
}

func TestScribeAddr(t *testing.T) {
	for in, want := range map[string]string{
		"h": "h:1463", "h:1": "h:1", ":99": "127.0.0.1:99", "1.2.3.4": "1.2.3.4:1463", "::1": "[::1]:1463", "[::1]": "[::1]:1463", "[::1]:5": "[::1]:5",
		"h:": "", "h:x": "", "h:0": "", "h:70000": "", "a:b:c": "", "h:-1": "", "/run/s": "unix:/run/s", "unix:/run/s": "unix:/run/s",
	} {
		if got, err := scribeAddr(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestScribePipe(t *testing.T) {
	for _, args := range [][]string{nil, {"-h"}, {"-h", "a"}, {"a", "b"}, {"-x", "a", "c"}, {""}, {"-x"}, {"--help"}} {
		if r := tool(t, 0, "", "scribe_pipe", args...); r != (result{code: 1, stderr: scribePipeUsage + "\n"}) {
			t.Errorf("scribe_pipe %q: %+v", args, r)
		}
	}
	if r := tool(t, 0, "", "scribe_pipe", "-p", "x", "cat"); r.code != 1 || !strings.HasPrefix(r.stderr, "scribe_pipe: ") {
		t.Errorf("%+v", r)
	}
}
