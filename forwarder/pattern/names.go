package pattern

import (
	"path/filepath"
	"slices"
)

// Names says which file names a pattern wants in one directory. It does not change, and is safe for concurrent use.
type Names struct {
	pattern *Pattern
	dir     string
	parts   []*part
	fixed   int // the least of the alternatives; see excluded
}

// In returns the names that the pattern wants in a directory, whose path is absolute and clean.
func (p *Pattern) In(dir string) Names {
	n := Names{pattern: p, dir: dir}
	names := split(dir)
	for i := range p.alternatives {
		a := &p.alternatives[i]
		if len(a.parts) == 0 {
			continue
		}
		last := &a.parts[len(a.parts)-1]
		front := alternative{parts: a.parts[:len(a.parts)-1]}
		if last.deep { // ** also matches the directories before the name
			front.parts = a.parts
		}
		if !front.matches(names, 0) {
			continue
		}
		if len(n.parts) == 0 || a.fixed() < n.fixed {
			n.fixed = a.fixed()
		}
		n.parts = append(n.parts, last)
	}
	return n
}

// Match says whether the pattern wants a file of that name.
func (n Names) Match(name string) bool {
	for _, p := range n.parts {
		if p.matches(name) {
			return !n.pattern.excluded(filepath.Join(n.dir, name), n.fixed)
		}
	}
	return false
}

// Literal returns the wanted names that the pattern gives in full. only says that it wants no others.
func (n Names) Literal() (names []string, only bool) {
	only = true
	for _, p := range n.parts {
		if !p.literal {
			only = false
		} else if n.Match(p.name) && !slices.Contains(names, p.name) {
			names = append(names, p.name)
		}
	}
	return names, only
}
