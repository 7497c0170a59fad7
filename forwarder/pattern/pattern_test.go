package pattern

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

func compileOrFail(t testing.TB, text string, o Options) *Pattern {
	t.Helper()
	if o.Category == "" {
		o.Category = "c"
	}
	p, err := Compile(text, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMatch(t *testing.T) {
	for _, c := range []struct{ pattern, yes, no string }{
		{"/l/*.log", "/l/a.log /l/a.b.log", "/l/.a.log /l/a.log.1 /l/d/a.log /l /l/a.txt"},
		{"/l/.*.log", "/l/.a.log", "/l/a.log"},
		{"/l/**/*.log", "/l/a.log /l/b/a.log /l/b/c/a.log", "/l/.b/a.log /l/b/.a.log /l/b/.c/d/a.log /m/a.log"},
		{"/l/**", "/l/a /l/b/c", "/l/.a /l/.b/c /m"},
		{"/**/a/**/x", "/a/x /b/a/x /a/a/c/x", "/x /a"},
		{"/l/{a,b/c}/*.log", "/l/a/x.log /l/b/c/x.log", "/l/b/x.log /l/c/x.log"},
		{"/l/{a,{b,c}d}", "/l/a /l/bd /l/cd", "/l/b /l/ad"},
		{"/l/[a-c][!x]", "/l/aa /l/cy", "/l/ax /l/da"},
		{"/l/\\*\\{a,b\\}[[]\\[", "/l/*{a,b}[[", "/l/xa[["},
		{"/l/{ns}_{pod}_*/{c}", "/l/a_b_c/d /l/__x_y_/d", "/l/a_b/c /l/_b_c/d /l/a_b_c/.d"},
		{"/l/?", "/l/a /l/ü", "/l/ab /l/."},
		{"/l/x{a}y[0-9\\]]*", "/l/xay1 /l/xay] /l/xyyy7", "/l/xy1 /l/xay"},
	} {
		p := compileOrFail(t, c.pattern, Options{})
		for _, path := range strings.Fields(c.yes) {
			if _, ok := p.Match(path); !ok {
				t.Errorf("%s does not match %s", c.pattern, path)
			}
		}
		for _, path := range strings.Fields(c.no) {
			if _, ok := p.Match(path); ok {
				t.Errorf("%s matches %s", c.pattern, path)
			}
		}
	}
}

func TestPatternsThatAreNone(t *testing.T) {
	for pattern, want := range map[string]string{
		"/l/[a":                     "[ is not closed",
		"/l/{a":                     "{ is not closed",
		"/l/a**":                    "must stand alone",
		"/l/{}":                     "neither a name",
		"/l/{a b}":                  "neither a name",
		"/l/{n}{n}":                 "stands twice",
		`/l/a\`:                     "nothing to quote",
		strings.Repeat("{a,b}", 11): "more than 1000",
	} {
		if _, err := Compile(pattern, Options{Category: "c"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", pattern, err, want)
		}
	}
	for category, want := range map[string]string{
		"":      "must not be empty",
		"{x}":   "{x} is not known here, but {a}",
		"{a":    "not a name in braces",
		"a}":    "} without {",
		"a.{b}": "{b} is not known here, but {a}",
	} {
		if _, err := Compile("/l/{{a}_{b},{a}}", Options{Category: category}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", category, err, want)
		}
	}
	if _, err := Compile("/l/*", Options{Category: "c", Exclude: []string{"[", ""}}); err == nil || strings.Count(err.Error(), "exclude") != 2 {
		t.Errorf("two excludes that are none: %v", err)
	}
}

func TestCategories(t *testing.T) {
	const pods = "/var/log/pods/{ns}_{pod}_*/{container}/*.log"
	for _, c := range []struct{ category, pattern, path, want string }{
		{"k8s.{ns}.{container}", pods, "/var/log/pods/kube-system_coredns-76f75df574-abcde_1b2c/coredns/0.log", "k8s.kube-system.coredns"},
		{"web.{vhost}", "/var/log/apache2/{vhost}_access.log", "/var/log/apache2/www.example.com_access.log", "web.www.example.com"},
		{"web.{v}", "/l/{v}.log", "/l/my host.log", "web.my%20host"},
		{"{v}", "/l/{v}.log", "/l/ü\xff%\n.log", "%C3%BC%FF%25%0A"},
		{"{v}", "/l/{v}", "/l/a..b", "a..b"},
		{"{v}", "/l/{v}.log", "/l/_unsafe.log", "_unsafe"},
		{"{v}", "/l/.{v}", "/l/..x", "%2E" + "x"},
		{"x.{d}", "/l/**/{d}/*.log", "/l/a/b/c.log", "x.b"},
		{"x.{d}", "/l/{d}/**/*.log", "/l/a/b/c.log", "x.a"},
		{"x.{a}", "/l/{{a}.log,sub/{a}.txt}", "/l/sub/q.txt", "x.q"},
		{"fixed", "/l/{v}.log", "/l/a.log", "fixed"},
	} {
		got, ok := compileOrFail(t, c.pattern, Options{Category: c.category}).Match(c.path)
		if !ok || got != c.want {
			t.Errorf("%s of %s: %q, %t, want %q", c.category, c.path, got, ok, c.want)
		}
	}
	p := compileOrFail(t, "/l/{v}", Options{Category: "x.{v}"})
	a, _ := p.Match("/l/" + strings.Repeat("a", 250) + "1")
	b, _ := p.Match("/l/" + strings.Repeat("a", 250) + "2")
	if len(a) != 200 || len(b) != 200 || a == b {
		t.Errorf("two long names: %q, %q", a, b)
	}
}

// A name, a pattern, a directory with all that is below it: vectordotdev/vector#18281, observeinc/helm-charts#307.
func TestExclude(t *testing.T) {
	for _, c := range []struct{ exclude, yes, no string }{
		{"*.gz", "/l/a/x.log", "/l/a/x.gz"},
		{"logclean", "/l/a/x.log /l/xlogclean/x.log", "/l/logclean/x.log /l/a/logclean"},
		{"logclean/", "/l/a/x.log", "/l/logclean/x.log"},
		{"**/logclean/**", "/l/a/x.log", "/l/logclean/x.log"},
		{"/l/kube-*", "/l/a/x.log", "/l/kube-system/x.log"},
		{"a/x.log", "/l/a/y.log /l/b/x.log", "/l/a/x.log"},
		{"{a,b}", "/l/c/x", "/l/a/x /l/b/x /l/c/a"},
		{"l", "/l/a/x.log", "/l/a/l"}, // what the pattern names itself stays
		{"0.log.2*.tmp", "/l/a/0.log", "/l/a/0.log.20250122-232849.tmp"},
	} {
		p := compileOrFail(t, "/l/*/*", Options{Exclude: []string{"nothing", c.exclude}})
		for _, path := range strings.Fields(c.yes) {
			if _, ok := p.Match(path); !ok {
				t.Errorf("%s excludes %s", c.exclude, path)
			}
		}
		for _, path := range strings.Fields(c.no) {
			if _, ok := p.Match(path); ok {
				t.Errorf("%s does not exclude %s", c.exclude, path)
			}
		}
	}
	if _, ok := compileOrFail(t, "/l/a/x.log", Options{Exclude: []string{"a"}}).Match("/l/a/x.log"); !ok {
		t.Error("a directory that a literal pattern names is excluded")
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("/l/{a}_*/[a-c]?/**/x", "/l/q_/b1/c/x")
	f.Add(`/{a,b}/\*`, "/a/*")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		p, err := Compile("/"+pattern, Options{Category: "c"})
		if err != nil || !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || !utf8.ValidString(pattern+path) {
			return
		}
		path = "/" + strings.Trim(path, "/")
		if _, ok := p.Match(path); !ok {
			return
		}
		for _, a := range p.alternatives {
			globs := []string{}
			for _, part := range a.parts {
				if part.deep {
					part.glob = "**"
				}
				globs = append(globs, part.glob)
			}
			if ok, err := doublestar.Match("/"+strings.Join(globs, "/"), path); ok && err == nil {
				return
			}
		}
		t.Errorf("%q matches %q, but not as doublestar has it", pattern, path)
	})
}
