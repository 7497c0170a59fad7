package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"inkwell/store/audit"
	"inkwell/store/books"
	"inkwell/store/stream"
)

const (
	auditFindings = 200 // of a finding that are printed; --json has all of them
	auditRanges   = 8   // of a finding
)

// printAudit writes a table for each category, the findings as sentences, and the totals. With problems it leaves out
// everything that is in order.
func printAudit(to io.Writer, r *audit.Report, problems bool) error {
	var out bytes.Buffer
	findings := r.Findings
	if problems {
		findings = slices.DeleteFunc(slices.Clone(findings), harmless)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Categories)) {
		c := r.Categories[name]
		if problems {
			c = withProblems(c)
		}
		if len(c.Hours) > 0 {
			fmt.Fprintf(&out, "%s\n", printable(name))
			if err := auditTable(&out, c); err != nil {
				return err
			}
			out.WriteByte('\n')
		}
	}
	list := gathered(findings)
	for _, f := range list[:min(len(list), auditFindings)] {
		out.WriteString(wrapped(printable(findingText(&f.Finding, f.streams))))
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

// withProblems returns a category with only those hours in which entries are missing, refused or dropped.
func withProblems(c *audit.Category) *audit.Category {
	only := *c
	only.Hours = slices.DeleteFunc(slices.Clone(c.Hours), func(h audit.Hour) bool {
		return h.Missing == 0 && h.Refused == 0 && h.Dropped == 0
	})
	return &only
}

// harmless reports whether a finding is expected: entries that two collectors have after a fail-over, or two
// directories of a multi store, and files that retention removed.
func harmless(f audit.Finding) bool {
	return f.Kind == audit.InBoth || f.Kind == audit.Copied || f.Kind == audit.Gone && f.Why == books.ByRetention
}

// auditWidth is the largest width of the output.
const auditWidth = 80

// auditColumn is one kind of number.
type auditColumn struct {
	title, short string
	of           func(s *audit.Sums) int64
	always       bool
}

var auditColumns = []auditColumn{
	{"received", "received", func(s *audit.Sums) int64 { return s.Received }, true},
	{"written", "written", func(s *audit.Sums) int64 { return s.Written }, true},
	{"in journal", "journal", func(s *audit.Sums) int64 { return s.Journal }, false},
	{"handed on", "handed", func(s *audit.Sums) int64 { return s.HandedOn }, false},
	{"duplicated", "twice", func(s *audit.Sums) int64 { return s.Duplicated }, false},
	{"missing", "missing", func(s *audit.Sums) int64 { return s.Missing }, true},
	{"refused", "refused", func(s *audit.Sums) int64 { return s.Refused }, false},
	{"dropped", "dropped", func(s *audit.Sums) int64 { return s.Dropped }, false},
}

// auditTable writes the hours of a category, and their sums if there are several. Columns that hold only zeros are left
// out. A table that would be too wide has shorter titles, and if that does not suffice it is split into tables of three
// columns, one below the other.
func auditTable(to io.Writer, c *audit.Category) error {
	columns := slices.DeleteFunc(slices.Clone(auditColumns), func(k auditColumn) bool {
		return !k.always && k.of(&c.Sums) == 0
	})
	for _, layout := range []struct {
		tables [][]auditColumn
		short  bool
	}{{[][]auditColumn{columns}, false}, {[][]auditColumn{columns}, true}, {slices.Collect(slices.Chunk(columns, 3)),
		true}} {
		var out bytes.Buffer
		for _, table := range layout.tables {
			if err := auditRows(&out, c, table, layout.short); err != nil {
				return err
			}
		}
		first, _, _ := bytes.Cut(out.Bytes(), []byte{'\n'})
		if len(first) <= auditWidth || len(layout.tables) > 1 {
			_, err := to.Write(out.Bytes())
			return err
		}
	}
	return nil
}

// auditRows writes the rows of a table, with less space around the numbers if it is to be short.
func auditRows(to io.Writer, c *audit.Category, columns []auditColumn, short bool) error {
	padding, layout, title := 2, "2006-01-02 15:04", "hour (UTC)"
	if short {
		padding, layout = 1, "01-02 15:04"
	}
	t := tabwriter.NewWriter(to, 0, 0, padding, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\t", title)
	for _, k := range columns {
		if short {
			k.title = k.short
		}
		fmt.Fprintf(t, "%s\t", k.title)
	}
	fmt.Fprintln(t)
	row := func(hour string, s *audit.Sums) {
		fmt.Fprintf(t, "%s\t", hour)
		for _, k := range columns {
			fmt.Fprintf(t, "%s\t", humanize.Comma(k.of(s)))
		}
		fmt.Fprintln(t)
	}
	for i := range c.Hours {
		hour := "no hour yet"
		if at := c.Hours[i].Hour; at != nil {
			hour = at.Format(layout)
		}
		row(hour, &c.Hours[i].Sums)
	}
	if len(c.Hours) > 1 {
		row("all", &c.Sums)
	}
	return t.Flush()
}

// wrapped breaks text at blanks, so that only a single long word can make a line wider than allowed.
func wrapped(text string) string {
	var out strings.Builder
	width := 0
	for i, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case width+1+n > auditWidth:
			out.WriteString("\n    ")
			width = 4
		default:
			out.WriteByte(' ')
			width++
		}
		out.WriteString(word)
		width += n
	}
	return out.String() + "\n"
}

// gathering is one finding, or several of the same kind that are printed as one.
type gathering struct {
	audit.Finding
	streams int
}

// gathered combines findings of the same directories, and those about set-aside entries, for each category.
func gathered(findings []audit.Finding) (list []gathering) {
	for _, f := range findings {
		if f.Kind == audit.InBoth || f.Kind == audit.Copied || f.Kind == audit.Dropped {
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

// findingText puts a finding into words.
func findingText(f *audit.Finding, streams int) string {
	n := entries(f.Entries)
	where := f.Category + ": stream " + f.Stream[:min(len(f.Stream), 8)]
	if from := (stream.Source{Host: f.Host, Path: f.Path}); from != (stream.Source{}) {
		where += " (" + printable(from.String()) + ")"
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
		return fmt.Sprintf("%s: %s of %s in more than one collector: %s (inkwell cat --dedupe writes them once)",
			f.Category,
			n, count(streams, "stream"), dirs)
	case audit.Copied:
		return fmt.Sprintf("%s: %s of %s in several directories of one collector: %s (as a multi store writes them: "+
			"audit its "+
			"configuration in place of the directory, and what each has to have is looked at by itself)", f.Category, n,
			count(streams, "stream"), dirs)
	case audit.Dropped:
		return fmt.Sprintf("%s: %s set aside by their sender, because the next hop refuses them for ever (inkwell "+
			"spool cat STATE/spool/refused)", f.Category, n)
	case audit.Refused:
		return fmt.Sprintf("%s: %s refused%s", f.Category, n, because)
	case audit.Lost:
		return fmt.Sprintf("%s: the open file %s of %s is not there; not counted as written: %s", f.Category,
			f.File, dirs, n)
	case audit.Gone:
		who := "somebody removed them, or the retention of an older version"
		if f.Why == books.ByRetention {
			who = "retention removed them"
		}
		return fmt.Sprintf("%s: finished files of %s are not there any more: %s with %s, which count as written; %s",
			f.Category, dirs, f.Text, n, who)
	case audit.Damaged:
		return fmt.Sprintf("%s: file %s of %s with %s: %s", f.Category, f.File, dirs, n, f.Text)
	}
	return f.Text
}

// numbersText lists the numbers of a finding, only the first ones if there are many.
func numbersText(f *audit.Finding) string {
	ranges := f.Ranges()
	if more := len(ranges) - auditRanges; more > 0 {
		return fmt.Sprintf("%s and %s", strings.ReplaceAll(ranges[:auditRanges].String(), ",", ", "), count(more,
			"further range"))
	}
	return strings.ReplaceAll(ranges.String(), ",", ", ")
}

func entries(n int64) string {
	if n == 1 {
		return "1 entry"
	}
	return humanize.Comma(n) + " entries"
}

// count formats a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return humanize.Comma(int64(n)) + " " + thing
}

// auditSums returns the closing lines of the report.
func auditSums(r *audit.Report) string {
	type input struct{ category, stream string }
	waiting := make(map[input]int64) // once, however many destinations it is for
	for category, c := range r.Categories {
		category, _, _ = strings.Cut(category, " → ")
		for name, s := range c.Streams {
			in := input{category, name}
			waiting[in] = max(waiting[in], s.InSpool)
		}
	}
	streams, spooled := 0, int64(0)
	for in, n := range waiting {
		spooled += n
		if in.stream != audit.Unnumbered {
			streams++
		}
	}
	s := &r.Sums
	parts := []string{"received " + humanize.Comma(s.Received), "written " + humanize.Comma(s.Written)}
	if s.Journal > 0 {
		parts = append(parts, "in journal "+humanize.Comma(s.Journal))
	}
	if s.HandedOn > 0 {
		parts = append(parts, "handed on "+humanize.Comma(s.HandedOn))
	}
	if spooled > 0 {
		parts = append(parts, "in spool "+humanize.Comma(spooled))
	}
	parts = append(parts, "duplicated "+humanize.Comma(s.Duplicated), "missing "+humanize.Comma(s.Missing),
		"refused "+humanize.Comma(s.Refused),
		"dropped "+humanize.Comma(s.Dropped)+";", count(len(r.Directories), "collector"), count(streams, "stream"))
	const kept = "\u00a0" // a number stays with its word
	text := strings.ReplaceAll(strings.Join(parts, ",\x00"), " ", kept)
	text = strings.ReplaceAll(strings.ReplaceAll(text, ";,\x00", "; "), "\x00", " ")
	return strings.ReplaceAll(wrapped(text), kept, " ")
}
