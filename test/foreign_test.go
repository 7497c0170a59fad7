package test

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"inkwell/test/harness"
)

// TestForeignClient has Debian's Thrift for Python talk to a collector, in every style it has.
func TestForeignClient(t *testing.T) {
	t.Parallel()
	dir, generated := t.TempDir(), t.TempDir()
	for _, idl := range []string{"scribe", "fb303"} {
		harness.Tool(t, "thrift", "--gen", "py", "-out", generated, "../proto/"+idl+".thrift")
	}
	c := ink.Collect(t, dir, "--compress", "none")
	_, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	styles := []string{"strict", "non-strict", "accelerated"}
	for i, style := range styles {
		args := []string{filepath.Join("testdata", "foreign_client.py"), generated, port, style, style}
		if i == len(styles)-1 {
			args = append(args, "shutdown")
		}
		if out := harness.Tool(t, "/usr/bin/python3", args...); out != "done\n" {
			t.Errorf("%s: %s", style, out)
		}
	}
	c.Expect(t, 0) // fb303 shutdown ends it as a signal does
	harness.Clean(t, dir)
	for _, style := range styles {
		want := []byte("one\ntwo\nGrüße, 日本\nnumbered\ntoo\n")
		if style != "accelerated" {
			want = append(want, "\x00\x01\xff\xfe\n"...)
			for b := range 256 {
				want = append(want, byte(b))
			}
			want = append(want, "\n\n\n"...)
		}
		for i := range 5000 {
			want = fmt.Appendf(want, "line %d\n", i)
		}
		want = append(want, "the end\n"...)
		if got := harness.Contents(t, dir, style); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes came out, want %d; they differ from byte %d on", style, len(got), len(want), firstDifference(got, want))
		}
	}
}
