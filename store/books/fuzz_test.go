package books

import (
	"reflect"
	"slices"
	"testing"

	"inkwell/store"
)

var someSpans = []store.Span{
	{Category: "web", Hour: 498876, Stream: [16]byte{1}, First: 0, Count: 100, Bytes: 9000},
	{Category: "web", Hour: 498876, Count: 3, Bytes: 30},
	{Category: "api", Hour: 498877, Stream: [16]byte{2}, First: 7, Count: 1, Bytes: 1},
	{Category: "web", Hour: 498877, Stream: [16]byte{1}, First: 100, Count: 5},
}

// sound says whether spans are within what their readers rely on.
func sound(t *testing.T, spans []store.Span) {
	t.Helper()
	for _, s := range spans {
		if s.First < 0 || s.Count < 0 || s.Bytes < 0 || s.End() < s.First {
			t.Errorf("span %+v", s)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	body, err := AppendFile(nil, &File{Name: "web-2026-11-25_00000.gz", Start: 5, Bytes: 10, Raw: 9031, Entries: 109,
		Spans: someSpans})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"file":"web-2026-11-25_00000.gz","bytes":10,"raw":10,"entries":1,"first":"2026-11-25T04:00:00Z","last":"2026-11-25T04:00:00Z","streams":["01000000000000000000000000000000"],"spans":[[7,0,1,1,10]]}`))
	f.Add([]byte(`{"file":"web-2026-11-25_00000.gz","removed":"retention","at":"2026-11-25T04:00:00Z"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		file, err := ParseFile(body)
		if err != nil {
			return
		}
		sound(t, file.Spans)
		line, err := AppendFile(nil, &file)
		if err != nil {
			return // a year that JSON cannot have
		}
		again, err := ParseFile(line)
		if err != nil || again.Name != file.Name || !again.First.Equal(file.First) || !slices.Equal(again.Spans, file.Spans) {
			t.Errorf("%s is read as %+v, written as %s, read as %+v, %v", body, file, line, again, err)
		}
	})
}

func FuzzParsePost(f *testing.F) {
	p := post{outlet: "web → out", from: 64, through: 1 << 40, added: []store.Added{
		{Dir: "/out/web", File: "web-2026-11-25_00000.gz", Start: 7, First: 1795996800, Last: 1795996860, Spans: someSpans,
			Open: true},
		{Dir: "/out/web", File: "web-2026-11-25_00001.gz", Unordered: true, Spans: someSpans[:1]}}}
	body, err := p.append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parsePost(body)
		if err != nil {
			return
		}
		for _, a := range p.added {
			sound(t, a.Spans)
		}
		line, err := p.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parsePost(line); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%s is read as %+v, written as %s, read as %+v, %v", body, p, line, again, err)
		}
	})
}
