package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/pflag"
	"gopkg.in/natefinch/lumberjack.v2"

	"inkwell/internal/conf"
)

// How large a log file of --log-file gets before it is set aside, and how many are kept.
const (
	logFileMegabytes = 100
	logFileBackups   = 5
)

// logging is where the program's own log goes: standard error, or a file that is rotated.
type logging struct {
	level slog.Level
	path  string
	file  *lumberjack.Logger // nil = standard error
}

func (l *logging) flags(flags *pflag.FlagSet) {
	flags.Var(conf.Value(&l.level, "info", "level", parseLevel), "log-level", "log at least this: debug, info, warn or error")
	flags.StringVar(&l.path, "log-file", "", fmt.Sprintf("log to this `FILE`, set aside at %d MB and kept %d times (default standard error)", logFileMegabytes, logFileBackups))
}

func parseLevel(s string) (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s)); err != nil {
		return 0, fmt.Errorf("level %q: must be debug, info, warn or error", s)
	}
	return l, nil
}

// open returns the logger that the flags ask for; fallback is standard error.
func (l *logging) open(fallback io.Writer) (*slog.Logger, error) {
	to := fallback
	if l.path != "" {
		// lumberjack opens at the first line and keeps a failure to itself, so ask now.
		f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
		if err != nil {
			return nil, fmt.Errorf("open --log-file: %w", err)
		}
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("close --log-file: %w", err)
		}
		l.file = &lumberjack.Logger{Filename: l.path, MaxSize: logFileMegabytes, MaxBackups: logFileBackups, LocalTime: true}
		to = l.file
	}
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: l.level})), nil
}

// openFor is open for a process that becomes another account: a log file that it makes is the account's.
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

// reopen closes the log file; the next line opens whatever then has its name.
func (l *logging) reopen() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
