package syslog

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func framesOf(r io.Reader, limit int, nul bool) (got []string) {
	f := newFrames(r, limit, nul)
	for {
		b, err := f.next()
		if err != nil {
			return got
		}
		got = append(got, string(b))
	}
}

func TestFrames(t *testing.T) {
	for _, c := range []struct {
		name, in string
		nul      bool
		want     []string
	}{
		{"lines", "<1>a\n<2>b\n", false, []string{"<1>a", "<2>b"}},
		{"no end", "<1>a\n<2>b", false, []string{"<1>a", "<2>b"}},
		{"octet counting", "4 <1>a5 <2>bc", false, []string{"<1>a", "<2>bc"}},
		{"counted with a newline inside", "7 <1>a\nb\n4 <2>c", false, []string{"<1>a\nb\n", "<2>c"}},
		{"both, mixed", "4 <1>a<2>b\n4 <3>c\n<4>d\n", false, []string{"<1>a", "<2>b", "<3>c", "<4>d"}},
		{"counted and an end of line behind it", "4 <1>a\n4 <2>b\n", false, []string{"<1>a", "<2>b"}},
		{"count that is too large", "9 <1>a", false, []string{"<1>a"}},
		{"text that begins with digits", "42 is the answer\n7\n", false, []string{"42 is the answer", "7"}},
		{"digits at the end", "<1>a\n12", false, []string{"<1>a", "12"}},
		{"a date", "2026-11-29 x\n", false, []string{"2026-11-29 x"}},
		{"many digits", "1234567890 <1>a\n", false, []string{"1234567890 <1>a"}},
		{"blank lines", "\r\n\n<1>a\r\n\n", false, []string{"<1>a\r"}},
		{"NULs on a unix socket", "<1>a\x00<2>b\x00", true, []string{"<1>a", "<2>b"}},
		{"NUL within a line", "<1>a\x00b\n", false, []string{"<1>a\x00b"}},
		{"nothing", "", false, nil},
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(c.in), "by the byte": iotest.OneByteReader(strings.NewReader(c.in)), // fluentd #2298
		} {
			if got := framesOf(r, 1024, c.nul); !slices.Equal(got, c.want) {
				t.Errorf("%s, %s: %q, want %q", c.name, name, got, c.want)
			}
		}
	}
}

func TestLongFrames(t *testing.T) {
	text := strings.Repeat("0123456789", 1000)
	for _, in := range []string{text + "\n<1>next\n", fmt.Sprintf("%d <1>%s<1>next\n", len(text)+3, text)} {
		got := framesOf(strings.NewReader(in), 1024, false)
		if len(got) < 10 || got[len(got)-1] != "<1>next" || !strings.HasSuffix(strings.Join(got[:len(got)-1], ""), text) {
			t.Errorf("%d frames, the last is %q", len(got), got[len(got)-1])
		}
		for _, piece := range got {
			if len(piece) > 1024 {
				t.Errorf("a piece of %d bytes", len(piece))
			}
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("<1>a\n4 <1>a5 <2>bc"), false)
	f.Add([]byte("99999999 <1>a\n<2>b\x00"), true)
	f.Fuzz(func(t *testing.T, data []byte, nul bool) {
		whole := framesOf(bytes.NewReader(data), 64, nul)
		slow := framesOf(iotest.OneByteReader(bytes.NewReader(data)), 64, nul)
		if !slices.Equal(whole, slow) {
			t.Fatalf("%q at once, %q by the byte", whole, slow)
		}
		// Nothing but lengths and what separates messages is missing.
		left := len(data)
		for _, b := range whole {
			if len(b) > 64 {
				t.Fatalf("a piece of %d bytes", len(b))
			}
			left -= len(b)
		}
		if left < 0 {
			t.Fatalf("more came out than went in: %q", whole)
		}
	})
}
