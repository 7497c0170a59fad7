package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"inkwell/internal/faultfs"
	"inkwell/store/spool"
)

func (a *app) spool() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spool",
		Short: "look into a spool or journal without its daemon",
		Long: `spool looks into the spool of a forwarder or pipe, or into the journal of a collector. It changes nothing and needs no lock: of one that
is in use it sees a moment. DIR is the spool itself, or the --state, --spool or --dir directory above it.`,
		Example: `  inkwell spool ls /var/lib/inkwell
  inkwell spool verify /srv/logs`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.spoolList(), a.spoolVerify(), a.spoolCat(), a.spoolExport())
	return cmd
}

// openSpool opens the spool or journal in path or below it, where collectors and forwarders have it.
func openSpool(path string) (*faultfs.Dir, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	for _, below := range []string{".", "spool", "journal", ".inkwell/journal"} {
		dir := filepath.Join(path, below)
		_, err := os.Stat(filepath.Join(dir, "ack")) // which every spool has
		if err == nil {
			return faultfs.OpenDir(dir, nil)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: there is no spool and no journal (give the --spool or --state of a pipe or forwarder, or the --dir or --state of a collector)", path)
}

func (a *app) spoolList() *cobra.Command {
	return &cobra.Command{
		Use:     "ls DIR",
		Short:   "list the segments",
		Long:    "ls lists the segments of a spool or journal, oldest first, with the offsets they begin and end at.",
		Example: "  inkwell spool ls /var/lib/inkwell",
		Args:    exactly("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := openSpool(args[0])
			if err != nil {
				return err
			}
			defer dir.Close()
			segments, err := spool.List(dir)
			if err != nil {
				return fmt.Errorf("list %s: %w", dir.Path(), err)
			}
			return listSegments(a.output(), segments)
		},
	}
}

func listSegments(to io.Writer, segments []spool.Segment) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "from\tto\tbytes\tstate\tsegment\t")
	for _, s := range segments {
		state := "waiting"
		if s.Acked {
			state = "acknowledged"
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%s\t%s\t\n", s.Base, s.End, s.End-s.Base, state, s.Name)
	}
	return w.Flush()
}

func (a *app) spoolVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
		Short: "check every checksum",
		Long: `verify reads a whole spool or journal, checks every checksum and says what waits in it. The exit code is 1 if something is damaged.
Bytes behind the last group are no damage: they are of a write that never came to its end, and were never acknowledged.`,
		Example: "  inkwell spool verify /var/lib/inkwell && echo sound",
		Args:    exactly("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := openSpool(args[0])
			if err != nil {
				return err
			}
			defer dir.Close()
			report, err := spool.Verify(dir, a.progress())
			a.screen.show("")
			if err != nil {
				return fmt.Errorf("verify %s: %w", dir.Path(), err)
			}
			return printReport(a.output(), dir.Path(), report)
		},
	}
}

// progress shows on a terminal how far something is, in steps that an eye can see.
func (a *app) progress() func(done, total int64) {
	shown := int64(-1)
	return func(done, total int64) {
		if step := done * 200 / max(total, 1); a.screen.terminal() && step != shown {
			shown = step
			a.screen.show(fmt.Sprintf("%s %s of %s", bar(done, total, 40), size(done), size(total)))
		}
	}
}

// printReport says what Verify found; the error says how much of it is damage.
func printReport(to io.Writer, path string, r spool.Report) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "segments\t%d\n", r.Segments)
	fmt.Fprintf(w, "groups\t%d\n", r.Groups)
	fmt.Fprintf(w, "records\t%d\n", r.Records)
	fmt.Fprintf(w, "entries\t%d\n", r.Entries)
	fmt.Fprintf(w, "waiting\t%d entries\n", r.Waiting)
	fmt.Fprintf(w, "acknowledged\tup to %d of %d\n", r.Acked, r.End)
	if r.TornBytes > 0 {
		fmt.Fprintf(w, "torn\t%d bytes of a write that never came to its end\n", r.TornBytes)
	}
	for _, name := range r.Aside {
		fmt.Fprintf(w, "set aside\t%s\n", name)
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(w, "damaged\t%s from %d to %d\n", d.Segment, d.Start, d.End)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if n := len(r.Damaged); n > 0 {
		return fmt.Errorf("%s: %d damaged places: a daemon that opens it passes over them and keeps the segments aside", path, n)
	}
	return nil
}
