package journald

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func readAll(data string) (got []string, err error) {
	x := newExportReader(strings.NewReader(data))
	for {
		e, err := x.next()
		if err != nil {
			return got, err
		}
		got = append(got, e.cursor+"|"+string(e.message))
	}
}

func TestExport(t *testing.T) {
	whole := "__CURSOR=c1\n__REALTIME_TIMESTAMP=5\nMESSAGE=one\n\n__CURSOR=c2\nMESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00t\nwo\n\n\n\n__CURSOR=c3\nMESSAGE=a=b\nMESSAGE=second\n\n"
	got, err := readAll(whole)
	if want := "c1|one c2|t\nwo\n c3|a=b"; strings.Join(got, " ") != want || !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", got, err)
	}
	for n := range len(whole) { // a child that was killed anywhere
		got, err := readAll(whole[:n])
		if !errors.Is(err, io.EOF) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		for i, want := range got {
			if full := []string{"c1|one", "c2|t\nwo\n", "c3|a=b"}; full[i] != want {
				t.Fatalf("cut at %d: %q", n, got)
			}
		}
	}
}

func TestExportIsNone(t *testing.T) {
	for _, data := range []string{
		"-- No entries --\n", "MESSAGE=no cursor\n\n", "__REALTIME_TIMESTAMP=x\n\n", "MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		if got, err := readAll(data); len(got) > 0 || err == nil {
			t.Errorf("%q: %q, %v", data, got, err)
		}
	}
}

// TestExportOfAHugeMessage holds so much of a message and no more, counts what is missing, and goes on behind it.
func TestExportOfAHugeMessage(t *testing.T) {
	const n = maxMessage + 100
	length := []byte{byte(n & 0xff), byte(n >> 8 & 0xff), byte(n >> 16 & 0xff), byte(n >> 24), 0, 0, 0, 0}
	text := bytes.Repeat([]byte("x"), n)
	for name, field := range map[string]string{"binary": "MESSAGE\n" + string(length) + string(text) + "\n", "text": "MESSAGE=" + string(text) + "\n"} {
		x := newExportReader(strings.NewReader("__CURSOR=c1\n" + field + "\n__CURSOR=c2\nMESSAGE=next\n\n"))
		e, err := x.next()
		if err != nil {
			t.Fatal(err)
		}
		if len(e.message)+int(e.cut) < n || len(e.message) > maxMessage {
			t.Errorf("%s: %d bytes held, %d cut", name, len(e.message), e.cut)
		}
		if e, err := x.next(); err != nil || string(e.message) != "next" || e.cut != 0 {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}

func FuzzExport(f *testing.F) {
	f.Add([]byte("__CURSOR=c1\n__REALTIME_TIMESTAMP=5\nMESSAGE=one\n\n"))
	f.Add([]byte("__CURSOR=c2\nMESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00t\nwo\n\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := newExportReader(bytes.NewReader(data))
		for range data {
			e, err := x.next()
			if err != nil {
				return
			}
			if len(e.message) > len(data) || e.cursor == "" {
				t.Fatalf("%d bytes of a message, cursor %q", len(e.message), e.cursor)
			}
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add(`70dca5b45b1e3bfbfcdef08c861f5914 1764400000999000 "s=6b;i=3e8" "journal" 334 "u0.service" 1 "b \" c"`)
	f.Fuzz(func(t *testing.T, body string) {
		var s, again stateFile
		if s.take([]byte(body)) != nil {
			return
		}
		if err := again.take(s.body(s.numbers)); err != nil || again.checkpoint != s.checkpoint || again.stream != s.stream || len(again.numbers) != len(s.numbers) {
			t.Fatalf("%q: %v, %+v, %+v", body, err, s, again)
		}
	})
}
