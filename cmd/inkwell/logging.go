package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"inkwell/internal/conf"
	"inkwell/internal/status"
)

// logging says where the program's own log goes: to standard error, or to a file that is rotated.
type logging struct {
	level  slog.Level
	format logFormat
	path   string
	file   *logFile // nil = standard error
	dress  dress    // of standard error
	events status.Events
}

// logFormat is the format of the log.
type logFormat string

// The formats: key=value for people, and one JSON object per line for programs.
const (
	textLog logFormat = "text"
	jsonLog logFormat = "json"
)

func (l *logging) flags(flags *pflag.FlagSet) {
	flags.Var(conf.Value(&l.level, "info", "level", parseLevel), "log-level",
		"lowest level that is logged: debug, info, warn or error")
	flags.Var(conf.Value(&l.format, string(textLog), "word", parseLogFormat), "log-format",
		"text, or json: one object per line")
	flags.StringVar(&l.path, "log-file", "", fmt.Sprintf(
		"log to this `FILE`, which is rotated at %d MB, with %d old ones kept (default standard error)",
		logFileMegabytes, logFileBackups))
}

func parseLevel(s string) (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s)); err != nil {
		return 0, fmt.Errorf("level %q: must be debug, info, warn or error", s)
	}
	return l, nil
}

func parseLogFormat(s string) (logFormat, error) {
	if f := logFormat(s); f == textLog || f == jsonLog {
		return f, nil
	}
	return "", fmt.Errorf("log format %q: must be text or json", s)
}

// open returns the logger that the flags ask for; fallback is standard error.
func (l *logging) open(fallback io.Writer) (*slog.Logger, error) {
	to := fallback
	if l.path != "" {
		f, err := openLogFile(l.path)
		if err != nil {
			return nil, err
		}
		l.file, to = f, f
	}
	if l.dress == nil || l.file != nil {
		return slog.New(l.events.Handler(l.handler(to))), nil
	}
	lines := &dressedLines{w: to, d: l.dress}
	return slog.New(l.events.Handler(dressedHandler{l.handler(lines), lines})), nil
}

// handler writes lines in the chosen format.
func (l *logging) handler(to io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: l.level, ReplaceAttr: oneLine}
	if l.format == jsonLog {
		return slog.NewJSONHandler(to, options)
	}
	return slog.NewTextHandler(to, options)
}

// oneLine formats an error that joins several others as "one; the other". errors.Join separates them by newlines, which
// the log would show as \n.
func oneLine(_ []string, a slog.Attr) slog.Attr {
	if err, ok := a.Value.Any().(error); ok && strings.Contains(err.Error(), "\n") {
		a.Value = slog.StringValue(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return a
}

// openFor is open for a process that will become another account: a log file that it creates belongs to that account.
func (l *logging) openFor(fallback io.Writer, acc *account) (*slog.Logger, error) {
	_, missing := os.Lstat(l.path)
	log, err := l.open(fallback)
	if err != nil || acc == nil || l.path == "" || missing == nil {
		return log, err
	}
	if err := os.Lchown(l.path, acc.uid, acc.gid); err != nil {
		return nil, fmt.Errorf("give --log-file to user %s: %w", acc.name, err)
	}
	return log, nil
}

// reopen closes the log file, if there is one, so that the next line goes to the file that has its name then, and logs
// that. If that file cannot be opened, for example because the user must not write in its directory, the log continues
// in the file that is open.
func (l *logging) reopen(log *slog.Logger) {
	if l.file == nil {
		return
	}
	if err := l.file.reopen(); err != nil {
		log.Error("the log file cannot be reopened: the old one is still written to "+
			"(have the program that rotates it create it for this user, as logrotate's 'create')", "error", err)
		return
	}
	log.Info("log file reopened", "file", l.path)
}
