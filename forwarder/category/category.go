// Package category makes the categories of entries from templates with {name} in them, as safe names of directories.
//
//	web.{host} + host="my host" → web.my%20host
//
// Categories become directories at the collector, and the values of the names come from outside: from a path, a unit,
// or a syslog message.
package category

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// longest is the most bytes of a category name. A collector accepts no longer directory names.
const longest = 200

// Unknown replaces a name that has no value.
const Unknown = "unknown"

// IsName says whether a text in braces is a name.
var IsName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString

// Template is a category with {name} in it.
type Template struct {
	texts []string // one more than names: the text before, between and after them
	names []string
}

// ParseKnown parses a category whose names must be among known.
func ParseKnown(text string, known ...string) (*Template, error) {
	t, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("category %s: %w", text, err)
	}
	for _, name := range t.names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("category %s: {%s} is not known here, but {%s}", text, name, strings.Join(known,
				"}, {"))
		}
	}
	return t, nil
}

// Parse parses a category template.
func Parse(text string) (*Template, error) {
	if text == "" {
		return nil, errors.New("it must not be empty")
	}
	t := &Template{}
	rest := text
	for {
		before, behind, found := strings.Cut(rest, "{")
		t.texts = append(t.texts, before)
		if strings.Contains(before, "}") {
			return nil, errors.New("} without {")
		}
		if !found {
			return t, nil
		}
		name, behind, closed := strings.Cut(behind, "}")
		if !closed || !IsName(name) {
			return nil, fmt.Errorf("{%s is not a name in braces, as {host}", name)
		}
		t.names = append(t.names, name)
		rest = behind
	}
}

// Fixed returns the category as it was written, and whether it has no names, so that it is always the same.
func (t *Template) Fixed() (category string, is bool) { return t.texts[0], len(t.names) == 0 }

// Fill replaces the names by their values and makes the result a safe name of a directory. An empty value becomes
// Unknown.
func (t *Template) Fill(value func(name string) string) string {
	var b strings.Builder
	for i, text := range t.texts {
		b.WriteString(text)
		if i < len(t.names) {
			v := value(t.names[i])
			v = cmp.Or(v, Unknown)
			b.WriteString(safe(v))
		}
	}
	return shorten(undotted(b.String()))
}

// safe writes every byte but letters, digits, dot, dash and underscore as % and two digits, so that no two texts become
// the same:
//
//	my host → my%20host    ünï → %C3%BCn%C3%AF    100% → 100%25
func safe(text string) string {
	const upper = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', upper[c>>4], upper[c&15]})
		}
	}
	return b.String()
}

// undotted keeps a category from being a hidden file, or the directory . or ..
func undotted(category string) string {
	if strings.HasPrefix(category, ".") {
		return "%2E" + category[1:]
	}
	return category
}

// shorten cuts a category that is too long, and appends ~ and 16 hexadecimal digits of its SHA-256.
func shorten(category string) string {
	if len(category) <= longest {
		return category
	}
	sum := sha256.Sum256([]byte(category))
	end := "~" + hex.EncodeToString(sum[:8])
	return category[:longest-len(end)] + end
}
