package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"inkwell/archive"
	"inkwell/archive/search"
)

// grepper searches series one after the other. It searches several parts of a file in parallel and prints the results
// in the order of the lines.
type grepper struct {
	o        *grepFlags
	pattern  *search.Pattern
	r        *archiveReading
	w        io.Writer
	terminal bool // control characters are shown as escapes
	colours  bool
	named    bool // the name of the series precedes its lines

	name     string
	selected int
	before   [][]byte // lines that may be printed as context
	skipped  bool     // lines were passed over since the last that was printed
	printed  bool     // something of this run was printed
	after    int      // lines to be printed behind a selected one
	number   int      // of the lines of the file before the part
	buf      []byte
}

// part is a number of whole lines of a file, with what was found in them.
type part struct {
	text  []byte
	lines []search.Span
	count int
}

// errEnough ends a reading before the end of the file.
var errEnough = errors.New("enough")

// series searches one series, and reports whether a line was selected.
func (g *grepper) series(ctx context.Context, s *archive.Series) (found bool, err error) {
	g.name, g.selected = nameOf(s), 0
	g.before, g.skipped, g.after = nil, false, 0
	for _, f := range s.Files {
		before := g.selected
		err = g.file(ctx, f)
		if err != nil && !errors.Is(err, errEnough) {
			return g.selected > 0, err
		}
		if g.o.files && !g.o.quiet && g.selected > before {
			name := f.Final()
			if g.terminal {
				name = visible(name)
			}
			if _, werr := fmt.Fprintln(g.w, name); werr != nil {
				return true, werr
			}
		}
		if errors.Is(err, errEnough) && !(g.o.files && g.selected < g.o.most) {
			break
		}
	}
	if g.o.count && !g.o.quiet && !g.o.files {
		_, err = fmt.Fprintf(g.w, "%s%d\n", g.prefix(':'), g.selected)
		return g.selected > 0, err
	}
	return g.selected > 0, nil
}

// prefix is the name that is printed before lines.
func (g *grepper) prefix(sep byte) string {
	if !g.named {
		return ""
	}
	switch {
	case g.colours:
		return "\x1b[35m" + visible(g.name) + "\x1b[36m" + string(sep) + "\x1b[0m"
	case g.terminal:
		return visible(g.name) + string(sep)
	}
	return g.name + string(sep)
}

// file searches one file.
func (g *grepper) file(ctx context.Context, f archive.File) error {
	g.number = 0
	ordered := archive.Ordered[[]byte, part]{Work: g.find, Use: g.use}
	var lines archive.Lines
	err := g.r.Read(ctx, f, func(c *archive.Chunk) error {
		if err := g.r.check(); err != nil {
			return err
		}
		if text := lines.Add(c.Data); text != nil {
			return ordered.Add(ctx, text)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) { // removed by retention meanwhile
		err = nil
	}
	if rest := lines.Rest(); err == nil && len(rest) > 0 {
		err = ordered.Add(ctx, rest)
	}
	return errors.Join(err, ordered.Flush())
}

// find searches a part. Lines that need not be printed are only counted.
func (g *grepper) find(text []byte) part {
	switch {
	case g.o.quiet || g.o.files:
		if g.pattern.Any(text) {
			return part{count: 1}
		}
		return part{}
	case g.o.count:
		return part{count: g.pattern.Count(text)}
	}
	lines := g.pattern.Lines(text, g.o.most)
	if len(lines) == 0 && !g.o.number && g.o.before == 0 && g.o.after == 0 {
		text = nil
	}
	return part{text: text, lines: lines, count: len(lines)}
}

// use prints what was found in a part.
func (g *grepper) use(p part) error {
	if g.o.count || g.o.quiet || g.o.files {
		g.selected = min(g.o.most, g.selected+p.count)
		if g.selected >= g.o.most || p.count > 0 && (g.o.quiet || g.o.files) {
			return errEnough
		}
		return nil
	}
	if g.buf = g.buf[:0]; p.text == nil {
		g.skipped = true
		return nil
	}
	at := 0
	for _, line := range p.lines {
		if g.selected >= g.o.most {
			break
		}
		g.context(p.text[at:line.From])
		g.selected++
		g.line(p.text[line.From:line.To])
		at = line.To
	}
	enough := g.selected >= g.o.most
	if !enough || g.after > 0 {
		g.context(p.text[at:])
	}
	if _, err := g.w.Write(g.buf); err != nil {
		return err
	}
	if enough && g.after == 0 {
		return errEnough
	}
	return nil
}

// context handles lines that are not selected: those near a selected one are printed.
func (g *grepper) context(text []byte) {
	if g.o.before == 0 && g.after == 0 {
		if g.o.number {
			g.number += bytes.Count(text, []byte{'\n'})
		}
		g.skipped = g.skipped || len(text) > 0
		return
	}
	for line := range bytes.Lines(text) {
		g.number++
		if g.after > 0 {
			g.after--
			g.print(line, '-', g.number)
			continue
		}
		if g.o.before > 0 {
			g.before = append(g.before, line)
		}
		if len(g.before) > g.o.before || g.o.before == 0 {
			g.skipped = true
		}
		g.before = g.before[max(0, len(g.before)-g.o.before):]
	}
}

// line prints a selected line and the context before it.
func (g *grepper) line(line []byte) {
	g.number++
	if g.skipped && g.printed && g.o.separate && !g.o.only {
		g.buf = append(g.buf, "--\n"...)
	}
	for i, l := range g.before {
		g.print(l, '-', g.number-len(g.before)+i)
	}
	g.before, g.skipped, g.printed = nil, false, true
	g.after = g.o.after
	if !g.o.only {
		g.print(line, ':', g.number)
		return
	}
	if g.o.invert {
		return
	}
	for _, m := range g.pattern.Matches(line) {
		g.head(':', g.number)
		g.colored(line[m.From:m.To], true)
		g.buf = append(g.buf, '\n')
	}
}

// head prints the prefix of a line.
func (g *grepper) head(sep byte, number int) {
	g.buf = append(g.buf, g.prefix(sep)...)
	if g.o.number {
		g.buf = append(strconv.AppendInt(g.buf, int64(number), 10), sep)
	}
}

// print prints a line; on a terminal its matches are coloured.
func (g *grepper) print(line []byte, sep byte, number int) {
	g.head(sep, number)
	text := bytes.TrimSuffix(line, []byte{'\n'})
	if !g.terminal {
		g.buf = append(append(g.buf, text...), '\n')
		return
	}
	at := 0
	if sep == ':' && !g.o.invert {
		for _, m := range g.pattern.Matches(text) {
			g.colored(text[at:m.From], false)
			g.colored(text[m.From:m.To], true)
			at = m.To
		}
	}
	g.colored(text[at:], false)
	g.buf = append(g.buf, '\n')
}

// colored returns text with a colour for a terminal, or unchanged elsewhere.
func (g *grepper) colored(text []byte, match bool) {
	switch {
	case !g.terminal:
		g.buf = append(g.buf, text...)
	case match && g.colours && len(text) > 0:
		g.buf = append(appendVisible(append(g.buf, "\x1b[01;31m"...), text), "\x1b[0m"...)
	default:
		g.buf = appendVisible(g.buf, text)
	}
}
