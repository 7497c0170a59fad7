package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"inkwell/forwarder"
	"inkwell/forwarder/lines"
	"inkwell/internal/conf"
)

// lineFlags are the flags of forward that say which files are left out, and how bytes become messages.
type lineFlags struct {
	exclude []string
	prefix  string
	lines   lines.Options
}

func (f *lineFlags) register(flags *pflag.FlagSet) {
	o := &f.lines
	flags.StringArrayVar(&f.exclude, "exclude", nil,
		"a `PATTERN` of files, or of directories with everything in them, that are not followed; can be repeated")
	flags.Var(conf.Value(&o.Encoding, "auto", "encoding", lines.ParseEncoding), "encoding",
		"encoding of the files: auto, utf-8, utf-16le or utf-16be")
	flags.Var(conf.Value(&o.Format, "none", "format", lines.ParseFormat), "format",
		"format of container logs, which are unpacked: auto, cri, docker or none")
	flags.BoolVar(&o.Stamp, "stamp", false, "put time and stream of a container line before the message")
	prefixFlag(flags, &f.prefix)
	flags.StringVar(&o.Start, "multiline-start", "",
		"a line that matches this `REGEXP` begins a message of several lines")
	flags.Var(conf.Value(&o.MaxLines, "500", "lines", parseLines), "multiline-lines",
		"a message with this many lines is complete")
	flags.Var(conf.Value(&o.Wait, "5s", "duration", parseWait), "multiline-wait",
		"a message is complete when nothing was added to it for this long")
}

// apply sets the options of an input from the flags: from all of them or, if the input comes from a configuration, only
// from those that were given.
func (f *lineFlags) apply(in *forwarder.Input, given func(flag string) bool) {
	in.Exclude = append(in.Exclude, f.exclude...)
	if given("prefix") {
		in.Prefix = f.prefix
	}
	if given("encoding") {
		in.Lines.Encoding = f.lines.Encoding
	}
	if given("format") {
		in.Lines.Format = f.lines.Format
	}
	if given("stamp") {
		in.Lines.Stamp = f.lines.Stamp
	}
	if given("multiline-start") {
		in.Lines.Start = f.lines.Start
	}
	if given("multiline-lines") {
		in.Lines.MaxLines = f.lines.MaxLines
	}
	if given("multiline-wait") {
		in.Lines.Wait = f.lines.Wait
	}
	if given("max-line") {
		in.Lines.MaxLine = 0 // that of Options
	}
}

// prefixFlag defines --prefix, for forward and pipe.
func prefixFlag(flags *pflag.FlagSet, to *string) {
	flags.Var(conf.Value(to, "", "text", forwarder.ParsePrefix), "prefix",
		"text to put before each line; {host} and {path} stand for where the line comes from, as in '{host} {path} '")
}

// hostFlag defines --host, for forward and pipe.
func hostFlag(flags *pflag.FlagSet, to *string) {
	flags.StringVar(to, "host", "", "`NAME` of this machine that is reported to others (default its host name)")
}

func parseLines(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, errors.New("must be a number of lines")
	}
	return n, nil
}

func parseWait(s string) (time.Duration, error) {
	d, err := conf.ParseDuration(s)
	if err == nil && d <= 0 {
		err = errors.New("must be more than 0")
	}
	return d, err
}
