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
	r := reading{lines: 10, bytes: 50e6, whole: 100e6, backlog: 3e6, note: "to host"}
	if got, want := liveLine(r, 1234567, 10e6), "[############------------]  50 %  50 MB of 100 MB  1,234,567 lines/s  10 MB/s  backlog 3.0 MB  5s left  to host"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	r = reading{bytes: 120, whole: 100}
	if got := liveLine(r, 0, 0); !strings.Contains(got, "[########################] 100 %") {
		t.Errorf("more than all: %q", got)
	}
	if got, want := liveLine(reading{}, 0, 0), "0 lines/s  0 B/s  backlog 0 B"; got != want {
		t.Errorf("%q, want %q", got, want)
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
		if want := "[########################] 100 %  5.0 MB of 5.0 MB  0 lines/s  10 MB/s  backlog 0 B\n"; b.String() != want {
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
