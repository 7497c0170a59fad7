// Package access says who is at the other end of a connection, and what that peer may write and do.
//
//	connection ─ Identify ─► Identity (address, unix peer, verified names) ─┐
//	<allow> blocks, --allow ─ Parse ─► Rules ───────────────────────────────┴─► Allows(category)?  MayControl?
//
// A rule names peers and the categories that they may write. Without rules, whoever can connect may write everything.
// With rules, what no rule allows is refused, unless all rules are only about reading (status=yes). Control (fb303
// shutdown, reinitialize, setOption) is for this machine, that is for loopback and unix sockets, and for peers of a
// rule with control=yes. Reading over HTTP is for this machine and for peers of a rule with status=yes.
//
// Invariants: names are the subject alternative names of a certificate that was verified against the listener's tls_ca;
// what the peer says about itself does not count. What is not understood allows nothing. A decision allocates no
// memory.
//
// Limitations: an address is only as trustworthy as the network. In a category pattern, * can only be the last
// character.
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
	From       string // words: *, loopback, unix, unix:uid=N, unix:gid=N, an address, a range, or a name with *
	Categories string // words: NAME, PREFIX* or *
	Control    bool   // such a peer may stop and reload the server
	Status     bool   // such a peer may read its status, metrics and files over HTTP
}

// ParseFlag parses FROM=PATTERN[,PATTERN…], split at the last =.
func ParseFlag(s string) (Rule, error) {
	i := strings.LastIndexByte(s, '=')
	if i <= 0 || i == len(s)-1 {
		return Rule{}, fmt.Errorf(
			"rule %q: want FROM=CATEGORY[,CATEGORY…], as in 10.0.0.0/8=apache.* or *.example.com=*", s)
	}
	r := Rule{From: s[:i], Categories: strings.Join(strings.Split(s[i+1:], ","), " ")}
	_, err := Parse([]Rule{r})
	return r, err
}

// String is the rule in the form of --allow.
func (r Rule) String() string { return r.From + "=" + strings.Join(strings.Fields(r.Categories), ",") }

// Rules are parsed rules. They never change, and are safe for concurrent use. nil means that there are none.
type Rules struct {
	rules   []rule
	writes  bool // some rule is about more than reading; otherwise everybody may write everything
	written []Rule
}

type rule struct {
	from       []source
	categories []string
	control    bool
	status     bool
}

// Parse parses rules; it returns nil for none. The error is about the first one that is wrong.
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

// List returns the rules as they were written; they must not be changed.
func (r *Rules) List() []Rule {
	if r == nil {
		return nil
	}
	return r.written
}

// Caller is the peer of one connection, with the cached decision about it. It is used by one goroutine at a time.
type Caller struct {
	Identity

	by    *Rules // the rules that grant is from
	grant grant
}

// grant is what the rules allow one peer.
type grant struct {
	exact    map[string]bool
	prefixes [][]byte
	control  bool
	status   bool
}

// Allows says whether c may write a category. An unknown caller may write only if there are no rules.
func (r *Rules) Allows(c *Caller, category []byte) bool {
	switch {
	case r == nil || !r.writes:
		return true
	case c == nil:
		return false
	}
	g := r.grant(c)
	return g.exact[string(category)] ||
		slices.ContainsFunc(g.prefixes, func(p []byte) bool { return bytes.HasPrefix(category, p) })
}

// Trusts says whether a rule lets c write something. Without rules it is false.
func (r *Rules) Trusts(c *Caller) bool {
	if r == nil || c == nil {
		return false
	}
	g := r.grant(c)
	return len(g.exact)+len(g.prefixes) > 0
}

// MayWrite says whether c may write anything.
func (r *Rules) MayWrite(c *Caller) bool { return r == nil || !r.writes || r.Trusts(c) }

// MayControl says whether c may stop and reload the server.
func (r *Rules) MayControl(c *Caller) bool {
	switch {
	case c == nil:
		return false
	case c.Local():
		return true
	}
	return r != nil && r.grant(c).control
}

// MayRead says whether c may read status, metrics and files over HTTP.
func (r *Rules) MayRead(c *Caller) bool {
	switch {
	case c == nil:
		return false
	case c.Local():
		return true
	}
	return r != nil && r.grant(c).status
}

// grant returns what r allows c. It is computed once for each connection.
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

// NewContext returns a context in which FromContext finds c.
func NewContext(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// FromContext returns the caller of a call, nil if it is not known.
func FromContext(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}
