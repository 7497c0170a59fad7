package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/rotate"
)

// TestGrepIsGnuGrep compares with GNU grep -aE on the same text, flag by flag.
func TestGrepIsGnuGrep(t *testing.T) {
	c := newCategory(t)
	c.open(rotate.Gzip, nil)
	c.append("one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n")
	c.append("eleven\n\nTwo\ntwo two\n\ttab\nx\xffy two\ntwelve\r\nthirteen")
	c.append("fourteen\ntwenty two\nlast")
	plain := filepath.Join(t.TempDir(), "web")
	if err := os.WriteFile(plain, c.want.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := [][]string{{}, {"-i"}, {"-v"}, {"-c"}, {"-c", "-v"}, {"-n"}, {"-n", "-v"}, {"-o"}, {"-o", "-n"}, {"-o", "-i"}, {"-q"}, {"-m", "1"}, {"-m", "2", "-A", "1"}, {"-m", "0"},
		{"-A", "1"}, {"-B", "1"}, {"-C", "1"}, {"-C", "3", "-n"}, {"-A", "2", "-B", "1", "-n"}, {"-B", "100"}, {"-A", "100"}, {"-c", "-m", "2"}, {"-F"}, {"-F", "-i", "-n"}, {"-e", "one"}, {"-v", "-C", "1", "-n"},
		{"-H"}, {"-H", "-n"}, {"-H", "-c"}, {"-n", "-m", "3", "-C", "2"}, {"-C", "0"}, {"-o", "-v"}, {"-o", "-c"}}
	for _, pattern := range []string{"two", "t[we]", "^$", "e", "nothing", "(two|ten)$", "x*", "", "^t", "Two", "two two"} {
		for _, f := range flags {
			args := append(append([]string{}, f...), "-e", pattern)
			if strings.Join(args, " ") == "-c -v -e " { // GNU grep prints no 0 there
				continue
			}
			want := new(bytes.Buffer)
			cmd := exec.Command("grep", append(append([]string{"-aE"}, args...), "web")...)
			for _, one := range f {
				if one == "-F" {
					cmd.Args[1] = "-a"
				}
			}
			cmd.Dir, cmd.Stdout, cmd.Env = filepath.Dir(plain), want, append(os.Environ(), "LC_ALL=C.UTF-8")
			_ = cmd.Run() // its code is looked at
			r := inkwell(t, nil, append(append([]string{"grep"}, args...), c.dir)...)
			if r.code != cmd.ProcessState.ExitCode() || r.stdout != want.String() {
				t.Errorf("grep %q: code %d and\n%q, GNU grep: %d and\n%q\n%s", args, r.code, r.stdout, cmd.ProcessState.ExitCode(), want, r.stderr)
			}
		}
	}
}

func TestGrepOfSeveral(t *testing.T) {
	c, d := newCategory(t), newCategory(t)
	c.open(rotate.Zstd, nil)
	d.open(rotate.Gzip, nil)
	for k := range 3 {
		c.append(fmt.Sprintf("c %d needle\nother\n", k))
		c.finish()
		d.append(fmt.Sprintf("d %d\n", k))
	}
	r := inkwell(t, nil, "grep", "-c", "needle", c.dir, d.dir)
	if r.code != 0 || r.stdout != "web:3\nweb:0\n" {
		t.Errorf("%+v", r)
	}
	if r = inkwell(t, nil, "grep", "-l", "needle", c.dir, d.dir); r.code != 0 || strings.Count(r.stdout, "\n") != 3 || strings.Contains(r.stdout, d.dir) {
		t.Errorf("%+v", r)
	}
	if r = inkwell(t, nil, "grep", "-m", "2", "needle", c.dir); r.stdout != "c 0 needle\nc 1 needle\n" {
		t.Errorf("%+v", r)
	}
	for _, args := range [][]string{{"grep"}, {"grep", "x"}, {"grep", "a(", c.dir}, {"grep", "-A", "-1", "x", c.dir}, {"grep", "--since", "blah", "x", c.dir}, {"grep", "-n", "--since", "1h", "x", c.dir},
		{"grep", "x", c.dir + "/none"}} {
		if r := inkwell(t, nil, args...); r.code != 2 || r.stderr == "" || r.stdout != "" {
			t.Errorf("%q: %+v", args, r)
		}
	}
	// With damage, everything intact is searched, and the exit code says that something is not.
	files, err := filesIn(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(files[1].Path)
	if err != nil {
		t.Fatal(err)
	}
	data[10] ^= 0xff
	if err := os.WriteFile(files[1].Path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if r = inkwell(t, nil, "grep", "needle", c.dir); r.code != 2 || r.stdout != "c 0 needle\nc 2 needle\n" || !strings.Contains(r.stderr, files[1].Path) {
		t.Errorf("%+v", r)
	}
}

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{"a\tb\n": "a\tb\n", "\x1b]0;title\a": `\x1b]0;title\x07`, "ü": "ü", "\xff": `\xff`, "\u009b31m": `\u009b31m`, "a\u202eb": `a\u202eb`, "\r": `\x0d`} {
		if got := string(appendVisible(nil, []byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
