package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// allBelow lists what is in a directory and below.
func allBelow(t *testing.T, root string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestReadingMakesNothing: no command that reads makes a directory or a file, neither where it looks for the state of a
// collector nor where there is nothing.
func TestReadingMakesNothing(t *testing.T) {
	root := t.TempDir()
	web := filepath.Join(root, "web")
	if err := os.MkdirAll(web, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(web, "web-2026-11-29_00000"), []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := allBelow(t, root)
	for _, args := range [][]string{
		{"ls", root}, {"ls", web}, {"ls", filepath.Join(root, "no")}, {"cat", web}, {"cat", "--since", "1h", web}, {"cat", filepath.Join(root, "no")},
		{"grep", "-c", "one", root}, {"stats", "--format", "logfmt", "--by", "a", web}, {"verify", root}, {"audit", root}, {"audit", root, "--verify"},
		{"wait", "--timeout", "1ms", web, "yesterday"}, {"wait", "--timeout", "1ms", filepath.Join(root, "no"), "yesterday"},
		{"wait", "--timeout", "1ms", filepath.Join(web, "web-2026-11-29_00000"), "yesterday"}, {"cat", "--dedupe", web},
	} {
		inkwell(t, nil, args...)
		if after := allBelow(t, root); !slices.Equal(after, before) {
			t.Fatalf("%q made %q of %q", args, after, before)
		}
	}
	t.Chdir(root)
	if here, there := inkwell(t, nil, "ls"), inkwell(t, nil, "ls", root); here.code != 0 || here.stdout != there.stdout || !strings.Contains(here.stdout, "web") {
		t.Errorf("ls of the current directory: %+v", here)
	}
	if r := inkwell(t, nil, "wait", filepath.Join(web, "web-2026-11-29_00000"), "yesterday"); r.code != exitUsage || !strings.Contains(r.stderr, "is a file") {
		t.Errorf("wait for a file: %+v", r)
	}
}

// TestMislabelledFiles: what can be read is read, whatever the name says, verify tells, and what is encrypted is told as
// what it is.
func TestMislabelledFiles(t *testing.T) {
	web := filepath.Join(t.TempDir(), "web")
	if err := os.MkdirAll(web, 0o755); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for k := range 500 {
		fmt.Fprintf(&text, "line %d äöü \x1b[31m\n", k)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(text.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 100_000)
	random := rand.NewChaCha8([32]byte{14})
	if _, err := random.Read(noise); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"web-2026-11-29_00000.gz": text.Bytes(), "web-2026-11-29_00001.zst": packed.Bytes(), "web-2026-11-29_00002.gz": enc.EncodeAll(text.Bytes(), nil),
		"web-2026-11-29_00003.gz": noise, "web-2026-11-29_00004.gz": packed.Bytes(), "web-2026-11-29_00005.gz": append(make([]byte, 512), packed.Bytes()[512:]...),
	} {
		if err := os.WriteFile(filepath.Join(web, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := inkwell(t, nil, "cat", web)
	if r.code != 1 || r.stdout != strings.Repeat(text.String(), 4) || !strings.Contains(r.stderr, "00003.gz: it does not begin as a gzip file does") ||
		!strings.Contains(r.stderr, "00005.gz") || strings.Contains(r.stderr, "00000.gz") {
		t.Errorf("cat: exit code %d, %d bytes\n%s", r.code, len(r.stdout), r.stderr)
	}
	if r := inkwell(t, nil, "grep", "-c", "^line", web); r.code != exitUsage || r.stdout != "2000\n" {
		t.Errorf("grep: %+v", r)
	}
	r = inkwell(t, nil, "verify", web)
	for _, want := range []string{"00000.gz: its name says gzip", "00001.zst: its name says zstd", "00002.gz: its name says gzip"} {
		if !strings.Contains(r.stdout+r.stderr, want) {
			t.Errorf("verify does not say %q\n%s%s", want, r.stdout, r.stderr)
		}
	}
}

// TestFilesOfOtherKinds: what is compressed or encrypted in another way is told, and its bytes are not printed as text.
func TestFilesOfOtherKinds(t *testing.T) {
	for begins, says := range map[string]string{
		"BZh91AY&SY": "bzcat", "\xfd7zXZ\x00\x00\x04": "xzcat", "PK\x03\x04\x14": "unzip -p", "Salted__\x01": "encrypted", "\x04\x22\x4d\x18": "lz4",
	} {
		path := filepath.Join(t.TempDir(), "access.log.gz")
		if err := os.WriteFile(path, []byte(begins+"\x00\x01\x02 and more\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"cat", path}, {"grep", "more", path}, {"stats", path}} {
			if r := inkwell(t, nil, args...); r.code == exitOK || r.stdout != "" || !strings.Contains(r.stderr, says) {
				t.Errorf("%q of %q: %+v", args[0], begins, r)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(path, []byte("BZh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := inkwell(t, nil, "cat", path); r.code != exitOK || r.stdout != "BZh\n" {
		t.Errorf("a short text: %+v", r)
	}
}
