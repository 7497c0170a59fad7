package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"inkwell/archive"
)

func (a *app) ls() *cobra.Command {
	var o selection
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls [--since TIME] [--until TIME] [--source PATTERN] [--json] [DIR | DIR/CATEGORY...]",
		Short: "list categories, or the files of a category: times, entries, sizes, sources",
		Long: `ls lists the categories in a directory, or the files of one: when their first and last entries
arrived, the number of entries, bytes on disk, the compression ratio, where the entries come from,
and whether a file is still being written. It reads the manifests and the books of the collector,
not the files themselves: inkwell verify does that.

A depot (s3://BUCKET/PREFIX, hdfs://NAMENODE:PORT/PATH, or a directory to which collectors
publish) is listed by the manifests in it.

Times are by the collector's clock, shown in the local time zone with its offset. A ? stands for
what is not known, because no manifest lists the file.

Exit codes: 0 listed, 1 failed or a file has a problem, 2 the command line is wrong.`,
		Example: `  inkwell ls /srv/logs                           # without an argument: the current directory
  inkwell ls --since yesterday /srv/logs/apache.access
  inkwell ls 's3://logs/prod?region=eu-central-1'
  inkwell ls --json /srv/logs | jq '.[] | select(.open)'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			r, err := a.query("ls", &o)
			if err != nil {
				return err
			}
			return a.list(cmd.Context(), r, args, asJSON)
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array with an object for each file")
	return cmd
}

// list prints what is there.
func (a *app) list(ctx context.Context, r *archiveReading, args []string, asJSON bool) error {
	all, troubled := []archive.Listed{}, 0
	var tables []func(w *tabwriter.Writer)
	for _, arg := range args {
		series, err := r.series(ctx, []string{arg}, true)
		if err != nil {
			return err
		}
		whole := len(series) > 0 && !series[0].At(arg)
		if whole {
			tables = append(tables, func(w *tabwriter.Writer) {
				fmt.Fprintln(w, "CATEGORY\tFILES\tFIRST\tLAST\tENTRIES\tBYTES\tRATIO\tOPEN")
			})
		}
		for i := range series {
			s := &series[i]
			files, err := r.List(s)
			if err != nil {
				return err
			}
			all = append(all, files...)
			for k := range files {
				if files[k].Trouble != "" {
					troubled++
				}
			}
			if whole {
				tables = append(tables, func(w *tabwriter.Writer) { categoryRow(w, s, files) })
			} else {
				tables = append(tables, func(w *tabwriter.Writer) { fileRows(w, s, files) })
			}
		}
	}
	if asJSON {
		enc := json.NewEncoder(a.output())
		enc.SetIndent("", "  ")
		if err := enc.Encode(all); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(a.output(), 0, 0, 2, ' ', 0)
		for _, table := range tables {
			table(w)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if troubled > 0 {
		return fmt.Errorf("files with trouble: %d (inkwell verify looks into them)", troubled)
	}
	return nil
}

// categoryRow sums up a series.
func categoryRow(w *tabwriter.Writer, s *archive.Series, files []archive.Listed) {
	sum := archive.Listed{}
	open := 0
	for i, f := range files {
		if i == 0 || f.First.Before(sum.First) && !f.First.IsZero() {
			sum.First = f.First
		}
		if sum.Last = later(sum.Last, f.Last); f.Open {
			open++
		}
		sum.Entries, sum.Raw = added(sum.Entries, f.Entries), added(sum.Raw, f.Raw)
		sum.Bytes += f.Bytes
	}
	last := shown(sum.Last)
	if open > 0 {
		last = "being written"
	}
	fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%d\n", visible(s.Name()), len(files), shown(sum.First), last,
		counted(sum.Entries), size(sum.Bytes), ratio(sum.Raw, sum.Bytes), open)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// added adds two numbers, of which -1 means unknown.
func added(a, b int64) int64 {
	if a < 0 || b < 0 {
		return -1
	}
	return a + b
}

// fileRows lists the files of a series and says which of its periods are complete.
func fileRows(w *tabwriter.Writer, s *archive.Series, files []archive.Listed) {
	fmt.Fprintln(w, "FILE\tFIRST\tLAST\tENTRIES\tBYTES\tRATIO\tSTATE\tSOURCES")
	for _, f := range files {
		state, last := "finished", shown(f.Last)
		if f.Open {
			state, last = "open", "being written"
		}
		if f.Trouble != "" {
			state = strings.ToUpper(f.Trouble)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", visible(f.File), shown(f.First), last, counted(f.Entries),
			size(f.Bytes), ratio(f.Raw, f.Bytes), state, sourceList(f.Sources))
	}
	if periods, err := s.Periods(); err == nil && len(periods) > 0 && !s.Alone() {
		fmt.Fprintf(w, "complete: %s … %s (%d)\n", visible(periods[0]), visible(periods[len(periods)-1]), len(periods))
	}
}

// sourceList names the first sources and the number of the others.
func sourceList(sources []string) string {
	const most = 3
	list := visible(strings.Join(sources[:min(most, len(sources))], " "))
	if more := len(sources) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

func shown(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	return t.Local().Format("2006-01-02 15:04:05 -0700")
}

func counted(n int64) string {
	if n < 0 {
		return "?"
	}
	return humanize.Comma(n)
}

func ratio(raw, bytes int64) string {
	if raw <= 0 || bytes <= 0 {
		return "?"
	}
	return fmt.Sprintf("%.1f", float64(raw)/float64(bytes))
}

// visible makes a foreign text safe to print on one line.
func visible(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(string(appendVisible(nil, []byte(text))))
}
