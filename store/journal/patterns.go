package journal

import (
	"slices"
	"strings"
)

// Default is the pattern of the categories that no other pattern is for.
const Default = "default"

// Patterns are what the rules of a configuration say of categories: names, prefixes with a * behind them, and Default.
// They are kept in the checkpoint, so that the next run can tell which rule a category had.
//
// Example: with Names {"web"} and Prefixes {"web*", "w*"}, the category "web" has the pattern "web", "web.eu" has
// "web*" and "db" has Default, if there is one.
type Patterns struct {
	Names    []string `json:"names,omitempty"`    // sorted
	Prefixes []string `json:"prefixes,omitempty"` // in the order in which they are tried
	Rest     bool     `json:"rest,omitempty"`     // there is a rule for Default
}

// Add adds a pattern; a prefix is tried behind those that are there.
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

// Named says whether a category is one of the names.
func (p *Patterns) Named(category string) bool {
	_, named := slices.BinarySearch(p.Names, category)
	return named
}

// equal says whether p and o have the same patterns, in the same order.
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
