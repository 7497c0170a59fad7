package access

import (
	"regexp"
	"strings"
	"testing"
)

// FuzzGlob holds glob against a regular expression that means the same.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{{"*.example.com", "web1.example.com"}, {"a*b*c", "abbc"}, {"*", ""}, {"a*a", "a"}, {"**", "x"}, {"*ab*ab", "abab"}, {"x", "X"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		parts := strings.Split(pattern, "*")
		for i, part := range parts {
			parts[i] = regexp.QuoteMeta(part)
		}
		want, err := regexp.Compile(`(?s)\A` + strings.Join(parts, ".*") + `\z`)
		if err != nil {
			return // bytes that no expression can hold
		}
		if got := glob(pattern, name); got != want.MatchString(name) && strings.ToValidUTF8(pattern+name, "") == pattern+name {
			t.Errorf("%q on %q: %v", pattern, name, got)
		}
	})
}

// FuzzRules: whatever is written, what is not understood is refused, and what is taken means the same when it is read
// again as a flag.
func FuzzRules(f *testing.F) {
	for _, seed := range []string{"10.0.0.0/8=a*,b", "*=*", "unix:uid=33=x", "::1/128=x", "spiffe://a/*=x", "10.0.0.*=x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseFlag(text)
		if err != nil {
			return
		}
		again, err := ParseFlag(r.String())
		if err != nil || strings.Join(strings.Fields(again.Categories), " ") != strings.Join(strings.Fields(r.Categories), " ") || again.From != r.From {
			t.Errorf("%q is %+v, then %+v, %v", text, r, again, err)
		}
		rules, err := Parse([]Rule{r})
		if err != nil {
			t.Fatalf("%q was taken, and is not: %v", text, err)
		}
		c := &Caller{Identity: Identity{Unix: &Peer{UID: 33}}}
		if rules.Allows(c, []byte("x")) && !strings.Contains(text, "*") && !strings.Contains(text, "unix") {
			t.Errorf("%q allows a unix peer", text)
		}
	})
}
