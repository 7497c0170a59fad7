package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestApacheLogIsTheSameEachTime(t *testing.T) {
	a, err := io.ReadAll(newApacheLog(7, 300_000))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(newApacheLog(7, 300_000))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("two runs differ")
	}
	if len(a) < 300_000 || len(a) > 301_000 || a[len(a)-1] != '\n' {
		t.Errorf("%d bytes, ending in %q", len(a), a[len(a)-1])
	}
	if c, _ := io.ReadAll(newApacheLog(8, 300_000)); bytes.Equal(a, c) {
		t.Error("another seed makes the same lines")
	}
}

func TestCompare(t *testing.T) {
	long := strings.Repeat("a line\n", 100_000)
	cases := []struct{ name, got, want, problem string }{
		{"same", long, long, ""},
		{"nothing", "", "", ""},
		{"missing at the end", long[:len(long)-7], long, "line 100000 (byte 699993) and what follows is missing"},
		{"all missing", "", "a\n", "line 1 (byte 0) and what follows is missing"},
		{"twice", long + "a line\n", long, "there is more behind line 100000"},
		{"different", long + "b line\n", long + "a line\n", "line 100001 (byte 700000) is not what was sent"},
		{"missing inside", "a\nc\n", "a\nb\nc\n", "line 2 (byte 2) is not what was sent"},
	}
	for _, c := range cases {
		lines, size, err := compare(strings.NewReader(c.got), strings.NewReader(c.want))
		switch {
		case c.problem == "" && (err != nil || lines != int64(strings.Count(c.want, "\n")) || size != int64(len(c.want))):
			t.Errorf("%s: %d lines, %d bytes, %v", c.name, lines, size, err)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.problem)
		}
	}
}

func zipped(t *testing.T, path, text string) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, text)
	if err := errors.Join(err, z.Close(), os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestProve(t *testing.T) {
	out := t.TempDir()
	if err := os.Mkdir(filepath.Join(out, "web"), 0o755); err != nil {
		t.Fatal(err)
	}
	src := source{category: "web", path: filepath.Join(out, "in"), size: 5}
	if err := os.WriteFile(src.path, []byte("a\nb\nc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := prove(out, src); err == nil {
		t.Error("a category without files passes")
	}
	zipped(t, filepath.Join(out, "web", "web-2026-11-23_00000.gz"), "a\nb\n")
	zipped(t, filepath.Join(out, "web", "web-2026-11-23_00001.gz"), "c\n") // the newline that an unfinished last line gets
	if lines, size, err := prove(out, src); err != nil || lines != 3 || size != 6 {
		t.Errorf("%d lines, %d bytes, %v", lines, size, err)
	}
	zipped(t, filepath.Join(out, "web", "web-2026-11-23_00002.gz"), "c\n")
	if _, _, err := prove(out, src); err == nil || !strings.Contains(err.Error(), "more behind line 3") {
		t.Errorf("a line that is there twice: %v", err)
	}
}

func TestRealLogsTakesTextOnly(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{"a.log": "one\ntwo\n", "empty": "", "wtmp": "\x00\x01", "sub/ü b.log": "drei\n"} {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	sources, err := realLogs(root, dir)
	if err != nil || len(sources) != 2 {
		t.Fatalf("%v, %v", sources, err)
	}
	if sources[0].category != "varlog00.a.log" || sources[0].size != 8 || sources[1].category != "varlog01.sub.__b.log" {
		t.Errorf("%+v", sources)
	}
}

func TestEscapeGlobMatchesOnlyThePath(t *testing.T) {
	name := `odd [x]*?\ name`
	if ok, err := filepath.Match(escapeGlob(name), name); !ok || err != nil {
		t.Errorf("%q does not match: %v", name, err)
	}
	if ok, _ := filepath.Match(escapeGlob("a*"), "ab"); ok {
		t.Error("the wildcard still works")
	}
}
