package journal

import (
	"slices"
	"testing"

	"inkwell/proto"
	"inkwell/store/spool"
)

// Outlets get the parts of a helping in the order of the journal, also one that has several categories, and nothing of
// the helping before.
func TestHelping(t *testing.T) {
	var record proto.Batch
	for _, category := range []string{"a", "b", "a", "c", "b", "a"} {
		record.Append([]byte(category), []byte("message"))
	}
	shared, own := new(Outlet), new(Outlet)
	var h helping
	for round := range 2 {
		base := uint64(1000 * round)
		rec := spool.Record{Start: base, Data: record.Entries()}
		var want, wantOwn []uint64
		for s := range stretches(rec, &record, record.AppendShortRuns(nil)) {
			if category := string(s.run.Category); category != "c" {
				h.add(shared, s)
				want = append(want, s.start())
			} else {
				h.add(own, s)
				wantOwn = append(wantOwn, s.start())
			}
		}
		if !slices.Equal(h.outlets, []*Outlet{shared, own}) {
			t.Errorf("round %d: the helping names %d outlets, want each of two once", round, len(h.outlets))
		}
		for o, want := range map[*Outlet][]uint64{shared: want, own: wantOwn} {
			var got []uint64
			for s := range h.of(o) {
				got = append(got, s.start())
			}
			if !slices.Equal(got, want) {
				t.Errorf("round %d: parts at the offsets %d, want %d", round, got, want)
			}
		}
		h.clear()
	}
}
