package proto

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzDecodeCall encodes a decoded header again: the result is the same, or in the old style one that is decoded to the
// same.
func FuzzDecodeCall(f *testing.F) {
	f.Add(AppendLogHeader(nil, 7, 0))
	f.Add(append(appendHeader(nil, "getStatus", TypeCall, 1), 0))
	f.Add(unhex(f, `80010001 00000003 "Log" 00000009 0f0001 0c 00000000 00`))
	f.Add(unhex(f, `80010004 00000008 "shutdown" 00000009 00`))
	f.Add(unhex(f, `7fffffff 00`))
	f.Add(unhex(f, `80020001 00000000`))
	f.Fuzz(func(t *testing.T, frame []byte) {
		whole := bytes.Clone(frame)
		c, err := DecodeCall(frame)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		if len(c.Method) > maxMethod || len(c.Method)+len(c.Args) > len(frame) || !bytes.HasSuffix(whole, c.Args) {
			t.Errorf("method %q and %d bytes of arguments in %d", c.Method, len(c.Args), len(frame))
		}
		again := append(appendHeader(nil, c.Method, c.Type, c.SeqID), c.Args...)
		if !c.Strict && !bytes.Equal(again, whole) {
			t.Errorf("% x became % x", whole, again)
		}
		if d, err := DecodeCall(again); err != nil || d.Method != c.Method || d.Type != c.Type || d.SeqID != c.SeqID || !bytes.Equal(d.Args, c.Args) {
			t.Errorf("%+v came back as %+v, %v", c, d, err)
		}
		if args, rest, err := SplitArgs(c.Args); err == nil {
			if len(args) == 0 || !bytes.Equal(append(bytes.Clone(args), rest...), c.Args) {
				t.Errorf("% x was split into % x and % x", c.Args, args, rest)
			}
		} else if !errors.Is(err, ErrMalformed) {
			t.Errorf("error of another kind: %v", err)
		}
	})
}

// minSpan is the smallest size of a span: its stream and its end.
const minSpan = 3 + 4 + 16 + 1

// FuzzDecodeSpans decodes spans of a call of some entries without reading beyond the bytes, and encodes them to the
// same.
func FuzzDecodeSpans(f *testing.F) {
	f.Add(AppendLogTrailer(nil, Trailer{Spans: []Span{{First: 5, Count: 2}}}), byte(2))
	f.Add(AppendLogTrailer(nil, Trailer{Spans: []Span{{Stream: [16]byte{1}, First: -1, Count: 0}, {First: 1 << 62, Count: 1}}}), byte(1))
	f.Add(unhex(f, `0f0002 0c 7fffffff`), byte(3))
	f.Add(unhex(f, `0f0002 0c 00000001 0b0001 00000010 00000000000000000000000000000000 0a0002 0000000000000001 080003 ffffffff 00 00`), byte(3))
	f.Fuzz(func(t *testing.T, spans []byte, n byte) {
		args := AppendLogHeader(nil, 0, int(n))[12:]
		for range n {
			args = AppendEntry(args, []byte("c"), []byte("m"))
		}
		args = append(args, spans...)
		var b Batch
		rest, err := DecodeLog(args, &b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		covered := 0
		for _, s := range b.Spans() {
			covered += int(s.Count)
			if s.Count < 0 {
				t.Errorf("span %+v", s)
			}
		}
		if covered > b.Count() || len(b.Spans())*minSpan > len(spans) {
			t.Errorf("%d spans of %d bytes cover %d of %d entries", len(b.Spans()), len(spans), covered, b.Count())
		}
		again := append(AppendLogHeader(nil, 0, b.Count())[12:], b.Entries()...)
		again = append(AppendLogTrailer(again, Trailer{Spans: b.Spans()}), rest...)
		var c Batch
		restAgain, err := DecodeLog(again, &c)
		if err != nil || !bytes.Equal(rest, restAgain) || len(c.Spans()) != len(b.Spans()) || !bytes.Equal(c.Entries(), b.Entries()) {
			t.Fatalf("%v: %v came back as %v", err, b.Spans(), c.Spans())
		}
		for i, s := range c.Spans() {
			if s != b.Spans()[i] {
				t.Errorf("span %d: %+v came back as %+v", i, b.Spans()[i], s)
			}
		}
	})
}

// FuzzCheckEntries either accepts bytes of a spool as complete entries or refuses them.
func FuzzCheckEntries(f *testing.F) {
	two := AppendEntry(AppendEntry(nil, []byte("c"), []byte("m")), nil, nil)
	f.Add(two)
	f.Add(two[:len(two)-1])
	f.Add(unhex(f, `0b0001 7fffffff`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := checkEntries(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		var b Batch
		if err := b.CheckEntries(data); err != nil || b.Count() != n {
			t.Fatalf("%d entries of %d, %v", b.Count(), n, err)
		}
		var again []byte
		runs, seen := 0, 0
		for c := b.Cursor(); c.Next(); seen++ {
			again = AppendEntry(again, c.Category(), c.Message())
		}
		for _, r := range b.AppendRuns(nil) {
			runs += r.Count
		}
		if seen != n || runs != n || !bytes.Equal(again, data) {
			t.Errorf("%d entries, %d by the cursor, %d in runs; % x became % x", n, seen, runs, data, again)
		}
	})
}
