// Package search finds the lines that match a pattern, as grep does, literals first.
//
//	pattern ─► RE2 syntax tree ─► literals of which every match contains one ─► bytes.Index in the text ─► its line ─► RE2
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
	"slices"
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
	trees := make([]*syntax.Regexp, len(texts))
	for i, text := range texts {
		if o.IgnoreCase {
			text = "(?i)" + text
		}
		if trees[i], err = syntax.Parse(text, syntax.Perl); err != nil {
			return nil, err
		}
		p.fold = p.fold || folds(trees[i])
	}
	for _, tree := range trees {
		literals, exact := required(tree.Simplify(), p.fold)
		p.exact = p.exact && exact && p.fold == o.IgnoreCase
		if weakest(literals) == 0 || strings.Contains(strings.Join(literals, ""), "\n") { // a line has none
			p.all = p.all || exact && slices.Contains(literals, "")
			p.literals, p.exact = nil, false
			break
		}
		for _, literal := range literals {
			p.literals = append(p.literals, []byte(literal))
		}
	}
	if len(p.literals) > maxLiterals {
		p.literals, p.exact = nil, false
	}
	return p, nil
}

// maxLiterals is up to how many literals searching for each of them is faster than RE2.
const maxLiterals = 8

// folds says whether a part of a tree ignores case, as in "(?i)get /".
func folds(re *syntax.Regexp) bool {
	return re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase != 0 || slices.ContainsFunc(re.Sub, folds)
}

// required are texts of which every match of a tree contains one, as "error" and "timeout" for "error .*|timeout";
// exact says that whatever contains one matches. With fold the texts are in lower case, and have only letters whose case
// variants are in ASCII.
func required(re *syntax.Regexp, fold bool) (literals []string, exact bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpLiteral:
		text := string(re.Rune)
		if strings.ContainsRune(text, utf8.RuneError) {
			return nil, false
		}
		if !fold {
			return []string{text}, true
		}
		other := func(r rune) bool { return r >= utf8.RuneSelf || r == 'k' || r == 's' }
		part := longest(strings.FieldsFunc(strings.ToLower(text), other))
		return []string{part}, len(part) == len(text)
	case syntax.OpCapture:
		return required(re.Sub[0], fold)
	case syntax.OpPlus:
		literals, _ := required(re.Sub[0], fold)
		return literals, false
	case syntax.OpRepeat:
		if re.Min > 0 {
			literals, _ := required(re.Sub[0], fold)
			return literals, false
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if all, _ := required(sub, fold); weakest(all) > weakest(literals) {
				literals = all
			}
		}
	case syntax.OpAlternate:
		exact = true
		for _, sub := range re.Sub {
			all, whole := required(sub, fold)
			if weakest(all) == 0 {
				return nil, false
			}
			literals, exact = append(literals, all...), exact && whole
		}
		if len(literals) <= maxLiterals {
			return literals, exact
		}
		return nil, false
	}
	return literals, false
}

// weakest is the length of the shortest literal; 0 = there is none, or an empty one.
func weakest(literals []string) int {
	if len(literals) == 0 {
		return 0
	}
	return len(slices.MinFunc(literals, func(a, b string) int { return len(a) - len(b) }))
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
