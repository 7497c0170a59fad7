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
		Long: `spool looks into the spool of a forwarder or pipe, or into the journal of a collector. All but repair change nothing and need no lock:
of one that is in use they see a moment. DIR is the spool itself, or the --state, --spool or --dir directory above it.`,
		Example: `  inkwell spool ls /var/lib/inkwell
  inkwell spool verify /srv/logs
  inkwell spool repair /var/lib/inkwell`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.spoolList(), a.spoolVerify(), a.spoolRepair(), a.spoolCat(), a.spoolExport())
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
