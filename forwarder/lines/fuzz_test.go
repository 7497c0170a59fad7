package lines

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzTake: whatever the bytes, and wherever reading is broken off, begun again, or short of room, the same messages
// come out; plain ones hold the bytes of the file.
func FuzzTake(f *testing.F) {
	f.Add([]byte("a\nb\n"), uint8(0), uint64(1))
	f.Add([]byte(t1+" stdout P a\n"+t1+" stderr F b\n"+t1+" stdout F c\n"), uint8(2), uint64(2))
	f.Add([]byte(t1+" stdout F a\n"+t1+" stderr F b\n"+t2+" stdout F  c\n"), uint8(6), uint64(3))
	f.Add([]byte(`{"log":"a\u003c","stream":"stdout","time":"2016-02-08T18:33:16.36791762Z"}`+"\n"), uint8(3), uint64(4))
	f.Add([]byte(marks[UTF16LE]+"a\x00\n\x00b\x00"), uint8(0), uint64(5))
	f.Add([]byte("x\n \nx\n"), uint8(4), uint64(6))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8, seed uint64) {
		o := Options{MaxLine: 24 + int(kind>>5)*40, Full: 1 << 20, Format: Format(kind & 3), MaxLines: 3, Wait: time.Second}
		if kind&4 != 0 {
			o.Start = `^\S`
		}
		if kind&8 != 0 {
			o.Encoding = UTF16BE
		}
		o.Stamp = kind&16 != 0 && o.Format != None
		want := all(o, data)
		for i := range uint64(3) {
			if got := pieces(t, o, data, rand.New(rand.NewPCG(seed, i))); !slices.Equal(got, want) {
				t.Fatalf("in pieces %q\nat once %q", got, want)
			}
		}
		d := NewDecoder(o)
		if !d.Plain(d.Encoding(data)) {
			return
		}
		text := string(bytes.TrimPrefix(data, []byte(marks[UTF8])))
		if joined := strings.Join(want, ""); joined != text && joined != text+"\n" {
			t.Fatalf("%q became %q", text, joined)
		}
	})
}

// FuzzUnquoted compares the fast reader of Docker's strings with encoding/json.
func FuzzUnquoted(f *testing.F) {
	f.Add(`a\n\u003c\t\"\\`)
	f.Add(`\ud834\udd1e`)
	f.Fuzz(func(t *testing.T, in string) {
		text, rest, ok := appendUnquoted(nil, []byte(in+`"`))
		if !ok || len(rest) > 0 || !utf8.ValidString(in) {
			return
		}
		for _, c := range in {
			if c < ' ' {
				return // which encoding/json refuses
			}
		}
		var want string
		if err := json.Unmarshal([]byte(`"`+in+`"`), &want); err != nil || want != string(text) {
			t.Errorf("%q: got %q, want %q, %v", in, text, want, err)
		}
	})
}
