package manifest

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"inkwell/internal/faultfs"
	"inkwell/store/stream"
)

var someSpans = []Span{
	{Hour: 498876, Stream: stream.ID{1}, First: 0, Count: 100, Bytes: 9000},
	{Hour: 498876, Count: 3, Bytes: 30},
	{Hour: 498877, Stream: stream.ID{2}, First: 7, Count: 1, Bytes: 1},
	{Hour: 498877, Stream: stream.ID{1}, First: 100, Count: 5},
}

// sound says whether spans are within what their readers rely on.
func sound(t *testing.T, spans []Span) {
	t.Helper()
	for _, s := range spans {
		if s.First < 0 || s.Count < 0 || s.Bytes < 0 || s.End() < s.First {
			t.Errorf("span %+v", s)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	body, err := AppendFile(nil, &File{Name: "web-2026-11-25_00000.gz", Bytes: 10, Raw: 9031, Entries: 109, Spans: someSpans})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		file, err := ParseFile(body)
		if err != nil {
			return
		}
		sound(t, file.Spans)
		line, err := AppendFile(nil, &file)
		if err != nil {
			return // a year that JSON cannot have
		}
		again, err := ParseFile(line)
		if err != nil || again.Name != file.Name || !again.First.Equal(file.First) || !slices.Equal(again.Spans, file.Spans) {
			t.Errorf("%s is read as %+v, written as %s, read as %+v, %v", body, file, line, again, err)
		}
	})
}

func FuzzParseContents(f *testing.F) {
	c := Contents{Category: "web", File: "web-2026-11-25_00000.gz", From: 64, Through: 1 << 40, First: 1795996800, Last: 1795996860, Spans: someSpans}
	body, err := c.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := ParseContents(body)
		if err != nil {
			return
		}
		sound(t, c.Spans)
		line, err := c.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseContents(line); err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%s is read as %+v, written as %s, read as %+v, %v", body, c, line, again, err)
		}
	})
}

// A category that is read again takes the place of what was found in it from there on; others are not touched.
func TestReadLedger(t *testing.T) {
	dir, err := faultfs.OpenDir(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if list, bad, err := ReadLedger(dir); len(list) != 0 || bad != 0 || err != nil {
		t.Fatal(list, bad, err)
	}
	l, _, err := faultfs.OpenLines(dir, Ledger, LedgerHeader, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	err = l.Rewrite(func(yield func([]byte) bool) {
		for _, c := range []Contents{
			{Category: "web", File: "a", From: 0, Through: 100},
			{Category: "db", File: "x", From: 50, Through: 150},
			{Category: "web", File: "a", From: 100, Through: 200},
			{Category: "web", File: "b", From: 200, Through: 300},
			{Category: "web", File: "c", From: 100, Through: 250},
			{Category: "web", File: "c", From: 250, Through: 250},
		} {
			body, err := c.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			yield(body)
		}
		yield([]byte(`{"file":""}`))
	})
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	list, bad, err := ReadLedger(dir)
	var got bytes.Buffer
	for _, c := range list {
		got.WriteString(c.Category + c.File + " ")
	}
	if err != nil || bad != 1 || got.String() != "weba webc webc dbx " {
		t.Errorf("%s, %d, %v", got.String(), bad, err)
	}
}
