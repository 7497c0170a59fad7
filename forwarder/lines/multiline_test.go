package lines

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const trace = `2026-11-29 10:00:00 ERROR it failed
java.lang.IllegalStateException: no
	at a.B.c(B.java:1)

Caused by: java.io.IOException
	... 12 more
`

func TestMultiline(t *testing.T) {
	o := options(func(o *Options) { o.Start = `^\d{4}-` })
	check(t, o, trace+"2026-11-29 10:00:01 INFO next\n"+trace, trace, "2026-11-29 10:00:01 INFO next\n", trace)
	check(t, o, "what does not begin\nwith a start\n"+trace+"no end", "what does not begin\nwith a start\n", trace+"no end\n")
	check(t, options(func(o *Options) { o.Start = "x$" }), "ax\r\nb\r\nx\n", "ax\r\nb\r\n", "x\n") // the end of a line is no part of it
	check(t, options(func(o *Options) { o.Start = "x"; o.Encoding = UTF16LE }), string(wide(UTF16LE, "x 1\nĊ\nx 2\n")), "x 1\nĊ\n", "x 2\n")
	check(t, o, trace, trace) // the last one is complete when the file is: grafana/loki#4936
}

func TestMultilineIsBounded(t *testing.T) {
	o := options(func(o *Options) { o.Start = "^x"; o.MaxLines = 3 })
	check(t, o, "x\n1\n2\n3\n4\n5\n6\nx\n", "x\n1\n2\n", "3\n4\n5\n", "6\n", "x\n")
	o = options(func(o *Options) { o.Start = "^x"; o.MaxLine = 8 })
	check(t, o, "x12\nabc\nd\n123456789abc\nx\n", "x12\nabc\n", "d\n", "12345678", "9abc\n", "x\n")
}

// A message is not taken before its end because the reader is late or the file is long, only by End: grafana/loki#4288.
func TestMultilineWaitsForItsEnd(t *testing.T) {
	d := NewDecoder(options(func(o *Options) { o.Start = `^\d{4}-` }))
	for n := range len(trace) + 1 {
		c := place{}.chunk(d, []byte(trace), n, 0)
		if got := d.take(c); got.Entries != 0 || got.Bytes != 0 {
			t.Fatalf("%d bytes: %+v", n, got)
		}
	}
	if seen := d.take(place{}.chunk(d, []byte(trace+"rest"), len(trace)+4, 0)).Seen; seen != len(trace) {
		t.Errorf("seen %d of %d", seen, len(trace))
	}
}

// Stack traces of a container: each stream has its own, and a piece of a long line is matched where the line begins.
func TestMultilineOfContainers(t *testing.T) {
	o := options(func(o *Options) { o.Start = `^\S`; o.Format = CRI; o.Wait = 5 * time.Second })
	check(t, o, t1+" stdout F out 1\n"+t1+" stderr F err 1\n"+t1+" stdout F  more\n"+t1+" stderr F  trace\n"+t1+" stdout F out 2\n"+t1+" stderr F err 2\n",
		"out 1\n more\n", "err 1\n trace\n", "out 2\n", "err 2\n")
	check(t, o, t1+" stdout P a\n"+t1+" stdout P b\n"+t1+" stdout F c\n"+t1+" stdout F  d\n"+t1+" stdout F e\n", "abc\n d\n", "e\n")
	later := "2026-11-29T10:00:05.1Z"
	check(t, o, t1+" stdout F a\n"+later+" stdout F  is too late\n", "a\n", " is too late\n")
	check(t, o, t1+" stderr F a\n"+later+" stdout F x\n"+later+" stderr F b\n", "a\n", "x\n", "b\n")
	check(t, options(func(o *Options) { o.Start = `^\S`; o.Format = CRI; o.Stamp = true }), t1+" stderr F a\n"+t1+" stderr F  b\n", t1+" stderr a\n b\n")
}

// The samples hold a stack trace of three lines.
func TestMultilineSamples(t *testing.T) {
	for _, name := range []string{"containerd.log", "conmon.log", "docker.log"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		list := same(t, options(func(o *Options) { o.Start = `^\S`; o.Format = AutoFormat }), data)
		want := "java.lang.IllegalStateException: <init> & \"quoted\"\n\tat a.B.c(B.java:1)\n\tat a.B.main(B.java:2)\n"
		if !slices.Contains(list, want) {
			t.Errorf("%s: no message is the stack trace", name)
		}
	}
}

// Two busy streams whose messages are never complete at the same time: reading goes on, and little is read again.
func TestStreamsThatAreNeverCompleteTogether(t *testing.T) {
	var in strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&in, "%s %s F line %d\n%s %s F  more %d\n", t1, []string{"stdout", "stderr"}[i%2], i, t1, []string{"stdout", "stderr"}[(i+1)%2], i)
	}
	o := options(func(o *Options) { o.Start = `^\S`; o.Format = CRI })
	list := same(t, o, []byte(in.String()))
	if len(list) != 3001 {
		t.Errorf("%d messages", len(list))
	}
}
