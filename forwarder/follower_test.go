package forwarder

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"inkwell/forwarder/lines"
)

func TestFollowGrowingFile(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	r.write("a.log", "one\ntwo\n")
	r.start()
	r.wantLines("one\n", "two\n")
	r.write("a.log", "thr")
	r.settle()
	r.write("a.log", "ee\n")
	r.wantLines("one\n", "two\n", "three\n")
	if got := r.counter("lines read"); got != 3 {
		t.Errorf("lines read = %d", got)
	}
	if got := r.stats.Category("c", "received good").Load(); got != 3 {
		t.Errorf("received good = %d", got)
	}
}

func TestLinesAreBytes(t *testing.T) {
	want := []string{"\n", "a\x00b\n", "\r\n", "crlf\r\n", "\xff\xfe\n", "\n", strings.Repeat("x", 300<<10) + "\n", "end\n"}
	r := newRig(t, "a.log")
	r.write("a.log", joined(want))
	r.start()
	r.wantLines(want...)
}

func TestLongLines(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a.log")
	r.opt.MaxLine = 1 << 20
	whole := strings.Repeat("a", 1<<20-1) + "\n"
	long := strings.Repeat("b", 1<<20) + "\n"
	r.write("a.log", whole+"x\n"+long+"y\n")
	r.start()
	r.wantLines(whole, "x\n", long[:1<<20], "\n", "y\n")
	if got := r.counter("lines split"); got != 1 {
		t.Errorf("lines split = %d", got)
	}
	// A line that grows slowly past the limit.
	for range 12 {
		r.write("a.log", strings.Repeat("c", 100<<10))
	}
	r.write("a.log", "\n")
	r.wantLines(whole, "x\n", long[:1<<20], "\n", "y\n", strings.Repeat("c", 1<<20), strings.Repeat("c", 1200<<10-1<<20)+"\n")
}

func TestSixteenMebibyteLines(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a.log")
	line := strings.Repeat("l", defaultLine-1) + "\n"
	r.write("a.log", line+"short\n"+line+"last\n")
	r.start()
	r.wantLines(line, "short\n", line, "last\n")
}

func TestShortLimit(t *testing.T) {
	r := newRig(t, "a.log")
	r.opt.MaxLine = 4
	r.write("a.log", "abc\nabcd\nabcdefghij\nx\n")
	r.start()
	r.wantLines("abc\n", "abcd", "\n", "abcd", "efgh", "ij\n", "x\n")
	if got := r.counter("lines split"); got != 2 {
		t.Errorf("lines split = %d", got)
	}
}

func TestFromEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	r.opt.FromEnd = true
	r.write("a.log", "old\nhal")
	r.start()
	r.until("a file that is followed", func() bool { return strings.Contains(readAll(t, r.state), "a.log") })
	r.write("a.log", "f\n")
	r.write("b.log", "later\n")
	r.until("two lines", func() bool { return r.store.count("c") == 2 })
	got := r.store.get("c")
	slices.Sort(got)
	if !slices.Equal(got, []string{"half\n", "later\n"}) {
		t.Errorf("got %q", got)
	}
	r.stop()
	r.write("a.log", "while down\n")
	r.start()
	r.until("three lines", func() bool { return r.store.count("c") == 3 })
}

// TestInputsHaveTheirOwnChoices has an input that is followed from its end, with short lines, beside one that is not.
func TestInputsHaveTheirOwnChoices(t *testing.T) {
	r := newRig(t, "a.log")
	r.inputs = append(r.inputs, Input{Category: "d", Glob: r.path("e.log"), FromEnd: true, Lines: lines.Options{MaxLine: 4}})
	r.write("a.log", "old line\n")
	r.write("e.log", "old line\n")
	r.start()
	r.until("both are followed", func() bool {
		known := readAll(t, r.state)
		return strings.Contains(known, "a.log") && strings.Contains(known, "e.log")
	})
	r.write("e.log", "123456\n")
	r.until("the end of one", func() bool { return r.store.count("d") == 2 })
	r.until("all of the other", func() bool { return r.store.count("c") == 1 })
	if got := r.store.get("d"); !slices.Equal(got, []string{"1234", "56\n"}) {
		t.Errorf("got %q", got)
	}
}

func readAll(t *testing.T, state string) string {
	data, err := os.ReadFile(state + "/" + positionsName)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	r.opt.Once = true
	var want []string
	for i := range 20 {
		lines := numbered(fmt.Sprintf("f%02d", i), 0, 5000)
		want = append(want, lines...)
		r.write(fmt.Sprintf("%02d.log", i), joined(lines))
	}
	want = append(want, "unfinished\n")
	r.write("99.log", "unfinished")
	r.write("zip.log.gz", "not\nread\n")
	r.start()
	r.finish()
	checkStreams(t, r.store.get("c"), want)
	r.write("00.log", "more\n")
	r.start()
	r.finish()
	checkStreams(t, r.store.get("c"), append(want, "more\n"))
}

// checkStreams checks that got has the lines of want, each once, and those with the same first word in the same order.
func checkStreams(t *testing.T, got, want []string) {
	t.Helper()
	byLabel := func(lines []string) map[string][]string {
		m := make(map[string][]string)
		for _, l := range lines {
			label, _, _ := strings.Cut(l, " ")
			m[label] = append(m[label], l)
		}
		return m
	}
	g, w := byLabel(got), byLabel(want)
	for label, lines := range w {
		if !slices.Equal(g[label], lines) {
			i := 0
			for i < len(lines) && i < len(g[label]) && lines[i] == g[label][i] {
				i++
			}
			t.Errorf("%s: %d lines, want %d; they differ from line %d on", label, len(g[label]), len(lines), i)
		}
	}
	for label := range g {
		if w[label] == nil {
			t.Errorf("%s: %d lines that were not to be read", label, len(g[label]))
		}
	}
}

func TestUnreadableFileIsRetried(t *testing.T) {
	r := newRig(t, "*.log")
	if err := os.Symlink(r.path("target"), r.path("a.log")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.path("dir.log"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.settle()
	r.write("target", "through the link\n")
	r.wantLines("through the link\n")
}

func TestCompressedByMagicIsPassedOver(t *testing.T) {
	r := newRig(t, "*.log")
	r.write("a.log", "\x1f\x8b\x08junk\n")
	r.write("b.log", "text\n")
	r.start()
	r.wantLines("text\n")
	if n := strings.Count(r.logs.String(), "passed over"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestTwoInputsFirstWins(t *testing.T) {
	r := newRig(t, "*.log")
	r.inputs = append(r.inputs, Input{Category: "other", Glob: r.path("a.*")})
	r.write("a.log", "x\n")
	r.start()
	r.wantLines("x\n")
	if n := r.store.count("other"); n != 0 {
		t.Errorf("other has %d lines", n)
	}
	if n := strings.Count(r.logs.String(), "wanted by two inputs"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestManyFilesShare(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	big := numbered("big", 0, 300_000)
	r.write("a.log", joined(big))
	var want []string
	for i := range 50 {
		lines := numbered(fmt.Sprintf("s%02d", i), 0, 10)
		want = append(want, lines...)
		r.write(fmt.Sprintf("s%02d.log", i), joined(lines))
	}
	r.start()
	r.until("all lines", func() bool { return r.store.count("c") >= len(big)+len(want) })
	got := r.store.get("c")
	checkStreams(t, got, append(want, big...))
	last := 0
	for i, l := range got {
		if l[0] == 's' {
			last = i
		}
	}
	if last > len(got)/2 {
		t.Errorf("the last small file came after %d of %d lines", last, len(got))
	}
}

func TestNewDirectoryIsFound(t *testing.T) {
	r := newRig(t, "*/app.log")
	r.start()
	r.settle()
	if err := os.Mkdir(r.path("sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.write("sub/app.log", "hello\n")
	r.wantLines("hello\n")
}

func TestRestartSendsNothingTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	var want []string
	for i := range 8 {
		lines := numbered("a", i*1000, (i+1)*1000)
		want = append(want, lines...)
		r.write("a.log", joined(lines))
		r.start()
		r.until("lines", func() bool { return r.store.count("c") >= len(want) })
		r.stop()
	}
	r.start()
	r.wantLines(want...)
}

func TestStoreThatFailsAndLosesAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	r.store.fail = func(n int) (before, after error) {
		if n%3 == 0 {
			return errFault, nil
		}
		return nil, nil
	}
	want := numbered("a", 0, 200_000)
	go func() {
		for i := 0; i < len(want); i += 1000 {
			r.write("a.log", joined(want[i:i+1000]))
			time.Sleep(time.Millisecond)
		}
	}()
	for range 5 {
		r.start()
		time.Sleep(30 * time.Millisecond)
		r.stop()
	}
	r.start()
	r.wantLines(want...)
}

func TestLinkThatIsChanged(t *testing.T) {
	t.Parallel()
	r := newRig(t, "current")
	link := func(target string) {
		t.Helper()
		if err := os.Symlink(r.path(target), r.path("new")); err != nil {
			t.Fatal(err)
		}
		r.rename("new", "current")
	}
	r.write("2026-11-22", "1\n")
	link("2026-11-22")
	r.start()
	r.until("1", func() bool { return r.store.count("c") == 1 })
	r.write("2026-11-23", "3\n")
	link("2026-11-23")
	r.write("2026-11-22", "2\n")
	r.wantLines("1\n", "2\n", "3\n")
}

func TestFileThatIsCreatedAndRotatedAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a.log")
	r.start()
	r.until("a scan", func() bool { return strings.Contains(readAll(t, r.state), "inkwell") })
	r.settle()
	var want []string
	for i := range 5 {
		want = append(want, fmt.Sprintf("%d\n", i))
		r.write("a.log", want[i])
		r.rename("a.log", fmt.Sprintf("a.log-%d", i))
	}
	r.write("a.log", "last\n")
	r.until("6 lines", func() bool { return r.store.count("c") >= 6 })
	r.settle()
	checkStreams(t, r.store.get("c"), append(want, "last\n"))
}
