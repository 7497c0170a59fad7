package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"inkwell/forwarder"
	"inkwell/internal/faultfs"
)

// The exit codes; README.md explains them to users. A second SIGINT or SIGTERM ends the program with 128 + its number.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitLeft   = 75  // some of the input stays in the spool, the next run delivers it (EX_TEMPFAIL of sysexits.h)
	exitLocked = 111 // another process has the state or spool (as multilog)
)

// usageError is a mistake on the command line that only the command itself can detect.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCode ends a command that has already printed everything. It is an error because cobra has no other way to pass it
// on.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// finish prints on standard error what went wrong in cmd and returns the exit code. If the reader of standard output
// went away, that is not a failure.
func (a *app) finish(cmd *cobra.Command, err error) int {
	var wrong usageError
	var code exitCode
	switch {
	case errors.As(err, &code):
		return int(code)
	case err == nil || errors.Is(err, errReaderGone):
		return exitOK
	case !a.running || errors.As(err, &wrong):
		a.complain(slog.LevelError, "%s: %v\nTry '%s --help'.\n", cmd.CommandPath(), err, cmd.CommandPath())
		if own, err := strconv.Atoi(cmd.Annotations[usageCode]); err == nil {
			return own
		}
		return exitUsage
	}
	a.complain(slog.LevelError, "%s: %v%s\n", cmd.CommandPath(), err, cure(err))
	switch {
	case errors.Is(err, forwarder.ErrLeftInSpool), errors.Is(err, forwarder.ErrAway):
		return exitLeft
	case errors.Is(err, faultfs.ErrLocked):
		return exitLocked
	}
	return exitFailed
}

// complain prints a message of a log level on standard error, before the log is open or after it is closed.
func (a *app) complain(l slog.Level, format string, args ...any) {
	fmt.Fprint(a.screen, a.log.dress.lines(l, a.shownOnScreen(fmt.Sprintf(format, args...))))
}

// tell prints a message of a reading command, which can have names of others in it, on standard error.
func (a *app) tell(format string, args ...any) {
	say(a.screen, "%s\n", a.shownOnScreen(fmt.Sprintf(format, args...)))
}

// shownOnScreen is a text as standard error shows it: on a terminal without what would control that, as in names of
// files.
func (a *app) shownOnScreen(text string) string {
	if a.screen.terminal() {
		return string(appendVisible(nil, []byte(text)))
	}
	return text
}

// cure returns advice for system errors whose text does not explain enough.
func cure(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "\nRun as a user who may do that, or change owner or mode."
	case errors.Is(err, syscall.EROFS):
		return "\nThe file system is mounted read-only: choose a place that can be written."
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "\nMake room on that file system: nothing that was acknowledged is lost."
	}
	return ""
}

// errReaderGone means that the reader of standard output has closed it.
var errReaderGone = errors.New("the reader of standard output is gone")

// output returns standard output as a writer that fails with errReaderGone when its reader has gone. On a terminal its
// lines come above the live line.
func (a *app) output() io.Writer {
	if a.onTerminal() && a.screen.terminal() {
		return outputWriter{sharedOutput{a.stdout, a.screen}}
	}
	return outputWriter{a.stdout}
}

type outputWriter struct{ w io.Writer }

func (o outputWriter) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		err = errReaderGone
	}
	return n, err
}
