package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manualPage writes the page of one command in the language of man(7). The page has no date, so that the same program
// always produces the same bytes.
//
// It does not use cobra's own generator, which reads the help text as Markdown: there <store> would be an HTML tag and
// disappear, and CATEGORY=*.log would begin an emphasis.
func manualPage(cmd *cobra.Command) []byte {
	var p bytes.Buffer
	name := pageName(cmd)
	fmt.Fprintf(&p, ".TH %s 1 \"\" %q \"Inkwell\"\n", roff(strings.ToUpper(name)), "inkwell "+version())
	fmt.Fprintf(&p, ".SH NAME\n%s \\- %s\n", roff(name), roff(cmd.Short))
	fmt.Fprintf(&p, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	p.WriteString(".SH DESCRIPTION\n")
	writeText(&p, description(cmd))
	writeCommands(&p, cmd)
	writeFlags(&p, "OPTIONS", cmd.NonInheritedFlags())
	writeFlags(&p, "OPTIONS OF EVERY COMMAND", cmd.InheritedFlags())
	if cmd.Example != "" {
		p.WriteString(".SH EXAMPLES\n")
		writeText(&p, cmd.Example)
	}
	writeSeeAlso(&p, cmd)
	return p.Bytes()
}

func description(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short
}

// writeText writes paragraphs that are separated by empty lines. A paragraph of indented lines is printed unchanged.
func writeText(p *bytes.Buffer, text string) {
	for i, paragraph := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		asItStands := strings.HasPrefix(paragraph, " ")
		switch {
		case asItStands:
			p.WriteString(".PP\n.EX\n")
		case i > 0:
			p.WriteString(".PP\n")
		}
		for line := range strings.SplitSeq(paragraph, "\n") {
			p.WriteString(roff(line) + "\n")
		}
		if asItStands {
			p.WriteString(".EE\n")
		}
	}
}

func writeCommands(p *bytes.Buffer, cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	p.WriteString(".SH COMMANDS\n")
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(p, ".TP\n.B %s\n%s\n", roff(sub.Name()), roff(sub.Short))
		}
	}
}

// writeFlags writes a section with the flags of a set: "-c, --config FILE" and the description.
func writeFlags(p *bytes.Buffer, section string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(p, ".SH %s\n", section)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		p.WriteString(".TP\n")
		if f.Shorthand != "" {
			fmt.Fprintf(p, "\\fB%s\\fR, ", roff("-"+f.Shorthand))
		}
		fmt.Fprintf(p, "\\fB%s\\fR", roff("--"+f.Name))
		if value != "" {
			fmt.Fprintf(p, " \\fI%s\\fR", roff(value))
		}
		fmt.Fprintf(p, "\n%s", roff(usage))
		if !slices.Contains([]string{"", "0", "false", "[]"}, f.DefValue) {
			fmt.Fprintf(p, " (default %s)", roff(strings.Trim(f.DefValue, "[]")))
		}
		p.WriteString("\n")
	})
}

func writeSeeAlso(p *bytes.Buffer, cmd *cobra.Command) {
	var pages []string
	if cmd.HasParent() {
		pages = append(pages, pageName(cmd.Parent()))
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			pages = append(pages, pageName(sub))
		}
	}
	if len(pages) == 0 {
		return
	}
	for i, page := range pages {
		pages[i] = fmt.Sprintf("\\fB%s\\fR(1)", roff(page))
	}
	fmt.Fprintf(p, ".SH SEE ALSO\n%s\n", strings.Join(pages, ",\n"))
}

// roff escapes text for troff, in which a backslash begins an escape, a hyphen differs from the minus of an option, and
// a line that begins with a period or an apostrophe is a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
