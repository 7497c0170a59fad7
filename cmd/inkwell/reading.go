package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"inkwell/archive"
	"inkwell/archive/moment"
	"inkwell/internal/conf"
)

// selection holds the flags by which the reading commands select files and entries.
type selection struct {
	since, until string
	sources      []string
	states       []string
	strict       bool

	time, format string // what is meant by since and until, and how the time of a line is found
	slack        time.Duration
}

const timeHelp = "14:00, yesterday, '2026-11-29 14:00', 2h (ago), 2026-11-29T14:00:00+01:00, @1764403200"

// flags defines the flags by which files and entries are selected.
func (s *selection) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.since, "since", "",
		"what arrived since this time, exact to a block (1 MiB or ten seconds): "+timeHelp)
	f.StringVar(&s.until, "until", "", "what arrived until this time")
	f.StringArrayVar(&s.sources, "source", nil,
		"what comes from this source: a pattern for HOST, PATH, HOST:PATH or a stream, as in 'web1*'; can be repeated")
	s.stateFlag(cmd)
}

// stateFlag defines --state.
func (s *selection) stateFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&s.states, "state", nil, "state directory of a collector, which knows what open files "+
		"hold, if it is not .inkwell in DIR or beside the category; can be repeated")
}

// lineFlags defines the flags of the commands that read lines: those of flags, and those by which since and until refer
// to the times in the lines. format is the default of --format.
func (s *selection) lineFlags(cmd *cobra.Command, format, formatHelp string) {
	s.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&s.strict, "strict", false, "stop at damage instead of continuing after it")
	f.StringVar(&s.time, "time", "arrival",
		"what --since and --until refer to: arrival, or event = the time in the line, which --format finds")
	f.Var(conf.Value(&s.slack, "10m", "duration", conf.ParseDuration), "slack",
		"with --time event: how much earlier or later than its own time a line may have arrived")
	f.StringVar(&s.format, "format", format, formatHelp)
}

const eventFormatHelp = "with --time event: the format of the lines: combined, common, json, logfmt, syslog, " +
	"regexp=PATTERN with a group named time"

// event is what --time asks for.
func (s *selection) event() (e archive.EventTime, err error) {
	switch {
	case s.time == "" || s.time == "arrival":
		return e, nil
	case s.time != "event":
		return e, usagef("--time %q: want arrival or event", s.time)
	case s.format == "":
		return e, usagef("--time event wants --format: how is the time of a line found?")
	case s.since == "" && s.until == "":
		return e, usagef("--time event goes with --since or --until")
	}
	return archive.EventTime{Format: s.format, Slack: s.slack}, nil
}

// archiveReading is one reading of files: what is chosen, and what is lost.
type archiveReading struct {
	*archive.Query
	strict bool
	lost   atomic.Int64
	broken chan error // the first damage, with strict
}

// query builds the query of the flags; name is the name of the command, for its messages. A command that was started
// with nice gives way from here on.
func (a *app) query(name string, s *selection) (*archiveReading, error) {
	giveWay()
	now := time.Now()
	q := &archive.Query{Sources: s.sources, States: s.states}
	var err error
	if q.Event, err = s.event(); err != nil {
		return nil, err
	}
	if s.since != "" {
		if q.Since, err = moment.Parse(s.since, now, false); err != nil {
			return nil, usagef("--since: %w", err)
		}
	}
	if s.until != "" {
		if q.Until, err = moment.Parse(s.until, now, true); err != nil {
			return nil, usagef("--until: %w", err)
		}
	}
	r := &archiveReading{Query: q, strict: s.strict, broken: make(chan error, 1)}
	q.Tell = func(format string, args ...any) { a.tell("inkwell "+name+": "+format, args...) }
	q.Lost = func(d *archive.Damage) {
		r.lost.Add(1)
		if !s.strict {
			q.Tell("%v", d)
			return
		}
		select {
		case r.broken <- d:
		default:
		}
	}
	if err := q.Prepare(); err != nil {
		return nil, usageError{err}
	}
	return r, nil
}

// check returns the damage that ends the work under --strict.
func (r *archiveReading) check() error {
	select {
	case err := <-r.broken:
		return err
	default:
		return nil
	}
}

// finish returns the error of a reading that found damage.
func (r *archiveReading) finish(err error) error {
	if err == nil {
		err = r.check()
	}
	if n := r.lost.Load(); err == nil && n > 0 {
		return fmt.Errorf("damaged places: %d; what stands there is not in the output (inkwell verify shows them)", n)
	}
	return err
}

// series lists what arguments name: directories of categories, and files, also of depots. A directory without files of
// its own stands for the categories in it if below says so.
func (r *archiveReading) series(ctx context.Context, args []string, below bool) (all []archive.Series, err error) {
	for _, arg := range args {
		if archive.InDepot(arg) {
			list, err := archive.ReadDepot(ctx, arg, r.Tell)
			switch {
			case err == nil && len(list) == 0:
				err = noFiles(arg)
			case err == nil && !below && !list[0].At(arg):
				err = notACategory(arg)
			}
			if err != nil {
				return nil, err
			}
			all = append(all, list...)
			continue
		}
		st, err := os.Stat(arg)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w (want DIR/CATEGORY or a file; what is sent shows after some ten seconds)", err)
		}
		if err != nil {
			return nil, err
		}
		if !st.IsDir() {
			one, err := archive.Single(arg)
			if err != nil {
				return nil, err
			}
			if one.Path, err = filepath.Abs(arg); err != nil {
				return nil, err
			}
			all = append(all, archive.Alone(one))
			continue
		}
		list, err := archive.ReadSeries(arg)
		if err == nil && len(list) == 0 {
			if list, err = archive.Tree(arg); err == nil && len(list) > 0 && !below {
				err = notACategory(arg)
			}
		}
		if err == nil && len(list) == 0 {
			err = noFiles(arg)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

func noFiles(arg string) error {
	return fmt.Errorf("%s: there are no files of a collector yet (what it receives is in a file some ten seconds "+
		"later)", arg)
}

func notACategory(arg string) error {
	return fmt.Errorf("%s: this directory holds categories; give the directory of one, as in DIR/CATEGORY (inkwell "+
		"ls shows them)", arg)
}
