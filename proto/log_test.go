package proto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entry is an expected entry.
type entry struct{ Category, Message string }

func entriesOf(b *Batch) []entry {
	var got []entry
	for c := b.Cursor(); c.Next(); {
		got = append(got, entry{string(c.Category()), string(c.Message())})
	}
	return got
}

// unhex turns hex digits with spaces and "quoted text" into bytes.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for i, part := range strings.Split(s, `"`) {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(part), ""))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

const (
	stream  = `00010203 04050607 08090a0b 0c0d0e0f`
	entryAX = `0b0001 00000001 "a" 0b0002 00000001 "x" 00 `
	entryBY = `0b0001 00000001 "b" 0b0002 00000001 "y" 00 `
)

// These encodings of the arguments of Log are accepted; cases without the word "own" must not be copied.
var goodLogs = []struct {
	name, args string
	want       []entry
	spans      []Span
	rest       string
}{
	{name: "one", args: `0f0001 0c 00000001 ` + entryAX + `00`, want: []entry{{"a", "x"}}},
	{name: "two", args: `0f0001 0c 00000002 ` + entryAX + entryBY + `00`, want: []entry{{"a", "x"}, {"b", "y"}}},
	{name: "NULs and invalid UTF-8", args: `0f0001 0c 00000001 0b0001 00000002 00ff 0b0002 00000003 80000a 00 00`, want: []entry{{"\x00\xff", "\x80\x00\n"}}},
	{name: "empty strings", args: `0f0001 0c 00000001 0b0001 00000000 0b0002 00000000 00 00`, want: []entry{{"", ""}}},
	{name: "no field", args: `00`},
	{name: "empty list", args: `0f0001 0c 00000000 00`},
	{name: "empty list of nothing", args: `0f0001 00 00000000 00`},
	{name: "further message", args: `0f0001 0c 00000001 ` + entryAX + `00 0102`, want: []entry{{"a", "x"}}, rest: "\x01\x02"},
	{name: "spans", args: `0f0001 0c 00000002 ` + entryAX + entryBY + `0f0002 0c 00000001 0b0001 00000010` + stream + `0a0002 0000000000000007 080003 00000002 00 00`,
		want: []entry{{"a", "x"}, {"b", "y"}}, spans: []Span{{Stream: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, First: 7, Count: 2}}},
	{name: "spans before the list, of one entry, odd order", args: `0f0002 0c 00000001 080003 00000001 0b0001 00000010` + stream + `00 0f0001 0c 00000002 ` + entryAX + entryBY + `00`,
		want: []entry{{"a", "x"}, {"b", "y"}}, spans: []Span{{Stream: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Count: 1}}},
	{name: "empty span list", args: `0f0001 0c 00000000 0f0002 0c 00000000 00`},
	{name: "unknown fields around", args: `020007 01 0f0001 0c 00000001 ` + entryAX + `0d0009 0b08 00000001 00000001 "k" 00000005 00`, want: []entry{{"a", "x"}}},
	{name: "list field of another type", args: `080001 00000005 0f0001 0c 00000001 ` + entryAX + `00`, want: []entry{{"a", "x"}}},
	{name: "the list twice: the last", args: `0f0001 0c 00000002 ` + entryAX + entryAX + `0f0001 0c 00000001 ` + entryBY + `00`, want: []entry{{"b", "y"}}},
	{name: "the list twice, the first odd", args: `0f0001 0c 00000001 00 0f0001 0c 00000001 ` + entryBY + `00`, want: []entry{{"b", "y"}}},
	{name: "own: the list twice, the last odd", args: `0f0001 0c 00000001 ` + entryBY + ` 0f0001 0c 00000001 00 00`, want: []entry{{"", ""}}},
	{name: "own: message before category", args: `0f0001 0c 00000001 0b0002 00000001 "x" 0b0001 00000001 "a" 00 00`, want: []entry{{"a", "x"}}},
	{name: "own: no message", args: `0f0001 0c 00000001 0b0001 00000001 "a" 00 00`, want: []entry{{"a", ""}}},
	{name: "own: no category", args: `0f0001 0c 00000001 0b0002 00000001 "x" 00 00`, want: []entry{{"", "x"}}},
	{name: "own: neither", args: `0f0001 0c 00000001 00 00`, want: []entry{{"", ""}}},
	{name: "own: category twice: the last", args: `0f0001 0c 00000001 0b0001 00000001 "z" 0b0001 00000001 "a" 0b0002 00000001 "x" 00 00`, want: []entry{{"a", "x"}}},
	{name: "own: message twice: the last", args: `0f0001 0c 00000001 0b0001 00000001 "a" 0b0002 00000001 "z" 0b0002 00000001 "x" 00 00`, want: []entry{{"a", "x"}}},
	{name: "own: a third field between canonical entries", args: `0f0001 0c 00000003 ` + entryAX + `0b0001 00000001 "c" 0b0002 00000001 "z" 0b0003 00000003 "new" 00 ` + entryBY + `00`,
		want: []entry{{"a", "x"}, {"c", "z"}, {"b", "y"}}},
	{name: "own: category of another type", args: `0f0001 0c 00000001 080001 00000007 0b0002 00000001 "x" 00 00`, want: []entry{{"", "x"}}},
	{name: "own: every type of unknown field", args: `0f0001 0c 00000001 02000a 01 03000b 07 04000c 0000000000000000 06000d 0001 08000e 00000001 0a000f 0000000000000001
		0b0010 00000002 "hi" 0c0011 080001 00000001 00 0d0012 080b 00000001 00000001 00000001 "v" 0e0013 08 00000001 00000001 0f0014 02 00000003 010001 100015 ` + stream + `00 00`, want: []entry{{"", ""}}},
}

func TestDecodeLog(t *testing.T) {
	for _, tt := range goodLogs {
		t.Run(tt.name, func(t *testing.T) {
			args := unhex(t, tt.args)
			whole := bytes.Clone(args)
			var b Batch
			b.Append([]byte("left"), []byte("over"))
			for range 2 { // a batch that is used again
				rest, err := DecodeLog(args, &b)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, entriesOf(&b)); diff != "" {
					t.Error(diff)
				}
				if b.Count() != len(tt.want) || string(rest) != tt.rest {
					t.Errorf("%d entries, rest %q", b.Count(), rest)
				}
				if len(b.Spans()) != len(tt.spans) || len(tt.spans) > 0 && !cmp.Equal(tt.spans, b.Spans()) {
					t.Errorf("spans %v", b.Spans())
				}
				if n, err := checkEntries(b.Entries()); n != len(tt.want) || err != nil {
					t.Errorf("what was decoded is not canonical: %d, %v", n, err)
				}
				if aliases := b.aliased; aliases == strings.HasPrefix(tt.name, "own") && len(tt.want) > 0 {
					t.Errorf("aliases args: %v", aliases)
				}
				b.Append([]byte("more"), []byte("entries"))
				b.Reset()
				b.Append([]byte("quite"), []byte("others"))
				if !bytes.Equal(args, whole) {
					t.Fatal("the batch wrote to bytes that are not its own")
				}
			}
		})
	}
}

func TestDecodeLogRefuses(t *testing.T) {
	nested := func(n int) string { return strings.Repeat(`0c0001`, n) + strings.Repeat(`00`, n) }
	lists := func(n int) string { return strings.Repeat(`0f 00000001`, n) }
	tests := []struct{ name, args string }{
		{"nothing", ``},
		{"half a field", `0f00`},
		{"no end", `0f0001 0c 00000001 ` + entryAX},
		{"a count that lies", `0f0001 0c 7fffffff ` + entryAX + `00`},
		{"a count that lies a little", `0f0001 0c 00000002 ` + entryAX + `00`},
		{"a negative count", `0f0001 0c ffffffff ` + entryAX + `00`},
		{"a negative length", `0f0001 0c 00000001 0b0001 ffffffff "a" 0b0002 00000001 "x" 00 00`},
		{"a length that lies", `0f0001 0c 00000001 0b0001 00000001 "a" 0b0002 7fffffff "x" 00 00`},
		{"a length one too long", `0f0001 0c 00000001 0b0001 00000001 "a" 0b0002 00000004 "x" 00 00`},
		{"a list of numbers", `0f0001 08 00000001 00000001 00`},
		{"an unknown type", `110001 00`},
		{"a type without a size", `010001 00`},
		{"nested too deep", `0c0009` + nested(64) + `00 00`},
		{"lists nested too deep", `0f0009` + lists(64) + `02 00000000 00`},
		{"a map that lies", `0d0009 0808 7fffffff 00`},
		{"a span of a short stream", `0f0002 0c 00000001 0b0001 00000002 0001 00 00`},
		{"a span without a stream", `0f0002 0c 00000001 00 00`},
		{"a span of a negative count", `0f0002 0c 00000001 0b0001 00000010` + stream + `080003 ffffffff 00 00`},
		{"spans of more than there is", `0f0001 0c 00000001 ` + entryAX + ` 0f0002 0c 00000001 0b0001 00000010` + stream + `080003 00000002 00 00`},
		{"nothing but entries without fields", `0f0001 0c 00001000` + strings.Repeat(`00`, 4096) + `00`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := unhex(t, tt.args)
			b := new(Batch)
			b.Append([]byte("left"), []byte("over"))
			_, err := DecodeLog(args, b)
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error %v", err)
			}
			if b.Count() != 0 || b.Size() != 0 || len(b.Spans()) != 0 {
				t.Error("the batch is not empty")
			}
		})
	}
	t.Run("nested as deep as allowed", func(t *testing.T) {
		args := unhex(t, `0c0009`+nested(63)+`00 00`)
		if _, err := DecodeLog(args, new(Batch)); err != nil {
			t.Error(err)
		}
	})
	t.Run("cut anywhere", func(t *testing.T) {
		for _, tt := range goodLogs {
			whole := unhex(t, tt.args)
			whole = whole[:len(whole)-len(tt.rest)]
			for n := range whole {
				if _, err := DecodeLog(whole[:n], new(Batch)); !errors.Is(err, ErrMalformed) {
					t.Errorf("%s, cut at %d: error %v", tt.name, n, err)
				}
			}
		}
	})
}

// checkEntries returns the number of entries in the canonical bytes.
func checkEntries(data []byte) (int, error) {
	var b Batch
	err := b.CheckEntries(data)
	return b.Count(), err
}

func TestCheckEntries(t *testing.T) {
	tests := []struct {
		name, data string
		count      int
		ok         bool
	}{
		{"none", ``, 0, true},
		{"two", entryAX + entryBY, 2, true},
		{"cut", entryAX + `0b0001`, 0, false},
		{"no stop", entryAX + `0b0001 00000001 "b" 0b0002 00000001 "y" 01`, 0, false},
		{"fields exchanged", `0b0002 00000001 "x" 0b0001 00000001 "a" 00`, 0, false},
		{"a length that lies", `0b0001 00000001 "a" 0b0002 00000002 "x" 00`, 0, false},
		{"a negative length", `0b0001 ffffffff "a" 0b0002 00000001 "x" 00`, 0, false},
		{"bytes behind", entryAX + `00`, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			count, err := checkEntries(unhex(t, tt.data))
			if count != tt.count || (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%d, %v", count, err)
			}
		})
	}
}

func TestBatchSpans(t *testing.T) {
	numbered := func(first int64, count int) *Batch {
		b := new(Batch)
		for range count {
			b.Append([]byte("c"), []byte("m"))
		}
		if first >= 0 {
			b.AppendSpan(Span{Stream: [16]byte{1}, First: first, Count: int32(count)})
		}
		return b
	}
	var all Batch
	all.SetEntries(unhex(t, entryAX), 1)
	for _, b := range []*Batch{numbered(5, 2), numbered(-1, 3), numbered(-1, 1), numbered(9, 1)} {
		all.AppendBatch(b)
	}
	want := []Span{{Count: 1}, {Stream: [16]byte{1}, First: 5, Count: 2}, {Count: 4}, {Stream: [16]byte{1}, First: 9, Count: 1}}
	if diff := cmp.Diff(want, all.Spans()); diff != "" || all.Count() != 8 {
		t.Errorf("%d entries, %s", all.Count(), diff)
	}
	var again Batch
	args := AppendLogHeader(nil, 1, all.Count())
	args = AppendLogTrailer(append(args, all.Entries()...), Trailer{Spans: all.Spans()})
	call, err := DecodeCall(args)
	if err != nil {
		t.Fatal(err)
	}
	if rest, err := DecodeLog(call.Args, &again); err != nil || len(rest) != 0 {
		t.Fatal(rest, err)
	}
	if diff := cmp.Diff(want, again.Spans()); diff != "" || !cmp.Equal(entriesOf(&all), entriesOf(&again)) {
		t.Error(diff)
	}
}

func TestDecodeLogAllocatesNothing(t *testing.T) {
	args := thousand(100)
	odd := unhex(t, `0f0001 0c 00000001 0b0002 00000001 "x" 0b0001 00000001 "a" 00 00`)
	var b Batch
	if _, err := DecodeLog(odd, &b); err != nil { // b's own memory
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() {
		for _, a := range [][]byte{args, odd} {
			if _, err := DecodeLog(a, &b); err != nil {
				t.Fatal(err)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	if end, count := scan(nil, math.MaxInt, nil); end != 0 || count != 0 {
		t.Error("entries in nothing")
	}
}
