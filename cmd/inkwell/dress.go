package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
)

// dress is the text before and after a line of a log level on standard error. The nil dress adds nothing.
type dress func(slog.Level) (before, after string)

// dressFor chooses the dress of standard error: priorities if systemd passes it to the journal, colours on a terminal,
// else nothing. For example, the journal gives a line that begins with <3> the priority 3 (error), so that journalctl
// -p err finds it.
func dressFor(stderr *os.File, terminal bool, lookup func(string) (string, bool)) dress {
	stream, inUnit := lookup("JOURNAL_STREAM")
	switch {
	case inUnit && isStream(stderr, stream):
		return priorities
	case terminal && coloursAllowed(lookup):
		return colours
	}
	return nil
}

// coloursAllowed reports whether the environment allows colours on a terminal.
func coloursAllowed(lookup func(string) (string, bool)) bool {
	none, set := lookup("NO_COLOR")
	term, named := lookup("TERM")
	return (!set || none == "") && (!named || term != "dumb")
}

// wantsColours reports whether standard output may have colours.
func (a *app) wantsColours() bool {
	return a.onTerminal() && coloursAllowed(a.lookup)
}

// isStream reports whether f is the file with that device and inode, DEV:INODE in decimal. systemd describes the stream
// that it reads in this form.
func isStream(f *os.File, stream string) bool {
	var st syscall.Stat_t
	if stream == "" || syscall.Fstat(int(f.Fd()), &st) != nil {
		return false
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino) == stream
}

// priorities are those of syslog, as in sd-daemon(3).
func priorities(l slog.Level) (before, after string) {
	switch {
	case l >= slog.LevelError:
		return "<3>", ""
	case l >= slog.LevelWarn:
		return "<4>", ""
	case l >= slog.LevelInfo:
		return "<6>", ""
	}
	return "<7>", ""
}

// colours show errors in red, warnings in yellow and debug lines in grey.
func colours(l slog.Level) (before, after string) {
	switch {
	case l >= slog.LevelError:
		return "\x1b[31m", "\x1b[0m"
	case l >= slog.LevelWarn:
		return "\x1b[33m", "\x1b[0m"
	case l >= slog.LevelInfo:
		return "", ""
	}
	return "\x1b[90m", "\x1b[0m"
}

// lines dresses each line of text.
func (d dress) lines(l slog.Level, text string) string {
	if d == nil {
		return text
	}
	before, after := d(l)
	var out strings.Builder
	for line := range strings.Lines(text) {
		body, end := strings.CutSuffix(line, "\n")
		out.WriteString(before + body + after)
		if end {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// dressedLines receives the lines of a dressedHandler. They are written one at a time.
type dressedLines struct {
	w io.Writer
	d dress

	mu    sync.Mutex
	level slog.Level // level of the line that is being written
}

// Write writes the line of a record. The caller, a dressedHandler, holds mu.
func (l *dressedLines) Write(line []byte) (int, error) {
	if _, err := io.WriteString(l.w, l.d.lines(l.level, string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}

// dressedHandler adds the dress to the lines of another handler, which writes to lines.
type dressedHandler struct {
	slog.Handler
	lines *dressedLines
}

// Handle writes one record.
func (h dressedHandler) Handle(ctx context.Context, r slog.Record) error {
	h.lines.mu.Lock()
	defer h.lines.mu.Unlock()
	h.lines.level = r.Level
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h dressedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return dressedHandler{h.Handler.WithAttrs(attrs), h.lines}
}

// WithGroup implements slog.Handler.
func (h dressedHandler) WithGroup(name string) slog.Handler {
	return dressedHandler{h.Handler.WithGroup(name), h.lines}
}
