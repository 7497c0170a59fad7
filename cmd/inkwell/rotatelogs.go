package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inkwell/internal/ending"
	"inkwell/rotate/pipelog"
)

// The exit codes of Apache's rotatelogs, besides 0 and the 1 for a wrong command line.
const (
	rotatelogsOpen = 2
	rotatelogsRead = 3
	rotatelogsEcho = 4
)

const rotatelogsSynopsis = "[-vlfDtTec] [-L linkname] [-p prog] [-n number] <logfile> {<rotation time in " +
	"seconds>|<rotation size>(B|K|M|G)} [offset minutes from UTC]"

const rotatelogsHelp = `rotatelogs writes its standard input into files, as Apache's rotatelogs does, by the same arguments. A file is changed at the end of
each rotation time, or before the line that would make it larger than the rotation size; both can be given, the time first. Without a %
in it the name of a file is <logfile>.nnnnnnnnnn, the second at which its interval begins; with one it is what strftime makes of it.

  -v       tell on standard error what is opened and closed
  -l       intervals and names by local time instead of UTC
  -L path  a hard link that leads to the current file
  -p prog  run "prog newfile [oldfile]" behind each change
  -f       open the first file at the start, not with the first line
  -D       make the directories of the file
  -t       empty the file instead of changing it; no suffix
  -T       empty each file when it is opened, but the first
  -e       echo the input to standard output
  -c       make a file for each interval, even if it stays empty
  -n num   a circle of names: logfile, logfile.1 ... logfile.num-1

Unlike Apache's it never cuts a line, never empties a file because a write or the opening of the next one failed, and keeps what cannot
be written in memory (64 MiB, then the writer waits) until it can. SIGTERM and SIGINT end it with the end of input, or after five seconds
at the end of a line, so that nothing is lost that a web server which restarts gracefully still logs. Exit codes: 0 at the end of input, 1 for a wrong command line or lines
that were lost, 2 when the first file cannot be opened, 3 when the input cannot be read, 4 when the echo broke.`

func (a *app) rotatelogs() *cobra.Command {
	return &cobra.Command{
		Use:   "rotatelogs " + rotatelogsSynopsis,
		Short: "write standard input to files, by the arguments of Apache's rotatelogs",
		Long:  rotatelogsHelp,
		Example: `  CustomLog "|/usr/local/bin/inkwell rotatelogs -l /var/log/apache2/access.%Y-%m-%d 86400 1G" combined
  mydaemon 2>&1 | inkwell rotatelogs -n 5 /var/log/mydaemon.log 100M`,
		DisableFlagParsing: true, // it parses its flags itself
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "--help" {
				return cmd.Help()
			}
			return exitCode(a.rotateLogs(cmd.Context(), args))
		},
	}
}

// rotateLogs is rotatelogs: its arguments and exit codes.
func (a *app) rotateLogs(ctx context.Context, args []string) int {
	o, verbose, err := rotatelogsOptions(args)
	if err != nil {
		say(a.screen, "%v\n", err)
		var plain plainError
		if !errors.As(err, &plain) {
			say(a.screen, "Usage: rotatelogs %s\n\n%s\n", rotatelogsSynopsis, rotatelogsHelp)
		}
		return exitFailed
	}
	if o.Echo != nil {
		o.Echo = a.stdout
	}
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
		dumpRotatelogs(a.screen, o)
	}
	o.Logger = slog.New(slog.NewTextHandler(a.screen, &slog.HandlerOptions{Level: max(level, a.log.level)}))
	err = a.runRotatelogs(ctx, o)
	if err != nil {
		say(a.screen, "rotatelogs: %v%s\n", err, cure(err))
	}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, pipelog.ErrLost):
		return exitFailed
	case errors.Is(err, pipelog.ErrOpen):
		return rotatelogsOpen
	case errors.Is(err, pipelog.ErrRead):
		return rotatelogsRead
	case errors.Is(err, pipelog.ErrEcho):
		return rotatelogsEcho
	}
	return exitFailed
}

// runRotatelogs writes until the end of input, or some seconds after the first SIGINT or SIGTERM; the second one ends
// the process.
func (a *app) runRotatelogs(ctx context.Context, o pipelog.Options) error {
	ctx, stop := a.untilSignal(ctx, o.Logger, func() {})
	defer stop()
	defer takeGroupSignals()()
	in, err := ending.Until(ctx, context.Background(), a.stdin)
	if err != nil {
		return fmt.Errorf("%w: %w", pipelog.ErrRead, err)
	}
	return errors.Join(pipelog.Run(ctx, in, o), in.Close())
}

// plainError is a mistake that rotatelogs reports without its usage.
type plainError struct{ error }

// rotatelogsFlags are the flags without a value.
var rotatelogsFlags = map[byte]func(o *pipelog.Options){
	'v': func(*pipelog.Options) {},
	'l': func(o *pipelog.Options) { o.Zone = time.Local },
	'f': func(o *pipelog.Options) { o.OpenNow = true },
	'D': func(o *pipelog.Options) { o.MakeDirs = true },
	't': func(o *pipelog.Options) { o.Truncate = true },
	'T': func(o *pipelog.Options) { o.TruncateLater = true },
	'e': func(o *pipelog.Options) { o.Echo = io.Discard }, // the caller knows where to
	'c': func(o *pipelog.Options) { o.Empty = true },
}

// rotatelogsOptions parses the arguments of rotatelogs: flags in the manner of getopt, then the positional arguments.
// Mistakes are reported in the words of the original where it has a message.
func rotatelogsOptions(args []string) (o pipelog.Options, verbose bool, err error) {
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		word := args[0][1:]
		args = args[1:]
		if word == "-" {
			break
		}
		for word != "" {
			flag := word[0]
			word = word[1:]
			if set, ok := rotatelogsFlags[flag]; ok {
				set(&o)
				verbose = verbose || flag == 'v'
				continue
			}
			if strings.IndexByte("Lpn", flag) < 0 {
				return o, false, fmt.Errorf("rotatelogs: illegal option -- %c", flag)
			}
			if word == "" {
				if len(args) == 0 {
					return o, false, fmt.Errorf("rotatelogs: option requires an argument -- %c", flag)
				}
				word, args = args[0], args[1:]
			}
			if err := rotatelogsValue(&o, flag, word); err != nil {
				return o, false, err
			}
			word = ""
		}
	}
	err = rotatelogsPositions(&o, args)
	return o, verbose, err
}

func rotatelogsValue(o *pipelog.Options, flag byte, value string) error {
	switch flag {
	case 'L':
		o.Link = value
	case 'p':
		o.Program = value
	case 'n':
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return plainError{oldWords("Invalid -n argument")}
		}
		o.Count = n
	}
	return nil
}

// rotatelogsPositions parses the name of the log, the time, the size and the offset.
func rotatelogsPositions(o *pipelog.Options, args []string) error {
	if len(args) < 2 || len(args) > 4 {
		return oldWords("Incorrect number of arguments")
	}
	o.Name = args[0]
	if o.Count > 0 && strings.Contains(o.Name, "%") {
		return plainError{oldWords("Cannot use -n with % in filename")}
	}
	for i, arg := range args[1:] {
		last := i == len(args)-2
		switch {
		case strings.ContainsAny(arg, "BKMG"):
			if o.MaxSize > 0 {
				return oldWords("Rotation size parameter allowed only once")
			}
			if o.MaxSize = rotatelogsSize(arg); o.MaxSize <= 0 {
				return oldWords("Invalid rotation size parameter")
			}
		case last && (o.MaxSize > 0 || o.Every > 0):
			minutes, err := strconv.Atoi(arg)
			switch {
			case o.Zone != nil:
				return oldWords("UTC offset parameter is not valid with -l")
			case err != nil || minutes < -24*60 || minutes > 24*60:
				return fmt.Errorf("offset %q: want minutes from UTC", arg)
			}
			o.Zone = time.FixedZone(fmt.Sprintf("UTC%+dmin", minutes), minutes*60)
		case o.Every > 0:
			return oldWords("Rotation time parameter allowed only once")
		default:
			seconds, err := strconv.ParseInt(arg, 10, 32)
			if err != nil || seconds <= 0 {
				return oldWords("Invalid rotation time parameter")
			}
			o.Every = time.Duration(seconds) * time.Second
		}
	}
	return nil
}

// oldWords is an error in the words of Apache's rotatelogs, which begin with a capital letter.
func oldWords(text string) error { return errors.New(text) }

// rotatelogsSize parses digits followed by B, K, M or G into 64 bits; it returns 0 for anything else.
func rotatelogsSize(arg string) int64 {
	shift, ok := map[byte]int{'B': 0, 'K': 10, 'M': 20, 'G': 30}[arg[len(arg)-1]]
	n, err := strconv.ParseInt(arg[:len(arg)-1], 10, 64)
	if !ok || err != nil || n <= 0 || n > math.MaxInt64>>shift {
		return 0
	}
	return n << shift
}

// dumpRotatelogs prints what the arguments mean, in the format of Apache's rotatelogs.
func dumpRotatelogs(w io.Writer, o pipelog.Options) {
	yes := map[bool]string{true: "yes", false: "no"}
	offset, local := 0, o.Zone == time.Local
	if o.Zone != nil && !local {
		_, offset = time.Unix(0, 0).In(o.Zone).Zone()
	}
	program := o.Program
	if program == "" {
		program = "not used"
	}
	say(w, "Rotation time interval:      %12d\n", int64(o.Every/time.Second))
	say(w, "Rotation size interval:      %12d\n", o.MaxSize)
	say(w, "Rotation time UTC offset:    %12d\n", offset)
	say(w, "Rotation based on localtime: %12s\n", yes[local])
	say(w, "Rotation file date pattern:  %12s\n", yes[strings.Contains(o.Name, "%")])
	say(w, "Rotation file forced open:   %12s\n", yes[o.OpenNow])
	say(w, "Create parent directories:   %12s\n", yes[o.MakeDirs])
	say(w, "Rotation verbose:            %12s\n", "yes")
	say(w, "Rotation create empty logs:  %12s\n", yes[o.Empty])
	say(w, "Rotation file name: %21s\n", o.Name)
	say(w, "Post-rotation prog: %21s\n", program)
}
