package main

import (
	"io"
	"strings"
	"sync"
	"time"
)

// screen is standard error: it prints log lines and, on a terminal, keeps one live line below them. Safe for concurrent
// use.
type screen struct {
	width func() int    // columns, 0 = no terminal
	after time.Duration // a task that is done earlier shows no progress

	mu   sync.Mutex
	w    io.Writer
	live string // the text on the last line
	open bool   // standard output, on the same terminal, has written a line without its end
}

func newScreen(w io.Writer, width func() int) *screen {
	return &screen{w: w, width: width, after: time.Second}
}

// terminal reports whether a live line makes sense.
func (s *screen) terminal() bool { return s.width() > 0 }

const clearLine = "\r\x1b[K"

// Write writes whole lines above the live line.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == "" {
		return s.w.Write(p)
	}
	if _, err := io.WriteString(s.w, clearLine); err != nil {
		return 0, err
	}
	n, err := s.w.Write(p)
	if err == nil {
		_, err = io.WriteString(s.w, s.live)
	}
	return n, err
}

// sharedOutput is standard output on the terminal of a screen: what is written to it comes above the live line.
type sharedOutput struct {
	w io.Writer
	s *screen
}

// Write takes the live line away, writes, and shows it again when the last line of p is complete.
func (o sharedOutput) Write(p []byte) (int, error) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	live := o.s.live
	if live != "" {
		_, _ = io.WriteString(o.s.w, clearLine)
	}
	n, err := o.w.Write(p)
	if n > 0 {
		o.s.open = p[n-1] != '\n'
	}
	switch {
	case live == "":
	case o.s.open || err != nil:
		o.s.live = ""
	default:
		_, _ = io.WriteString(o.s.w, live)
	}
	return n, err
}

// show replaces the live line, cut to the width of the terminal; "" removes it. Errors are ignored, because the line is
// only a convenience.
func (s *screen) show(line string) {
	width := s.width()
	s.mu.Lock()
	defer s.mu.Unlock()
	if width == 0 || s.open || line == "" && s.live == "" {
		return
	}
	line = cutTo(line, width-1)
	s.live = line
	_, _ = io.WriteString(s.w, clearLine+line)
}

// bar draws the share done of whole as a bar that is cells wide.
func bar(done, whole int64, cells int) string {
	full := cells
	if done < whole {
		full = int(float64(done) / float64(whole) * float64(cells))
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", cells-full) + "]"
}
