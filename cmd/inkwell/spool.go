package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"inkwell/internal/faultfs"
	"inkwell/store/spool"
)

func (a *app) spool() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spool",
		Short: "inspect a spool or journal without its daemon",
		Long: `spool inspects the spool of a forwarder or pipe, or the journal of a collector. All commands but
repair change nothing and need no lock: if a daemon uses the spool, they show its state of one
moment. DIR is the spool itself, or a directory above it: --state, --spool, --dir, or the files of
the secondary of a server's buffer.`,
		Example: `  inkwell spool ls /var/lib/inkwell
  inkwell spool verify /srv/logs
  inkwell spool repair /var/lib/inkwell`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.spoolList(), a.spoolVerify(), a.spoolRepair(), a.spoolCat(), a.spoolExport())
	return cmd
}

// spoolDepth is the depth below a directory at which spools are still found: a server keeps them in
// FILES/CATEGORY/BASE.spool.
const spoolDepth = 5

// isSpool reports whether path is a spool or journal.
func isSpool(path string) (bool, error) {
	_, err := os.Stat(filepath.Join(path, "ack")) // which every spool has
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// ownSpool returns the spool or journal that path is, or that a collector or forwarder keeps below it; "" if there is
// none.
func ownSpool(path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		return "", err
	}
	for _, below := range []string{".", "spool", "journal", ".inkwell/journal"} {
		dir := filepath.Join(path, below)
		if is, err := isSpool(dir); is || err != nil {
			return dir, err
		}
	}
	return "", nil
}

// spoolsIn returns all spools and journals at path and below it, including those of refused and held entries.
func spoolsIn(path string) (dirs []string, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	err = filepath.WalkDir(path, func(dir string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		rest, err := filepath.Rel(path, dir)
		if err != nil {
			return err
		}
		if strings.Count(rest, string(filepath.Separator)) >= spoolDepth {
			return fs.SkipDir
		}
		is, err := isSpool(dir)
		if is {
			dirs = append(dirs, dir)
		}
		return err
	})
	if err == nil && len(dirs) == 0 {
		err = fmt.Errorf("%s: there is no spool and no journal (give the --spool or --state of a pipe or forwarder, "+
			"the --dir or --state of a collector, or the file_path of a server's <secondary>)", path)
	}
	return dirs, err
}

// openSpool opens the spool or journal at path or below it. If there are several, it opens the main one of a collector
// or forwarder.
func openSpool(path string) (*faultfs.Dir, error) {
	dir, err := ownSpool(path)
	if err != nil {
		return nil, err
	}
	if dir == "" {
		dirs, err := spoolsIn(path)
		switch {
		case err != nil:
			return nil, err
		case len(dirs) > 1:
			return nil, fmt.Errorf("%s has several spools, give one of them:\n  %s", path, strings.Join(dirs, "\n  "))
		}
		dir = dirs[0]
	}
	return faultfs.OpenDir(dir, nil)
}

func (a *app) spoolList() *cobra.Command {
	return &cobra.Command{
		Use:   "ls DIR",
		Short: "list the segments",
		Long: `ls lists the segments of all spools and journals in DIR and below it, oldest first, with the
offsets at which they begin and end. If DIR is not itself the only one, a line before each names it.`,
		Example: "  inkwell spool ls /var/lib/inkwell\n  inkwell spool ls /var/spool/scribe",
		Args:    exactly("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			dirs, err := spoolsIn(args[0])
			if err != nil {
				return err
			}
			named := len(dirs) > 1 || dirs[0] != filepath.Clean(args[0])
			for i, path := range dirs {
				heading := ""
				if named {
					heading = printable(path) + ":\n"
				}
				if i > 0 {
					heading = "\n" + heading
				}
				if err := a.listSpool(path, heading); err != nil {
					return fmt.Errorf("list %s: %w", path, err)
				}
			}
			return nil
		},
	}
}

// listSpool lists the segments of a spool below a heading.
func (a *app) listSpool(path, heading string) error {
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	segments, err := spool.List(dir)
	if err != nil {
		return err
	}
	w := a.output()
	if _, err := io.WriteString(w, heading); err != nil {
		return err
	}
	return listSegments(w, segments)
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
