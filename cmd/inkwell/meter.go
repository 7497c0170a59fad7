package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// reading holds the totals of a daemon at one moment; the first two never fall.
type reading struct {
	lines, bytes int64
	whole        int64 // bytes to process in all; 0 = without an end
	backlog      int64 // bytes
	note         string
}

// meter shows the throughput of a daemon: every second on a terminal, else in the log, in each minute in which
// something was done.
type meter struct {
	read   func() reading
	log    *slog.Logger
	screen *screen

	first, last reading
	began, at   time.Time // of first and last
}

// run shows the throughput until ctx ends. If the work has an end, the finished bar and the mean speed stay on the
// terminal.
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
	idle := now.lines == m.last.lines && now.bytes == m.last.bytes && now.backlog == m.last.backlog
	m.last, m.at = now, at
	if width := m.screen.width(); width > 0 {
		m.screen.show(liveLine(now, lines, bytes, width))
		return
	}
	if idle {
		return
	}
	attrs := []any{"lines/s", int64(lines), "bytes/s", int64(bytes), "lines", now.lines, "bytes", now.bytes, "backlog",
		now.backlog}
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
	if width := m.screen.width(); now.whole > 0 && width > 0 {
		lines, bytes := now.since(m.first, time.Since(m.began))
		fmt.Fprintln(m.screen, liveLine(now, lines, bytes, width))
	}
}

// since returns the lines and bytes per second since an earlier reading.
func (r reading) since(before reading, d time.Duration) (lines, bytes float64) {
	seconds := max(d.Seconds(), 0.001)
	return float64(r.lines-before.lines) / seconds, float64(r.bytes-before.bytes) / seconds
}

// linePart is a piece of a line. If the line is too wide, the pieces of the highest rank are left out first.
type linePart struct {
	text string
	rank int
}

// fitted joins parts with two blanks and leaves out as many as needed to stay below width.
func fitted(parts []linePart, width int) string {
	parts = slices.DeleteFunc(parts, func(p linePart) bool { return p.text == "" })
	for {
		texts := make([]string, len(parts))
		last := 0
		for i, p := range parts {
			texts[i] = p.text
			if p.rank >= parts[last].rank {
				last = i
			}
		}
		line := strings.Join(texts, "  ")
		if columnCount(line) < width || len(parts) <= 1 {
			return line
		}
		parts = slices.Delete(parts, last, last+1)
	}
}

// liveLine returns the line for a terminal: lines and bytes per second and, if the work has an end, its progress. What
// matters most comes first.
func liveLine(r reading, lines, bytes float64, width int) string {
	rates := []linePart{
		{humanize.Comma(int64(lines)) + " lines/s", 2},
		{size(int64(bytes)) + "/s", 1},
		{"backlog " + size(r.backlog), 4},
	}
	if r.whole == 0 {
		return fitted(append(rates, linePart{r.note, 5}), width)
	}
	done := min(r.bytes, r.whole)
	parts := append([]linePart{
		{bar(done, r.whole, 24), 6},
		{fmt.Sprintf("%d %%", int(float64(done)/float64(r.whole)*100)), 0},
		{size(done) + " of " + size(r.whole), 3},
	}, rates...)
	if bytes > 0 && done < r.whole {
		parts = append(parts, linePart{(time.Duration(float64(r.whole-done)/bytes) * time.Second).String() + " left",
			1})
	}
	return fitted(append(parts, linePart{r.note, 5}), width)
}

func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
