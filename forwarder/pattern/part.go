package pattern

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"inkwell/forwarder/category"
)

// part is the text between two slashes of a pattern.
type part struct {
	name    string // the only name it matches, if it is literal
	literal bool
	deep    bool           // it is **
	glob    string         // the pattern, with * for {name}
	names   []string       // the {name}s in it, in the order of capture's groups
	capture *regexp.Regexp // nil without names
}

// compile parses a pattern without {a,b}.
func compile(text string) (a alternative, err error) {
	for _, s := range split(text) {
		p, err := newPart(s)
		if err != nil {
			return a, err
		}
		a.parts = append(a.parts, p)
	}
	names := a.names()
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return a, fmt.Errorf("{%s} stands twice", name)
		}
	}
	return a, nil
}

// names returns all {name}s of the alternative.
func (a *alternative) names() (names []string) {
	for _, p := range a.parts {
		names = append(names, p.names...)
	}
	return names
}

// fixed is how many parts precede the first one that is not literal. The last part never counts.
func (a *alternative) fixed() int {
	n := slices.IndexFunc(a.parts, func(p part) bool { return !p.literal })
	if n < 0 {
		n = len(a.parts)
	}
	return max(min(n, len(a.parts)-1), 0)
}

func newPart(s string) (p part, err error) {
	if s == "**" {
		return part{deep: true}, nil
	}
	if strings.Contains(s, "**") {
		return p, errors.New("** must stand alone between slashes, as in /var/log/**/*.log")
	}
	var glob, name, expr strings.Builder
	p.literal = true
	for len(s) > 0 {
		t, err := nextToken(s)
		if err != nil {
			return p, err
		}
		s = s[len(t.text):]
		if t.kind != character {
			p.literal = false
		}
		switch t.kind {
		case group:
			p.names = append(p.names, t.text[1:len(t.text)-1])
			glob.WriteByte('*')
			expr.WriteString("(.+?)")
		case star:
			glob.WriteByte('*')
			expr.WriteString(".*")
		case any:
			glob.WriteByte('?')
			expr.WriteString(".")
		case class:
			glob.WriteString(t.text)
			expr.WriteString(classExpr(t.text))
		default:
			c := strings.TrimPrefix(t.text, `\`)
			name.WriteString(c)
			glob.WriteString(t.text)
			expr.WriteString(regexp.QuoteMeta(c))
		}
	}
	p.name, p.glob = name.String(), glob.String()
	if !doublestar.ValidatePattern(p.glob) {
		return p, fmt.Errorf(`%s is no pattern: write \[ for the character [`, p.glob)
	}
	if len(p.names) > 0 {
		p.capture, err = regexp.Compile(`(?s)\A` + expr.String() + `\z`)
	}
	return p, err
}

// matches says whether the part matches name.
func (p *part) matches(name string) bool {
	switch {
	case p.deep:
		return !hidden(name)
	case p.literal:
		return p.name == name
	case hidden(name) && !hidden(p.glob):
		return false
	case p.capture != nil:
		return p.capture.MatchString(name)
	}
	ok, err := doublestar.Match(p.glob, name)
	return ok && err == nil // the pattern was checked when it was compiled
}

// texts returns the texts that the {name}s match in name, which the part matches.
func (p *part) texts(name string) []string {
	if p.capture == nil {
		return nil
	}
	return p.capture.FindStringSubmatch(name)[1:]
}

// token is one element of a pattern.
type token struct {
	text string
	kind int
}

const (
	character = iota // including one after a backslash
	star
	any
	class
	group // {name}, or {a,b}
)

// nextToken parses the first element of s. A group ends at its own closing brace.
func nextToken(s string) (token, error) {
	switch s[0] {
	case '*':
		return token{s[:1], star}, nil
	case '?':
		return token{s[:1], any}, nil
	case '\\':
		if len(s) == 1 {
			return token{}, errors.New(`\ at the end has nothing to quote`)
		}
		_, n := utf8.DecodeRuneInString(s[1:])
		return token{s[:1+n], character}, nil
	case '[':
		return classToken(s)
	case '{':
		for at := 1; at < len(s); {
			if s[at] == '}' {
				return token{s[:at+1], group}, nil
			}
			t, err := nextToken(s[at:])
			if err != nil {
				return token{}, err
			}
			at += len(t.text)
		}
		return token{}, errors.New(`{ is not closed: write \{ for the character`)
	}
	_, n := utf8.DecodeRuneInString(s)
	return token{s[:n], character}, nil
}

// classToken parses [abc], [a-z] or [!a].
func classToken(s string) (token, error) {
	for at := 1; at < len(s) && s[at] != '/'; at++ {
		switch {
		case s[at] == '\\':
			at++
		case s[at] == ']' && at > 1:
			return token{s[:at+1], class}, nil
		}
	}
	return token{}, errors.New(`[ is not closed: write \[ for the character`)
}

// classExpr translates a class to a regular expression.
func classExpr(text string) string {
	var b strings.Builder
	b.WriteByte('[')
	in := text[1 : len(text)-1]
	if in[0] == '!' || in[0] == '^' {
		b.WriteByte('^')
		in = in[1:]
	}
	for len(in) > 0 {
		quoted := in[0] == '\\'
		in = strings.TrimPrefix(in, `\`)
		r, n := utf8.DecodeRuneInString(in)
		if r == '-' && !quoted {
			b.WriteByte('-')
		} else {
			fmt.Fprintf(&b, `\x{%x}`, r)
		}
		in = in[n:]
	}
	b.WriteByte(']')
	return b.String()
}

// maxAlternatives bounds how many patterns {a,b}{c,d} … may expand to.
const maxAlternatives = 1000

// expand returns the patterns that the {a,b} of text expand to.
func expand(text string) (list []string, err error) {
	for at := 0; at < len(text); {
		t, err := nextToken(text[at:])
		if err != nil {
			return nil, err
		}
		if t.kind != group || category.IsName(t.text[1:len(t.text)-1]) {
			at += len(t.text)
			continue
		}
		choices, err := choicesOf(t.text[1 : len(t.text)-1])
		if err != nil {
			return nil, err
		}
		for _, c := range choices {
			more, err := expand(text[:at] + c + text[at+len(t.text):])
			if err != nil {
				return nil, err
			}
			if list = append(list, more...); len(list) > maxAlternatives {
				return nil, fmt.Errorf("its {a,b} stand for more than %d patterns", maxAlternatives)
			}
		}
		return list, nil
	}
	return []string{text}, nil
}

// choicesOf splits the text between braces at its commas.
func choicesOf(text string) (list []string, err error) {
	from := 0
	for at := 0; at < len(text); {
		t, err := nextToken(text[at:])
		if err != nil {
			return nil, err
		}
		if t.text == "," {
			list = append(list, text[from:at])
			from = at + 1
		}
		at += len(t.text)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf(`{%s} is neither a name, as {host}, nor a choice, as {a,b}; write \{ for a brace`, text)
	}
	return append(list, text[from:]), nil
}
