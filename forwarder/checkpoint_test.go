package forwarder

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestPastLosesNoMoreThanThePowerCut: wherever a file is cut, the newest place before the cut is no farther from it
// than the cut from the end, or nearby, or the batch in which the cut is. The places stay few, and are the same after
// they were written and read.
func TestPastLosesNoMoreThanThePowerCut(t *testing.T) {
	id := identity{1, 2}
	k := key{identity: id}
	for _, most := range []int64{100, 5_000, 300_000, shipmentFull} {
		p := newPositions(discard)
		ends := []int64{0} // of batches
		for i := range 3000 {
			end := ends[len(ends)-1] + 1 + rand.Int64N(most)
			ends = append(ends, end)
			p.set(position{id: id, phase: active, offset: end, head: fingerprint{1, 1}, tail: fingerprint{1, uint64(end)}})
			if i%500 != 499 {
				continue
			}
			for range 1000 {
				cut := rand.Int64N(end)
				batch, _ := slices.BinarySearch(ends, cut+1)
				at, _ := slices.BinarySearchFunc(p.past[k], cut+1, func(x checkpoint, off int64) int { return int(x.offset - off) })
				older := int64(0)
				if at > 0 {
					older = p.past[k][at-1].offset
				}
				if again := cut - older; again > max(end-cut, nearby)+nearby && older != ends[batch-1] {
					t.Fatalf("batches of %d, cut at %d of %d: read again from %d", most, cut, end, older)
				}
			}
			few := 2
			for n := end; n > nearby; n /= 2 {
				few += 2
			}
			if n := len(p.past[k]); n > few {
				t.Errorf("batches of %d: %d places in %d bytes, want %d at most", most, n, end, few)
			}
			path := t.TempDir()
			if err := os.WriteFile(filepath.Join(path, positionsName), p.appendTo([]byte(positionsHeader+"\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			again, err := openTestPositions(t, path, nil)
			if err != nil || !slices.Equal(again.past[k], p.past[k]) || again.live[k] != p.live[k] {
				t.Fatalf("%v; %v came back as %v", err, p.past[k], again.past[k])
			}
		}
	}
}

// TestPastOfWhatIsReadAgain: places behind a position that went back are of something that is not there any more.
func TestPastOfWhatIsReadAgain(t *testing.T) {
	p := newPositions(discard)
	id := identity{1, 2}
	k := key{identity: id}
	set := func(s phase, offsets ...int64) (have []int64) {
		for _, off := range offsets {
			p.set(position{id: id, phase: s, offset: off << 20})
		}
		for _, old := range p.past[k] {
			have = append(have, old.offset>>20)
		}
		return have
	}
	if have := set(active, 1, 2, 4, 5); !slices.Equal(have, []int64{2, 4}) { // 1 is not needed between 0 and 2
		t.Errorf("on the way: %v", have)
	}
	if have := set(finished, 5); !slices.Equal(have, []int64{2, 4}) {
		t.Errorf("finished: %v", have)
	}
	if have := set(active, 4); !slices.Equal(have, []int64{2}) {
		t.Errorf("after it went back: %v", have)
	}
	if have := set(active, 0); len(have) > 0 {
		t.Errorf("after a truncation: %v", have)
	}
	set(active, 1, 2, 4, 5)
	if have := set(removed, 5); len(have) > 0 || len(p.past) > 0 {
		t.Errorf("after it was removed: %v", have)
	}
}
