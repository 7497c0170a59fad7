package proto

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestNamings sends sources with a call, and reads them from it.
func TestNamings(t *testing.T) {
	told := []Naming{
		{Stream: [16]byte{1}, Source: Source{Host: "web1", Path: "/var/log/a b.log"}},
		{Stream: [16]byte{2}, Source: Source{Path: "journal:nginx.service"}},
		{Stream: [16]byte{3}, Source: Source{Host: "Zürich", Path: "pipe:" + strings.Repeat("ä", MaxPath)}},
	}
	var trailer Trailer
	for _, n := range told {
		trailer.Namings, _ = AppendNaming(trailer.Namings, n)
		trailer.Sources++
	}
	trailer.Report = []byte(`{"host":"web1"}`)
	call := AppendLogTrailer(AppendEntry(AppendLogHeader(nil, 1, 1)[12:], []byte("c"), []byte("m")), trailer)
	var b Batch
	if _, err := DecodeLog(call, &b); err != nil {
		t.Fatal(err)
	}
	told[2].Path = told[2].Path[:MaxPath-1] // a whole letter is cut
	if got := slices.Collect(b.Namings); !slices.Equal(got, told) {
		t.Errorf("%v", got)
	}
	if string(b.Report()) != `{"host":"web1"}` {
		t.Errorf("report %q", b.Report())
	}
	var kept Batch
	kept.ShareNamings(&b)
	if !kept.HasNamings() || len(slices.Collect(kept.Namings)) != 3 {
		t.Error("the sources were not shared")
	}
	b.Reset()
	if b.HasNamings() || b.Report() != nil {
		t.Error("a batch keeps the sources of the call before")
	}
}

// TestNamingsAreBounded fills the sources of a call; those that do not fit are sent with a later one.
func TestNamingsAreBounded(t *testing.T) {
	long := Naming{Stream: [16]byte{1}, Source: Source{Host: strings.Repeat("h", 9999), Path: strings.Repeat("p", 9999)}}
	var list []byte
	n := 0
	for ok := true; ok; n++ {
		list, ok = AppendNaming(list, long)
	}
	if n < 700 || len(list) > maxNamings {
		t.Errorf("%d sources in %d bytes", n, len(list))
	}
}

// TestOddNamings decodes sources that nobody should send.
func TestOddNamings(t *testing.T) {
	for name, tt := range map[string]struct {
		args string
		want []Naming
		bad  bool
	}{
		"empty":                {args: `0f0003 0c 00000000 00`},
		"no texts":             {args: `0f0003 0c 00000001 0b0001 00000010` + stream + `00 00`, want: []Naming{{Stream: [16]byte(unhex(t, stream))}}},
		"unknown field":        {args: `0f0003 0c 00000001 0b0001 00000010` + stream + `0b0009 00000001 "x" 0b0002 00000001 "h" 00 00`, want: []Naming{{Stream: [16]byte(unhex(t, stream)), Source: Source{Host: "h"}}}},
		"a short stream":       {args: `0f0003 0c 00000001 0b0001 00000001 "x" 00 00`, bad: true},
		"a count that lies":    {args: `0f0003 0c 00000002 0b0001 00000010` + stream + `00 00`, bad: true},
		"a length that lies":   {args: `0f0003 0c 00000001 0b0001 00000010` + stream + `0b0002 7fffffff "h" 00 00`, bad: true},
		"the last list counts": {args: `0f0003 0c 00000001 0b0001 00000010` + stream + `00 0f0003 0c 00000000 00`},
	} {
		t.Run(name, func(t *testing.T) {
			var b Batch
			_, err := DecodeLog(unhex(t, tt.args), &b)
			if tt.bad != errors.Is(err, ErrMalformed) || !slices.Equal(slices.Collect(b.Namings), tt.want) {
				t.Errorf("%v, %v", err, slices.Collect(b.Namings))
			}
		})
	}
}

func TestCleanSource(t *testing.T) {
	for _, tt := range []struct{ host, path, want string }{
		{"web1", "/var/log/app.log", "web1:/var/log/app.log"},
		{"", "pipe:cron", "pipe:cron"},
		{"a\nb", "/x\x1b[31m\x00\xff", "a?b:/x?[31m??"},
		{"\u202egnp.exe", "/ü", "?gnp.exe:/ü"},
	} {
		if got := (Source{Host: tt.host, Path: tt.path}).Clean().String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
