package main

import (
	"context"
	"errors"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"inkwell/archive"
	"inkwell/archive/search"
)

// grepFlags are the flags of grep, with the meanings of GNU grep, besides those of every reading command.
type grepFlags struct {
	selection
	patterns                          []string
	fixed, ignoreCase, invert         bool
	count, only, files, quiet, number bool
	withName, noName                  bool
	most, after, before, around       int
	perl, extended                    bool // accepted, because RE2 is extended anyway
	separate                          bool // -- separates groups of lines
}

// grepHelp is the help of grep.
const grepHelp = `grep searches the files of categories, including the one being written, on all cores: literals
first, then RE2. The flags, the output and the exit codes are those of GNU grep, with these
differences:

- patterns are RE2 (github.com/google/re2/wiki/Syntax), which has no back references and whose
  running time never explodes;
- a category is searched as one text: -c counts its lines, -m limits them, and its name precedes
  each line if there are several categories; -l lists files, and -n counts the lines within each
  file;
- every input is text, as with grep -a; on a terminal, control characters are shown as escapes.

--since, --until and --source select as in inkwell cat, and only the blocks that they need are
read. Depots are read like directories (see inkwell cat).

Exit codes: 0 a line was selected, 1 none was, 2 something failed or is damaged (everything else
was searched), or the command line is wrong.`

func (a *app) grep() *cobra.Command {
	var o grepFlags
	cmd := &cobra.Command{
		Use:   "grep [-ivconlqHhF] [-m N] [-A N] [-B N] [-C N] [-e PATTERN] PATTERN DIR/CATEGORY | FILE...",
		Short: "print the lines of categories that match a pattern, as grep does",
		Long:  grepHelp,
		Example: `  inkwell grep ' 500 ' /srv/logs/apache.access
  inkwell grep -c -i timeout --since 1h /srv/logs
  inkwell grep -n -C 2 -F 'Traceback (most recent call last)' --source 'web1*' /srv/logs/app
  inkwell grep -o -e 'user=[a-z]+' -e 'uid=[0-9]+' /srv/logs/auth | sort | uniq -c
  inkwell grep -c ' 500 ' --time event --format combined --since 14:00 --until 14:10 /srv/logs/apache.access
  inkwell grep -c timeout hdfs://namenode:9000/logs/app
  inkwell grep -l needle /srv/logs/apache.access`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(o.patterns) == 0 {
				return patternAndSeveral(args)
			}
			return several("DIR/CATEGORY or FILE")(nil, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(o.patterns) == 0 {
				o.patterns, args = args[:1], args[1:]
			}
			for _, name := range []string{"after-context", "before-context", "context"} {
				o.separate = o.separate || cmd.Flags().Changed(name)
			}
			found, err := a.grepSelected(cmd.Context(), args, &o)
			var wrong usageError
			switch {
			case err != nil && o.quiet && found:
				return nil
			case errors.As(err, &wrong) || errors.Is(err, errReaderGone):
				return err
			case err != nil:
				a.tell("inkwell grep: %v%s", err, cure(err))
				return exitCode(2)
			case !found:
				return exitCode(1)
			}
			return nil
		},
	}
	o.lineFlags(cmd, "", eventFormatHelp)
	o.ownFlags(cmd)
	return cmd
}

// patternAndSeveral requires a pattern and something to search.
func patternAndSeveral(args []string) error {
	if len(args) == 0 {
		return exactly("PATTERN")(nil, args)
	}
	return several("DIR/CATEGORY or FILE")(nil, args[1:])
}

// ownFlags defines the flags of GNU grep.
func (o *grepFlags) ownFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVarP(&o.patterns, "regexp", "e", nil, "a pattern; can be repeated, and may begin with -")
	f.BoolVarP(&o.fixed, "fixed-strings", "F", false, "patterns are plain text")
	f.BoolVarP(&o.extended, "extended-regexp", "E", false, "accepted for compatibility: RE2 is always extended")
	f.BoolVarP(&o.perl, "perl-regexp", "P", false, "accepted for compatibility: RE2 has most of that syntax")
	f.BoolVarP(&o.ignoreCase, "ignore-case", "i", false, "ignore the difference of capital and small letters")
	f.BoolVarP(&o.invert, "invert-match", "v", false, "select lines that do not match")
	f.BoolVarP(&o.count, "count", "c", false, "print the number of selected lines of each category")
	f.BoolVarP(&o.only, "only-matching", "o", false, "print only the matching parts, each on its own line")
	f.BoolVarP(&o.number, "line-number", "n", false, "print the number of each line in its file")
	f.BoolVarP(&o.files, "files-with-matches", "l", false, "print the names of files with selected lines")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print nothing, and end at the first selected line")
	f.BoolVarP(&o.withName, "with-filename", "H", false,
		"print the name of the category with each line, even if there is only one")
	f.BoolVar(&o.noName, "no-filename", false, "never print the name of the category")
	f.IntVarP(&o.most, "max-count", "m", math.MaxInt, "stop after this many selected lines of a category")
	f.IntVarP(&o.after, "after-context", "A", 0, "print this many lines after each")
	f.IntVarP(&o.before, "before-context", "B", 0, "print this many lines before each")
	f.IntVarP(&o.around, "context", "C", 0, "print this many lines before and after each")
}

// check refuses flags that contradict each other, and sets those that follow from others.
func (o *grepFlags) check() error {
	if o.most < 0 {
		o.most = math.MaxInt
	}
	if o.after < 0 || o.before < 0 || o.around < 0 {
		return usagef("-A, -B and -C want numbers of lines, 0 or more")
	}
	o.after, o.before = max(o.after, o.around), max(o.before, o.around)
	if o.only || o.count || o.files || o.quiet {
		o.after, o.before = 0, 0
	}
	if o.number && (o.since != "" || o.until != "" || len(o.sources) > 0) {
		return usagef("-n does not go with --since, --until and --source: what is passed over is not counted")
	}
	return nil
}

// grepSelected searches the arguments.
func (a *app) grepSelected(ctx context.Context, args []string, o *grepFlags) (found bool, err error) {
	if err := o.check(); err != nil {
		return false, err
	}
	pattern, err := search.Compile(o.patterns,
		search.Options{Fixed: o.fixed, IgnoreCase: o.ignoreCase, Invert: o.invert})
	if err != nil {
		return false, usageError{err}
	}
	r, err := a.query("grep", &o.selection)
	if err != nil {
		return false, err
	}
	list, err := r.series(ctx, args, true)
	if err != nil {
		return false, err
	}
	bar := a.printingProgress(bytesOf(list))
	defer bar.end()
	r.Progress = bar.add
	g := &grepper{o: o, pattern: pattern, r: r, w: a.output(), terminal: a.onTerminal(), colours: a.wantsColours()}
	g.named = o.withName || len(list) > 1 && !o.noName
	for i := range list {
		some, err := g.series(ctx, &list[i])
		found = found || some
		if err != nil || found && o.quiet {
			return found, err
		}
	}
	return found, r.finish(nil)
}

// nameOf returns the name of a series that is printed before its lines.
func nameOf(s *archive.Series) string {
	if s.Alone() {
		return s.Files[0].Path
	}
	return strings.TrimSuffix(s.Name(), "/")
}
