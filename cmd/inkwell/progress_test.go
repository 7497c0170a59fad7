package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inkwell/rotate"
)

func TestProgressLine(t *testing.T) {
	half := progress{done: 50e6, whole: 100e6}
	step := progress{what: "journal /srv/logs/.inkwell/journal", done: 1, whole: 4, unitless: true}
	for _, c := range []struct {
		p     *progress
		width int
		want  string
	}{
		{&half, 100, "[############------------]  50 %  50 MB of 100 MB  10 MB/s  5s left"},
		{&half, 60, "50 %  50 MB of 100 MB  10 MB/s  5s left"},
		{&half, 39, "50 %  50 MB of 100 MB  5s left"},
		{&half, 20, "50 %  5s left"},
		{&half, 3, "50 %"},
		{&step, 80, "[######------------------]  25 %  journal /srv/logs/.inkwell/journal  15s left"},
		{&step, 40, "25 %  15s left"},
		{&progress{done: 120, whole: 100}, 40, "100 %  100 B of 100 B  20 B/s"},
		{&progress{}, 40, "0 %  0 B of 0 B  0 B/s"},
	} {
		if got := c.p.line(5*time.Second, c.width); got != c.want {
			t.Errorf("at %d columns %q, want %q", c.width, got, c.want)
		}
	}
}

// TestProgressOfAShortTask shows nothing in the first second, and later at most ten updates in a second.
func TestProgressOfAShortTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := (&app{screen: newScreen(&b, func() int { return 80 })}).progress(1000)
		for range 100 {
			p.add(1)
			time.Sleep(9 * time.Millisecond)
		}
		if b.Len() > 0 {
			t.Errorf("after 0.9 seconds: %q", b.String())
		}
		for range 200 {
			p.add(1)
			time.Sleep(10 * time.Millisecond)
		}
		if n := strings.Count(b.String(), clearLine); n < 18 || n > 20 {
			t.Errorf("%d updates in 2 seconds", n)
		}
		p.end()
		p.add(1)
		p.end()
		if !strings.HasSuffix(b.String(), "s left"+clearLine) {
			t.Errorf("the line is not removed: %q", b.String())
		}
	})
}

// TestProgressOfCommands runs every command that can take long on a terminal of 40 columns: it shows its progress on one
// line, which it removes at the end. Elsewhere, the same command writes no control sequence.
func TestProgressOfCommands(t *testing.T) {
	s := newShelf(t)
	for hour := range int64(3) {
		s.file("web", rotate.Gzip, false, linesOf(1, hour, hour*5000, 5000))
	}
	spool := filepath.Join(t.TempDir(), "spool")
	writeSpool(t, spool, 1, records...)
	web := filepath.Join(s.dir, "web")
	for _, args := range [][]string{
		{"audit", s.dir}, {"audit", "--verify", s.dir}, {"verify", s.dir}, {"repair", s.dir},
		{"convert", "--out", t.TempDir(), s.dir}, {"convert", "--out", t.TempDir(), s.dir}, {"cat", web},
		{"cat", "--dedupe", web}, {"cat", "--merge", s.dir}, {"grep", "-c", ":17", web}, {"grep", "no such line", s.dir},
		{"stats", "--format", "regexp=(?P<url>.*)", web}, {"spool", "verify", spool}, {"spool", "repair", spool},
		{"spool", "cat", spool}, {"spool", "export", spool},
	} {
		for _, width := range []int{40, 0} {
			var out, errs bytes.Buffer
			a := &app{stdout: &out, screen: newScreen(&errs, func() int { return width }),
				lookup: func(string) (string, bool) { return "", false }}
			a.screen.after = 0
			code := a.main(t.Context(), args)
			lines := strings.Split(errs.String(), clearLine)
			shown := lines[1:]
			if width == 0 && len(shown) > 0 {
				t.Errorf("inkwell %q writes control sequences where there is no terminal: %q", args, errs.String())
			}
			if width > 0 && (len(shown) < 2 || !strings.Contains(shown[0], " %") || strings.Contains(shown[len(shown)-1], "%")) {
				t.Errorf("inkwell %q ends with %d and shows %q", args, code, errs.String())
			}
			for _, line := range shown {
				if line, _, _ = strings.Cut(line, "\n"); strings.Contains(line, " %") && columnCount(line) >= 40 {
					t.Errorf("inkwell %q shows a line of %d columns: %q", args, columnCount(line), line)
				}
			}
		}
	}
}

// TestSharedOutput keeps what is printed apart from the live line on the same terminal, also while a line of it is
// incomplete.
func TestSharedOutput(t *testing.T) {
	var b bytes.Buffer
	s := newScreen(&b, func() int { return 80 })
	out := sharedOutput{&b, s}
	write := func(text string) {
		if n, err := out.Write([]byte(text)); n != len(text) || err != nil {
			t.Error(n, err)
		}
	}
	write("one\n")
	s.show("live")
	write("two\n")
	write("thr")
	s.show("not now")
	write("ee\n")
	s.show("live again")
	s.show("")
	want := "one\n" + clearLine + "live" + clearLine + "two\n" + "live" + clearLine + "three\n" + clearLine + "live again" +
		clearLine
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
