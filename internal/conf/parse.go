package conf

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of a file are far above what anybody writes, and low enough that parsing is cheap.
const (
	maxFile     = 16 << 20 // bytes
	maxLine     = 1 << 20  // bytes
	maxNesting  = 64       // blocks in blocks
	maxBlocks   = 1 << 16
	maxProblems = 1000
)

// Parse parses a configuration file: lines KEY=VALUE and blocks between <NAME> and </NAME>. Whatever is wrong with the
// file, it returns what could be understood, and the problems. repeat names the keys and blocks that may occur several
// times in one block: blocks NAME of these become NAME0, NAME1, …, as "store" always does.
func Parse(name string, data []byte, repeat ...string) (*File, []Problem) {
	p := &parser{file: &File{Name: name, Root: new(Block)}, repeat: append(repeat, "store")}
	p.stack = []*Block{p.file.Root}
	if len(data) > maxFile {
		p.fail(fmt.Sprintf("the file has %d bytes, more than %d, and was not read", len(data), maxFile),
			"is it a configuration file?")
		return p.file, p.problems
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	for line := range bytes.Lines(data) {
		p.line++
		if len(line) > maxLine {
			p.fail(fmt.Sprintf("a line of %d bytes, more than %d, was passed over", len(line), maxLine),
				"is it a configuration file?")
			continue
		}
		p.statement(string(line))
	}
	for len(p.stack) > 1 {
		p.mistake(fmt.Sprintf("the file ends in <%s> of line %d", Quote(p.top().Tag), p.top().Line),
			fmt.Sprintf("close it with </%s>", Quote(p.top().Tag)))
		p.close()
	}
	p.file.Root.finish()
	slices.SortStableFunc(p.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return p.file, p.problems
}

// parser parses one file.
type parser struct {
	file     *File
	repeat   []string
	stack    []*Block // the open blocks, the root first
	skipped  int      // how many of the blocks that are skipped are open
	blocks   int
	line     int
	begun    bool // there was a statement before
	problems []Problem
}

func (p *parser) top() *Block { return p.stack[len(p.stack)-1] }

// statement parses one line. Only spaces and tabs count as white space, as in the original, and a carriage return at
// the end of the line.
func (p *parser) statement(line string) {
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	line = strings.Trim(p.uncommented(line), " \t\r")
	if line == "" {
		return
	}
	first := !p.begun
	p.begun = true
	switch {
	case first && p.version(line):
	case strings.HasPrefix(line, "</"):
		p.endTag(line)
	case line[0] == '<':
		p.startTag(line)
	case p.skipped == 0:
		p.pair(line)
	}
}

// uncommented returns the line without its comment. In a file of the new style, a # in a double-quoted value begins no
// comment.
func (p *parser) uncommented(line string) string {
	before, _, _ := strings.Cut(line, "#")
	if !p.file.New {
		return before
	}
	key, value, ok := strings.Cut(line, "=")
	if !ok || len(key) > len(before) {
		return before
	}
	quoted, err := strconv.QuotedPrefix(strings.TrimLeft(value, " \t"))
	if err != nil || quoted[0] != '"' {
		return before
	}
	_, behind, _ := strings.Cut(value, quoted)
	behind, _, _ = strings.Cut(behind, "#")
	return key + "=" + quoted + behind
}

// version says whether the first statement of the file marks it as one of the new style.
func (p *parser) version(line string) bool {
	words := strings.Fields(line)
	if len(words) != 2 || words[0] != "inkwell" {
		return false
	}
	p.file.New = true
	if words[1] != "1" {
		p.fail(fmt.Sprintf("version %s of the grammar is not known", Quote(words[1])),
			"write inkwell 1, or use the Inkwell that the file was written for")
	}
	return true
}

func (p *parser) startTag(line string) {
	name, rest, ok := strings.Cut(line[1:], ">")
	name = strings.Trim(name, " \t")
	switch {
	case !ok:
		p.mistake(fmt.Sprintf("Bad config - line %s has a < but not a >", Quote(line)),
			"write <NAME>; until then what follows belongs to the block around it")
		return
	case rest != "":
		p.mistake(fmt.Sprintf("%s behind <%s> is ignored", Quote(rest), Quote(name)), "put it on a line of its own")
	}
	if p.skipped > 0 || len(p.stack) > maxNesting {
		if p.skipped++; p.skipped == 1 {
			p.fail(fmt.Sprintf("<%s> and what is in it was passed over: blocks are nested more than %d deep",
				Quote(name), maxNesting), "close the blocks before it")
		}
		return
	}
	if p.blocks++; p.blocks > maxBlocks {
		if p.skipped++; p.blocks == maxBlocks+1 {
			p.fail(fmt.Sprintf("blocks from here on were passed over: there are more than %d", maxBlocks),
				"split the file")
		}
		return
	}
	b := &Block{Name: name, Tag: name, Line: p.line, Parent: p.top()}
	if slices.Contains(p.repeat, name) {
		b.Name = fmt.Sprintf("%s%d", name, p.top().number(name))
	}
	p.stack = append(p.stack, b)
}

func (p *parser) endTag(line string) {
	name, _, closed := strings.Cut(line[2:], ">")
	name = strings.Trim(name, " \t")
	switch {
	case p.skipped > 0:
		p.skipped--
		return
	case len(p.stack) == 1:
		p.mistake(fmt.Sprintf("</%s> closes nothing and is ignored", Quote(name)),
			"remove it; the original did not read anything behind it")
		return
	case name != p.top().Tag:
		p.mistake(fmt.Sprintf("</%s> closes <%s> of line %d", Quote(name), Quote(p.top().Tag), p.top().Line),
			fmt.Sprintf("write </%s>, or look for an end tag that is missing above", Quote(p.top().Tag)))
	case !closed:
		p.mistake(fmt.Sprintf("</%s has no >", Quote(name)), fmt.Sprintf("write </%s>", Quote(name)))
	}
	p.close()
}

// close ends the innermost block and puts it into its parent.
func (p *parser) close() {
	b := p.top()
	b.finish()
	p.stack = p.stack[:len(p.stack)-1]
	if before := p.top().add(b); before != nil {
		p.report(Problem{
			Line: b.Line, Error: p.file.New, Cure: "give it another name",
			Text: fmt.Sprintf("Bad config - duplicate block name %s: this one is used, that of line %d is not",
				Quote(b.Name), before.Line),
		})
	}
}

func (p *parser) pair(line string) {
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		p.mistake(fmt.Sprintf("Bad config - line %s is missing an =", Quote(line)),
			"write KEY=VALUE, or # before a comment")
		return
	}
	key, value = strings.Trim(key, " \t"), strings.Trim(value, " \t")
	if p.file.New && strings.HasPrefix(value, `"`) {
		text, err := strconv.Unquote(value)
		if err != nil {
			p.mistake(fmt.Sprintf("%s is no text between double quotes", Quote(value)),
				`write "TEXT", with \" for a double quote and \\ for a backslash in it`)
			return
		}
		value = text
	}
	before, again := p.top().set(Pair{Key: key, Setting: Setting{Text: value, Line: p.line}})
	if again && !slices.Contains(p.repeat, key) {
		p.report(Problem{
			Line: p.line, Cure: "remove one of them",
			Text: fmt.Sprintf("Bad config - duplicate key %s: %s is used, not %s of line %d",
				Quote(key), Quote(value), Quote(before.Text), before.Line),
		})
	}
}

// fail reports an error in the current line.
func (p *parser) fail(text, cure string) {
	p.report(Problem{Line: p.line, Text: text, Cure: cure, Error: true})
}

// mistake reports what the original ignored: an error only in a file of the new style.
func (p *parser) mistake(text, cure string) {
	p.report(Problem{Line: p.line, Text: text, Cure: cure, Error: p.file.New})
}

func (p *parser) report(problem Problem) {
	problem.File = p.file.Name
	problem = problem.Shown()
	switch n := len(p.problems); {
	case n < maxProblems:
		p.problems = append(p.problems, problem)
	case n == maxProblems:
		p.problems = append(p.problems, Problem{
			File: p.file.Name, Line: p.line, Error: true,
			Text: fmt.Sprintf("there are more than %d problems; those behind this line are not shown", maxProblems),
		})
	}
}

// Quote makes a word from a file fit to be shown: long text is shortened, and unprintable characters are escaped.
func Quote(text string) string { return printable(text, 80) }

// Shown makes a sentence fit to be shown that contains words from a file.
func Shown(text string) string { return printable(text, 1000) }

// printable returns at most the first bytes of text, with unprintable characters escaped.
func printable(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
