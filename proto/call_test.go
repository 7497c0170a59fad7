package proto

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeCall(t *testing.T) {
	tests := []struct {
		name, frame string
		want        Call
	}{
		{"old style", `00000003 "Log" 01 00000007 00`, Call{Method: "Log", Type: TypeCall, SeqID: 7, Args: []byte{0}}},
		{"strict", `80010001 00000003 "Log" ffffffff 00`, Call{Method: "Log", Type: TypeCall, SeqID: -1, Strict: true, Args: []byte{0}}},
		{"strict, with what is between version and type", `80017701 00000003 "Log" 00000001`, Call{Method: "Log", Type: TypeCall, SeqID: 1, Strict: true, Args: []byte{}}},
		{"oneway", `00000008 "shutdown" 04 00000000 00`, Call{Method: "shutdown", Type: TypeOneway, Args: []byte{0}}},
		{"no name", `00000000 01 00000000 00`, Call{Type: TypeCall, Args: []byte{0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeCall(unhex(t, tt.frame))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	bad := []struct{ name, frame string }{
		{"nothing", ``},
		{"a length that lies", `00000100 "Log"`},
		{"a long name", `00000101 "` + strings.Repeat("x", 257) + `" 01 00000000 00`},
		{"HTTP", `"GET / HTTP/1.1"`},
		{"another version", `80020001 00000003 "Log" 00000001`},
		{"the compact protocol", `82210103 "Log" 191c`},
		{"type 0", `00000003 "Log" 00 00000007 00`},
		{"type 5", `80010005 00000003 "Log" 00000007 00`},
		{"no type", `00000003 "Log"`},
		{"half a number", `00000003 "Log" 01 0000`},
		{"strict, a negative length", `80010001 ffffffff "Log" 00000007`},
		{"strict, cut", `80010001 00000003 "Lo"`},
	}
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := DecodeCall(unhex(t, tt.frame)); !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestSplitArgs(t *testing.T) {
	args, rest, err := SplitArgs(unhex(t, `0b0001 00000001 "k" 00 "next"`))
	if err != nil || string(args) != "\x0b\x00\x01\x00\x00\x00\x01k\x00" || string(rest) != "next" {
		t.Errorf("%q, %q, %v", args, rest, err)
	}
	if _, _, err := SplitArgs(unhex(t, `0b0001 00000002 "k"`)); !errors.Is(err, ErrMalformed) {
		t.Errorf("error %v", err)
	}
}

// These are the bytes that the original's clients and server exchange.
func TestBytesOnTheWire(t *testing.T) {
	var b Batch
	b.Append([]byte("a"), []byte("x"))
	call := AppendLogHeader(nil, 258, b.Count())
	call = AppendLogTrailer(append(call, b.Entries()...), Trailer{})
	spans := AppendLogTrailer(nil, Trailer{Spans: []Span{{Stream: [16]byte(unhex(t, stream)), First: 9, Count: 1}}})
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"call", call, `00000003 "Log" 01 00000102 0f0001 0c 00000001 ` + entryAX + `00`},
		{"spans", spans, `0f0002 0c 00000001 0b0001 00000010` + stream + `0a0002 0000000000000009 080003 00000001 00 00`},
		{"OK", AppendLogReply(nil, Reply{SeqID: 1, Code: OK}), `00000003 "Log" 02 00000001 080000 00000000 00`},
		{"OK, in answer to spans", AppendLogReply(nil, Reply{SeqID: 1, Inkwell: true}), `00000003 "Log" 02 00000001 080000 00000000 080002 00000001 00`},
		{"OK, in answer to a sender that asks", AppendLogReply(nil, Reply{SeqID: 1, Inkwell: true, Senders: 3, Leaving: true}), `00000003 "Log" 02 00000001 080000 00000000 080002 00000001 080004 00000003 080005 00000001 00`},
		{"TRY_LATER", AppendLogReply([]byte{9}, Reply{SeqID: -1, Code: TryLater}), `09 00000003 "Log" 02 ffffffff 080000 00000001 00`},
		{"exception", AppendException(nil, Call{Method: "X", SeqID: 5, Strict: true}, UnknownMethod, "no\xff"), `00000001 "X" 03 00000005 0b0001 00000003 "no?" 080002 00000001 00`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(unhex(t, tt.want), tt.got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeLogReply(t *testing.T) {
	tests := []struct {
		name, frame string
		want        Reply
		refusal     *ApplicationError
	}{
		{"OK", `00000003 "Log" 02 00000001 080000 00000000 00`, Reply{SeqID: 1}, nil},
		{"OK, from an Inkwell", `00000003 "Log" 02 00000001 080000 00000000 080002 00000001 00`, Reply{SeqID: 1, Inkwell: true}, nil},
		{"TRY_LATER, strict", `80010002 00000003 "Log" 00000002 080000 00000001 00`, Reply{SeqID: 2, Code: TryLater}, nil},
		{"a code of tomorrow and another field", `00000003 "Log" 02 00000001 0b0005 00000001 "x" 080000 00000007 00`, Reply{SeqID: 1, Code: 7}, nil},
		{"exception", `00000003 "Log" 03 00000003 0b0001 00000002 "no" 080002 00000006 00`, Reply{SeqID: 3}, &ApplicationError{InternalError, "no"}},
		{"exception about anything", `00000000 03 00000000 020003 01 00`, Reply{}, &ApplicationError{}},
		{"a long exception", `00000003 "Log" 03 00000003 0b0001 00001000 "` + strings.Repeat("x", 4096) + `" 00`, Reply{SeqID: 3}, &ApplicationError{0, strings.Repeat("x", 1000)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeLogReply(unhex(t, tt.frame))
			var refusal *ApplicationError
			if !errors.As(err, &refusal) && err != nil {
				t.Fatal(err)
			}
			if got != tt.want || !cmp.Equal(refusal, tt.refusal) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	bad := []struct{ name, frame string }{
		{"nothing", ``},
		{"a call", `00000003 "Log" 01 00000001 080000 00000000 00`},
		{"another method", `00000003 "log" 02 00000001 080000 00000000 00`},
		{"no result", `00000003 "Log" 02 00000001 00`},
		{"a result of another type", `00000003 "Log" 02 00000001 0a0000 0000000000000000 00`},
		{"no end", `00000003 "Log" 02 00000001 080000 00000000`},
		{"bytes behind", `00000003 "Log" 02 00000001 080000 00000000 00 00`},
		{"an exception without an end", `00000003 "Log" 03 00000003 0b0001 00000002 "no"`},
		{"an exception that lies", `00000003 "Log" 03 00000003 0b0001 7fffffff "no" 00`},
	}
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DecodeLogReply(unhex(t, tt.frame))
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v", err)
			}
		})
	}
}
