package category

import (
	"log/slog"
	"sync"
)

// other replaces each name of a template when there are too many categories.
const other = "other"

// Namer fills in a template, and bounds how many different categories come out, because the values come from outside.
// Safe for concurrent use.
type Namer struct {
	template *Template
	max      int
	log      *slog.Logger

	mu    sync.Mutex
	given map[string]bool
	told  bool // it was logged that there are too many
}

// NewNamer returns a Namer with at most limit categories. Those in given count as known, so that after a restart the
// same entries go to the same categories.
func NewNamer(t *Template, limit int, given []string, log *slog.Logger) *Namer {
	n := &Namer{template: t, max: limit, log: log, given: make(map[string]bool)}
	for _, name := range given {
		if name != n.rest() {
			n.given[name] = true
		}
	}
	return n
}

// rest is the category of entries that would make one category too many.
func (n *Namer) rest() string { return n.template.Fill(func(string) string { return other }) }

// Name returns the template with the values filled in. If that would be one category too many, each name of the
// template becomes "other".
func (n *Namer) Name(value func(name string) string) string {
	if fixed, is := n.template.Fixed(); is {
		return fixed
	}
	name := n.template.Fill(value)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.given[name]:
		return name
	case len(n.given) < n.max:
		n.given[name] = true
		return name
	}
	rest := n.rest()
	if !n.told {
		n.told = true
		n.log.Warn("too many categories: entries of further ones are put together", "limit", n.max, "in", rest,
			"first", name)
	}
	return rest
}
