// Package pattern finds the files that an input follows, and derives their categories from their paths.
//
//	k8s.{ns}.{container}=/var/log/pods/{ns}_{pod}_*/{container}/*.log
//
// A pattern is a path. Its parts, between the slashes, may have *, ?, [abc] and {name} in them; ** is any number of
// directories, including none; {a,b} is a or b, which may contain slashes. {name} is a * that must match at least one
// character, and whose text the category can use. As in a shell, a part that does not begin with a dot matches no
// hidden file or directory. ** does not follow symbolic links to directories; every other part does. A backslash quotes
// the character after it.
//
// Names are bytes. Nothing here opens a file; a Finder lists directories.
package pattern

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"inkwell/forwarder/category"
)

// Pattern is a compiled pattern: the alternatives that its {a,b} expand to. It does not change, and is safe for
// concurrent use.
type Pattern struct {
	text         string
	alternatives []alternative
	excludes     excludes
	category     *category.Template
}

// alternative is a pattern without {a,b}.
type alternative struct {
	parts []part // of an absolute path, without the slashes
}

// Options belong to a pattern.
type Options struct {
	Category string // may use the names of the pattern

	// Exclude has patterns of what is not followed: files, and directories with everything below them. A pattern that
	// does not begin with a slash matches at any depth.
	Exclude []string
}

// Compile parses a pattern. A relative one begins at the working directory.
func Compile(text string, o Options) (*Pattern, error) {
	abs, err := filepath.Abs(text)
	if err != nil {
		return nil, fmt.Errorf("pattern %s: %w", text, err)
	}
	p := &Pattern{text: abs}
	expanded, err := expand(abs)
	if err != nil {
		return nil, fmt.Errorf("pattern %s: %w", text, err)
	}
	for _, one := range expanded {
		a, err := compile(one)
		if err != nil {
			return nil, fmt.Errorf("pattern %s: %w", text, err)
		}
		p.alternatives = append(p.alternatives, a)
	}
	var problems []error
	for _, x := range o.Exclude {
		e, err := newExclude(x)
		if err != nil {
			problems = append(problems, fmt.Errorf("exclude %s: %w", x, err))
		}
		p.excludes = append(p.excludes, e)
	}
	if p.category, err = category.ParseKnown(o.Category, p.names()...); err != nil {
		problems = append(problems, fmt.Errorf("pattern %s: %w", text, err))
	}
	return p, errors.Join(problems...)
}

// String returns the pattern as it was given, but absolute.
func (p *Pattern) String() string { return p.text }

// Fixed returns the category, and whether it is the same for all paths.
func (p *Pattern) Fixed() (category string, is bool) { return p.category.Fixed() }

// names returns the names that a category can use: those that every alternative has.
func (p *Pattern) names() []string {
	names := p.alternatives[0].names()
	for _, a := range p.alternatives[1:] {
		names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(a.names(), name) })
	}
	return names
}

// Match says whether the pattern matches path, which is absolute and clean, and returns the category of the file.
func (p *Pattern) Match(path string) (name string, ok bool) {
	names := split(path)
	for i := range p.alternatives {
		a := &p.alternatives[i]
		if !a.matches(names, 0) {
			continue
		}
		if p.excluded(path, a.fixed()) {
			return "", false
		}
		if fixed, is := p.category.Fixed(); is {
			return fixed, true
		}
		values := make(map[string]string)
		a.capture(names, 0, values)
		return p.category.Fill(func(name string) string { return values[name] }), true
	}
	return "", false
}

// matches says whether the parts from index i on match names.
func (a *alternative) matches(names []string, i int) bool {
	for ; i < len(a.parts); i++ {
		if a.parts[i].deep {
			for skip := 0; skip <= len(names); skip++ {
				if skip > 0 && hidden(names[skip-1]) {
					return false
				}
				if a.matches(names[skip:], i+1) {
					return true
				}
			}
			return false
		}
		if len(names) == 0 || !a.parts[i].matches(names[0]) {
			return false
		}
		names = names[1:]
	}
	return len(names) == 0
}

// capture stores the texts of the {name}s in values. The names must match.
func (a *alternative) capture(names []string, i int, values map[string]string) {
	for ; i < len(a.parts); i++ {
		p := &a.parts[i]
		for p.deep && !a.matches(names, i+1) {
			names = names[1:]
		}
		if p.deep {
			continue
		}
		for k, text := range p.texts(names[0]) {
			values[p.names[k]] = text
		}
		names = names[1:]
	}
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// split returns the parts of an absolute path.
func split(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}
