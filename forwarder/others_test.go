package forwarder

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// What people lost, or had twice, with other programs, by the issues in which they tell it.

// TestNumberOfADeletedFile: a file is deleted while the forwarder is down, and another one gets its inode (fluent-bit
// 8025, beats 1341: the new one is read from the old offset on, or not at all).
func TestNumberOfADeletedFile(t *testing.T) {
	r := newRig(t, "*.log")
	old := numbered("old", 0, 50)
	r.write("a.log", joined(old))
	r.start()
	r.wantLines(old...)
	r.stop()
	was, err := statPath(r.path("a.log"))
	if err != nil {
		t.Fatal(err)
	}
	r.remove("a.log")
	for i := 0; ; i++ {
		if i == 100 {
			t.Log("NOT RUN: this file system does not use inode numbers again. TestDecide has the decision.")
			return
		}
		r.write("b.log", "")
		if l, err := statPath(r.path("b.log")); err == nil && l.id == was.id {
			break
		}
		r.rename("b.log", fmt.Sprintf("other%d", i))
	}
	fresh := numbered("new", 0, 60)
	r.write("b.log", joined(fresh))
	r.start()
	r.wantLines(append(old, fresh...)...)
}

// TestOneArchiveThatThePatternMatches: telegraf with max_archives = 1 renames, and deletes the one before, whose inode
// the next file gets (fluentd 3871, loki 2353: the rotated file is read again).
func TestOneArchiveThatThePatternMatches(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.out")
	r.start()
	var want []string
	for i := range 8 {
		lines := numbered("m", i*20, i*20+20)
		want = append(want, lines...)
		r.write("metrics.out", joined(lines))
		r.until("these lines", func() bool { return r.store.count("c") >= len(want) })
		if i == 4 {
			r.stop()
		}
		if i > 0 {
			r.remove(fmt.Sprintf("metrics.2026-11-29-%02d.out", i-1))
		}
		r.rename("metrics.out", fmt.Sprintf("metrics.2026-11-29-%02d.out", i))
		if i == 4 {
			r.start()
		}
	}
	r.wantLines(want...)
}

// TestInodeOfAnEmptyFile: the log was empty when the forwarder was killed, and its inode number was given to a copy of the file before.
func TestInodeOfAnEmptyFile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a.log.2", "a.log"} { // of the copy
		r := newRig(t, "a.log")
		want := numbered("line", 0, 500)
		r.write("a.log", joined(want))
		r.start()
		r.wantLines(want...)
		r.stop()
		r.copy("a.log", "copy")
		r.remove("a.log")
		r.rename("copy", name)
		l, err := statPath(r.path(name))
		if err != nil {
			t.Fatal(err)
		}
		p, err := openTestPositions(t, r.state, nil)
		if err != nil {
			t.Fatal(err)
		}
		empty := position{id: l.id, phase: active, category: "c", path: r.path("a.log")}
		if err := errors.Join(p.commit([]position{empty}), p.close()); err != nil {
			t.Fatal(err)
		}
		r.write("a.log", "new\n")
		r.start()
		r.wantLines(append(want, "new\n")...)
		r.stop()
	}
}

// TestFilesThatBeginAlike: a banner of 3 kB begins each file (vector 25079, 643: files with the same first lines are
// taken for one).
func TestFilesThatBeginAlike(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	banner := numbered("banner", 0, 220)
	r.write("a.log", joined(banner))
	r.write("b.log", joined(banner))
	r.start()
	want := append(append([]string(nil), banner...), banner...)
	r.until("both banners", func() bool { return r.store.count("c") == len(want) })
	for i := range 3 { // and nothing else stands in a file that is rotated
		if i == 1 {
			r.stop()
		}
		r.rename("a.log", fmt.Sprintf("a.log-2026112%d", i))
		r.write("a.log", joined(banner))
		want = append(want, banner...)
		if i == 1 {
			r.start()
		}
		r.until("the next banner", func() bool { return r.store.count("c") >= len(want) })
	}
	r.settle()
	if n := r.store.count("c"); n != len(want) {
		t.Errorf("%d lines, want %d", n, len(want))
	}
}

// TestCopytruncateTwiceWithRestarts: two rotations by copytruncate, copies that the pattern matches, and restarts
// (beats 39731, 45300: everything again, or 35 of 150 lines).
func TestCopytruncateTwiceWithRestarts(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a.log*")
	var want []string
	for i := range 3 {
		lines := numbered("a", i*50, i*50+50)
		want = append(want, lines...)
		r.write("a.log", joined(lines))
		r.start()
		r.until("these lines", func() bool { return r.store.count("c") >= len(want) })
		if i == 1 {
			r.stop()
		}
		if i > 0 {
			r.rename("a.log.1", fmt.Sprintf("a.log.%d", i+1))
		}
		r.copy("a.log", "a.log.1")
		r.truncate("a.log")
		r.settle()
		r.stop()
	}
	r.start()
	r.wantLines(want...)
}

// TestCopytruncateTwiceAtOnce: logs that were at rest are truncated twice before the forwarder looks again. The generation
// between is read, also if it is a scan of the directory that first finds them truncated.
func TestCopytruncateTwiceAtOnce(t *testing.T) {
	t.Parallel()
	const logs = 20
	r := newRig(t, "*.log")
	r.timing.window, r.timing.poll, r.timing.pollMax = 200*time.Millisecond, time.Second, time.Second
	var want []string
	write := func(name, prefix string) {
		lines := numbered(name+" "+prefix, 0, 40)
		want = append(want, lines...)
		r.write(name, joined(lines))
	}
	var names []string
	for i := range logs {
		names = append(names, fmt.Sprintf("app%d.log", i))
		write(names[i], "first")
	}
	r.start()
	r.until("these lines", func() bool { return r.store.count("c") >= len(want) })
	time.Sleep(2 * r.timing.window) // at rest
	for _, name := range names {
		for k := range 2 {
			if k > 0 {
				r.rename(name+".1", name+".2")
			}
			r.copy(name, name+".1")
			r.truncate(name)
			write(name, fmt.Sprint("after ", k))
		}
	}
	r.until("all lines", func() bool { return r.store.count("c") >= len(want) })
	r.settle()
	got := r.store.get("c")
	byLog := func(a, b string) int {
		nameA, _, _ := strings.Cut(a, " ")
		nameB, _, _ := strings.Cut(b, " ")
		return strings.Compare(nameA, nameB)
	}
	slices.SortStableFunc(got, byLog) // each log in its order
	slices.SortStableFunc(want, byLog)
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d, each log in its order", len(got), len(want))
	}
}

// TestDanglingLinkIsToldOnce: what a link points to is gone (loki 377: an error every ten seconds).
func TestDanglingLinkIsToldOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	if err := os.Symlink(r.path("nothing"), r.path("a.log")); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.write("b.log", "1\n")
	r.wantLines("1\n")
	time.Sleep(4 * quick.rescan)
	if n := strings.Count(r.logs.String(), "a.log"); n > 1 {
		t.Errorf("told %d times", n)
	}
}

// TestNumberThatIsUsedAgainAtTheSamePath: a rotated file is deleted and the next log gets its inode. When the old one
// is forgotten, the position of the new one is not.
func TestNumberThatIsUsedAgainAtTheSamePath(t *testing.T) {
	r := newRig(t, "a.log")
	r.timing.forget, r.timing.keepOld, r.timing.keepGone = 300*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
	r.write("a.log", "one\n")
	r.start()
	r.wantLines("one\n")
	was, err := statPath(r.path("a.log"))
	if err != nil {
		t.Fatal(err)
	}
	r.rename("a.log", "a.log.1")
	r.write("a.log", "two\n")
	r.wantLines("one\n", "two\n")
	r.until("the first is closed", func() bool {
		return strings.Contains(readAll(t, r.state), " f ") || strings.HasPrefix(readAll(t, r.state), "f ")
	})
	time.Sleep(4 * quick.rescan)
	r.remove("a.log.1")
	for i := 0; ; i++ {
		if i == 100 {
			t.Log("NOT RUN: this file system does not use inode numbers again. TestDecide has the decision.")
			return
		}
		r.write("next", "three\n")
		if l, err := statPath(r.path("next")); err == nil && l.id == was.id {
			break
		}
		r.rename("next", fmt.Sprintf("other%d", i))
	}
	r.rename("a.log", "a.log.1")
	r.rename("next", "a.log")
	r.wantLines("one\n", "two\n", "three\n")
	for range 10 { // long enough to forget
		time.Sleep(100 * time.Millisecond)
		r.write("touch", "")
		r.remove("touch")
	}
	r.stop()
	r.start()
	r.wantLines("one\n", "two\n", "three\n")
}
