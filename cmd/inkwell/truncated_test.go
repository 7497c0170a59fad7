package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTruncatedForeignFile cuts a file of gzip at many bytes: cat prints at least what gzip -dc does.
func TestTruncatedForeignFile(t *testing.T) {
	dir := t.TempDir()
	text := new(bytes.Buffer)
	for k := range 3000 {
		text.Write(fakeLine(k))
	}
	whole := filepath.Join(dir, "whole.log")
	if err := os.WriteFile(whole, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	packed, err := exec.Command("gzip", "-c", whole).Output()
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut.log.gz")
	for n := 2; n < len(packed); n += max(1, len(packed)/150) {
		if err := os.WriteFile(cut, packed[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		theirs, _ := exec.Command("gzip", "-dc", cut).Output() // it fails: the file ends early
		r := inkwell(t, nil, "cat", cut)
		if r.code != 1 || len(r.stdout) < len(theirs) || !bytes.HasPrefix(text.Bytes(), []byte(r.stdout)) {
			t.Errorf("cut at %d of %d: code %d, %d bytes, gzip has %d: %s", n, len(packed), r.code, len(r.stdout), len(theirs), r.stderr)
		}
	}
}

// TestForeignFileWithoutItsBeginning reads a file that begins with zeros, as after a power cut: what is whole in it is
// printed, and the rest is told: it is not taken for text.
func TestForeignFileWithoutItsBeginning(t *testing.T) {
	var packed bytes.Buffer
	packed.Write(make([]byte, 5000))
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.log.gz")
	if err := os.WriteFile(path, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := inkwell(t, nil, "cat", path); r.code != 1 || r.stdout != "one\ntwo\n" || !strings.Contains(r.stderr, "5000 bytes") {
		t.Errorf("%+v", r)
	}
	if r := inkwell(t, nil, "grep", "-c", "o", path); r.code != 2 || r.stdout != "2\n" {
		t.Errorf("%+v", r)
	}
}

// fakeLine is a line of an access log.
func fakeLine(k int) []byte {
	return fmt.Appendf(nil, "10.0.%d.%d - - [29/Nov/2026:14:%02d:%02d +0000] \"GET /item/%x HTTP/1.1\" 200 %d\n", k%7, k%251, k/60%60, k%60, k*k*7919, k*31%9973)
}
