package main

import (
	"bytes"
	"context"
	"math"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"inkwell/archive"
	"inkwell/archive/format"
	"inkwell/archive/tally"
	"inkwell/internal/conf"
)

// exitThreshold is the exit code if the condition of --fail-if holds.
const exitThreshold = 3

// statsFlags are the flags of stats besides those of every reading command.
type statsFlags struct {
	selection
	output, failIf      string
	by                  []string
	every               time.Duration
	fold, live          bool
	top                 int
	status, bytes, took string // names of fields
}

func (a *app) stats() *cobra.Command {
	var o statsFlags
	cmd := &cobra.Command{
		Use:   "stats [--format FORMAT] [--by FIELD,...] [--every 1m] DIR/CATEGORY | FILE...",
		Short: "count the lines of categories by field: number, failures, bytes, durations",
		Long: `stats parses the lines of categories and counts them by the values of fields: lines, failures
(status 500 and above), lines per second, bytes, and the minimum, mean, median, 95th and 99th
percentile and maximum of the duration. Counts are exact; percentiles come from a sketch and are
wrong by at most one percent of the value.

Formats: combined and common (host user time method url protocol status bytes referer agent, and
duration: a number at the end, in microseconds, or in seconds if it has a decimal point), json,
logfmt, syslog (time host app pid message), and regexp=PATTERN with named groups. URLs are counted
without their query; --fold replaces numbers and ids in paths by {n}. Values of the field sql are
statements, which are counted with the literals taken out.

With -f it counts what arrives from now on, or from --since on, and shows a live table until it is
interrupted; --fail-if is evaluated then.

Depots are read like directories (see inkwell cat).

Exit codes: 0 counted, 1 failed or damaged, 2 the command line is wrong, 3 the condition of
--fail-if holds.`,
		Example: `  inkwell stats --by url --fold --since 1h /srv/logs/apache.access
  inkwell stats --by status --every 5m --output csv /srv/logs/apache.access
  inkwell stats --by status 's3://logs/prod/apache.access?region=eu-central-1'
  inkwell stats -f --by status /srv/logs/apache.access
  inkwell stats --format json --by level --took elapsed /srv/logs/app
  inkwell stats --since 5m --fail-if 'failures>1%' /srv/logs/apache.access || page-somebody`,
		Args: several("DIR/CATEGORY or FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.count(cmd.Context(), args, &o)
		},
	}
	o.lineFlags(cmd, "combined", "the format of the lines: combined, common, json, logfmt, syslog, regexp=PATTERN")
	f := cmd.Flags()
	f.StringSliceVar(&o.by, "by", []string{"url"}, "the fields that make the key")
	f.Var(conf.Value(&o.every, "0", "duration", conf.ParseDuration), "every",
		"count each period of this length separately; 0 = everything together")
	f.BoolVarP(&o.live, "follow", "f", false,
		"count what arrives from now on, or from --since on, and print the table again every two seconds")
	f.BoolVar(&o.fold, "fold", false, "replace numbers and ids in the paths of URLs by {n}")
	f.IntVar(&o.top, "top", 50, "print only this many keys, the most frequent; 0 = all")
	f.StringVar(&o.output, "output", "text", "text, csv or json")
	f.StringVar(&o.failIf, "fail-if", "", "end with 3 if this holds for all lines together: failures, count, rate, "+
		"avg, p50, p95, p99 or max, then < or >, "+
		"then a number; % means of all lines, as in 'failures>1%'")
	f.StringVar(&o.status, "status", "status", "the field with the status")
	f.StringVar(&o.bytes, "bytes", "bytes", "the field with the size")
	f.StringVar(&o.took, "took", "duration",
		"the field with the duration: microseconds, seconds with a decimal point, or with a unit as in 5ms")
	return cmd
}

// fields returns the fields of a line that have to be parsed.
func (o *statsFlags) fields() []string {
	return append([]string{o.status, o.bytes, o.took, "time"}, o.by...)
}

// counter counts the lines of one part of a text.
type counter struct {
	reader *format.Reader
	o      *statsFlags
	tally  *tally.Tally
	key    []byte
	times  format.Times
}

// count counts the lines of args.
func (a *app) count(ctx context.Context, args []string, o *statsFlags) error {
	if o.top <= 0 {
		o.top = math.MaxInt
	}
	limit, err := parseThreshold(o.failIf)
	if err != nil {
		return usageError{err}
	}
	if o.output != "text" && o.output != "csv" && o.output != "json" {
		return usagef("--output %q: want text, csv or json", o.output)
	}
	if o.live && (o.output != "text" || o.until != "" || o.time == "event") {
		return usagef("-f prints a table: it does not go with --output csv or json, --until and --time event")
	}
	if _, err := format.New(o.format, o.fields()); err != nil {
		return usageError{err}
	}
	r, err := a.query("stats", &o.selection)
	if err != nil {
		return err
	}
	r.Apart = o.every > 0
	var sum *tally.Tally
	if o.live {
		sum, err = a.follow(ctx, r, args, o)
	} else {
		sum, err = a.countOnce(ctx, r, args, o)
	}
	if err != nil {
		return err
	}
	if err := a.printCounts(sum, o); err != nil {
		return err
	}
	if sum.Unread > 0 {
		r.Tell("%s lines are not %s, and not counted", counted(sum.Unread), o.format)
	}
	total, err := sum.Total()
	if err == nil {
		err = r.finish(nil)
	}
	if err == nil && limit.exceeded(total) {
		a.tell("inkwell stats: %s: %s", o.failIf, limit.value(total))
		return exitCode(exitThreshold)
	}
	return err
}

// chunkText is a number of whole lines, with the time at which they came in.
type chunkText struct {
	text []byte
	at   time.Time
}

// countOnce counts what is there now.
func (a *app) countOnce(ctx context.Context, r *archiveReading, args []string, o *statsFlags) (*tally.Tally, error) {
	list, err := r.series(ctx, args, true)
	if err != nil {
		return nil, err
	}
	return a.countSeries(ctx, r, list, o)
}

// countSeries counts all files, parts of them beside each other.
func (a *app) countSeries(ctx context.Context, r *archiveReading, list []archive.Series, o *statsFlags) (*tally.Tally,
	error) {
	bar := a.progress(bytesOf(list))
	defer bar.end()
	r.Progress = bar.add
	idle := counters{o: o}
	ordered := archive.Ordered[chunkText, *counter]{
		Work: func(c chunkText) *counter {
			k := idle.get()
			k.add(c)
			return k
		},
		Use: func(k *counter) error {
			idle.put(k)
			return nil
		},
	}
	for i := range list {
		for _, f := range list[i].Files {
			var lines archive.Lines
			var at time.Time
			err := r.Series(ctx, []archive.File{f}, func(c *archive.Chunk) error {
				if at = c.First; r.check() != nil {
					return r.check()
				}
				if text := lines.Add(c.Data); text != nil {
					return ordered.Add(ctx, chunkText{text, c.First})
				}
				return nil
			})
			if rest := lines.Rest(); err == nil && len(rest) > 0 {
				err = ordered.Add(ctx, chunkText{rest, at})
			}
			if err != nil {
				return nil, err
			}
		}
	}
	if err := ordered.Flush(); err != nil {
		return nil, err
	}
	sum := new(tally.Tally)
	for _, k := range idle.list {
		if err := sum.Merge(k.tally); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

// counters are those that nobody uses at the moment: as many as parts are counted at once, and used again.
type counters struct {
	o    *statsFlags
	mu   sync.Mutex // guards list
	list []*counter
}

func (c *counters) get() *counter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.list) - 1; n >= 0 {
		k := c.list[n]
		c.list = c.list[:n]
		return k
	}
	reader, _ := format.New(c.o.format, c.o.fields()) // which was made before
	return &counter{reader: reader, o: c.o, tally: new(tally.Tally)}
}

func (c *counters) put(k *counter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, k)
}

// add counts lines.
func (k *counter) add(c chunkText) {
	for line := range bytes.Lines(c.text) {
		values, ok := k.reader.Read(bytes.TrimRight(line, "\r\n"))
		if !ok {
			k.tally.Unread++
			continue
		}
		at := k.times.Read(values[3])
		if at.IsZero() {
			at = c.at
		}
		k.key = k.key[:0]
		if k.o.every > 0 {
			k.key = at.Local().Truncate(k.o.every).AppendFormat(k.key, "2006-01-02T15:04:05-07:00")
		}
		for i, name := range k.o.by {
			if len(k.key) > 0 || i > 0 {
				k.key = append(k.key, ' ')
			}
			k.key = k.appendValue(name, values[4+i])
		}
		k.tally.Add(k.key, &tally.Sample{Time: at, Status: values[0], Bytes: values[1], Duration: values[2]})
	}
}

func (k *counter) appendValue(name string, value []byte) []byte {
	switch {
	case len(value) == 0:
		return append(k.key, '-')
	case name == "url":
		return tally.Path(k.key, value, k.o.fold)
	case name == "sql":
		return tally.SQL(k.key, value)
	}
	return append(k.key, value...)
}
