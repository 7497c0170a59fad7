package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/internal/testkit"

	"inkwell/internal/faultfs"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var ctx = context.Background()

func openDir(t testing.TB, path string, inj faultfs.Injector) *faultfs.Dir {
	t.Helper()
	dir, err := faultfs.OpenDir(path, inj)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

func mustOpen(t testing.TB, path string, o Options) *Log {
	t.Helper()
	l, err := Open(openDir(t, path, nil), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustClose(t testing.TB, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustAppend(t testing.TB, l *Log, messages ...string) (end uint64) {
	t.Helper()
	for _, m := range messages {
		var err error
		if end, err = l.Append(ctx, []byte(m), 1); err != nil {
			t.Fatal(err)
		}
	}
	return end
}

// rest reads everything durable behind from, including the damaged ranges.
func rest(t testing.TB, l *Log, from uint64) (messages []string, damage []*CorruptError) {
	t.Helper()
	r := l.Reader(from)
	defer mustClose(t, r)
	for {
		rec, ok, err := r.TryNext()
		var c *CorruptError
		switch {
		case errors.As(err, &c):
			damage = append(damage, c)
		case err != nil:
			t.Fatal(err)
		case !ok:
			return messages, damage
		default:
			messages = append(messages, string(rec.Data))
		}
	}
}

func numbered(from, to int) (messages []string) {
	for i := from; i < to; i++ {
		messages = append(messages, fmt.Sprintf("message %d %s", i, strings.Repeat("x", i*7%50)))
	}
	return messages
}

func equal(t testing.TB, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d messages, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("message %d: got %q, want %q", i, got[i], want[i])
		}
	}
}

func TestReadsWhatWasAppendedAcrossSegmentsAndRestarts(t *testing.T) {
	for _, d := range []Durability{Sync, Write, Memory} {
		t.Run(d.String(), func(t *testing.T) {
			path := t.TempDir()
			var want []string
			for run := range 4 {
				l := mustOpen(t, path, Options{SegmentBytes: 500, Durability: d})
				got, damage := rest(t, l, 0)
				equal(t, got, want)
				if len(damage) > 0 {
					t.Fatal(damage)
				}
				more := numbered(run*30, run*30+30)
				mustAppend(t, l, more...)
				want = append(want, more...)
				mustClose(t, l)
				if _, err := l.Append(ctx, []byte("x"), 1); !errors.Is(err, ErrClosed) {
					t.Errorf("append after close: %v", err)
				}
			}
		})
	}
}

func TestAckMovesTheBoundsAndRemovesSegments(t *testing.T) {
	path := t.TempDir()
	l := mustOpen(t, path, Options{SegmentBytes: 300})
	want := numbered(0, 100)
	mustAppend(t, l, want...)
	r := l.Reader(0)
	for i := range 60 {
		rec, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Ack(rec.End); err != nil {
			t.Fatal(err)
		}
		if _, entries := l.Backlog(); entries != int64(99-i) {
			t.Fatalf("backlog %d entries, want %d", entries, 99-i)
		}
	}
	mustClose(t, r)
	mustClose(t, l)
	names, err := filepath.Glob(filepath.Join(path, "*"+spareSuffix))
	if err != nil || len(names) > 0 {
		t.Errorf("spare files after close: %v %v", names, err)
	}
	l = mustOpen(t, path, Options{SegmentBytes: 300})
	acked, end := l.Bounds()
	got, _ := rest(t, l, acked)
	equal(t, got, want[60:])
	if err := l.Ack(end); err != nil {
		t.Fatal(err)
	}
	if bytes, entries := l.Backlog(); bytes != 0 || entries != 0 {
		t.Errorf("backlog %d bytes, %d entries, want none", bytes, entries)
	}
	mustClose(t, l)
	l = mustOpen(t, path, Options{})
	defer mustClose(t, l)
	if a, e := l.Bounds(); a != end || e != end {
		t.Errorf("bounds %d %d after reopening, want %d", a, e, end)
	}
}

// TestFilesAreUsedAgain has segments overwritten many times, without a proper shutdown, and checks that their earlier
// content is never read.
func TestFilesAreUsedAgain(t *testing.T) {
	path := t.TempDir()
	l := mustOpen(t, path, Options{SegmentBytes: 400})
	r := l.Reader(0)
	for i := range 500 {
		mustAppend(t, l, fmt.Sprintf("%d %s", i, strings.Repeat("y", i%90)))
		if i < 3 {
			continue
		}
		rec, err := r.Next(ctx)
		if err != nil || !strings.HasPrefix(string(rec.Data), fmt.Sprint(i-3, " ")) {
			t.Fatalf("got %q %v, want message %d", rec.Data, err, i-3)
		}
		if err := l.Ack(rec.End); err != nil {
			t.Fatal(err)
		}
		if i%50 != 49 {
			continue
		}
		crashed := copyDir(t, path)
		c := mustOpen(t, crashed, Options{})
		acked, _ := c.Bounds()
		got, damage := rest(t, c, acked)
		if len(damage) > 0 || len(got) != 3 || !strings.HasPrefix(got[2], fmt.Sprint(i, " ")) {
			t.Fatalf("after a crash at %d: %q %v", i, got, damage)
		}
		mustClose(t, c)
		if torn, _ := filepath.Glob(filepath.Join(crashed, "*"+tornSuffix)); len(torn) > 0 {
			t.Errorf("old bytes were taken for a torn write: %v", torn)
		}
	}
	if spares, _ := filepath.Glob(filepath.Join(path, "*"+spareSuffix)); len(spares) == 0 {
		t.Error("no file is kept to be used again: the test tests nothing")
	}
	mustClose(t, r)
	mustClose(t, l)
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// small creates a log of three segments with one record per group, and returns its directory, its messages, and its
// groups.
func small(t *testing.T) (path string, want []string, groups []group) {
	path = t.TempDir()
	l := mustOpen(t, path, Options{SegmentBytes: 400})
	want = numbered(0, 12)
	mustAppend(t, l, want...)
	mustClose(t, l)
	w := walker{dir: openDir(t, path, nil)}
	list, err := List(w.dir)
	if err != nil || len(list) < 3 {
		t.Fatalf("want three segments: %v %v", list, err)
	}
	for i, s := range list {
		if err := w.walk(s, i == len(list)-1,
			func(g group, _ []byte, _ *CorruptError) bool { groups = append(groups, g); return true }); err != nil {
			t.Fatal(err)
		}
	}
	if len(groups) != len(want) {
		t.Fatalf("%d groups for %d records", len(groups), len(want))
	}
	return path, want, groups
}

// TestCutAtEveryByte cuts the last segment off at every byte: exactly the groups that were complete before the cut can
// be read, and the log continues to work.
func TestCutAtEveryByte(t *testing.T) {
	path, want, groups := small(t)
	list, err := List(openDir(t, path, nil))
	if err != nil {
		t.Fatal(err)
	}
	last := list[len(list)-1]
	for size := last.End - last.Base; size > 0; size-- {
		c := copyDir(t, path)
		if err := os.Truncate(filepath.Join(c, last.Name), int64(size-1)); err != nil {
			t.Fatal(err)
		}
		whole := 0
		for whole < len(groups) && groups[whole].end() <= last.Base+size-1 {
			whole++
		}
		l := mustOpen(t, c, Options{})
		mustAppend(t, l, "after")
		got, _ := rest(t, l, 0)
		mustClose(t, l)
		equal(t, got, append(append([]string(nil), want[:whole]...), "after"))
	}
}

// flipped copies a log with one bit of a file changed.
func flipped(t *testing.T, from, to, name string, bit int) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(to, name))
	if err != nil {
		t.Fatal(err)
	}
	data[bit/8] ^= 1 << (bit % 8)
	if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// asideCount returns how many files of a log were set aside.
func asideCount(t *testing.T, path string) int {
	t.Helper()
	names, err := asideIn(openDir(t, path, nil))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// TestFlipEveryBit flips every bit of every segment in turn: at most the group that was hit is lost; the reader reports
// it or it is set aside; Verify reports it beforehand; and the log can be opened and used.
func TestFlipEveryBit(t *testing.T) {
	path, want, groups := small(t)
	c := filepath.Join(t.TempDir(), "c")
	list, err := List(openDir(t, path, nil))
	if err != nil {
		t.Fatal(err)
	}
	bits := 0
	for _, s := range list {
		for bit := range int(s.End-s.Base) * 8 {
			bits++
			flipped(t, path, c, s.Name, bit)
			report, err := Verify(openDir(t, c, nil), nil)
			if err != nil {
				t.Fatalf("%s bit %d: verify: %v", s.Name, bit, err)
			}
			l, err := Open(openDir(t, c, nil), Options{})
			if err != nil {
				t.Fatalf("%s bit %d: %v", s.Name, bit, err)
			}
			mustAppend(t, l, "after")
			got, damage := rest(t, l, 0)
			mustClose(t, l)
			at := s.Base + uint64(bit/8)
			var expect []string
			for n, g := range groups {
				hit := at >= g.at && at < g.end()
				header := bit/8 < segmentHeader && g.at >= s.Base && g.at < s.End // the whole segment is not trusted
				if !hit && !header {
					expect = append(expect, want[n])
				}
			}
			equal(t, got, append(expect, "after"))
			lost := len(want) - len(expect)
			if lost > 0 && len(damage) == 0 && asideCount(t, c) == 0 {
				t.Errorf("%s bit %d: %d records are lost in silence", s.Name, bit, lost)
			}
			if lost > 0 && len(report.Damaged) == 0 && report.TornBytes == 0 {
				t.Errorf("%s bit %d: verify finds nothing where %d records are lost", s.Name, bit, lost)
			}
			if report.Entries != int64(len(expect)) {
				t.Errorf("%s bit %d: verify counts %d entries, %d are read", s.Name, bit, report.Entries, len(expect))
			}
		}
	}
	t.Logf("flipped %d bits", bits)
}

// TestCutEverySegmentAtEveryByte cuts each segment but the last off at every byte: the groups before the cut and those
// of other segments can be read, and the loss is reported.
func TestCutEverySegmentAtEveryByte(t *testing.T) {
	path, want, groups := small(t)
	list, err := List(openDir(t, path, nil))
	if err != nil {
		t.Fatal(err)
	}
	c := filepath.Join(t.TempDir(), "c")
	for _, s := range list[:len(list)-1] {
		for size := range s.End - s.Base {
			if err := errors.Join(os.RemoveAll(c), os.CopyFS(c, os.DirFS(path)),
				os.Truncate(filepath.Join(c, s.Name), int64(size))); err != nil {
				t.Fatal(err)
			}
			l := mustOpen(t, c, Options{})
			mustAppend(t, l, "after")
			got, damage := rest(t, l, 0)
			mustClose(t, l)
			var expect []string
			for n, g := range groups {
				if g.at < s.Base || g.at >= s.End || size >= segmentHeader && g.end() <= s.Base+size {
					expect = append(expect, want[n])
				}
			}
			equal(t, got, append(expect, "after"))
			if len(expect) < len(want) && len(damage) == 0 {
				t.Errorf("%s cut at %d: %d records are lost in silence", s.Name, size, len(want)-len(expect))
			}
		}
	}
}

// TestDamageToTheAcknowledgement flips every bit of the acknowledgement and cuts it off at every byte: the result is
// the last acknowledgement, the one before, or none.
func TestDamageToTheAcknowledgement(t *testing.T) {
	path := t.TempDir()
	l := mustOpen(t, path, Options{})
	first := mustAppend(t, l, "one")
	second := mustAppend(t, l, "two")
	mustAppend(t, l, "three")
	for _, end := range []uint64{first, second} {
		if err := l.Ack(end); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, l)
	c := filepath.Join(t.TempDir(), "c")
	for bit := range (ackSlot + ackSize) * 8 {
		flipped(t, path, c, ackName, bit)
		l := mustOpen(t, c, Options{})
		if acked, _ := l.Bounds(); acked != first && acked != second {
			t.Fatalf("bit %d: acknowledged %d, want %d or %d", bit, acked, first, second)
		}
		mustClose(t, l)
	}
	t.Logf("flipped %d bits", (ackSlot+ackSize)*8)
	for size := range ackSlot + ackSize {
		if err := errors.Join(os.RemoveAll(c), os.CopyFS(c, os.DirFS(path)),
			os.Truncate(filepath.Join(c, ackName), int64(size))); err != nil {
			t.Fatal(err)
		}
		l := mustOpen(t, c, Options{})
		if acked, _ := l.Bounds(); acked != 0 && acked != first && acked != second {
			t.Fatalf("cut at %d: acknowledged %d", size, acked)
		}
		mustClose(t, l)
	}
}

// TestRepair damages the end or the header of the last segment: Repair sets it aside, replaces no file that was set
// aside before, and leaves a sound log.
func TestRepair(t *testing.T) {
	path, want, groups := small(t)
	if aside, err := Repair(openDir(t, path, nil)); err != nil || len(aside) > 0 {
		t.Errorf("a sound log: %v %v", aside, err)
	}
	list, err := List(openDir(t, path, nil))
	if err != nil {
		t.Fatal(err)
	}
	last := list[len(list)-1]
	whole := len(want) - 1
	for groups[whole].at >= last.Base {
		whole--
	}
	torn := int(groups[len(groups)-1].at-last.Base) + 45
	for name, test := range map[string]struct {
		at    int
		aside string
		keeps int
	}{
		"header": {3, last.Name + corruptSuffix, whole + 1},
		"torn":   {torn, fmt.Sprintf("%s.%d%s", last.Name, groups[len(groups)-1].at, tornSuffix), len(want) - 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := filepath.Join(t.TempDir(), "c")
			flipped(t, path, c, last.Name, 8*test.at)
			if err := os.WriteFile(filepath.Join(c, test.aside), []byte("kept"), 0o600); err != nil {
				t.Fatal(err)
			}
			lock, err := openDir(t, c, nil).Lock("lock")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Repair(openDir(t, c, nil)); !errors.Is(err, faultfs.ErrLocked) {
				t.Errorf("repaired while in use: %v", err)
			}
			mustClose(t, lock)
			aside, err := Repair(openDir(t, c, nil))
			if err != nil || len(aside) != 1 {
				t.Fatalf("set aside %v %v", aside, err)
			}
			if data, err := os.ReadFile(filepath.Join(c, test.aside)); err != nil || string(data) != "kept" {
				t.Errorf("what was set aside before: %q %v", data, err)
			}
			report, err := Verify(openDir(t, c, nil), nil)
			if err != nil || len(report.Damaged) > 0 || report.TornBytes > 0 {
				t.Errorf("after the repair: %+v %v", report, err)
			}
			l := mustOpen(t, c, Options{})
			defer mustClose(t, l)
			got, _ := rest(t, l, 0)
			equal(t, got, want[:test.keeps])
		})
	}
}

// TestVerifyExplains damages one group and checks the report of Verify.
func TestVerifyExplains(t *testing.T) {
	path, _, groups := small(t)
	c := filepath.Join(t.TempDir(), "c")
	flipped(t, path, c, segment{}.name(), int(groups[1].at+50)*8)
	report, err := Verify(openDir(t, c, nil), nil)
	if err != nil || len(report.Damaged) != 1 {
		t.Fatalf("%+v %v", report, err)
	}
	d := report.Damaged[0]
	if d.Lost != 1 || d.Groups != len(groups)-2 || d.Entries != int64(len(groups)-2) || d.Start != groups[1].at ||
		d.End != groups[1].end() || d.Header || d.Last {
		t.Errorf("%+v", d)
	}
}

// TestVerifyCountsBySegments damages the first group of a log, and the groups on both sides of the border between two
// segments: by the headers of the segments, Verify knows how much was lost in which.
func TestVerifyCountsBySegments(t *testing.T) {
	path, _, groups := small(t)
	list, err := List(openDir(t, path, nil))
	if err != nil {
		t.Fatal(err)
	}
	border := slices.IndexFunc(groups, func(g group) bool { return g.at > list[1].Base })
	c, again := filepath.Join(t.TempDir(), "c"), filepath.Join(t.TempDir(), "again")
	flipped(t, path, c, list[0].Name, int(groups[0].at+50)*8)
	flipped(t, c, again, list[0].Name, int(groups[border-1].at+50)*8)
	flipped(t, again, c, list[1].Name, int(groups[border].at-list[1].Base+50)*8)
	report, err := Verify(openDir(t, c, nil), nil)
	if err != nil || len(report.Damaged) != 3 {
		t.Fatalf("%+v %v", report, err)
	}
	for _, d := range report.Damaged {
		if d.Lost != 1 {
			t.Errorf("%d entries are said to be lost at %d, want 1", d.Lost, d.Start)
		}
	}
}

func TestAZeroFilledTailIsNoDamage(t *testing.T) {
	path, want, _ := small(t)
	list, err := List(openDir(t, path, nil))
	if err != nil {
		t.Fatal(err)
	}
	last := list[len(list)-1]
	if err := os.Truncate(filepath.Join(path, last.Name), int64(last.End-last.Base)+5000); err != nil {
		t.Fatal(err)
	}
	report, err := Verify(openDir(t, path, nil), nil)
	if err != nil || len(report.Damaged) > 0 || report.TornBytes != 0 || report.Entries != int64(len(want)) {
		t.Errorf("verify: %+v %v", report, err)
	}
	l := mustOpen(t, path, Options{})
	defer mustClose(t, l)
	got, damage := rest(t, l, 0)
	equal(t, got, want)
	if len(damage) > 0 {
		t.Error(damage)
	}
}

func TestATornGroupIsKeptAside(t *testing.T) {
	path, want, groups := small(t)
	list, err := List(openDir(t, path, nil))
	if err != nil {
		t.Fatal(err)
	}
	last, g := list[len(list)-1], groups[len(groups)-1]
	name := filepath.Join(path, last.Name)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	torn := whole[g.at-last.Base : len(whole)-3]
	if err := os.Truncate(name, int64(len(whole)-3)); err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, path, Options{})
	got, _ := rest(t, l, 0)
	mustClose(t, l)
	equal(t, got, want[:len(want)-1])
	aside, err := filepath.Glob(filepath.Join(path, "*"+tornSuffix))
	if err != nil || len(aside) != 1 {
		t.Fatalf("aside: %v %v", aside, err)
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, torn) {
		t.Errorf("kept %d bytes (%v), want the %d torn ones", len(kept), err, len(torn))
	}
}

func TestADamagedSegmentIsKeptWhenItIsDone(t *testing.T) {
	path, want, groups := small(t)
	list, err := List(openDir(t, path, nil))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(path, list[0].Name)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	whole[groups[1].at+50] ^= 1
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, path, Options{})
	got, damage := rest(t, l, 0)
	equal(t, got, append([]string{want[0]}, want[2:]...))
	if len(damage) != 1 || damage[0].Start != groups[1].at || damage[0].End != groups[2].at ||
		damage[0].Segment != list[0].Name {
		t.Errorf("damage: %v", damage)
	}
	_, end := l.Bounds()
	if err := l.Ack(end); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	if kept, err := os.ReadFile(name + corruptSuffix); err != nil || !bytes.Equal(kept, whole) {
		t.Errorf("the damaged segment was not kept: %v", err)
	}
}

// TestOffsetsAreNotGivenOutTwice removes the last segment: offsets that were acknowledged or seen by the owner are not
// assigned again.
func TestOffsetsAreNotGivenOutTwice(t *testing.T) {
	for _, seen := range []bool{false, true} {
		path := t.TempDir()
		l := mustOpen(t, path, Options{})
		end := mustAppend(t, l, "one", "two")
		var o Options
		if seen {
			o.Floor = end
		} else if err := l.Ack(end); err != nil {
			t.Fatal(err)
		}
		mustClose(t, l)
		names, err := filepath.Glob(filepath.Join(path, "*"+segmentSuffix))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		if err := os.Remove(names[0]); err != nil {
			t.Fatal(err)
		}
		for _, m := range []string{"three", "four"} { // also when the log is opened once more
			l = mustOpen(t, path, o)
			if next := mustAppend(t, l, m); next <= end {
				t.Errorf("offset %d was given out before: the log was at %d", next, end)
			}
			got, damage := rest(t, l, end)
			if len(damage) > 0 || got[len(got)-1] != m {
				t.Errorf("got %q, %v", got, damage)
			}
			mustClose(t, l)
		}
	}
	if _, err := Open(openDir(t, t.TempDir(), nil), Options{Floor: maxOffset + 1}); err == nil {
		t.Error("a log is opened that would soon have no offsets left")
	}
}

func TestFullIsAState(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{MaxBytes: 2000, SegmentBytes: 500})
	defer mustClose(t, l)
	message := strings.Repeat("m", 100)
	n := 0
	var err error
	for ; n < 100; n++ {
		if _, err = l.Append(ctx, []byte(message), 1); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) || n < 5 || n > 20 {
		t.Fatalf("after %d appends: %v", n, err)
	}
	if bytes, _ := l.Backlog(); bytes > 2000+segmentHeader {
		t.Errorf("%d bytes, bound 2000", bytes)
	}
	r := l.Reader(0)
	defer mustClose(t, r)
	rec, err := r.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Ack(rec.End); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, message[:50])
}

// Acknowledged segments are removed even from a log that never becomes full.
func TestABoundedLogIsSmallOnDisk(t *testing.T) {
	const most = 1 << 20
	path := t.TempDir()
	l := mustOpen(t, path, Options{MaxBytes: most, Durability: Write})
	defer mustClose(t, l)
	message := strings.Repeat("m", 32<<10)
	for n := range 100 {
		if err := l.Ack(mustAppend(t, l, message)); err != nil {
			t.Fatal(err)
		}
		list, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		size := int64(0)
		for _, e := range list {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
		}
		if size > most {
			t.Fatalf("%d bytes on disk after %d appends of which none waits, bound %d", size, n+1, most)
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	path := t.TempDir()
	l := mustOpen(t, path, Options{})
	if _, err := Open(openDir(t, path, nil), Options{}); !errors.Is(err, faultfs.ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	mustClose(t, l)
	mustClose(t, mustOpen(t, path, Options{}))
}

func TestAnotherVersionIsRefused(t *testing.T) {
	path := t.TempDir()
	h := appendSegmentHeader(nil, 0, 0)
	h[8] = 9
	h = append(h[:segmentHeader-4], appendSegmentHeader(nil, 0, 0)[segmentHeader-4:]...)
	copy(h[segmentHeader-4:], crcOf(h[:segmentHeader-4]))
	if err := os.WriteFile(filepath.Join(path, segment{}.name()), h, 0o600); err != nil {
		t.Fatal(err)
	}
	var version *VersionError
	if _, err := Open(openDir(t, path, nil), Options{}); !errors.As(err, &version) || version.Version != 9 ||
		!strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestNextWaitsForWhatIsDurable(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{})
	r := l.Reader(0)
	got := make(chan string)
	go func() {
		for {
			rec, err := r.Next(ctx)
			if err != nil {
				got <- err.Error()
				return
			}
			got <- string(rec.Data)
		}
	}()
	for _, m := range numbered(0, 5) {
		mustAppend(t, l, m)
		if g := <-got; g != m {
			t.Errorf("got %q, want %q", g, m)
		}
	}
	mustClose(t, l)
	if g := <-got; g != io.EOF.Error() {
		t.Errorf("got %q at the end", g)
	}
	mustClose(t, r)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	l = mustOpen(t, t.TempDir(), Options{})
	defer mustClose(t, l)
	if _, err := l.Reader(0).Next(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestManyAppendersOneReader(t *testing.T) {
	for _, d := range []Durability{Sync, Write, Memory} {
		t.Run(d.String(), func(t *testing.T) {
			l := mustOpen(t, t.TempDir(), Options{SegmentBytes: 20_000, Durability: d})
			const callers, each = 16, 100
			var wait sync.WaitGroup
			for c := range callers {
				wait.Go(func() {
					for i := range each {
						if _, err := l.Append(ctx, fmt.Appendf(nil, "%d %d", c, i), 1); err != nil {
							t.Error(err)
						}
					}
				})
			}
			r := l.Reader(0)
			next := make([]int, callers)
			for range callers * each {
				rec, err := r.Next(ctx)
				if err != nil {
					t.Fatal(err)
				}
				var c, i int
				if _, err := fmt.Sscan(string(rec.Data), &c, &i); err != nil || next[c] != i {
					t.Fatalf("got %q %v, want number %d of %d", rec.Data, err, next[c], c)
				}
				next[c]++
				if err := l.Ack(rec.End); err != nil {
					t.Fatal(err)
				}
			}
			wait.Wait()
			mustClose(t, r)
			if bytes, entries := l.Backlog(); bytes != 0 || entries != 0 {
				t.Errorf("backlog %d %d", bytes, entries)
			}
			mustClose(t, l)
		})
	}
}

func TestACallerCanGiveUp(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{})
	defer mustClose(t, l)
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := l.Append(done, []byte("never"), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	mustAppend(t, l, "one")
	if got, _ := rest(t, l, 0); len(got) != 1 || got[0] != "one" {
		t.Errorf("got %q", got)
	}
}

func TestOfflineReading(t *testing.T) {
	path, want, groups := small(t)
	l := mustOpen(t, path, Options{})
	if err := l.Ack(groups[4].end()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	dir := openDir(t, path, nil)
	var got []string
	for rec, err := range Records(dir) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(rec.Data))
	}
	equal(t, got, want[5:])
	var done, total int64
	report, err := Verify(dir, func(d, n int64) { done, total = d, n })
	if err != nil || report.Entries < int64(len(got)) || report.Waiting != int64(len(got)) ||
		len(report.Damaged) > 0 || report.Acked != groups[4].end() {
		t.Errorf("%+v %v", report, err)
	}
	if done == 0 || done != total {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	for range Records(dir) {
		break // stopping early is no fault
	}
}

// plan is an injector that fails the n-th operation of a kind, and as many more as it says.
type plan struct {
	mu     sync.Mutex
	op     faultfs.Op // "" = all that change something
	skip   int        // operations that pass
	fail   int        // then so many fail
	allow  int        // bytes of a failing write
	err    error
	struck bool
}

func (p *plan) Inject(op faultfs.Op, _ string, n int) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if op != p.op && (p.op != "" || p.fail == 0 || op == faultfs.OpRead || op == faultfs.OpOpen) {
		return n, nil
	}
	if p.skip > 0 {
		p.skip--
		return n, nil
	}
	if p.fail > 0 {
		p.fail--
		p.struck = true
		return p.allow, p.err
	}
	return n, nil
}

// TestFaults fails each operation in turn, once or several times: acknowledged records are read once and in order,
// before and after a restart; other records are read at most once; and the log recovers without help.
func TestFaults(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.OpWrite, faultfs.OpSync, faultfs.OpOpen, faultfs.OpRename,
		faultfs.OpRemove, faultfs.OpSyncDir, faultfs.OpTruncate} {
		for skip := range 25 {
			for _, fail := range []int{1, 2, 5} {
				t.Run(fmt.Sprintf("%s/%d/%d", op, skip, fail), func(t *testing.T) {
					path := t.TempDir()
					p := &plan{op: op, skip: skip, fail: fail, allow: skip % 3 * 20, err: syscall.EIO}
					l, err := Open(openDir(t, path, p), Options{SegmentBytes: 300})
					if err != nil {
						return // refused before anything was accepted
					}
					var want []string
					refused := map[string]bool{}
					for _, m := range numbered(0, 30) {
						if _, err := l.Append(ctx, []byte(m), 1); err != nil {
							refused[m] = true
						} else {
							want = append(want, m)
						}
					}
					if len(refused) > fail {
						t.Errorf("%d faults refused %d appends", fail, len(refused))
					}
					check := func(l *Log) {
						got, damage := rest(t, l, 0)
						kept := got[:0]
						for _, m := range got {
							if !refused[m] {
								kept = append(kept, m)
							}
						}
						equal(t, kept, want)
						if len(damage) > 0 {
							t.Error(damage)
						}
					}
					p.mu.Lock()
					p.fail = 0
					p.mu.Unlock()
					check(l)
					crashed := copyDir(t, path)
					if err := l.Close(); err != nil {
						t.Error(err)
					}
					for _, path := range []string{crashed, path} {
						l := mustOpen(t, path, Options{})
						check(l)
						mustClose(t, l)
					}
				})
			}
		}
	}
}
