package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/archive"
	"inkwell/rotate"
)

func TestVerifyAndRepair(t *testing.T) {
	for _, codec := range []rotate.Codec{rotate.Gzip, rotate.Zstd} {
		c := newCategory(t)
		c.open(codec, nil)
		for k := range 3 {
			c.append(numbered("first", 500+k))
			c.append(numbered("second", 700))
			c.finish()
		}
		c.append(numbered("open", 30))
		r := inkwell(t, nil, "verify", c.dir)
		if r.code != 0 || !strings.Contains(r.stdout, "4 files") || strings.Count(r.stderr, "no index") != 3 {
			t.Errorf("%v: %+v", codec, r)
		}
		if r = inkwell(t, nil, "repair", c.dir); r.code != 0 || strings.Count(r.stderr, "an index was made") != 3 {
			t.Errorf("%v: %+v", codec, r)
		}
		if r = inkwell(t, nil, "verify", c.dir); r.code != 0 || r.stderr != "" {
			t.Errorf("%v: %+v", codec, r)
		}
		if r = inkwell(t, nil, "cat", "--tail", "1200", c.dir); r.code != 0 || !strings.HasSuffix(c.want.String(), r.stdout) || strings.Count(r.stdout, "\n") != 1200 {
			t.Errorf("%v: the last lines: code %d, %d lines", codec, r.code, strings.Count(r.stdout, "\n"))
		}
		files, err := filesIn(c.dir)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(files[1].Path)
		if err != nil {
			t.Fatal(err)
		}
		first := archive.Blocks(files[1])
		damaged := bytes.Clone(data)
		copy(damaged[20:], bytes.Repeat([]byte{0x55}, 40))
		if err := os.WriteFile(files[1].Path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if r = inkwell(t, nil, "verify", c.dir); r.code != 1 || !strings.Contains(r.stderr, files[1].Path) {
			t.Errorf("%v: %+v", codec, r)
		}
		to := t.TempDir()
		if r = inkwell(t, nil, "repair", "--to", to, c.dir); r.code != 1 {
			t.Errorf("%v: %+v", codec, r)
		}
		if now, err := os.ReadFile(files[1].Path); err != nil || !bytes.Equal(now, damaged) {
			t.Errorf("%v: repair changed the file: %v", codec, err)
		}
		r = inkwell(t, nil, "cat", filepath.Join(to, files[1].Name()))
		if r.code != 0 || len(first) > 1 && r.stdout != numbered("second", 700) {
			t.Errorf("%v: code %d, %d bytes of the damaged file, %s", codec, r.code, len(r.stdout), r.stderr)
		}
		if r = inkwell(t, nil, "cat", filepath.Join(to, files[3].Name())); r.code != 0 || r.stdout != numbered("open", 30) {
			t.Errorf("%v: the open file: code %d, %d bytes, %s", codec, r.code, len(r.stdout), r.stderr)
		}
		if r = inkwell(t, nil, "repair", "--to", to, files[1].Path); r.code != 1 || !strings.Contains(r.stderr, "already") {
			t.Errorf("%v: twice: %+v", codec, r)
		}
	}
}
