package proto

import (
	"errors"
	"slices"
	"testing"
)

func testStream(b byte) (id [16]byte) {
	id[0], id[15] = b, 1
	return id
}

// numbered returns a batch of entries a0 … with two numbered ranges and one without numbers between them.
func numbered() *Batch {
	b := new(Batch)
	for i := range 3 {
		b.Append([]byte("a"), []byte{'0' + byte(i)})
	}
	b.Number(testStream(1), 7, 3)
	b.Append([]byte("a"), []byte("x"))
	for i := range 2 {
		b.Append([]byte("b"), []byte{'4' + byte(i)})
	}
	b.Number(testStream(1), 10, 2)
	return b
}

func TestRecordKeepsEntriesAndSpans(t *testing.T) {
	b := numbered()
	want := []Span{{testStream(1), 7, 3}, {[16]byte{}, 0, 1}, {testStream(1), 10, 2}}
	if !slices.Equal(b.Spans(), want) {
		t.Fatalf("spans %v, want %v", b.Spans(), want)
	}
	data := b.AppendRecordTail(slices.Clone(b.Entries()))
	var got Batch
	if err := got.SetRecord(data); err != nil {
		t.Fatal(err)
	}
	if got.Count() != 6 || string(got.Entries()) != string(b.Entries()) || !slices.Equal(got.Spans(), want) {
		t.Fatalf("read %d entries, spans %v", got.Count(), got.Spans())
	}
	if runs := got.AppendRuns(nil); len(runs) != 2 || runs[0].Count != 4 || runs[1].Count != 2 {
		t.Fatalf("runs %v", runs)
	}
	for n := range data {
		if err := got.SetRecord(data[:n]); err == nil {
			if end, _ := scan(data[:n], n, nil); end != n {
				t.Fatalf("%d of %d bytes are taken for a record", n, len(data))
			}
		} else if !errors.Is(err, ErrMalformed) || got.Count() != 0 || len(got.Spans()) != 0 {
			t.Fatalf("%d bytes: %v, %d entries left", n, err, got.Count())
		}
	}
	if err := got.SetRecord(append(data, 0)); !errors.Is(err, ErrMalformed) {
		t.Fatalf("with a byte behind it: %v", err)
	}
}

func TestPartsKeepTheirNumbers(t *testing.T) {
	b := numbered()
	ends := []Place{{}}
	for c := b.Cursor(); c.Next(); {
		if c.Before() != b.Place(len(ends)-1, ends[len(ends)-1].Bytes) {
			t.Errorf("entry %d begins at %+v", len(ends)-1, c.Before())
		}
		ends = append(ends, c.Place())
	}
	for first := range b.Count() {
		for count := 1; first+count <= b.Count(); count++ {
			var p Batch
			p.SetPart(b, ends[first], ends[first+count])
			var all []int64
			for _, s := range p.Spans() {
				for i := range s.Count {
					if s.Numbered() {
						all = append(all, s.First+int64(i))
					} else {
						all = append(all, -1)
					}
				}
			}
			if want := []int64{7, 8, 9, -1, 10, 11}[first : first+count]; !slices.Equal(all, want) {
				t.Fatalf("entries %d to %d have the numbers %d, want %d", first, first+count, all, want)
			}
			if n, err := checkEntries(p.Entries()); err != nil || n != count {
				t.Fatalf("entries %d to %d: %d, %v", first, first+count, n, err)
			}
		}
	}
}

func TestNeighboursJoinWhenBatchesDo(t *testing.T) {
	a, b := new(Batch), new(Batch)
	a.Append([]byte("a"), []byte("0"))
	a.Number(testStream(1), 4, 1)
	b.Append([]byte("a"), []byte("1"))
	b.Number(testStream(1), 5, 1)
	a.AppendBatch(b)
	if want := []Span{{testStream(1), 4, 2}}; !slices.Equal(a.Spans(), want) {
		t.Fatalf("spans %v, want %v", a.Spans(), want)
	}
}

func TestSpanOutOfRangeIsMalformed(t *testing.T) {
	for _, s := range []Span{{testStream(1), -1, 1}, {testStream(1), 1<<63 - 1, 1}} {
		b := new(Batch)
		b.Append([]byte("a"), []byte("0"))
		b.AppendSpan(s)
		var got Batch
		if err := got.SetRecord(b.AppendRecordTail(slices.Clone(b.Entries()))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %v", s, err)
		}
	}
}
