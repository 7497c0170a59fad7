package pattern

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// longestCategory is how many bytes a collector takes as the name of a directory.
const longestCategory = 200

// template is a category with {name} in it.
type template struct {
	texts []string // one more than names: what stands before, between and behind them
	names []string
}

// newTemplate reads a category. Its names must be in each of the alternatives.
func newTemplate(category string, alternatives []alternative) (*template, error) {
	if category == "" {
		return nil, errors.New("it must not be empty")
	}
	t := &template{}
	rest := category
	for {
		text, behind, found := strings.Cut(rest, "{")
		t.texts = append(t.texts, text)
		if strings.Contains(text, "}") {
			return nil, errors.New("} without {")
		}
		if !found {
			break
		}
		name, behind, closed := strings.Cut(behind, "}")
		if !closed || !nameExpr.MatchString(name) {
			return nil, fmt.Errorf("{%s is not a name in braces, as {host}", name)
		}
		t.names = append(t.names, name)
		rest = behind
	}
	for _, a := range alternatives {
		for _, name := range t.names {
			if !slices.Contains(a.names(), name) {
				return nil, fmt.Errorf("{%s} does not stand in the pattern, or not in each of its alternatives", name)
			}
		}
	}
	return t, nil
}

func (t *template) varies() bool { return len(t.names) > 0 }

// fixed is the category that does not vary.
func (t *template) fixed() string { return t.texts[0] }

// fill puts values in the place of their names and makes what comes out a safe name.
func (t *template) fill(values map[string]string) string {
	var b strings.Builder
	for i, text := range t.texts {
		b.WriteString(text)
		if i < len(t.names) {
			b.WriteString(safe(values[t.names[i]]))
		}
	}
	return shorten(undotted(b.String()))
}

// safe writes every byte but letters, digits, dot, dash and underscore as % and two digits, so that no two texts become the same:
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

// undotted keeps a category from being a hidden file, or the directory itself or the one above.
func undotted(category string) string {
	if strings.HasPrefix(category, ".") {
		return "%2E" + category[1:]
	}
	return category
}

// shorten cuts a category that is too long, and ends it with ~ and 16 digits of the SHA-256 of the whole.
func shorten(category string) string {
	if len(category) <= longestCategory {
		return category
	}
	sum := sha256.Sum256([]byte(category))
	end := "~" + hex.EncodeToString(sum[:8])
	return category[:longestCategory-len(end)] + end
}
