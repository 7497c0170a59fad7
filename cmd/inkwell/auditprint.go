package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"inkwell/store/audit"
)

const (
	auditFindings = 200 // that are told in words; --json has them all
	auditRanges   = 8   // of a finding
)

// printAudit writes a table for each category, what was found in words, and the sums.
func printAudit(to io.Writer, r *audit.Report) error {
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(r.Categories)) {
		if c := r.Categories[name]; len(c.Hours) > 0 {
			fmt.Fprintf(&out, "%s\n", printable(name))
			if err := auditTable(&out, c); err != nil {
				return err
			}
			out.WriteByte('\n')
		}
	}
	list := gathered(r.Findings)
	for _, f := range list[:min(len(list), auditFindings)] {
		fmt.Fprintf(&out, "%s\n", printable(findingText(&f.Finding, f.streams)))
	}
	if more := len(list) - auditFindings; more > 0 {
		fmt.Fprintf(&out, "and %s more: see --json\n", humanize.Comma(int64(more)))
	}
	if len(list) > 0 {
		out.WriteByte('\n')
	}
	out.WriteString(auditSums(r))
	_, err := to.Write(out.Bytes())
	return err
}

// auditTable writes the hours of a category, and their sums if there are several.
func auditTable(to io.Writer, c *audit.Category) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	journal := c.Sums.Journal > 0
	row := func(hour string, s *audit.Sums) {
		fmt.Fprintf(t, "%s\t", hour)
		cells := []int64{s.Received, s.Written, s.Journal, s.Duplicated, s.Missing, s.Refused, s.Dropped}
		for i, n := range cells {
			if i != 2 || journal {
				fmt.Fprintf(t, "%s\t", humanize.Comma(n))
			}
		}
		fmt.Fprintln(t)
	}
	titles := "hour (UTC)\treceived\twritten\tin journal\tduplicated\tmissing\trefused\tdropped\t\n"
	if !journal {
		titles = strings.Replace(titles, "in journal\t", "", 1)
	}
	fmt.Fprint(t, titles)
	for i := range c.Hours {
		hour := "no hour yet"
		if at := c.Hours[i].Hour; at != nil {
			hour = at.Format("2006-01-02 15:04")
		}
		row(hour, &c.Hours[i].Sums)
	}
	if len(c.Hours) > 1 {
		row("all", &c.Sums)
	}
	return t.Flush()
}

// gathering is a finding, or several of the same kind.
type gathering struct {
	audit.Finding
	streams int
}

// gathered makes one of what is in the same directories, and of what is set aside, of each category.
func gathered(findings []audit.Finding) (list []gathering) {
	for _, f := range findings {
		if f.Kind == audit.InBoth || f.Kind == audit.Dropped {
			i := slices.IndexFunc(list, func(g gathering) bool {
				return g.Kind == f.Kind && g.Category == f.Category && slices.Equal(g.Directories, f.Directories)
			})
			if i >= 0 {
				list[i].Entries += f.Entries
				list[i].streams++
				continue
			}
		}
		list = append(list, gathering{Finding: f, streams: 1})
	}
	return list
}

// findingText is a finding in words.
func findingText(f *audit.Finding, streams int) string {
	n := entries(f.Entries)
	where := f.Category + ": stream " + f.Stream[:min(len(f.Stream), 8)]
	if f.Path != "" {
		where += " (" + f.Path + ")"
	}
	because := ""
	if f.Text != "" {
		because = " (" + f.Text + ")"
	}
	dirs := strings.Join(f.Directories, ", ")
	switch f.Kind {
	case audit.Missing:
		return fmt.Sprintf("%s: %s missing: %s%s", where, n, numbersText(f), because)
	case audit.Twice:
		return fmt.Sprintf("%s: %s twice in the files of %s, which must not be: %s", where, n, dirs, numbersText(f))
	case audit.InBoth:
		return fmt.Sprintf("%s: %s of %s in more than one collector: %s (inkwell cat --dedupe writes them once)", f.Category, n, count(streams, "stream"), dirs)
	case audit.Dropped:
		return fmt.Sprintf("%s: %s set aside by their sender, because the next hop refuses them for ever (inkwell spool cat STATE/spool/refused)", f.Category, n)
	case audit.Refused:
		return fmt.Sprintf("%s: %s refused%s", f.Category, n, because)
	case audit.Lost:
		return fmt.Sprintf("%s: the open file %s of %s is not there; %s it held are not counted as written", f.Category, f.File, dirs, n)
	case audit.Gone:
		return fmt.Sprintf("%s: finished files of %s are not there any more: %s with %s, which count as written; --keep or somebody removed them", f.Category, dirs, f.Text, n)
	case audit.Damaged:
		return fmt.Sprintf("%s: file %s of %s with %s: %s", f.Category, f.File, dirs, n, f.Text)
	}
	return f.Text
}

// numbersText is the numbers of a finding, the first of them if they are many.
func numbersText(f *audit.Finding) string {
	ranges := f.Ranges()
	if more := len(ranges) - auditRanges; more > 0 {
		return fmt.Sprintf("%s and %s", strings.ReplaceAll(ranges[:auditRanges].String(), ",", ", "), count(more, "further range"))
	}
	return strings.ReplaceAll(ranges.String(), ",", ", ")
}

func entries(n int64) string {
	if n == 1 {
		return "1 entry"
	}
	return humanize.Comma(n) + " entries"
}

// count is a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return humanize.Comma(int64(n)) + " " + thing
}

// auditSums is the last line.
func auditSums(r *audit.Report) string {
	streams, spooled := 0, int64(0)
	for _, c := range r.Categories {
		for name, s := range c.Streams {
			spooled += s.InSpool
			if name != audit.Unnumbered {
				streams++
			}
		}
	}
	s := &r.Sums
	parts := []string{"received " + humanize.Comma(s.Received), "written " + humanize.Comma(s.Written)}
	if s.Journal > 0 {
		parts = append(parts, "in journal "+humanize.Comma(s.Journal))
	}
	if spooled > 0 {
		parts = append(parts, "in spool "+humanize.Comma(spooled))
	}
	parts = append(parts, "duplicated "+humanize.Comma(s.Duplicated), "missing "+humanize.Comma(s.Missing), "refused "+humanize.Comma(s.Refused),
		"dropped "+humanize.Comma(s.Dropped))
	return strings.Join(parts, ", ") + "; " + count(len(r.Directories), "collector") + ", " + count(streams, "stream") + "\n"
}
