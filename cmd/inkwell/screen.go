package main

import (
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// screen is standard error: it prints log lines and, on a terminal, keeps one live line below them. Safe for concurrent
// use.
type screen struct {
	width func() int // columns, 0 = no terminal

	mu   sync.Mutex
	w    io.Writer
	live string // the text on the last line
}

func newScreen(w io.Writer, width func() int) *screen { return &screen{w: w, width: width} }

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

// show replaces the live line, cut to the width of the terminal; "" removes it. Errors are ignored, because the line is
// only a convenience.
func (s *screen) show(line string) {
	width := s.width()
	s.mu.Lock()
	defer s.mu.Unlock()
	if line == "" && s.live == "" {
		return
	}
	for utf8.RuneCountInString(line) >= max(width, 1) && line != "" {
		_, size := utf8.DecodeLastRuneInString(line)
		line = line[:len(line)-size]
	}
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
