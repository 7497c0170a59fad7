package category

import "testing"

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
