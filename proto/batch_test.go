package proto

import (
	"bytes"
	"reflect"
	"testing"
)

func TestRunsAreTheSameHoweverABatchCameToBe(t *testing.T) {
	var built, merged, loaded, blind, decoded Batch
	for i, c := range []string{"a", "a", "b", "", "", "a", "ab", "ab"} {
		built.Append([]byte(c), bytes.Repeat([]byte("m"), i))
	}
	var head, tail Batch
	head.Append([]byte("a"), nil)
	for c, i := built.Cursor(), 0; c.Next(); i++ {
		if i > 0 {
			tail.Append(c.Category(), c.Message())
		}
	}
	merged.AppendBatch(&head)
	merged.AppendBatch(&tail)
	if err := loaded.CheckEntries(built.Entries()); err != nil {
		t.Fatal(err)
	}
	blind.SetEntries(built.Entries(), built.Count())
	call := AppendLogHeader(nil, 1, built.Count())
	call = AppendLogTrailer(append(call, built.Entries()...), Trailer{})
	header, err := DecodeCall(call)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeLog(header.Args, &decoded); err != nil {
		t.Fatal(err)
	}
	want := []Run{{Category: []byte("a"), Count: 2, Bytes: 1}, {Category: []byte("b"), Count: 1, Bytes: 2}, {Category: []byte{}, Count: 2, Bytes: 7},
		{Category: []byte("a"), Count: 1, Bytes: 5}, {Category: []byte("ab"), Count: 2, Bytes: 13}}
	for name, b := range map[string]*Batch{"built": &built, "merged": &merged, "loaded": &loaded, "blind": &blind, "decoded": &decoded} {
		runs, end := b.AppendRuns(nil), 0
		for i := range runs {
			if runs[i].From.Bytes != end {
				t.Errorf("%s: run %d begins at %d, want %d", name, i, runs[i].From.Bytes, end)
			}
			end += runs[i].Size()
			runs[i].From = Place{}
		}
		if !reflect.DeepEqual(runs, want) || end != b.Size() {
			t.Errorf("%s: %v, %d bytes, want %v, %d", name, runs, end, want, b.Size())
		}
	}
	if err := loaded.CheckEntries([]byte("junk")); err == nil || loaded.Count() != 0 || len(loaded.AppendRuns(nil)) != 0 {
		t.Errorf("junk: %v, %d entries", err, loaded.Count())
	}
	built.Reset()
	if runs := built.AppendRuns(nil); len(runs) != 0 {
		t.Errorf("runs after Reset: %v", runs)
	}
}
