package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/dustin/go-humanize"
)

// reading is what a daemon has done at one moment; the first two only grow.
type reading struct {
	lines, bytes int64
	whole        int64 // bytes there are to do; 0 = there is no end
	backlog      int64 // bytes
	note         string
}

// meter shows how fast a daemon is: once a second on a terminal, else once a minute in the log.
type meter struct {
	read   func() reading
	log    *slog.Logger
	screen *screen

	first, last reading
	began, at   time.Time // of first and last
}

// run shows until ctx ends; what has an end leaves its bar and the mean speed on a terminal.
func (m *meter) run(ctx context.Context) {
	every := time.Minute
	if m.screen.terminal() {
		every = time.Second
	}
	m.first, m.began = m.read(), time.Now()
	m.last, m.at = m.first, m.began
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			m.finish()
			return
		case <-tick.C:
			m.tick()
		}
	}
}

func (m *meter) tick() {
	now, at := m.read(), time.Now()
	lines, bytes := now.since(m.last, at.Sub(m.at))
	m.last, m.at = now, at
	if m.screen.terminal() {
		m.screen.show(liveLine(now, lines, bytes))
		return
	}
	attrs := []any{"lines/s", int64(lines), "bytes/s", int64(bytes), "lines", now.lines, "bytes", now.bytes, "backlog", now.backlog}
	if now.whole > 0 {
		attrs = append(attrs, "of", now.whole)
	}
	if now.note != "" {
		attrs = append(attrs, "with", now.note)
	}
	m.log.Info("status", attrs...)
}

func (m *meter) finish() {
	now := m.read()
	m.screen.show("")
	if now.whole > 0 && m.screen.terminal() {
		lines, bytes := now.since(m.first, time.Since(m.began))
		fmt.Fprintln(m.screen, liveLine(now, lines, bytes))
	}
}

// since is how many lines and bytes a second were done since an earlier reading.
func (r reading) since(before reading, d time.Duration) (lines, bytes float64) {
	seconds := max(d.Seconds(), 0.001)
	return float64(r.lines-before.lines) / seconds, float64(r.bytes-before.bytes) / seconds
}

// liveLine is what a terminal shows: rates in lines and bytes a second and, where there is an end, how far it is.
func liveLine(r reading, lines, bytes float64) string {
	line := fmt.Sprintf("%s lines/s  %s/s  backlog %s", humanize.Comma(int64(lines)), size(int64(bytes)), size(r.backlog))
	if r.whole > 0 {
		done := min(r.bytes, r.whole)
		line = fmt.Sprintf("%s %3d %%  %s of %s  %s", bar(done, r.whole, 24), int(float64(done)/float64(r.whole)*100), size(done), size(r.whole), line)
		if bytes > 0 && done < r.whole {
			line += "  " + (time.Duration(float64(r.whole-done)/bytes) * time.Second).String() + " left"
		}
	}
	if r.note != "" {
		line += "  " + r.note
	}
	return line
}

func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
