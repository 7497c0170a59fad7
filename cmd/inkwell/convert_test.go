package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"inkwell/rotate"
)

func TestConvert(t *testing.T) {
	c := newCategory(t)
	c.open(rotate.Gzip, nil)
	lines := 0
	for file := range 3 {
		for k := range 500 {
			c.append(fmt.Sprintf("10.0.0.%d - - [29/Nov/2026:14:%02d:%02d +0000] \"GET /item/%d HTTP/1.1\" 200 %d \"-\" \"a\xff\" 0.%03d\nanother line\n", k%9, 59-k%60, k%60, k, k, k))
			lines += 2
		}
		if file < 2 {
			c.finish()
		}
	}
	out := filepath.Join(t.TempDir(), "parquet")
	r := inkwell(t, nil, "convert", "--format", "combined", "--out", out, c.dir)
	if r.code != 0 || r.stdout != "2 files made of 2,000 lines, 0 were there, 1 not finished yet\n" {
		t.Fatalf("%+v", r)
	}
	files, err := filepath.Glob(filepath.Join(out, "web", "dt=*", "*.parquet"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	rows, err := parquet.ReadFile[struct {
		Line     string   `parquet:"line"`
		Number   int64    `parquet:"number"`
		Status   *int32   `parquet:"status,optional"`
		Bytes    *int64   `parquet:"bytes,optional"`
		Duration *float64 `parquet:"duration,optional"`
		URL      *string  `parquet:"url,optional"`
	}](files[0])
	if err != nil || len(rows) != 1000 {
		t.Fatal(len(rows), err)
	}
	seen := make(map[int64]bool)
	for _, r := range rows {
		seen[r.Number] = true
		if r.Line == "another line" {
			if r.Status != nil || r.Number%2 != 0 {
				t.Fatalf("%+v", r)
			}
			continue
		}
		k := r.Number / 2
		if r.Status == nil || *r.Status != 200 || *r.Bytes != k || *r.URL != fmt.Sprint("/item/", k) || *r.Duration != float64(k)/1000 || !strings.Contains(r.Line, "\"a\ufffd\"") {
			t.Fatalf("%+v", r)
		}
	}
	if len(seen) != 1000 {
		t.Errorf("%d lines", len(seen))
	}
	// Run again after a kill: only missing files are made.
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(files[1]), "."+filepath.Base(files[1])+".tmp"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r = inkwell(t, nil, "convert", "--format", "combined", "--out", out, c.dir); r.code != 0 || !strings.HasPrefix(r.stdout, "1 file made of 1,000 lines, 1 were there") {
		t.Errorf("%+v", r)
	}
	if left, err := filepath.Glob(filepath.Join(out, "web", "dt=*", ".*")); err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
	for _, args := range [][]string{{}, {"--out", out, "--format", "json"}, {"--out", out, "--to", "orc"}, {"--out", out, "--format", "xml"}} {
		if r := inkwell(t, nil, append(append([]string{"convert"}, args...), c.dir)...); r.code != exitUsage {
			t.Errorf("%q: %+v", args, r)
		}
	}
	// A damaged file is reported, and not converted.
	found, err := filesIn(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(found[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0xff
	if err := os.WriteFile(found[0].Path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := inkwell(t, nil, "convert", "--out", filepath.Join(t.TempDir(), "other"), c.dir); r.code != 1 || !strings.Contains(r.stderr, found[0].Path) || !strings.HasPrefix(r.stdout, "1 file made") {
		t.Errorf("%+v", r)
	}
}

// TestConvertRowGroups converts more lines than a row group takes, some of them out of order, the last
// one without an end: each is there once, as it was, and each row group is in the order of the lines' times.
func TestConvertRowGroups(t *testing.T) {
	c := newCategory(t)
	c.open(rotate.Gzip, nil)
	const lines = 130_000
	var text strings.Builder
	for k := range lines {
		second := (k + k%7*50) % 3600
		fmt.Fprintf(&text, "h - - [29/Nov/2026:14:%02d:%02d +0000] \"GET /%d HTTP/1.1\" 200 %d \"-\" \"a\"", second/60, second%60, k, 10_000_000_000+k)
		if k < lines-1 {
			text.WriteByte('\n')
		}
		if text.Len() > 1<<20 || k == lines-1 {
			c.append(text.String())
			text.Reset()
		}
	}
	c.finish()
	out := filepath.Join(t.TempDir(), "parquet")
	if r := inkwell(t, nil, "convert", "--format", "combined", "--out", out, c.dir); r.code != 0 || !strings.HasPrefix(r.stdout, "1 file made of 130,000 lines") {
		t.Fatalf("%+v", r)
	}
	files, err := filepath.Glob(filepath.Join(out, "web", "dt=*", "*.parquet"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	file, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := parquet.OpenFile(file, st.Size())
	if err != nil || len(whole.RowGroups()) < 2 {
		t.Fatal(err, "one row group")
	}
	type row struct {
		Number int64  `parquet:"number"`
		Bytes  *int64 `parquet:"bytes,optional"`
		URL    string `parquet:"url,optional"`
		Time   int64  `parquet:"time,optional"`
	}
	seen := make([]bool, lines+1)
	for _, group := range whole.RowGroups() {
		rows := make([]row, group.NumRows())
		r := parquet.NewGenericRowGroupReader[row](group)
		if n, err := r.Read(rows); n < len(rows) {
			t.Fatal(n, err)
		}
		for i, one := range rows {
			if seen[one.Number] || one.URL != fmt.Sprint("/", one.Number-1) || *one.Bytes != 10_000_000_000+one.Number-1 {
				t.Fatalf("%+v", one)
			}
			if seen[one.Number] = true; i > 0 && one.Time < rows[i-1].Time {
				t.Fatalf("row %d: %+v stands behind %+v", i, one, rows[i-1])
			}
		}
	}
	for number, there := range seen[1:] {
		if !there {
			t.Fatalf("line %d is missing", number+1)
		}
	}
}
