package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// fakeLine is a line of an access log.
func fakeLine(k int) []byte {
	return fmt.Appendf(nil, "10.0.%d.%d - - [29/Nov/2026:14:%02d:%02d +0000] \"GET /item/%x HTTP/1.1\" 200 %d\n", k%7, k%251, k/60%60, k%60, k*k*7919, k*31%9973)
}
