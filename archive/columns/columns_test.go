package columns

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

// read is a row as another implementation reads it.
type read struct {
	Line     string     `parquet:"line"`
	Number   int64      `parquet:"number"`
	File     string     `parquet:"file"`
	Arrival  *time.Time `parquet:"arrival,optional,timestamp"`
	Source   *string    `parquet:"source,optional"`
	Status   *int32     `parquet:"status,optional"`
	Bytes    *int64     `parquet:"bytes,optional"`
	Duration *float64   `parquet:"duration,optional"`
	Few      *string    `parquet:"few,optional"`
	Many     *string    `parquet:"many,optional"`
	None     *string    `parquet:"none,optional"`
}

// TestGroups writes rows whose values are all alike, all different, missing, beyond a page, and no UTF-8, and has them
// read by the reader of parquet-go.
func TestGroups(t *testing.T) {
	fields := []string{"status", "bytes", "duration", "few", "many", "none"}
	var file bytes.Buffer
	w := New(&file, "web.gz", fields, map[string]string{"inkwell.file": "web.gz"})
	arrived := time.UnixMilli(1764403200123).UTC()
	var want []read
	for group, rows := range []int{1, 3000, pageRows + 10, 2} {
		g := w.Begin()
		for k := range rows {
			number := int64(len(want) + 1)
			if k%5 == 1 {
				number = -number
			}
			line := fmt.Sprintf("line %d of %d", k, group)
			if k%1000 == 7 {
				line = strings.Repeat("long ", 100_000) + line
			}
			r := Row{Line: []byte(line), Number: number, Values: make([][]byte, len(fields))}
			one := read{Line: line, Number: number, File: "web.gz"}
			if group > 0 && k%3 != 0 {
				r.Arrival, one.Arrival = arrived, &arrived
				r.Source = []byte("host:/path")
				source := "host:/path"
				one.Source = &source
				status, size, took := int32(k%7*100), int64(k)*math.MaxInt32, float64(k)/1000
				few, many := fmt.Sprint("few ", k%9), fmt.Sprint("many ", k)
				one.Status, one.Bytes, one.Duration, one.Few, one.Many = &status, &size, &took, &few, &many
				r.Values = [][]byte{fmt.Append(nil, status), fmt.Append(nil, size), fmt.Appendf(nil, "%d", k*1000),
					[]byte(few), []byte(many), nil}
			} else if k == 0 {
				r.Values[0], r.Values[1], r.Values[2] = []byte("-"), []byte("99999999999999999999"), []byte("x")
			}
			g.Add(&r)
			want = append(want, one)
		}
		if err := g.End(); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(g); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil || w.Rows != int64(len(want)) {
		t.Fatal(w.Rows, err)
	}
	got, err := parquet.Read[read](bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if !reflect.DeepEqual(want[i], got[i]) {
			t.Fatalf("row %d: %s", i, cmp.Diff(want[i], got[i]))
		}
	}
	whole, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := whole.Lookup("inkwell.file"); v != "web.gz" {
		t.Errorf("inkwell.file is %q", v)
	}
}

// TestText writes text that is no UTF-8, some of it only where one value ends and the next begins.
func TestText(t *testing.T) {
	lines := []string{"a\xff", "", "euro\xe2", "\x82\xac", "ä", "\xc3", "\xa9", "\x00", strings.Repeat("é", 100)}
	var file bytes.Buffer
	w := New(&file, "web.gz", []string{"few"}, nil)
	g := w.Begin()
	var want []string
	for k := range 5000 {
		line := []byte(lines[k%len(lines)])
		g.Add(&Row{Line: line, Values: [][]byte{line}})
		want = append(want, strings.ToValidUTF8(string(line), "\ufffd"))
	}
	if err := g.End(); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(g); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := parquet.Read[read](bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil || len(got) != len(want) {
		t.Fatal(len(got), err)
	}
	for i, r := range got {
		few := ""
		if r.Few != nil {
			few = *r.Few
		}
		if r.Line != want[i] || few != want[i] {
			t.Fatalf("row %d: %q and %q, want %q", i, r.Line, few, want[i])
		}
	}
}

// TestNothing writes a file without rows.
func TestNothing(t *testing.T) {
	var file bytes.Buffer
	if err := New(&file, "web.gz", nil, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := parquet.Read[read](bytes.NewReader(file.Bytes()), int64(file.Len())); err != nil || len(got) > 0 {
		t.Fatal(got, err)
	}
}
