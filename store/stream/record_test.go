package stream

import (
	"bytes"
	"slices"
	"testing"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store/spool"
)

// TestKeepMakesSeveralRecordsOfALargeBatch: the records together are the batch, with its numbers.
func TestKeepMakesSeveralRecordsOfALargeBatch(t *testing.T) {
	dir, err := faultfs.OpenDir(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	l, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var b proto.Batch
	for i := range 40_000 {
		b.Append([]byte("c"), bytes.Repeat([]byte{byte(i)}, 500+i%100))
		if i == 20_000 {
			b.Append([]byte("c"), bytes.Repeat([]byte("large"), maxRecord/4))
			b.Number(ID{1}, 7, 10_000) // those before have none
		}
	}
	b.Number(ID{2}, 0, 15_000)
	if err := Append(t.Context(), l, &b); err != nil {
		t.Fatal(err)
	}
	var got, one proto.Batch
	sizes := []int{}
	for r := l.Reader(0); got.Count() < b.Count(); {
		rec, ok, err := r.TryNext()
		if err != nil || !ok {
			t.Fatalf("after %d entries: %v, %v", got.Count(), ok, err)
		}
		if err := one.SetRecord(rec.Data); err != nil {
			t.Fatal(err)
		}
		got.AppendBatch(&one)
		if sizes = append(sizes, one.Size()); one.Size() > maxPart && one.Count() > 1 {
			t.Errorf("a record of %d entries, %d bytes", one.Count(), one.Size())
		}
		if got.Count() == b.Count() {
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !bytes.Equal(got.Entries(), b.Entries()) || !slices.Equal(got.Spans(), b.Spans()) || len(sizes) < 5 {
		t.Errorf("%d records of %v bytes; numbers %v, want %v", len(sizes), sizes, got.Spans(), b.Spans())
	}
}
