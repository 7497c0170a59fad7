package proto

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/google/go-cmp/cmp"

	"inkwell/proto/gen/scribe"
)

// generated decodes the arguments of Log with the code of the Thrift compiler, and returns the remaining bytes.
func generated(args []byte) (*scribe.ScribeLogArgs, []byte, error) {
	in := bytes.NewBuffer(args)
	p := thrift.NewTBinaryProtocolConf(&thrift.TMemoryBuffer{Buffer: in}, &thrift.TConfiguration{})
	a := scribe.NewScribeLogArgs()
	err := a.Read(context.Background(), p)
	return a, in.Bytes(), err
}

// stricter reports whether the generated code accepts what DecodeLog must not: lists of other types, spans and namings of no stream,
// entries without any field, whose canonical form is many times larger.
func stricter(a *scribe.ScribeLogArgs, args []byte) bool {
	size, spanned := 0, 0
	for _, e := range a.Messages {
		size += EntryOverhead + len(e.Category) + len(e.Message)
	}
	for _, s := range a.Spans {
		if len(s.Stream) != 16 || s.Count < 0 || s.First < 0 || s.First > math.MaxInt64-int64(s.Count) {
			return true
		}
		spanned += int(s.Count)
	}
	for _, n := range a.Namings {
		if len(n.Stream) != 16 {
			return true
		}
	}
	return size > len(args)+4096 || spanned > len(a.Messages) || oddList(args)
}

// oddList reports whether a list in the arguments holds anything but structs, or is followed by one of the same field
// and so cannot be compared.
func oddList(args []byte) bool {
	d := decoder{args}
	seen := make(map[int16]bool)
	for {
		typ, id, err := d.field()
		if err != nil || typ == typeStop {
			return false
		}
		if typ == typeList && id >= 1 && id <= 3 { // messages, spans, namings
			if len(d.data) > 0 && d.data[0] != typeStruct || seen[id] {
				return true
			}
			seen[id] = true
		}
		if d.skip(typ, maxDepth+2) != nil {
			return false
		}
	}
}

func FuzzDecodeLog(f *testing.F) {
	for _, g := range goodLogs {
		f.Add(unhex(f, g.args))
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		whole := bytes.Clone(args)
		var b Batch
		rest, err := DecodeLog(args, &b)
		want, wantRest, wantErr := generated(whole)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error of another kind: %v", err)
			}
			if wantErr == nil && !stricter(want, args) {
				t.Errorf("%v; the generated code reads %v", err, want)
			}
			return
		}
		if wantErr != nil {
			t.Fatalf("accepted; the generated code says: %v", wantErr)
		}
		var entries []entry
		for _, e := range want.Messages {
			entries = append(entries, entry{e.Category, e.Message})
		}
		if diff := cmp.Diff(entries, entriesOf(&b)); diff != "" {
			t.Error(diff)
		}
		spans := slices.DeleteFunc(want.Spans, func(s *scribe.Span) bool { return s.Count == 0 }) // they say nothing
		if len(spans) != len(b.Spans()) || !bytes.Equal(rest, wantRest) {
			t.Fatalf("%d spans, rest %x, want %d, %x", len(b.Spans()), rest, len(spans), wantRest)
		}
		for i, s := range b.Spans() {
			if w := spans[i]; !bytes.Equal(w.Stream, s.Stream[:]) || w.First != s.First || w.Count != s.Count {
				t.Errorf("span %d: %v, want %v", i, s, w)
			}
		}
		if n, err := checkEntries(b.Entries()); n != b.Count() || err != nil || b.Size() > 2*len(args)+4096 {
			t.Errorf("%d entries of %d are canonical, %d bytes of %d: %v", n, b.Count(), b.Size(), len(args), err)
		}
		b.Append([]byte("c"), []byte("m"))
		if !bytes.Equal(args, whole) {
			t.Error("the arguments were written to")
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	f.Add(AppendLogReply(nil, Reply{SeqID: 1, Code: OK}))
	f.Add(AppendLogReply(nil, Reply{SeqID: 1, Inkwell: true}))
	f.Add(AppendLogReply(nil, Reply{SeqID: 1, Inkwell: true, Refused: 1, Senders: 2, Leaving: true}))
	f.Add(AppendException(nil, Call{Method: "Log"}, InternalError, "no"))
	f.Add(unhex(f, `80010002 00000003 "Log" 00000002 080000 00000001 00`))
	f.Add(unhex(f, `80010002 00000003 "Log" 00000002 080000 00000000 080003 00000001 080004 00000002 080005 00000001 00`)) // fields of an Inkwell that it does not say it is
	f.Fuzz(func(t *testing.T, frame []byte) {
		reply, err := DecodeLogReply(frame)
		var refusal *ApplicationError
		switch {
		case errors.As(err, &refusal):
			if len(refusal.Text) > maxText {
				t.Errorf("a text of %d bytes", len(refusal.Text))
			}
		case err != nil:
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error of another kind: %v", err)
			}
		default:
			again, err := DecodeLogReply(AppendLogReply(nil, reply))
			if err != nil || again != reply {
				t.Errorf("%+v came back as %+v, %v", reply, again, err)
			}
		}
	})
}

// thousand returns the arguments of a Log call of 1000 entries of size bytes each.
func thousand(size int) []byte {
	args := AppendLogHeader(nil, 1, 1000)[12:]
	for i := range 1000 {
		m := bytes.Repeat([]byte{byte('a' + i%26)}, size)
		binary.BigEndian.PutUint32(m, uint32(i))
		args = AppendEntry(args, []byte("apache.access"), m)
	}
	return AppendLogTrailer(args, Trailer{})
}

// BenchmarkDecodeLog decodes a call of 1000 entries of 100 bytes in place, and with the generated code for the ratio
// that it reports.
func BenchmarkDecodeLog(b *testing.B) {
	args := thousand(100)
	b.SetBytes(int64(len(args)))
	b.ReportAllocs()
	var batch Batch
	for b.Loop() {
		if _, err := DecodeLog(args, &batch); err != nil || batch.Count() != 1000 {
			b.Fatal(err)
		}
	}
	inPlace := float64(b.Elapsed()) / float64(b.N)
	const rounds = 200
	began := time.Now()
	for range rounds {
		if a, _, err := generated(args); err != nil || len(a.Messages) != 1000 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(time.Since(began))/rounds/inPlace, "x-generated")
}
