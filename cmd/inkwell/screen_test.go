package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"inkwell/internal/stats"
)

func TestScreenKeepsLogLinesAboveTheLiveOne(t *testing.T) {
	var b bytes.Buffer
	s := newScreen(&b, func() int { return 10 })
	s.show("live")
	if _, err := s.Write([]byte("log\n")); err != nil {
		t.Fatal(err)
	}
	s.show("")
	s.show("")
	if want := clearLine + "live" + clearLine + "log\n" + "live" + clearLine; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestScreenCutsToItsWidth(t *testing.T) {
	var b bytes.Buffer
	s := newScreen(&b, func() int { return 10 })
	s.show(strings.Repeat("ü", 50))
	if n := utf8.RuneCountInString(strings.TrimPrefix(b.String(), clearLine)); n != 9 {
		t.Errorf("%d columns of 10 used", n)
	}
}

func TestLiveLine(t *testing.T) {
	half := reading{lines: 10, bytes: 50e6, whole: 100e6, backlog: 3e6, note: "to host"}
	for _, c := range []struct {
		r     reading
		width int
		want  string
	}{
		{half, 200, "[############------------]  50 %  50 MB of 100 MB  1,234,567 lines/s  10 MB/s  backlog 3.0 MB  5s left  to host"},
		{half, 80, "50 %  50 MB of 100 MB  1,234,567 lines/s  10 MB/s  backlog 3.0 MB  5s left"},
		{half, 60, "50 %  50 MB of 100 MB  1,234,567 lines/s  10 MB/s  5s left"},
		{half, 20, "50 %  10 MB/s"},
		{half, 3, "50 %"},
		{reading{bytes: 120, whole: 100}, 200, "[########################]  100 %  100 B of 100 B  1,234,567 lines/s  10 MB/s  backlog 0 B"},
		{reading{}, 200, "1,234,567 lines/s  10 MB/s  backlog 0 B"},
	} {
		if got := liveLine(c.r, 1234567, 10e6, c.width); got != c.want {
			t.Errorf("at %d columns %q, want %q", c.width, got, c.want)
		}
	}
}

func TestMeterOnATerminalShowsEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b, logged bytes.Buffer
		var lines int64
		m := &meter{read: func() reading { lines += 100; return reading{lines: lines} }, screen: newScreen(&b, func() int { return 80 }), log: slog.New(slog.NewTextHandler(&logged, nil))}
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		m.run(ctx)
		if got := strings.Count(b.String(), "100 lines/s"); got != 2 {
			t.Errorf("%d updates in 2.5 seconds: %q", got, b.String())
		}
		if !strings.HasSuffix(b.String(), clearLine) {
			t.Error("the line is still there at the end")
		}
		if logged.Len() > 0 {
			t.Errorf("logged: %s", logged.String())
		}
	})
}

func TestMeterLeavesTheBarOfWhatIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		var done int64
		m := &meter{read: func() reading { defer func() { done = 5e6 }(); return reading{bytes: done, whole: 5e6} }, screen: newScreen(&b, func() int { return 80 })}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		m.run(ctx)
		if want := "100 %  5.0 MB of 5.0 MB  0 lines/s  10 MB/s  backlog 0 B\n"; b.String() != want {
			t.Errorf("%q, want %q", b.String(), want)
		}
	})
}

func TestMeterElsewhereLogsEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b, logged bytes.Buffer
		var lines int64
		m := &meter{read: func() reading { lines += 600; return reading{lines: lines, whole: 9, note: "n"} }, screen: newScreen(&b, func() int { return 0 }), log: slog.New(slog.NewTextHandler(&logged, nil))}
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		m.run(ctx)
		if got := strings.Count(logged.String(), "lines/s=10 "); got != 2 {
			t.Errorf("%d lines in 2.5 minutes: %s", got, logged.String())
		}
		if b.Len() > 0 {
			t.Errorf("shown: %q", b.String())
		}
	})
}

// TestMeterOfAnIdleDaemonIsSilent logs no line for a minute in which nothing changed.
func TestMeterOfAnIdleDaemonIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		began := time.Now()
		read := func() reading {
			r := reading{lines: 5, bytes: 50}
			if time.Since(began) > 5*time.Minute {
				r.lines++
			}
			return r
		}
		m := &meter{read: read, screen: newScreen(&bytes.Buffer{}, func() int { return 0 }), log: slog.New(slog.NewTextHandler(&logged, nil))}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		m.run(ctx)
		if got := strings.Count(logged.String(), "msg=status"); got != 1 {
			t.Errorf("%d lines, want one, of the minute in which a line came: %s", got, logged.String())
		}
	})
}

func TestRunEndsWithTheCounters(t *testing.T) {
	var b bytes.Buffer
	set := stats.New()
	set.Overall("sent").Add(3)
	set.Overall("retries")
	set.Category("web", "sent").Add(3)
	a := &app{screen: newScreen(&b, func() int { return 0 })}
	failed := errors.New("failed")
	err := a.run(t.Context(), job{
		log: slog.New(slog.NewTextHandler(&b, nil)), stats: set, read: func() reading { return reading{} },
		work: func(context.Context) error { return failed },
	})
	if err != failed || !strings.HasSuffix(b.String(), "msg=counters sent=3\n") {
		t.Errorf("%v, %q", err, b.String())
	}
}
