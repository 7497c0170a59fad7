package journal

import (
	"slices"
	"strings"
)

// Default is the pattern for categories that no other pattern matches.
const Default = "default"

// Patterns are the categories named by the rules of a configuration: names, prefixes followed by *, and Default. The
// checkpoint records them, so that the next run knows which rule a category had.
//
// Example: with Names {"web"} and Prefixes {"web*", "w*"}, the category "web" has the pattern "web", "web.eu" has
// "web*", and "db" has Default if there is a rule for it.
type Patterns struct {
	Names    []string `json:"names,omitempty"`    // sorted
	Prefixes []string `json:"prefixes,omitempty"` // in the order in which they are tried
	Rest     bool     `json:"rest,omitempty"`     // there is a rule for Default
}

// Add adds a pattern. A prefix is tried after those that were added before.
func (p *Patterns) Add(pattern string) {
	switch {
	case pattern == Default:
		p.Rest = true
	case strings.HasSuffix(pattern, "*"):
		if !slices.Contains(p.Prefixes, pattern) {
			p.Prefixes = append(p.Prefixes, pattern)
		}
	default:
		if i, known := slices.BinarySearch(p.Names, pattern); !known {
			p.Names = slices.Insert(p.Names, i, pattern)
		}
	}
}

// Named reports whether a category is one of the names.
func (p *Patterns) Named(category string) bool {
	_, named := slices.BinarySearch(p.Names, category)
	return named
}

// equal reports whether p and o have the same patterns in the same order.
func (p *Patterns) equal(o *Patterns) bool {
	return p.Rest == o.Rest && slices.Equal(p.Names, o.Names) && slices.Equal(p.Prefixes, o.Prefixes)
}

// Match returns the pattern of a category, "" if there is none.
func (p *Patterns) Match(category string) string {
	if p.Named(category) {
		return category
	}
	for _, prefix := range p.Prefixes {
		if strings.HasPrefix(category, prefix[:len(prefix)-1]) {
			return prefix
		}
	}
	if p.Rest {
		return Default
	}
	return ""
}
