package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"inkwell/archive"
)

func (a *app) verify() *cobra.Command {
	var o selection
	cmd := &cobra.Command{
		Use:   "verify DIR | DIR/CATEGORY | FILE...",
		Short: "read whole output files and report damage",
		Long: `verify reads every file of the arguments and reports which blocks are damaged, and which files end
early, differ from their manifest, or have no index. It changes nothing; inkwell repair makes
indexes, and writes what can be read of damaged files to new ones.

Exit codes: 0 everything is intact, 1 something is damaged or failed, 2 the command line is wrong.`,
		Example: `  inkwell verify /srv/logs
  inkwell verify /srv/logs/apache.access/apache.access-2026-11-23_00007.gz`,
		Args: several("DIR, DIR/CATEGORY or FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.verifyAll(cmd.Context(), args, &o, func(archive.File, *archive.Verdict) error { return nil })
		},
	}
	o.stateFlag(cmd)
	return cmd
}

func (a *app) repair() *cobra.Command {
	var o selection
	var to string
	cmd := &cobra.Command{
		Use:   "repair [--to DIR] DIR | DIR/CATEGORY | FILE...",
		Short: "make missing indexes, and save what can be read of damaged files",
		Long: `repair reads every file of the arguments. An index that is missing or belongs to another file is
made again. With --to, what can be read of files that are damaged or end early, such as those that
are left as .open or .orphan, is written to a finished file of the same name in that directory.
The files themselves are never changed.

Exit codes: 0 everything is intact now, 1 something is damaged or failed, 2 the command line is
wrong.`,
		Example: `  inkwell repair /srv/logs/apache.access
  inkwell repair --to /srv/salvaged /srv/logs/apache.access/.apache.access-2026-11-20_00002.gz.orphan`,
		Args: several("DIR, DIR/CATEGORY or FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.verifyAll(cmd.Context(), args, &o, func(f archive.File, v *archive.Verdict) error {
				return a.repairFile(cmd.Context(), f, v, to)
			})
		},
	}
	o.stateFlag(cmd)
	cmd.Flags().StringVar(&to, "to", "", "directory for what can be read of damaged and unfinished files")
	return cmd
}

// repairFile makes the missing index of a file. If to is a directory, it also writes there what can be read of a
// damaged or unfinished file.
func (a *app) repairFile(ctx context.Context, f archive.File, v *archive.Verdict, to string) error {
	if v.Index == archive.IndexMissing && len(v.Lost) == 0 {
		if err := v.MakeIndex(f); err != nil {
			return err
		}
		a.tell("%s: an index was made", f.Path)
	}
	if to == "" || len(v.Lost) == 0 && !f.Open {
		return nil
	}
	q := &archive.Query{}
	if err := q.Prepare(); err != nil {
		return err
	}
	path := filepath.Join(to, f.Name())
	raw, err := q.Salvage(ctx, f, path)
	if err == nil {
		a.tell("%s: %s of it are in %s", f.Path, size(raw), path)
	}
	return err
}

// verifyAll reads the files of args, prints what is wrong, and calls mend for each file.
func (a *app) verifyAll(ctx context.Context, args []string, o *selection,
	mend func(archive.File, *archive.Verdict) error) error {
	r, err := a.query("verify", o)
	if err != nil {
		return err
	}
	list, err := r.series(ctx, args, true)
	if err != nil {
		return err
	}
	bar := a.progress(bytesOf(list))
	defer bar.end()
	r.Progress = bar.add
	files, bad := 0, 0
	var raw, lines int64
	for i := range list {
		for _, f := range list[i].Files {
			v, err := r.Verify(ctx, f)
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed by retention meanwhile
			}
			if err != nil {
				return err
			}
			files, raw, lines = files+1, raw+v.Raw, lines+v.Lines
			for _, d := range v.Lost {
				a.tell("%v", d)
			}
			if v.Wrong != "" {
				a.tell("%s: %s", f.Path, v.Wrong)
			}
			if len(v.Lost) > 0 || v.Wrong != "" {
				bad++
			}
			if v.Index == archive.IndexMissing && len(v.Lost) == 0 {
				a.tell("%s: no index says where all its blocks are (inkwell repair makes one)", f.Path)
			}
			if err := mend(f, v); err != nil {
				return err
			}
		}
	}
	bar.end()
	fmt.Fprintf(a.stdout, "%s, %s, %s lines\n", count(files, "file"), size(raw), counted(lines))
	if bad > 0 {
		return fmt.Errorf("damaged files: %d of %d (inkwell repair --to DIR writes what can be read of them)", bad,
			files)
	}
	return nil
}
