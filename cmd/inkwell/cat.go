package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inkwell/archive"
)

// catFlags are the flags that cat has in addition to those of every reading command.
type catFlags struct {
	selection
	follow, dedupe, merge bool
	from                  string
	tail                  int
	with                  []string
}

// catHelp is the help of cat.
const catHelp = `cat prints the contents of the files of each category directory, oldest first, or of single files,
decompressed on all cores. The file that is being written is included, as far as it has been
written. Gzip and zstd files of other programs are read as well.

--since, --until and --tail read only the blocks that they need, with the help of the indexes
beside the files. -f begins with the last ten lines (--tail), or with everything (--from start),
waits for what does not exist yet, and continues with what is appended; a directory stands for all
categories in it. --since and --until select by the time at which a block arrived. With --time
event and --format they select by the time in each line: blocks are read that arrived up to
--slack (10 minutes) earlier or later, and a line without a time belongs to the one before it.
--merge combines several categories, hosts or collectors in the order in which blocks arrived.

Damage costs only the block that it is in: cat reports what is lost, prints what follows, and ends
with 1.

With --dedupe an entry that is in the files of several collectors is printed once: the manifests
beside the files identify entries that have numbers, as those of forwarders and pipes have.
Directories are printed in the order of the times of their files, single files in the given order.
The other flags select from that: an entry counts where it is printed, so that periods which follow
each other have it once, and --tail means the last lines of the whole. Entries that cannot be told
apart, because they are not lines, are printed again; that is reported, and the exit code is 1.

A depot is read like a directory: s3://BUCKET/PREFIX/CATEGORY, hdfs://NAMENODE:PORT/PATH/CATEGORY,
or a directory to which collectors publish. It has only finished files, so that -f is refused.

On a terminal, control characters are shown as escapes.

Exit codes: 0 printed, 1 failed or damaged, 2 the command line is wrong.`

func (a *app) cat() *cobra.Command {
	var o catFlags
	cmd := &cobra.Command{
		Use:   "cat [-f] [--since TIME] [--until TIME] [--source PATTERN] DIR/CATEGORY | FILE...",
		Short: "print the contents of a category's files, in order, whatever their compression",
		Long:  catHelp,
		Example: `  inkwell cat /srv/logs/apache.access | grep ' 500 '
  inkwell cat --since 14:00 --until 14:10 /srv/logs/apache.access
  inkwell cat --time event --format combined --since 14:00 --until 14:10 /srv/logs/apache.access
  inkwell cat -f /srv/logs/apache.access
  inkwell cat -f --merge --with time,source --source 'web*' /srv/logs
  inkwell cat --tail 100 /srv/logs/apache.error
  inkwell cat --since yesterday 's3://logs/prod/apache.access?region=eu-central-1'
  inkwell cat --dedupe /srv/a/logs/apache.access /srv/b/logs/apache.access`,
		Args: several("DIR/CATEGORY or FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return a.catSelected(cmd.Context(), args, &o)
		},
	}
	o.lineFlags(cmd, "", eventFormatHelp)
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "continue with what is appended")
	cmd.Flags().StringVar(&o.from, "from", "", "with -f: start = begin with everything that exists")
	cmd.Flags().IntVar(&o.tail, "tail", -1, "only this many of the last lines (with -f: before the new ones; 10)")
	cmd.Flags().BoolVar(&o.merge, "merge", false,
		"combine the arguments, and the categories in them, by the times at which blocks arrived")
	cmd.Flags().BoolVar(&o.dedupe, "dedupe", false,
		"print each numbered entry once, even if several collectors have it")
	cmd.Flags().StringSliceVar(&o.with, "with", nil, "what to print before each line, with a tab: time (when its "+
		"block arrived), source (HOST:PATH, or the stream), or "+
		"both: time,source")
	return cmd
}

// check refuses flags that contradict each other.
func (o *catFlags) check() error {
	switch {
	case o.dedupe && o.follow:
		return usagef("--dedupe and --follow do not go together")
	case o.from != "" && o.from != "start" && o.from != "end":
		return usagef("--from %q: want start or end", o.from)
	case o.from == "start" && o.tail >= 0:
		return usagef("--from start and --tail do not go together")
	case o.follow && o.time == "event":
		return usagef("--time event and --follow do not go together")
	case o.follow && o.until != "":
		return usagef("--until and --follow do not go together")
	}
	for _, w := range o.with {
		if w != "time" && w != "source" {
			return usagef("--with %q: want time, source, or both as in time,source", w)
		}
	}
	return nil
}

// catSelected prints what the flags select.
func (a *app) catSelected(ctx context.Context, args []string, o *catFlags) error {
	r, err := a.query("cat", &o.selection)
	if err != nil {
		return err
	}
	p := &printer{w: a.output(), query: r.Query, visible: a.onTerminal(), time: slices.Contains(o.with, "time"),
		source: slices.Contains(o.with, "source")}
	r.Apart, r.Held = p.time, p.source || len(o.sources) > 0
	if o.follow {
		return r.finish((&following{a: a, r: r, p: p, o: o, every: time.Second / 4}).run(ctx, args))
	}
	var list []archive.Series
	var doubt int64
	if o.dedupe {
		list, doubt, err = r.dedupe(ctx, args, o.merge)
	} else {
		list, err = r.series(ctx, args, o.merge)
	}
	if err != nil {
		return err
	}
	bar := a.printingProgress(bytesOf(list))
	defer bar.end()
	r.Progress = bar.add
	err = r.finish(o.read(ctx, r, list, func(c *archive.Chunk) error { return errors.Join(p.print(c), r.check()) }))
	if err == nil && doubt > 0 {
		err = fmt.Errorf("up to %s may be twice", entries(doubt))
	}
	return err
}

// read passes what the flags select of series to use.
func (o *catFlags) read(ctx context.Context, r *archiveReading, list []archive.Series,
	use func(*archive.Chunk) error) error {
	switch {
	case o.tail >= 0:
		chunks, err := lastLines(ctx, r.Query, list, o.tail)
		if err != nil {
			return err
		}
		return printAll(chunks, use)
	case o.merge:
		return r.Merge(ctx, list, use)
	}
	for i := range list {
		if err := r.Series(ctx, list[i].Files, use); err != nil {
			return err
		}
	}
	return nil
}

func printAll(chunks []*archive.Chunk, use func(*archive.Chunk) error) error {
	for _, c := range chunks {
		if err := use(c); err != nil {
			return err
		}
	}
	return nil
}

// lastLines returns the last lines of each series; with several series, those of all of them by the times of their
// blocks.
func lastLines(ctx context.Context, q *archive.Query, list []archive.Series,
	lines int) (all []*archive.Chunk, err error) {
	for i := range list {
		chunks, err := q.Tail(ctx, list[i].Files, lines)
		if err != nil {
			return nil, err
		}
		all = append(all, chunks...)
	}
	if len(list) > 1 {
		slices.SortStableFunc(all, func(a, b *archive.Chunk) int { return a.First.Compare(b.First) })
	}
	return all, nil
}

// following is the state of cat -f.
type following struct {
	a     *app
	r     *archiveReading
	p     *printer
	o     *catFlags
	every time.Duration // how often files are looked at
}

// run prints until ctx ends, or until all arguments are finished files.
func (f *following) run(ctx context.Context, args []string) error {
	finders := make([]*archive.Finder, len(args))
	for i, arg := range args {
		if archive.InDepot(arg) {
			return usagef("-f %s: a depot has finished files only; follow the directory of the collector", arg)
		}
		abs, err := filepath.Abs(arg)
		if err != nil {
			return err
		}
		finders[i] = &archive.Finder{Path: abs}
		if _, err := os.Stat(abs); errors.Is(err, fs.ErrNotExist) {
			f.r.Tell("%s is not there yet: waiting for it", arg)
		}
	}
	lines := 10
	if f.o.tail >= 0 {
		lines = f.o.tail
	}
	if f.o.from == "start" || f.o.since != "" {
		lines = -1
	}
	var all []*archive.Follower
	for first := true; ctx.Err() == nil; first = false {
		begun, err := f.begin(ctx, finders, lines)
		if err != nil {
			return err
		}
		if all = append(all, begun...); first {
			lines = -1 // series that appear later are new
		}
		f.p.headers = len(all) > 1 && !f.o.merge && !f.p.source
		if err := f.look(ctx, all); err != nil {
			return err
		}
		if len(all) == len(args) && !slices.ContainsFunc(all, goesOn) {
			return nil
		}
		sleep(ctx, f.every)
	}
	return nil
}

// goesOn reports whether more can come.
func goesOn(f *archive.Follower) bool { return !f.Ended() }

// begin starts with the series that are new, and prints their last lines.
func (f *following) begin(ctx context.Context, finders []*archive.Finder,
	lines int) (begun []*archive.Follower, err error) {
	var chunks []*archive.Chunk
	for _, finder := range finders {
		list, err := finder.New()
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			follower := &archive.Follower{Query: f.r.Query, Series: s}
			last, err := follower.Begin(ctx, lines)
			if err != nil {
				return nil, err
			}
			begun, chunks = append(begun, follower), append(chunks, last...)
		}
	}
	if f.o.merge {
		slices.SortStableFunc(chunks, func(a, b *archive.Chunk) int { return a.First.Compare(b.First) })
	}
	f.p.headers = len(begun) > 1 && !f.o.merge && !f.p.source
	return begun, printAll(chunks, f.p.print)
}

// look prints what is new in all series.
func (f *following) look(ctx context.Context, all []*archive.Follower) error {
	f.r.Forget() // and so what the books say is read again, when it is asked for
	f.p.origins = nil
	for _, one := range all {
		err := one.Look(ctx, func(c *archive.Chunk) error { return errors.Join(f.p.print(c), f.r.check()) })
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// sleep waits; it returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func dirOf(path string) string { return strings.TrimSuffix(filepath.Dir(path), "/") }
