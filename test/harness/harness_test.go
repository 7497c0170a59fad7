package harness

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strings"
	"testing"
)

// notes collects what a ledger finds wrong instead of failing.
type notes struct {
	testing.TB
	found []string
}

func (n *notes) Helper()           {}
func (n *notes) Error(args ...any) { n.found = append(n.found, "error") }
func (n *notes) Errorf(format string, args ...any) {
	n.found = append(n.found, strings.Fields(format)[2]+" "+format)
}

func ledger(text []byte) *Ledger {
	l := NewLedger()
	l.Bytes(text)
	return l
}

func TestLedgerSeesEverything(t *testing.T) {
	good := Lines("a", 0, 10)
	part := func(from, to int) []byte { return Lines("a", from, to) }
	cases := []struct {
		name  string
		text  []byte
		found string // in the complaint, "" = there is none
	}{
		{"good", good, ""},
		{"missing inside", slices.Concat(part(0, 4), part(5, 10)), "missing"},
		{"missing at the end", part(0, 9), "missing"},
		{"twice", slices.Concat(part(0, 6), part(3, 10)), "twice"},
		{"order", slices.Concat(part(0, 4), part(5, 6), part(4, 5), part(6, 10)), "out of order"},
		{"too many", part(0, 11), "only"},
		{"another source", slices.Concat(good, Lines("b", 0, 1)), "which is none of these"},
		{"cut line", slices.Concat(good[:len(good)-3], []byte("\n")), "error"},
		{"glued lines", bytes.Replace(good, []byte("\n"), nil, 1), "error"},
	}
	for _, c := range cases {
		n := &notes{TB: t}
		ledger(c.text).Exactly(n, map[string]int{"a": 10})
		all := strings.Join(n.found, "; ")
		if (c.found == "") != (all == "") || !strings.Contains(all, c.found) {
			t.Errorf("%s: %q, want %q", c.name, all, c.found)
		}
	}
}

func TestLedgerFindsRunsThatCameAgain(t *testing.T) {
	a := ledger(slices.Concat(Lines("a", 0, 8), Lines("a", 2, 5), Lines("a", 4, 20))).Of("a")
	if want := []Run{{2, 3}, {4, 4}}; !slices.Equal(a.Resent, want) || a.Twice != 7 {
		t.Errorf("%v, %d twice, want %v", a.Resent, a.Twice, want)
	}
}

func TestAccessLogIsTheSameEachTimeAndCompressesAsRealOnesDo(t *testing.T) {
	read := func(seed uint64) []byte {
		data, err := io.ReadAll(AccessLog(seed, 4<<20))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	a := read(1)
	if !bytes.Equal(a, read(1)) || bytes.Equal(a, read(2)) {
		t.Error("the seed does not decide")
	}
	if len(a) < 4<<20 || len(a) > 4<<20+500 || a[len(a)-1] != '\n' {
		t.Errorf("%d bytes, ending in %q", len(a), a[len(a)-1])
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(a); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if ratio := float64(len(a)) / float64(packed.Len()); ratio < 6 || ratio > 10 {
		t.Errorf("compresses %.1f times", ratio)
	}
}
