package category

import (
	"log/slog"
	"sync"
)

// other stands in for the names of a template when there would be too many categories.
const other = "other"

// Namer gives out the categories of a template, and no more than a number of them: what fills the names comes from
// outside. Safe for concurrent use.
type Namer struct {
	template *Template
	max      int
	log      *slog.Logger

	mu    sync.Mutex
	given map[string]bool
	told  bool // that there are too many
}

// NewNamer returns a Namer that gives out at most limit categories; those of given were given out before, so that after
// a restart the same entries come to the same categories.
func NewNamer(t *Template, limit int, given []string, log *slog.Logger) *Namer {
	n := &Namer{template: t, max: limit, log: log, given: make(map[string]bool)}
	for _, name := range given {
		if name != n.rest() {
			n.given[name] = true
		}
	}
	return n
}

// rest is the category of what is too many.
func (n *Namer) rest() string { return n.template.Fill(func(string) string { return other }) }

// Name is the template with the values in it. When it would be one category too many, each name of the template becomes
// "other".
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
		n.log.Warn("too many categories: entries of further ones are put together", "limit", n.max, "in", rest, "first", name)
	}
	return rest
}
