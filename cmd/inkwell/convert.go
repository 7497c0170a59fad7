package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"inkwell/archive"
	"inkwell/archive/format"
	"inkwell/rotate"
)

func (a *app) convert() *cobra.Command {
	var o selection
	var c archive.Conversion
	var to string
	cmd := &cobra.Command{
		Use:   "convert --out DIR [--format FORMAT] DIR | DIR/CATEGORY...",
		Short: "make Parquet files of finished files",
		Long: `convert makes a Parquet file of each finished file: OUT/CATEGORY/dt=DAY/NAME.parquet, by the day on which the file was begun. Its columns are
the line, when it came in (arrival), where from (source), file and number, and the fields of --format with their types: time, status, bytes, duration
(seconds), and text. The rows of a row group, some 100,000, stand in the order of the lines' times; all is compressed with zstd. Row groups are made
on all cores. Depots are read as directories are (see inkwell cat).

A Parquet file has its name when it is complete and holds all that the manifest says. Run again, convert makes those that are missing: nothing is
there twice, whatever was killed. Files that are damaged are told and passed over.

Exit codes: 0 all are there, 1 failed or something is damaged, 2 the command line is wrong.`,
		Example: `  inkwell convert --format combined --out /srv/parquet /srv/logs/apache.access
  inkwell convert --format combined --out /srv/parquet 's3://logs/prod/apache.access?region=eu-central-1'
  inkwell convert --format json --fields level,msg,elapsed --out /srv/parquet /srv/logs/app`,
		Args: several("DIR or DIR/CATEGORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case c.Out == "":
				return usagef("--out DIR is missing: where shall the Parquet files go?")
			case to != "parquet":
				return usagef("--to %q: want parquet", to)
			case c.Format != "":
				fields, err := c.Fields, error(nil)
				if len(fields) == 0 {
					fields, err = format.Fields(c.Format)
				}
				if err == nil {
					_, err = format.New(c.Format, fields)
				}
				if err != nil {
					return usagef("--format: %w (--fields names them)", err)
				}
			}
			return a.convertAll(cmd.Context(), args, &o, c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&to, "to", "parquet", "the format of what is made: parquet")
	f.StringVar(&c.Out, "out", "", "directory for what is made")
	f.StringVar(&c.Format, "format", "", "how lines are to be read: combined, common, json, logfmt, syslog, regexp=PATTERN; none = only the lines")
	f.StringSliceVar(&c.Fields, "fields", nil,
		"the fields that become columns (json and logfmt do not say which they have)")
	f.StringArrayVar(&o.states, "state", nil,
		"state directory of a collector that is not in .inkwell in DIR or beside the category; can be repeated")
	return cmd
}

// convertAll converts the finished files, one on each core at a time.
func (a *app) convertAll(ctx context.Context, args []string, o *selection, c archive.Conversion) error {
	out, err := filepath.Abs(c.Out)
	if err != nil {
		return err
	}
	c.Out = out
	r, err := a.query("convert", o)
	if err != nil {
		return err
	}
	list, err := r.series(ctx, args, true)
	if err != nil {
		return err
	}
	bar := a.readingBar(list)
	defer bar.end()
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	type outcome struct {
		rows int64
		size int64
		err  error
	}
	outcomes := make(chan outcome)
	go func() {
		defer close(outcomes)
		for i := range list {
			for _, f := range list[i].Files {
				if f.Open || f.Codec == rotate.None || ctx.Err() != nil {
					continue
				}
				work.Go(func() error {
					rows, _, err := r.Convert(ctx, &list[i], f, c)
					outcomes <- outcome{rows, f.Size, err}
					return nil
				})
			}
		}
		_ = work.Wait() // no function fails
	}()
	made, there, failed, rows := 0, 0, 0, int64(0)
	for one := range outcomes {
		bar.add(one.size)
		switch {
		case errors.Is(one.err, fs.ErrNotExist): // removed by retention meanwhile
		case one.err != nil:
			failed++
			r.Tell("%v", one.err)
		case one.rows < 0:
			there++
		default:
			made, rows = made+1, rows+one.rows
		}
	}
	fmt.Fprintf(a.stdout, "%d files made of %s lines, %d were there\n", made, counted(rows), there)
	if failed > 0 {
		return fmt.Errorf("files that could not be converted: %d", failed)
	}
	return ctx.Err()
}
