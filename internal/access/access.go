// Package access says who is at the other end of a connection, and what that peer may write and do.
//
//	connection ─ Of ─► Identity (address, unix peer, verified names) ─┐
//	<allow> blocks, --allow ─ Parse ─► Rules ─────────────────────────┴─► Allows(category)?  Controls?
//
// A rule names peers and the categories that they may write. Without rules whoever can connect may write everything;
// with rules what no rule allows is refused, unless all rules are about reading only (status=yes). Control (fb303
// shutdown, reinitialize, setOption) is for this machine, that is the loopback and unix sockets, and for peers of a
// rule with control=yes; reading over HTTP is for this machine and for peers of a rule with status=yes.
//
// Invariants: a name comes from a certificate that was verified against the listener's tls_ca, never from the peer's
// word, and only from its subject alternative names. What is not understood allows nothing. A verdict costs no
// allocation.
//
// Limitations: an address is a claim of the network; whoever can send from it has it. Patterns of categories end in
// their only *.
package access

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Rule is one <allow> block or one --allow, as it was written.
type Rule struct {
	From       string // words with blanks between them: *, loopback, unix, unix:uid=N, unix:gid=N, an address, a range, or a name with *
	Categories string // words with blanks between them: NAME, PREFIX* or *
	Control    bool   // such a peer may stop and reload the server
	Status     bool   // such a peer may read its status, metrics and files over HTTP
}

// ParseFlag reads FROM=PATTERN[,PATTERN…]; the last = divides.
func ParseFlag(s string) (Rule, error) {
	i := strings.LastIndexByte(s, '=')
	if i <= 0 || i == len(s)-1 {
		return Rule{}, fmt.Errorf("rule %q: want FROM=CATEGORY[,CATEGORY…], as in 10.0.0.0/8=apache.* or *.example.com=*", s)
	}
	r := Rule{From: s[:i], Categories: strings.Join(strings.Split(s[i+1:], ","), " ")}
	_, err := Parse([]Rule{r})
	return r, err
}

// String is the rule as --allow has it.
func (r Rule) String() string { return r.From + "=" + strings.Join(strings.Fields(r.Categories), ",") }

// Rules are rules that were understood. They never change and may be used by any number of goroutines. nil is that
// there are none.
type Rules struct {
	rules   []rule
	writes  bool // some rule is about more than reading; if none is, everybody may write everything
	written []Rule
}

type rule struct {
	from       []source
	categories []string
	control    bool
	status     bool
}

// Parse understands rules; it returns nil for none. The error is about the first that cannot be.
func Parse(rules []Rule) (*Rules, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	all := &Rules{written: slices.Clone(rules)}
	for _, written := range rules {
		r := rule{categories: strings.Fields(written.Categories), control: written.Control, status: written.Status}
		for _, word := range strings.Fields(written.From) {
			s, err := parseSource(word)
			if err != nil {
				return nil, err
			}
			r.from = append(r.from, s)
		}
		switch {
		case len(r.from) == 0:
			return nil, fmt.Errorf("a rule without from=: whom is it for?")
		case len(r.categories) == 0 && !r.control && !r.status:
			return nil, fmt.Errorf("the rule for %q allows nothing: name categories, or * for all", written.From)
		}
		for _, c := range r.categories {
			if i := strings.IndexByte(c, '*'); i >= 0 && i < len(c)-1 {
				return nil, fmt.Errorf("category pattern %q: a * can only be its last character", c)
			}
		}
		all.rules = append(all.rules, r)
		all.writes = all.writes || len(r.categories) > 0 || r.control
	}
	return all, nil
}

// Written returns the rules as they were written; they must not be changed.
func (r *Rules) Written() []Rule {
	if r == nil {
		return nil
	}
	return r.written
}

// Caller is the peer of one connection, with the verdict about it. It is for one goroutine at a time.
type Caller struct {
	Identity

	by    *Rules // whose verdict the rest is
	grant grant
}

// grant is what the rules give to one peer.
type grant struct {
	exact    map[string]bool
	prefixes [][]byte
	control  bool
	status   bool
}

// Allows says whether c may write a category. A caller that is not known may write only where there are no rules.
func (r *Rules) Allows(c *Caller, category []byte) bool {
	switch {
	case r == nil || !r.writes:
		return true
	case c == nil:
		return false
	}
	g := r.grant(c)
	return g.exact[string(category)] || slices.ContainsFunc(g.prefixes, func(p []byte) bool { return bytes.HasPrefix(category, p) })
}

// Names says whether the rules let c write anything. Where there are none nobody is named.
func (r *Rules) Names(c *Caller) bool {
	if r == nil || c == nil {
		return false
	}
	g := r.grant(c)
	return len(g.exact)+len(g.prefixes) > 0
}

// Writes says whether c may write anything.
func (r *Rules) Writes(c *Caller) bool { return r == nil || !r.writes || r.Names(c) }

// Controls says whether c may stop and reload the server.
func (r *Rules) Controls(c *Caller) bool {
	switch {
	case c == nil:
		return false
	case c.Local():
		return true
	}
	return r != nil && r.grant(c).control
}

// Reads says whether c may read status, metrics and files over HTTP.
func (r *Rules) Reads(c *Caller) bool {
	switch {
	case c == nil:
		return false
	case c.Local():
		return true
	}
	return r != nil && r.grant(c).status
}

// grant returns what r gives to c; it is found out once for each connection.
func (r *Rules) grant(c *Caller) *grant {
	if c.by == r {
		return &c.grant
	}
	g := grant{exact: make(map[string]bool)}
	for _, rule := range r.rules {
		if !slices.ContainsFunc(rule.from, func(s source) bool { return s.matches(&c.Identity) }) {
			continue
		}
		g.control, g.status = g.control || rule.control, g.status || rule.status
		for _, category := range rule.categories {
			if prefix, ok := strings.CutSuffix(category, "*"); ok {
				g.prefixes = append(g.prefixes, []byte(prefix))
			} else {
				g.exact[category] = true
			}
		}
	}
	c.by, c.grant = r, g
	return &c.grant
}

type callerKey struct{}

// With returns a context in which From finds c.
func With(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From returns the caller that a call comes from, nil if that is not known.
func From(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}
