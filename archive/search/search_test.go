package search

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var texts = []string{"", "\n", "abc", "abc\n", "abc\nABC\nxabcx\n\nno\nab\nc\n", "a\nb\nabc", "GET /item/1 500\nGET /item/2 200\nget /ITEM/3 500\n", "Straße\nSTRASSE\nſ\nK\nk\n",
	"\xff\xfe\nabc\xff\n\x00abc\x00\n"}

var patterns = []string{"", "abc", "b", "a.c", "^abc$", "^$", "a|b", "item/[0-9]+ 500", "(GET|POST) /item", "x*", "abc|xyz", "(?i)get", "straße", "k", "s", "500$", `\bab\b`, "[^a]", "a{2,3}", "(abc)+",
	"abc\nno", "abc|no", "(?i)abc|no", "(?i:ABC)x|c", "a(bc|)|no", "(?:GET|POST) /item/[12]|^ab$", "a|b|c|d|e|f|g|h|i", "x+(bc|no)?|strasse", "(?i)k|straße", "(GET|[a-z]) /"}

// want is what each line alone gives.
func want(t *testing.T, pattern string, o Options, text string) (list []string) {
	t.Helper()
	var all []string
	for one := range strings.SplitSeq(pattern, "\n") {
		if o.Fixed {
			one = regexp.QuoteMeta(one)
		}
		all = append(all, "(?:"+one+")")
	}
	whole := strings.Join(all, "|")
	if o.IgnoreCase {
		whole = "(?i)" + whole
	}
	re := regexp.MustCompile(whole)
	for line := range strings.Lines(text) {
		if re.MatchString(strings.TrimSuffix(line, "\n")) != o.Invert {
			list = append(list, line)
		}
	}
	return list
}

func check(t *testing.T, pattern string, o Options, text string) {
	t.Helper()
	p, err := Compile([]string{pattern}, o)
	if err != nil {
		t.Fatal(err)
	}
	list := want(t, pattern, o, text)
	var got []string
	for _, s := range p.Lines([]byte(text), 1<<30) {
		got = append(got, text[s.From:s.To])
	}
	if !slices.Equal(got, list) {
		t.Errorf("%q %+v in %q: %q, want %q", pattern, o, text, got, list)
	}
	if n := p.Count([]byte(text)); n != len(list) {
		t.Errorf("%q %+v in %q: %d, want %d", pattern, o, text, n, len(list))
	}
	if p.Any([]byte(text)) != (len(list) > 0) || len(p.Lines([]byte(text), 1)) != min(1, len(list)) {
		t.Errorf("%q %+v in %q: any and one of %d", pattern, o, text, len(list))
	}
}

func TestPattern(t *testing.T) {
	for _, pattern := range patterns {
		for _, text := range texts {
			for bits := range 8 {
				check(t, pattern, Options{Fixed: bits&1 != 0, IgnoreCase: bits&2 != 0, Invert: bits&4 != 0}, text)
			}
		}
	}
	if _, err := Compile([]string{"a("}, Options{}); err == nil {
		t.Error("a( is a pattern")
	}
	p, err := Compile([]string{"a", "b+"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.Matches([]byte("xaxbb\n"))); got != "[{1 2} {3 5}]" {
		t.Error(got)
	}
}

func FuzzPattern(f *testing.F) {
	for _, p := range patterns {
		f.Add(p, "abc\nABC\nGET /item/1 500\n", byte(0))
	}
	f.Fuzz(func(t *testing.T, pattern, text string, bits byte) {
		o := Options{Fixed: bits&1 != 0, IgnoreCase: bits&2 != 0, Invert: bits&4 != 0}
		if _, err := Compile([]string{pattern}, o); err != nil {
			return
		}
		check(t, pattern, o, text)
	})
}

func BenchmarkCount(b *testing.B) {
	text := bytes.Repeat([]byte("10.1.2.3 - - [29/Nov/2026:14:00:00 +0000] \"GET /shop/item/4711?ref=42 HTTP/1.1\" 200 5120 \"-\" \"Mozilla/5.0\"\n"), 10000)
	for _, pattern := range []string{"needle", "item/9[0-9]+ HTTP", "[0-9]+ needle", "^[0-9.]+ .* 5[0-9][0-9] ",
		"needle|haystack [0-9]", "(?i)needle", "[0-9]{5}/[a-z]+ "} {
		b.Run(pattern, func(b *testing.B) {
			p, err := Compile([]string{pattern}, Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				p.Count(text)
			}
		})
	}
}
