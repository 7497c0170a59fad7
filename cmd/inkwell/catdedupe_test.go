package main

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"inkwell/rotate"
	"inkwell/store/stream"
)

// twoShelves are those of two collectors between which a forwarder changed twice: both have some entries of stream 1, and
// the second has what only came in there in the meantime.
func twoShelves(t *testing.T) (webs []string, whole string) {
	t.Helper()
	one, two := newShelf(t), newShelf(t)
	one.file("web", rotate.Gzip, false, linesOf(1, 0, 0, 100), linesOf(0, 1, 0, 2))
	one.file("web", rotate.Gzip, false, linesOf(1, 2, 100, 10), linesOf(2, 3, 0, 20))
	two.file("web", rotate.Zstd, false, linesOf(1, 1, 90, 15), linesOf(2, 1, 0, 3), linesOf(1, 2, 108, 6))
	two.file("web", rotate.Gzip, false, linesOf(2, 4, 18, 9), linesOf(1, 4, 112, 4))
	webs = []string{filepath.Join(one.dir, "web"), filepath.Join(two.dir, "web")}
	for _, part := range []stretch{
		linesOf(1, 0, 0, 100), linesOf(0, 1, 0, 2), linesOf(1, 1, 100, 5), linesOf(2, 1, 0, 3), linesOf(1, 2, 108, 6), linesOf(1, 2, 105, 3),
		linesOf(2, 3, 3, 17), linesOf(2, 4, 20, 7), linesOf(1, 4, 114, 2),
	} {
		whole += part.text()
	}
	return webs, whole
}

// TestCatDedupeSelects selects a part of what --dedupe prints: periods that follow each other have each entry in one of
// them, and the last lines are those of the whole.
func TestCatDedupeSelects(t *testing.T) {
	webs, whole := twoShelves(t)
	dedupe := func(flags ...string) string {
		t.Helper()
		r := inkwell(t, nil, slices.Concat([]string{"cat", "--dedupe"}, flags, webs)...)
		if r.code != exitOK {
			t.Fatalf("%v: %+v", flags, r)
		}
		return r.stdout
	}
	if got := dedupe(); got != whole {
		t.Fatalf("%q\nwant\n%q", got, whole)
	}
	sorted := func(text string) string {
		lines := slices.Collect(strings.Lines(text))
		slices.Sort(lines)
		return strings.Join(lines, "")
	}
	var parts string
	for hour := range 5 {
		from := noon.Add(time.Duration(hour) * time.Hour)
		part := dedupe("--since", from.Format(time.RFC3339), "--until", from.Add(time.Hour-time.Second).Format(time.RFC3339))
		if part == "" {
			t.Errorf("hour %d is empty", hour)
		}
		parts += part
	}
	if sorted(parts) != sorted(whole) {
		t.Errorf("the hours have\n%q\nwant\n%q", parts, whole)
	}
	lines := slices.Collect(strings.Lines(whole))
	for _, n := range []int{0, 1, 2, 9, 40, len(lines), len(lines) + 1} {
		if got, want := dedupe("--tail", strconv.Itoa(n)), strings.Join(lines[max(0, len(lines)-n):], ""); got != want {
			t.Errorf("--tail %d: %q, want %q", n, got, want)
		}
	}
	var second string
	for _, line := range lines {
		if strings.HasPrefix(line, "2:") {
			second += line
		}
	}
	source := stream.ID{2}.String()
	if got := dedupe("--source", source); got != second {
		t.Errorf("--source: %q, want %q", got, second)
	}
	if got := dedupe("--source", source, "--with", "source", "--tail", "3"); strings.Count(got, source+"\t2:") != 3 {
		t.Errorf("--source and --with: %q", got)
	}
	if got := dedupe("--merge"); sorted(got) != sorted(whole) {
		t.Errorf("--merge: %q, want the lines of %q", got, whole)
	}
}
