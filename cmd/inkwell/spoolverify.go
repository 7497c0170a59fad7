package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"inkwell/internal/faultfs"
	"inkwell/store/spool"
)

func (a *app) spoolVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
		Short: "check every checksum",
		Long: `verify reads a whole spool or journal, checks every checksum and reports what waits in it. Of each
damaged place it reports where it is, how much is lost there, how much is intact after it, and
what a daemon that starts with it will do. The exit code is 1 if something is damaged. Bytes after
the last group are no damage: they belong to a write that was never completed, and were never
acknowledged.`,
		Example: `  inkwell spool verify /var/lib/inkwell && echo sound
  inkwell spool verify /srv/logs/.inkwell/journal`,
		Args: exactly("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := openSpool(args[0])
			if err != nil {
				return err
			}
			defer dir.Close()
			report, err := a.verifySpool(dir)
			if err != nil {
				return err
			}
			return printReport(a.output(), dir.Path(), report)
		},
	}
}

func (a *app) spoolRepair() *cobra.Command {
	return &cobra.Command{
		Use:   "repair DIR",
		Short: "set damaged files aside, as the start of a daemon would",
		Long: `repair does to a spool or journal that no daemon uses what a daemon does when it starts: a torn
end is cut off and kept as .torn, and a last segment without a valid header is kept as .corrupt.
An earlier damaged segment stays: the next run delivers what is intact in it, and then keeps the
file as .corrupt. Nothing that waits is deleted. It prints what it set aside and what is still
damaged. The exit code is 1 if something is, and 111, with nothing changed, if another process
uses the directory.`,
		Example: `  inkwell spool repair /var/lib/inkwell
  systemctl stop inkwell && inkwell spool repair /srv/logs; systemctl start inkwell`,
		Args: exactly("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := openSpool(args[0])
			if err != nil {
				return err
			}
			defer dir.Close()
			aside, err := spool.Repair(dir)
			if err != nil {
				return fmt.Errorf("repair %s: %w", dir.Path(), err)
			}
			w := a.output()
			for _, name := range aside {
				if _, err := fmt.Fprintf(w, "set aside %s\n", name); err != nil {
					return err
				}
			}
			if len(aside) == 0 {
				if _, err := fmt.Fprintln(w, "nothing had to be set aside"); err != nil {
					return err
				}
			}
			report, err := a.verifySpool(dir)
			if err != nil {
				return err
			}
			return printReport(w, dir.Path(), report)
		},
	}
}

// verifySpool is spool.Verify with its progress on the terminal.
func (a *app) verifySpool(dir *faultfs.Dir) (spool.Report, error) {
	bar := a.progress(0)
	defer bar.end()
	report, err := spool.Verify(dir, bar.at)
	if err != nil {
		return report, fmt.Errorf("verify %s: %w", dir.Path(), err)
	}
	return report, nil
}

// printReport prints the result of Verify; the error says how much of it is damage.
func printReport(to io.Writer, path string, r spool.Report) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "segments\t%d\n", r.Segments)
	fmt.Fprintf(w, "groups\t%d\n", r.Groups)
	fmt.Fprintf(w, "records\t%d\n", r.Records)
	fmt.Fprintf(w, "entries\t%d\n", r.Entries)
	fmt.Fprintf(w, "waiting\t%d entries\n", r.Waiting)
	fmt.Fprintf(w, "acknowledged\tup to %d of %d\n", r.Acked, r.End)
	if r.TornBytes > 0 {
		fmt.Fprintf(w,
			"torn\t%d bytes of a write that never came to its end; a start cuts them off and keeps them as .torn\n",
			r.TornBytes)
	}
	for _, name := range r.Aside {
		fmt.Fprintf(w, "set aside\t%s\n", name)
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(w, "damaged\t%s from %d to %d: %d bytes, %s; intact behind it: %d groups, %d entries\n", d.Segment,
			d.Start, d.End, d.End-d.Start, lost(d), d.Groups, d.Entries)
		fmt.Fprintf(w, "\t%s\n", fate(d, r.Acked))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if n := len(r.Damaged); n > 0 {
		return fmt.Errorf("%s: %d damaged places", path, n)
	}
	return nil
}

// lost says how many entries were in a damaged place.
func lost(d spool.Damage) string {
	if d.Lost < 0 {
		return "how many entries is not known"
	}
	return fmt.Sprintf("%d entries", d.Lost)
}

// fate says what a start does with a damaged place.
func fate(d spool.Damage, acked uint64) string {
	switch {
	case d.End <= acked:
		return "all of that was acknowledged before: nothing is lost"
	case d.Header && d.Last:
		return "its header is bad: a start sets the segment aside as .corrupt and goes on behind its offsets"
	case d.Header:
		return "its header is bad: a run passes over the segment and counts it; then the file is kept as .corrupt"
	}
	return "a run passes over this place, counts it, and delivers what is behind it; then the file is kept as .corrupt"
}
