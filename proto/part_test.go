package proto

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"
)

// TestPartsAreTheBatch checks that the parts of a batch are within their bounds, and that together they are the batch,
// with its numbers.
func TestPartsAreTheBatch(t *testing.T) {
	var b Batch
	for i := range 100 {
		b.Append([]byte("c"), bytes.Repeat([]byte{byte(i)}, i%17))
		if i == 40 {
			b.Append([]byte("c"), bytes.Repeat([]byte("large"), 100))
			b.Number([16]byte{1}, 7, 20) // those before have none
		}
	}
	b.Number([16]byte{2}, 0, 30)
	for _, bound := range [][2]int{{1, math.MaxInt}, {7, math.MaxInt}, {math.MaxInt, 100}, {3, 60}, {math.MaxInt, 1}, {math.MaxInt, math.MaxInt}} {
		var all Batch
		for p := range b.Parts(bound[0], bound[1]) {
			if p.Count() == 0 || p.Count() > bound[0] || p.Count() > 1 && p.Size() > bound[1] {
				t.Errorf("%v: a part of %d entries, %d bytes", bound, p.Count(), p.Size())
			}
			all.AppendBatch(p)
		}
		if !bytes.Equal(all.Entries(), b.Entries()) || all.Count() != b.Count() || !slices.Equal(all.Spans(), b.Spans()) {
			t.Errorf("%v: %d entries with the numbers %v, want %d with %v", bound, all.Count(), all.Spans(), b.Count(), b.Spans())
		}
	}
	one := b.Section(42, 1)
	if one.Count() != 1 || fmt.Sprint(one.Spans()) != fmt.Sprint(b.Section(40, 5).Section(2, 1).Spans()) {
		t.Errorf("entry 42 has the numbers %v", one.Spans())
	}
}
