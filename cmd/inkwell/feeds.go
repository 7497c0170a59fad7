package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"inkwell/forwarder"
	"inkwell/forwarder/feed"
	"inkwell/forwarder/journald"
	"inkwell/forwarder/syslog"
	"inkwell/internal/config"
	"inkwell/internal/stats"
)

// feedFlags are the flags for the inputs of a forwarder that are not files: the journal and syslog.
type feedFlags struct {
	journals []journald.Options
	syslogs  []syslog.Options
	listened []*syslog.Input // of syslogs
	spare    []*syslog.Input // of the configuration of before, as far as their sockets were not taken over
}

// register defines --journal and --syslog.
func (f *feedFlags) register(flags *pflag.FlagSet) {
	flags.Var(&wordsValue{add: f.addJournal}, "journal",
		"read the systemd journal, selected by words such as `unit=nginx.service category={unit}` (all = every unit), "+
			"see docs/inputs.md; can be repeated")
	flags.Var(&wordsValue{add: f.addSyslog}, "syslog",
		"receive syslog messages at `ADDRESS` (udp://127.0.0.1:514, tcp://…, unix:PATH, unixgram:PATH), which words "+
			"such as "+
			"category={app} may follow; can be repeated")
}

// wordsValue is a flag whose values consist of words, some of them KEY=VALUE.
type wordsValue struct {
	texts []string
	add   func(words []string) error
}

func (v *wordsValue) Set(s string) error {
	if err := v.add(strings.Fields(s)); err != nil {
		return err
	}
	v.texts = append(v.texts, s)
	return nil
}

func (v *wordsValue) Type() string   { return "WORDS" }
func (v *wordsValue) String() string { return strings.Join(v.texts, ", ") }

// addJournal parses "unit=a.service unit=b-* category=x.{unit}".
func (f *feedFlags) addJournal(words []string) error {
	var o journald.Options
	if len(words) == 0 {
		return errors.New("say which units, as in unit=nginx.service, or all")
	}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case word == "all":
		case key == "unit":
			o.Units = append(o.Units, value)
		case key == "category":
			o.Category = value
		case key == "directory":
			o.Directory = value
		case key == "namespace":
			o.Namespace = value
		case word == "format=message" || word == "format=line":
			o.Bare = value == "message"
		default:
			return fmt.Errorf("%q: want all, unit=…, category=…, format=line or message, directory=… or namespace=…",
				word)
		}
	}
	f.journals = append(f.journals, o)
	return o.Validate()
}

// addSyslog parses "udp://127.0.0.1:514 tcp://127.0.0.1:514 category={app}".
func (f *feedFlags) addSyslog(words []string) error {
	var o syslog.Options
	for _, word := range words {
		key, value, pair := strings.Cut(word, "=")
		var err error
		switch {
		case !pair:
			o.Listen = append(o.Listen, word)
		case key == "category":
			o.Category = value
		case key == "format":
			o.Format, err = syslog.ParseFormat(value)
		default:
			err = fmt.Errorf("%q: want an address, category=… or format=line, message or raw", word)
		}
		if err != nil {
			return err
		}
	}
	f.syslogs = append(f.syslogs, o)
	return o.Validate()
}

// configure adds the blocks of a configuration.
func (f *feedFlags) configure(c *config.Config) error {
	var errs []error
	for _, j := range c.Journals {
		o := journalOptions(j)
		if err := o.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", c.File.Name, j.Line, err))
		}
		o.MaxCategories = c.MaxCategories
		f.journals = append(f.journals, o)
	}
	for _, s := range c.Syslogs {
		o, err := syslogOptions(s)
		if err = errors.Join(err, o.Validate()); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", c.File.Name, s.Line, err))
		}
		o.MaxCategories = c.MaxCategories
		f.syslogs = append(f.syslogs, o)
	}
	return errors.Join(errs...)
}

func journalOptions(j config.Journal) journald.Options {
	return journald.Options{Category: j.Category, Units: j.Units, Directory: j.Directory, Namespace: j.Namespace,
		Bare:    j.Bare,
		FromEnd: j.FromEnd, MaxLine: j.MaxLine}
}

func syslogOptions(s config.Syslog) (syslog.Options, error) {
	format, err := syslog.ParseFormat(s.Format)
	return syslog.Options{Listen: s.Listen, Category: s.Category, Format: format, MaxLine: s.MaxLine,
		MaxConnections: s.MaxConnections}, err
}

// empty reports whether there are no such inputs.
func (f *feedFlags) empty() bool { return len(f.journals)+len(f.syslogs) == 0 }

// clone returns f without its sockets.
func (f *feedFlags) clone() *feedFlags {
	return &feedFlags{journals: slices.Clone(f.journals), syslogs: slices.Clone(f.syslogs)}
}

// listen opens the sockets with the rights of the user who started the program. It takes over those that former has
// open already.
func (f *feedFlags) listen(former *feedFlags) error {
	f.spare = append(former.listened, former.spare...)
	former.listened, former.spare = nil, nil
	for _, o := range f.syslogs {
		in, err := syslog.Listen(o, f.spare...)
		if err != nil {
			return err
		}
		f.listened = append(f.listened, in)
	}
	return nil
}

// check checks what a single input cannot know of the others.
func (f *feedFlags) check(once bool) error {
	if once && len(f.syslogs) > 0 {
		return usagef("--once ends with the input, and syslog has no end")
	}
	for i, j := range f.journals {
		if slices.ContainsFunc(f.journals[:i], func(before journald.Options) bool { return before.Same(j) }) {
			return usagef("%s is read twice into the same category: give all units at once", j.Name())
		}
	}
	return nil
}

// keptFeed is an input that leaves its sockets open when it closes: the next forwarder of this process may take them
// over.
type keptFeed struct{ *syslog.Input }

// Close leaves the sockets open.
func (keptFeed) Close() error { return nil }

// close closes the sockets.
func (f *feedFlags) close() error {
	f.spare = append(f.spare, f.listened...)
	f.listened = nil
	return f.closeSpare()
}

// closeSpare closes the sockets that are no longer used.
func (f *feedFlags) closeSpare() error {
	var errs []error
	for _, in := range f.spare {
		errs = append(errs, in.Close())
	}
	f.spare = nil
	return errors.Join(errs...)
}

// feeds returns the inputs for the forwarder.
func (f *feedFlags) feeds(o *forwarder.Options, log *slog.Logger, set *stats.Set) (list []feed.Feed) {
	for _, j := range f.journals {
		j.Once, j.FromEnd, j.Logger, j.Stats = o.Once, j.FromEnd || o.FromEnd, log, set
		list = append(list, journald.New(j))
	}
	for _, in := range f.listened {
		in.Use(log, set)
		list = append(list, keptFeed{in})
	}
	return list
}
