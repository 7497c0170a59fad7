package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzLoad checks that any file is either accepted or reported as wrong, and that its usable part can be used.
func FuzzLoad(f *testing.F) {
	for _, s := range sections {
		for _, o := range s.options {
			f.Add([]byte(sample(s.name, o.key, o.key+"="+another(o))))
			f.Add([]byte(sample(s.name, o.key, o.key+"=-1x")))
		}
	}
	examples, err := filepath.Glob("../../examples/*.conf")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range examples {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Load("f", data)
		usable := 0
		for _, s := range c.Stores {
			if s.Sink == nil && s.Status == "" || s.Name == "" && s.Line == 0 {
				t.Errorf("store %+v", s)
			}
			if s.Sink == nil {
				continue
			}
			usable++
			if s.MaxWriteInterval <= 0 || len(s.Categories) == 0 || s.Sink.For("x").String() == "" {
				t.Errorf("store %+v", s)
			}
			Walk(s.Sink, func(sink Sink) {
				if b, ok := sink.(Buffer); ok && (b.RetryInterval <= 0 || b.RetryRange <= 0 || b.RetryRange > b.RetryInterval || b.MinRetry <= 0 || b.MinRetry > b.MaxRetry || b.MaxOffset <= 0 || b.MaxOffset > b.MaxRetry) {
					t.Errorf("buffer %+v", b)
				}
				if n, ok := sink.(Network); ok && (len(n.Addrs) == 0) != (n.Mapping != nil) || ok && n.Timeout <= 0 {
					t.Errorf("network %+v", n)
				}
			})
		}
		if (c.Status == "") != (usable > 0) && !strings.HasPrefix(c.Status, noStores+": ") || c.Status == "" && usable == 0 || c.CheckInterval <= 0 || c.MaxFrame <= 0 || c.MaxCategories <= 0 {
			t.Errorf("%d of %d stores, status %q", usable, len(c.Stores), c.Status)
		}
		for _, p := range c.Problems {
			if p.Text == "" || !shown(p.String()) {
				t.Errorf("problem %q", p)
			}
		}
		if !shown(c.Status) || slices.ContainsFunc(c.Stores, func(s *Store) bool { return !shown(s.Status) }) {
			t.Errorf("status %q", c.Status)
		}
	})
}

// shown reports whether a text that may contain words of a file is safe to show: without control characters, and not
// too long.
func shown(text string) bool {
	return len(text) < 16<<10 && utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
