package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inkwell/archive"
	"inkwell/archive/moment"
	"inkwell/internal/conf"
)

// exitLate is the exit code for a period that was declared complete before all of its entries had come.
const exitLate = 3

func (a *app) wait() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait [--timeout 30m] DIR/CATEGORY DAY | HOUR",
		Short: "wait until a day or an hour of a category is complete",
		Long: `wait ends when everything that arrived during a day or an hour is in finished files: the period is
over and its files are listed by done markers (collect --done-markers), so that every sender has
sent something later, or was silent for --lateness. It prints the number of entries.

A day is 2026-11-29, today or yesterday; an hour is 2026-11-29T04, 04:00 or 'yesterday 04:00'.
They are by the local clock, which must agree with that of the collector.

A category in a depot is complete when it is so for each collector that published a file or a
marker for that time or for the day before.

Exit codes: 0 complete, 3 complete, but some entries came after it had been complete before (read
it again), 75 not complete within --timeout, 1 failed, 2 the command line is wrong.`,
		Example: `  inkwell wait --timeout 2h /srv/logs/apache.access yesterday && make report
  inkwell wait /srv/logs/apache.access 2026-11-29T04
  inkwell wait 's3://logs/prod/apache.access?region=eu-central-1' yesterday`,
		Args: exactly("DIR/CATEGORY", "DAY or HOUR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			during, err := periodOf(args[1], time.Now())
			if err != nil {
				return usageError{err}
			}
			return a.waitFor(cmd.Context(), args[0], during, timeout)
		},
	}
	cmd.Flags().Var(conf.Value(&timeout, "0", "duration", conf.ParseDuration), "timeout",
		"end with 75 if it is not complete after this time; 0 = wait for ever")
	return cmd
}

// periodOf parses a day or an hour.
func periodOf(text string, now time.Time) (archive.Span, error) {
	if s, ok := archive.ParsePeriod(strings.ToUpper(text)); ok && s.To.After(s.From) {
		return s, nil
	}
	t, err := moment.Parse(text, now, false)
	if err != nil {
		return archive.Span{}, err
	}
	t = t.Local()
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "today", "yesterday":
		return archive.Span{From: t, To: t.AddDate(0, 0, 1)}, nil
	}
	hour := t.Truncate(time.Minute).Add(-time.Duration(t.Minute()) * time.Minute)
	return archive.Span{From: hour, To: hour.Add(time.Hour)}, nil
}

// complete says how far a category is, in a directory or in a depot.
func complete(ctx context.Context, path string, during archive.Span) (archive.Completeness, error) {
	if archive.InDepot(path) {
		return archive.CompleteDepot(ctx, path, during)
	}
	return archive.Complete(path, during, time.Now())
}

// In a directory waitFor looks once a second. A depot is listed for that, which takes at most one part in waitShare of
// the time.
const waitShare, longestWait = 20, 30 * time.Second

// waitFor waits until a period is complete.
func (a *app) waitFor(ctx context.Context, path string, during archive.Span, timeout time.Duration) error {
	if st, err := os.Stat(path); err == nil && !st.IsDir() {
		return usagef("%s is a file: name the directory of a category", path)
	}
	began := time.Now()
	for told := false; ; {
		looking := time.Now()
		c, err := complete(ctx, path, during)
		if err != nil {
			return err
		}
		if c.Complete {
			fmt.Fprintf(a.stdout, "complete: %s entries in %d files\n", counted(c.Entries), c.Files)
			if c.Late {
				return exitCode(exitLate)
			}
			return nil
		}
		if !c.Marked && !told {
			told = true
			a.tell("inkwell wait: there are no done markers in %s yet (collect --done-markers or --layout hive makes "+
				"them)",
				path)
		}
		pause := min(max(time.Second, waitShare*time.Since(looking)), longestWait)
		if timeout > 0 {
			if pause = min(pause, timeout-time.Since(began)); pause <= 0 {
				a.tell("inkwell wait: %s is not complete from %s to %s after %v", path, shown(during.From),
					shown(during.To), timeout)
				return exitCode(exitLeft)
			}
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}
