package books

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"inkwell/store/stream"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// sums reads back what c writes.
func sums(t *testing.T, c *Counts) (lines []Count) {
	t.Helper()
	bodies, err := c.Bodies("_overflow")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bodies {
		n, err := ParseCount(b)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		lines = append(lines, n)
	}
	return lines
}

func TestCountsAddUp(t *testing.T) {
	var c Counts
	refused := Count{Hour: noon, Category: "web", Stream: stream.ID{1}.String(), What: Refused, Why: "x", Entries: 2}
	again := Count{Hour: noon, Category: "web", Stream: stream.ID{1}.String(), What: Duplicate, Entries: 3}
	c.AddNumbers(refused, 5)
	c.AddNumbers(refused, 5)
	c.AddNumbers(refused, 7)
	c.Add(refused) // of an older version
	c.Add(again)
	c.Add(again)
	later := refused
	later.Hour = noon.Add(time.Hour)
	c.AddNumbers(later, 100)
	var all Counts
	all.Merge(&c)
	for range 2 { // what was written and read adds up to the same
		got := sums(t, &all)
		all = Counts{}
		var text []string
		for _, n := range got {
			text = append(text, fmt.Sprintf("%d %s %d %q", n.Hour.Hour(), n.What, n.Entries, n.Numbers))
			all.Add(n)
		}
		want := []string{`12 refused 6 "5-8"`, `12 refused 2 ""`, `12 duplicate 6 ""`, `13 refused 2 "100-101"`}
		if !slices.Equal(text, want) {
			t.Errorf("got %q, want %q", text, want)
		}
	}
}

// Whatever peers send, an hour has so many lines and numbers, all entries are counted, and the numbers of a stream with
// many entries stay.
func TestCountsAreBounded(t *testing.T) {
	var c Counts
	good := Count{Hour: noon, Category: "web", Stream: stream.ID{1}.String(), What: Refused, Why: "x", Entries: 5000}
	c.AddNumbers(good, 0)
	total := good.Entries
	for i := range 30_000 {
		n := Count{Hour: noon, Category: fmt.Sprint("c", i%100), What: Refused, Why: "x", Entries: 1}
		n.Stream = fmt.Sprintf("%032x", i%5000)
		if i%3 == 0 {
			n.What, n.Why = Duplicate, ""
			c.Add(n)
		} else {
			c.AddNumbers(n, rand.Int64N(1<<40))
		}
		total++
	}
	for i := range int64(3000) { // numbers with holes
		c.AddNumbers(Count{Hour: noon, Category: "web", Stream: stream.ID{2}.String(), What: Refused, Why: "x", Entries: 1},
			2*i)
		total++
	}
	lines, size, ranges := sums(t, &c), 0, 0
	if len(lines) > 2*hourLines+4 {
		t.Errorf("%d lines", len(lines))
	}
	found := false
	for _, n := range lines {
		total -= n.Entries
		body, err := n.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		size += len(body)
		if n.Numbers != "" {
			k := strings.Count(n.Numbers, ",") + 1
			ranges += k
			if k > maxNumbers {
				t.Errorf("%d stretches in a line", k)
			}
		}
		found = found || n.Stream == good.Stream && n.Numbers == "0-4999"
	}
	if total != 0 || ranges > hourNumbers || !found || size > 1<<19 {
		t.Errorf("%d entries are not counted, %d stretches, %d bytes, the good stream is there: %v", total, ranges, size,
			found)
	}
}

// FuzzParseCount: a line that is read adds up, and comes back as it was.
func FuzzParseCount(f *testing.F) {
	for _, n := range []Count{
		{Hour: noon, Category: "web", Stream: stream.ID{1}.String(), What: Refused, Why: "x", Entries: 4,
			Numbers: "0-1,7,9223372036854775806"},
		{Hour: noon, What: Duplicate, Entries: 1},
	} {
		body, err := n.Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := ParseCount(body)
		if err != nil {
			return
		}
		var c, again Counts
		c.Add(n)
		lines := sums(t, &c)
		total := int64(0)
		for _, l := range lines {
			total += l.Entries
			again.Add(l)
		}
		if total != n.Entries || !slices.Equal(sums(t, &again), lines) {
			t.Errorf("%s: %+v adds up to %+v, then to %+v", body, n, lines, sums(t, &again))
		}
	})
}
