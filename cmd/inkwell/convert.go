package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"inkwell/archive"
	"inkwell/archive/format"
)

// convertHelp is the help of convert.
const convertHelp = `convert makes a Parquet file from each finished file: OUT/CATEGORY/dt=DAY/NAME.parquet, by the day
on which the file was begun. Its columns are the line, when it arrived (arrival), where it comes
from (source), file and number, and the fields of --format with their types: time, status, bytes,
duration (seconds), and text. The rows of a row group, about 100,000, are in the order of the
lines' times; everything is compressed with zstd. Row groups are made on all cores. Depots are
read like directories (see inkwell cat).

A Parquet file has its name when it is complete and holds everything that the manifest lists. When
convert is run again it makes the missing ones: no entry is there twice, whatever was killed.
Damaged files are reported and skipped. Of plain files, which grow under their final names, the
newest of a category is left until there is a newer one; a file that you name is converted.

With --follow it continues with files as they are finished, waits for directories that do not
exist yet, and repeats what failed, after a minute at first and an hour at most. Looking for files
takes at most a fiftieth of the time of a core. Run it with a lower priority than the collector:
in a unit of its own (packaging/systemd/examples/inkwell-convert.service), or with nice.

Exit codes: 0 everything is converted (--follow: it was told to end), 1 failed or something is
damaged, 2 the command line is wrong.`

func (a *app) convert() *cobra.Command {
	var o selection
	var c archive.Conversion
	var to string
	var follow bool
	cmd := &cobra.Command{
		Use:   "convert --out DIR [--format FORMAT] [--follow] DIR | DIR/CATEGORY...",
		Short: "convert finished files to Parquet",
		Long:  convertHelp,
		Example: `  inkwell convert --format combined --out /srv/parquet /srv/logs/apache.access
  inkwell convert --format combined --out /srv/parquet 's3://logs/prod/apache.access?region=eu-central-1'
  inkwell convert --format json --fields level,msg,elapsed --out /srv/parquet /srv/logs/app
  nice inkwell convert --follow --format combined --out /srv/parquet /srv/logs/apache.access`,
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
			w := &converting{a: a, c: c, following: follow}
			return w.run(cmd.Context(), args, &o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&to, "to", "parquet", "the output format: parquet")
	f.StringVar(&c.Out, "out", "", "directory for the Parquet files")
	f.StringVar(&c.Format, "format", "", "the format of the lines: combined, common, json, logfmt, syslog, regexp=PATTERN; none = no columns but the lines")
	f.StringSliceVar(&c.Fields, "fields", nil,
		"the fields that become columns (json and logfmt have no fixed fields)")
	f.BoolVarP(&follow, "follow", "f", false, "continue with files as they are finished, until it is told to end")
	o.stateFlag(cmd)
	return cmd
}

// converting is a run of convert.
type converting struct {
	a *app
	r *archiveReading
	c archive.Conversion

	following bool
}

// converted counts what became of files.
type converted struct {
	made, there, failed int
	open                int // files that are being written
	rows                int64
}

// run converts the finished files.
func (w *converting) run(ctx context.Context, args []string, o *selection) (err error) {
	if w.r, err = w.a.query("convert", o); err != nil {
		return err
	}
	if w.c.Out, err = filepath.Abs(w.c.Out); err != nil {
		return err
	}
	if w.following {
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		return w.follow(ctx, args)
	}
	list, err := w.r.series(ctx, args, true)
	if err != nil {
		return err
	}
	bar := w.a.progress(bytesOf(list))
	defer bar.end()
	w.r.Progress = bar.add
	sum := w.round(ctx, list, func(archive.File) bool { return true }, func(archive.File, error) {})
	bar.end()
	var open string
	if sum.open > 0 {
		open = fmt.Sprintf(", %d not finished yet", sum.open)
	}
	made := count(sum.made, "file")
	fmt.Fprintf(w.a.stdout, "%s made of %s lines, %d were there%s\n", made, counted(sum.rows), sum.there, open)
	if sum.failed > 0 {
		return fmt.Errorf("files that could not be converted: %d", sum.failed)
	}
	return ctx.Err()
}

// round converts the finished files that are due, one on each core at a time, and tells done of each, one after the
// other.
func (w *converting) round(ctx context.Context, list []archive.Series, due func(archive.File) bool,
	done func(archive.File, error)) (sum converted) {
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	type outcome struct {
		rows int64
		file archive.File
		err  error
	}
	outcomes := make(chan outcome)
	var files []func()
	for i := range list {
		for k, f := range list[i].Files {
			written := list[i].Written(k)
			if written {
				sum.open++
			}
			if written || !due(f) {
				w.r.Progress(f.Size)
				continue
			}
			files = append(files, func() {
				rows, _, err := w.r.Convert(ctx, &list[i], f, w.c)
				outcomes <- outcome{rows, f, err}
			})
		}
	}
	go func() {
		defer close(outcomes)
		for _, convert := range files {
			if ctx.Err() == nil {
				work.Go(func() error { convert(); return nil })
			}
		}
		_ = work.Wait() // no function fails
	}()
	for one := range outcomes {
		switch {
		case errors.Is(one.err, fs.ErrNotExist): // removed by retention meanwhile
			one.err = nil
		case one.err != nil:
			if sum.failed++; ctx.Err() == nil {
				w.r.Tell("%v", one.err)
			}
		case one.rows < 0:
			sum.there++
		default:
			sum.made, sum.rows = sum.made+1, sum.rows+one.rows
		}
		done(one.file, one.err)
	}
	return sum
}
