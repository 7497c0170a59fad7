// Package search finds the lines that match a pattern, as grep does, literals first.
//
//	pattern ─► RE2 syntax tree ─► a literal that every match contains ─► bytes.Index in the text ─► its line ─► RE2
//
// If every alternative has such a literal, most of the text is skipped at the speed of memory. Otherwise each line is
// given to RE2, whose time is proportional to the text for every pattern.
//
// Limitations: a pattern sees one line without its newline. Text is bytes: invalid UTF-8 matches as U+FFFD, as in Go's
// regexp.
package search

import (
	"bytes"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// Options say how patterns are interpreted.
type Options struct {
	Fixed      bool // they are plain text
	IgnoreCase bool
	Invert     bool // the lines that do not match are wanted
}

// Pattern finds lines. Safe for concurrent use.
type Pattern struct {
	re       *regexp.Regexp
	literals [][]byte // every match contains one of them; none = unknown
	exact    bool     // and every line that contains one of them matches
	fold     bool     // the literals are in lower case, and the text is converted
	invert   bool
	all      bool // every line matches
}

// Compile compiles patterns, of which one has to match.
func Compile(patterns []string, o Options) (*Pattern, error) {
	p := &Pattern{invert: o.Invert, exact: true, fold: o.IgnoreCase}
	var texts []string
	for _, text := range patterns {
		for one := range strings.SplitSeq(text, "\n") { // as grep has it
			if o.Fixed {
				one = regexp.QuoteMeta(one)
			}
			texts = append(texts, "(?:"+one+")")
			if _, err := syntax.Parse(one, syntax.Perl); err != nil {
				return nil, fmt.Errorf("pattern %q: %w (patterns are RE2, "+
					"as in https://github.com/google/re2/wiki/Syntax; -F takes plain text)", one, err)
			}
		}
	}
	whole := strings.Join(texts, "|")
	if o.IgnoreCase {
		whole = "(?i)" + whole
	}
	var err error
	if p.re, err = regexp.Compile(whole); err != nil {
		return nil, fmt.Errorf("pattern %q: %w", whole, err)
	}
	for _, text := range texts {
		if o.IgnoreCase {
			text = "(?i)" + text
		}
		tree, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			return nil, err
		}
		literal, exact := required(tree.Simplify(), o.IgnoreCase)
		p.exact = p.exact && exact
		if len(literal) == 0 || strings.Contains(literal, "\n") { // a line has none
			p.all = p.all || exact && literal == ""
			p.literals, p.exact = nil, false
			break
		}
		p.literals = append(p.literals, []byte(literal))
	}
	if len(p.literals) > maxLiterals {
		p.literals, p.exact = nil, false
	}
	return p, nil
}

// maxLiterals is up to how many literals searching for each of them is faster than RE2.
const maxLiterals = 8

// required is the longest text that every match of a tree contains; exact says that whatever contains it matches. With
// fold the text is in lower case, and has only letters whose case variants are in ASCII.
func required(re *syntax.Regexp, fold bool) (literal string, exact bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return "", true
	case syntax.OpLiteral:
		text := string(re.Rune)
		if strings.ContainsRune(text, utf8.RuneError) {
			return "", false
		}
		if !fold && re.Flags&syntax.FoldCase == 0 {
			return text, true
		}
		if !fold {
			return "", false
		}
		other := func(r rune) bool { return r >= utf8.RuneSelf || r == 'k' || r == 's' }
		part := longest(strings.FieldsFunc(strings.ToLower(text), other))
		return part, len(part) == len(text)
	case syntax.OpCapture:
		return required(re.Sub[0], fold)
	case syntax.OpPlus:
		literal, _ := required(re.Sub[0], fold)
		return literal, false
	case syntax.OpRepeat:
		if re.Min > 0 {
			literal, _ := required(re.Sub[0], fold)
			return literal, false
		}
	case syntax.OpConcat:
		var all []string
		for _, sub := range re.Sub {
			part, _ := required(sub, fold)
			all = append(all, part)
		}
		return longest(all), false
	}
	return "", false
}

func longest(all []string) (text string) {
	for _, one := range all {
		if len(one) > len(text) {
			text = one
		}
	}
	return text
}

// Span is a line in a text, with its newline if it has one.
type Span struct{ From, To int }

// Count counts the lines of text that are wanted.
func (p *Pattern) Count(text []byte) (n int) {
	p.each(text, func(Span) bool {
		n++
		return true
	})
	if p.invert {
		return lines(text) - n
	}
	return n
}

func lines(text []byte) int {
	n := bytes.Count(text, []byte{'\n'})
	if len(text) > 0 && text[len(text)-1] != '\n' {
		n++
	}
	return n
}

// Any says whether a line of text is wanted.
func (p *Pattern) Any(text []byte) (found bool) {
	if p.invert {
		return p.Count(text) > 0
	}
	p.each(text, func(Span) bool {
		found = true
		return false
	})
	return found
}

// Lines lists the wanted lines of text in order, at most that many.
func (p *Pattern) Lines(text []byte, most int) (all []Span) {
	at := 0
	add := func(s Span) bool {
		all = append(all, s)
		return len(all) < most
	}
	more := true
	others := func(end int) { // with invert: the lines up to one that matches
		for at < end && more {
			next := lineEnd(text, at)
			more = add(Span{at, next})
			at = next
		}
	}
	if most <= 0 {
		return nil
	}
	p.each(text, func(s Span) bool {
		if !p.invert {
			return add(s)
		}
		others(s.From)
		at = s.To
		return more
	})
	if p.invert {
		others(len(text))
	}
	return all
}

// Matches lists the places in a line at which the pattern matches, except for empty matches.
func (p *Pattern) Matches(line []byte) (all []Span) {
	for _, m := range p.re.FindAllIndex(bytes.TrimSuffix(line, []byte{'\n'}), -1) {
		if m[0] < m[1] {
			all = append(all, Span{m[0], m[1]})
		}
	}
	return all
}

func lineEnd(text []byte, at int) int {
	if k := bytes.IndexByte(text[at:], '\n'); k >= 0 {
		return at + k + 1
	}
	return len(text)
}

// each visits the lines that match, until visit returns false.
func (p *Pattern) each(text []byte, visit func(Span) bool) {
	if len(p.literals) == 0 {
		for at := 0; at < len(text); {
			end := lineEnd(text, at)
			if (p.all || p.re.Match(bytes.TrimSuffix(text[at:end], []byte{'\n'}))) && !visit(Span{at, end}) {
				return
			}
			at = end
		}
		return
	}
	searched := text
	if p.fold {
		searched = lower(text)
	}
	needles := make([]needle, len(p.literals))
	for i, literal := range p.literals {
		needles[i] = newNeedle(literal, searched)
	}
	next := make([]int, len(p.literals)) // the next occurrence of each; -1 = none
	for at := 0; at < len(text); {
		found := -1
		for i := range needles {
			if next[i] >= 0 && next[i] < at || at == 0 {
				if next[i] = needles[i].in(searched[at:]); next[i] >= 0 {
					next[i] += at
				}
			}
			if next[i] >= 0 && (found < 0 || next[i] < found) {
				found = next[i]
			}
		}
		if found < 0 {
			return
		}
		from := bytes.LastIndexByte(text[at:found], '\n') + 1 + at
		end := lineEnd(text, found)
		if (p.exact || p.re.Match(bytes.TrimSuffix(text[from:end], []byte{'\n'}))) && !visit(Span{from, end}) {
			return
		}
		at = end
	}
}

// lowered are the bytes with ASCII's capitals as small letters.
var lowered = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			t[i] += 'a' - 'A'
		}
	}
	return t
}()

func lower(text []byte) []byte {
	low := make([]byte, len(text))
	for i, c := range text {
		low[i] = lowered[c]
	}
	return low
}
