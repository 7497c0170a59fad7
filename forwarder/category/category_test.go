package category

import (
	"strings"
	"testing"
)

func TestFill(t *testing.T) {
	long := strings.Repeat("x", 250)
	for _, c := range []struct{ text, host, want string }{
		{"plain", "h", "plain"},
		{"{host}", "web1", "web1"},
		{"a.{host}.b", "web1", "a.web1.b"},
		{"{host}", "my host", "my%20host"},
		{"{host}", "../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"},
		{"{host}", ".hidden", "%2Ehidden"},
		{"{host}", "..", "%2E."},
		{"{host}", "", "unknown"},
		{"{host}", "ünï", "%C3%BCn%C3%AF"},
		{"{host}", "a\x00b\n", "a%00b%0A"},
		{"{host}{host}", "100%", "100%25100%25"},
		{"{host}", "getty@tty1.service", "getty%40tty1.service"},
	} {
		tmpl, err := ParseKnown(c.text, "host", "app")
		if err != nil {
			t.Fatal(err)
		}
		if got := tmpl.Fill(func(string) string { return c.host }); got != c.want {
			t.Errorf("%s with %q is %q, want %q", c.text, c.host, got, c.want)
		}
	}
	tmpl, err := ParseKnown("{host}", "host")
	if err != nil {
		t.Fatal(err)
	}
	one, two := tmpl.Fill(func(string) string { return long }), tmpl.Fill(func(string) string { return long + "y" })
	if len(one) != 200 || len(two) != 200 || one == two {
		t.Errorf("long names become %q and %q", one, two)
	}
}

func TestParse(t *testing.T) {
	for _, text := range []string{"", "{", "}", "a}b", "{}", "{ho st}", "{unknown}", "{host", "{host}}"} {
		if _, err := ParseKnown(text, "host"); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// FuzzSafe: different texts are different categories, and what comes out is safe.
func FuzzSafe(f *testing.F) {
	f.Add("a b", "a%20b")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := safe(a), safe(b)
		if (a == b) != (x == y) {
			t.Errorf("%q and %q are %q and %q", a, b, x, y)
		}
		for _, c := range []byte(shorten(undotted("x." + x))) {
			if c <= ' ' || c >= 0x7f || c == '/' {
				t.Errorf("%q is not safe", x)
			}
		}
	})
}
