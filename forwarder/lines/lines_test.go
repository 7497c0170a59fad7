package lines

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"inkwell/proto"
)

const big = 1 << 20

func options(change func(*Options)) Options {
	o := Options{MaxLine: big, Full: 8 << 20}
	if change != nil {
		change(&o)
	}
	return o
}

// all returns the messages of data, taken at once as a file that has ended.
func all(o Options, data []byte) []string {
	return from(NewDecoder(o), data, place{}, len(data))
}

// place is a position within data.
type place struct{ offset, ahead int }

// take is Take without an interest in the messages.
func (d *Decoder) take(c Chunk) Taken { return d.Take(new(proto.Batch), c) }

// messages appends those of a batch to list.
func messages(list []string, b *proto.Batch) []string {
	for c := b.Cursor(); c.Next(); {
		list = append(list, string(c.Message()))
	}
	return list
}

// from takes what is behind p, up to end, as a file that has ended there.
func from(d *Decoder, data []byte, p place, end int) (list []string) {
	for p.offset < end {
		var b proto.Batch
		t := d.Take(&b, p.chunk(d, data, end, end))
		if t.Bytes == 0 && t.Entries == 0 {
			panic(fmt.Sprintf("nothing taken at %v of %d", p, end))
		}
		list = messages(list, &b)
		p = p.plus(t)
	}
	return list
}

func (p place) chunk(d *Decoder, data []byte, to, end int) Chunk {
	c := Chunk{Category: []byte("c"), Data: data[p.offset:to], Offset: int64(p.offset), Ahead: p.ahead, Encoding: d.Encoding(data[:min(to, 4)])}
	if end > 0 {
		c.End = end - p.offset
	}
	return c
}

func (p place) plus(t Taken) place { return place{p.offset + t.Bytes, t.Ahead} }

// pieces takes data in chunks of random sizes and batches of random sizes, each time with another decoder, as many
// restarts would; what is not acknowledged is taken again.
func pieces(t testing.TB, o Options, data []byte, rng *rand.Rand) (list []string) {
	t.Helper()
	var p place
	for width := 1; ; {
		d := NewDecoder(o)
		d.o.Full = 1 + rng.IntN(300)
		end := 0
		to := min(p.offset+rng.IntN(width)+1, len(data))
		if to == len(data) && rng.IntN(4) == 0 {
			end = len(data)
		}
		var b proto.Batch
		taken := d.Take(&b, p.chunk(d, data, to, end))
		switch {
		case taken.Bytes == 0 && taken.Entries == 0:
			if to-p.offset >= d.Most() {
				t.Fatalf("nothing taken of %d bytes at %v", to-p.offset, p)
			}
			width *= 2
		default:
			width = max(1, width/2)
			if rng.IntN(5) == 0 {
				continue // it died before the batch was acknowledged
			}
			list = messages(list, &b)
			p = p.plus(taken)
		}
		if p.offset == len(data) {
			return list
		}
		width = min(width, 2*len(data)+1)
	}
}

// same compares what comes of data at once with what comes in pieces.
func same(t testing.TB, o Options, data []byte) []string {
	t.Helper()
	want := all(o, data)
	for seed := range uint64(8) {
		if got := pieces(t, o, data, rand.New(rand.NewPCG(seed, 1))); !slices.Equal(got, want) {
			t.Fatalf("seed %d: in pieces %q\nat once %q", seed, got, want)
		}
	}
	return want
}

func check(t *testing.T, o Options, in string, want ...string) {
	t.Helper()
	if got := same(t, o, []byte(in)); !slices.Equal(got, want) {
		t.Errorf("%q:\n got %q\nwant %q", in, got, want)
	}
}

func wide(e Encoding, s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		if e == UTF16LE {
			out = append(out, byte(u), byte(u>>8))
		} else {
			out = append(out, byte(u>>8), byte(u))
		}
	}
	return out
}

func TestPlainLines(t *testing.T) {
	o := options(nil)
	check(t, o, "one\ntwo\r\n\n\x00\xff\nrest", "one\n", "two\r\n", "\n", "\x00\xff\n", "rest\n")
	check(t, options(func(o *Options) { o.MaxLine = 4 }), "123456789\n12\n", "1234", "5678", "9\n", "12\n")
}

// The mark says how the file is encoded, it is no text: elastic/beats#1349, fluent/fluent-bit#3256.
func TestByteOrderMarks(t *testing.T) {
	o := options(nil)
	check(t, o, "\xef\xbb\xbfone\ntwo\n", "one\n", "two\n")
	check(t, o, "\xef\xbb\xbf")
	text := "first\r\nĊ ਊ 𝄞 in it\r\n\r\nlast"
	for _, e := range []Encoding{UTF16LE, UTF16BE} {
		want := []string{"first\r\n", "Ċ ਊ 𝄞 in it\r\n", "\r\n", "last\n"}
		check(t, o, marks[e]+string(wide(e, text)), want...)
		check(t, options(func(o *Options) { o.Encoding = e }), string(wide(e, text)), want...)
		check(t, options(func(o *Options) { o.Encoding = e }), string(wide(e, "a\nb"))+"\x00", "a\n", "b\uFFFD\n")
	}
	check(t, options(func(o *Options) { o.Encoding = UTF8 }), "\xff\xfea\x00\n\x00b\x00\n\x00", "\xff\xfea\x00\n", "\x00b\x00\n", "\x00\n")
}

// A position that was written while the file was read byte by byte stands between the halves of a newline.
func TestPositionWithinACharacter(t *testing.T) {
	data := append([]byte(marks[UTF16LE]), wide(UTF16LE, "one\ntwo\n")...)
	at := bytes.IndexByte(data, '\n') + 1
	got := from(NewDecoder(options(nil)), data, place{offset: at}, len(data))
	if want := []string{"two\n"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLastNewline(t *testing.T) {
	for e, text := range map[Encoding][]byte{UTF8: []byte("a\nĊ"), UTF16LE: wide(UTF16LE, "a\nĊ"), UTF16BE: wide(UTF16BE, "a\nਊ")} {
		want := len(text) - 2
		for offset := range int64(4) {
			if e.wide() && offset%2 == 1 {
				continue
			}
			if got := e.LastNewline(text, offset); got != want {
				t.Errorf("%s: %d, want %d", e, got, want)
			}
		}
		if got := e.LastNewline(text[:1], 0); got != 0 {
			t.Errorf("%s without one: %d", e, got)
		}
		if e.wide() {
			if got := e.LastNewline(text[1:], 1); got != want-1 {
				t.Errorf("%s from within a character: %d, want %d", e, got, want-1)
			}
		}
	}
}

func TestLongWideLines(t *testing.T) {
	o := options(func(o *Options) { o.MaxLine = 64; o.Encoding = UTF16BE })
	in := wide(UTF16BE, strings.Repeat("𝄞", 100)+strings.Repeat("字", 100)+"\nnext\n")
	list := same(t, o, in)
	for _, m := range list {
		if len(m) > o.MaxLine || strings.ContainsRune(m, '\uFFFD') {
			t.Errorf("%q has %d bytes, or half a character", m, len(m))
		}
	}
	if got, want := strings.Join(list, ""), strings.Repeat("𝄞", 100)+strings.Repeat("字", 100)+"\nnext\n"; got != want {
		t.Errorf("got %q", got)
	}
}

const (
	t1 = "2026-11-29T10:00:00.000000001Z"
	t2 = "2026-11-29T10:00:01.5+07:00"
)

func TestCRI(t *testing.T) {
	o := options(func(o *Options) { o.Format = CRI })
	check(t, o, t1+" stdout F a line\n"+t1+" stderr F \n"+t1+" stdout F\n"+t1+" stdout F  two blanks\r\n",
		"a line\n", "\n", "\n", " two blanks\r\n")
	check(t, o, t1+" stdout P:x be\n"+t1+" stdout P tw\n"+t1+" stdout F:a:b een\n", "between\n")
	check(t, o, t1+" stdout P P F \n"+t1+" stdout F stdout F x\n", "P F stdout F x\n")
	check(t, o, t1+" stdout F torn line", "torn line\n")
	check(t, o, t1+" stdout P never ended\n", "never ended\n")
	odd := []string{"plain\n", t1 + " stdin F x\n", t1 + " stdout X x\n", t1 + " stdout FULL x\n", "2026-99-29T10:00:00.000000001Z stdout F x\n", t1 + "\n"}
	check(t, o, strings.Join(odd, ""), odd...)
	check(t, options(func(o *Options) { o.Format = CRI; o.Stamp = true }),
		t1+" stderr P a\n"+t2+" stderr F b\n"+t2+" stdout F c\nodd\n", t1+" stderr a"+"b\n", t2+" stdout c\n", "odd\n")
}

// Parts of one stream are joined, whatever the other one has between them: fluent/fluent-bit#4387, grafana/loki#8497.
func TestPartsOfTwoStreams(t *testing.T) {
	o := options(func(o *Options) { o.Format = CRI })
	check(t, o, t1+" stdout P a\n"+t1+" stderr P x\n"+t1+" stdout P b\n"+t1+" stderr F y\n"+t1+" stderr F z\n"+t1+" stdout F c\n"+t1+" stderr F w\n",
		"xy\n", "z\n", "abc\n", "w\n")
}

// A container that ends without a newline leaves a part without an end: it is not joined with what its next run
// writes much later, and does not keep what the other stream says: grafana/loki#10998.
func TestPartsThatAreNeverEnded(t *testing.T) {
	o := options(func(o *Options) { o.Format = CRI; o.Wait = 10 * time.Second })
	later := "2026-11-29T10:00:11Z"
	check(t, o, t1+" stdout P fuga\n"+later+" stdout F next run\n", "fuga\n", "next run\n")
	check(t, o, t1+" stdout P fuga\n"+later+" stderr F next run\n", "fuga\n", "next run\n")
	var in strings.Builder
	fmt.Fprintf(&in, "%s stdout P prompt: \n", t1)
	want := []string{}
	for i := range 2000 {
		fmt.Fprintf(&in, "%s stderr F line %06d\n", t1, i)
		want = append(want, fmt.Sprintf("line %06d\n", i))
	}
	got := same(t, o, []byte(in.String()))
	at := slices.Index(got, "prompt: \n")
	if at < 1000 || at > 1300 || !slices.Equal(slices.Delete(got, at, at+1), want) {
		t.Errorf("the part that never ended is message %d", at)
	}
}

func TestDocker(t *testing.T) {
	o := options(func(o *Options) { o.Format = Docker })
	line := func(log, stream string) string {
		return `{"log":"` + log + `","stream":"` + stream + `","time":"2016-02-08T18:33:16.36791762Z"}` + "\n"
	}
	check(t, o, line(`one\r\n`, "stdout")+line(`\u003cinit\u003e \"q\" \\ \/ \t\u001b\ud834\udd1e\n`, "stderr"), "one\r\n", "<init> \"q\" \\ / \t\x1b𝄞\n")
	check(t, o, line("a", "stdout")+line("x", "stderr")+line(`b\n`, "stdout")+line(`y\n`, "stderr"), "ab\n", "xy\n")
	check(t, o, `{"stream":"stderr","time":"x","attrs":{"a":"b"},"log":"in another order\n"}`+"\n", "in another order\n")
	check(t, o, `{"log":"attrs\n","stream":"stderr","attrs":{"a":"b"},"time":"x"}`+"\n", "attrs\n")
	// A run of the container that ended without a newline, and the next one, a minute later: elastic/beats#37741.
	check(t, o, line("no end", "stdout")+strings.Replace(line(`next run\n`, "stdout"), "18:33", "18:34", 1), "no end\n", "next run\n")
	odd := []string{`{"log":"torn` + "\n", `{"message":"json of its own"}` + "\n", `{"log":5,"stream":"stdout"}` + "\n", "{}\n", "{\n"}
	check(t, o, strings.Join(odd, ""), odd...)
	check(t, options(func(o *Options) { o.Format = Docker; o.Stamp = true }), line(`a\n`, "stderr"), "2016-02-08T18:33:16.36791762Z stderr a\n")
	check(t, options(func(o *Options) { o.Format = AutoFormat }), line(`a\n`, "stderr")+t1+" stdout F b\n"+"c\n", "a\n", "b\n", "c\n")
}

// printed is what the programs in the samples wrote.
func printed() (out, err string) {
	return "plain line\n\ncarriage return\r\n" + strings.Repeat("0123456789abcdef", 1536) + strings.Repeat("ABCDEFGHIJKLMNOP", 1024) +
			" end of the long line\nF stdout P like tags\n\x1b[31mred\x1b[0m tab\there ünï→\nno newline at the end\n",
		"java.lang.IllegalStateException: <init> & \"quoted\"\n\tat a.B.c(B.java:1)\n\tat a.B.main(B.java:2)\nbetween the parts\n"
}

// TestSamples reads what containerd, CRI-O's conmon and Docker really wrote of the same output: see testdata/README.md.
func TestSamples(t *testing.T) {
	out, err := printed()
	for _, name := range []string{"containerd.log", "conmon.log", "docker.log"} {
		data, rerr := os.ReadFile("testdata/" + name)
		if rerr != nil {
			t.Fatal(rerr)
		}
		got := [2]strings.Builder{}
		for _, m := range same(t, options(func(o *Options) { o.Format = AutoFormat; o.Stamp = true }), data) {
			stamp, text := m[:strings.Index(m, " std")], m[strings.Index(m, " std")+1:]
			if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			stream := stdout
			if strings.HasPrefix(text, "stderr ") {
				stream = stderr
			}
			got[stream].WriteString(text[len("stdout "):])
		}
		want := out
		if name == "containerd.log" { // which drops a carriage return at the end of a line itself
			want = strings.ReplaceAll(out, "\r", "")
		}
		if got[stdout].String() != want || got[stderr].String() != err {
			t.Errorf("%s: got %d bytes of stdout, want %d; stderr %q", name, got[stdout].Len(), len(want), got[stderr].String())
		}
	}
}
