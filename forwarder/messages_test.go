package forwarder

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf16"

	"inkwell/forwarder/lines"
)

const stamp = "2026-11-29T10:00:00.000000001Z"

// lossy makes a store that refuses calls, or takes them and loses the answer.
func lossy(int) (before, after error) {
	switch rand.IntN(6) {
	case 0:
		return errFault, nil
	case 1, 2:
		return nil, errFault
	}
	return nil, nil
}

// TestMessagesOverRestarts writes files of each form a few bytes at a time, and stops and starts the follower, with a
// store that loses answers: each message is there once, whole, wherever that was.
func TestMessagesOverRestarts(t *testing.T) {
	for name, c := range map[string]struct {
		lines lines.Options
		text  func(i int) (in, out string)
	}{
		"cri": {lines.Options{Format: lines.CRI}, func(i int) (in, out string) {
			if i%3 > 0 {
				return fmt.Sprintf("%s stdout F line %d\n", stamp, i), fmt.Sprintf("line %d\n", i)
			}
			return fmt.Sprintf("%s stdout P begins %d\n%s stderr F from stderr %d\n%s stdout P , goes on\n%s stdout F , ends\n", stamp, i, stamp, i, stamp, stamp),
				fmt.Sprintf("from stderr %d\nbegins %d, goes on, ends\n", i, i)
		}},
		"docker": {lines.Options{Format: lines.Docker}, func(i int) (in, out string) {
			return fmt.Sprintf(`{"log":"a %d ","stream":"stdout","time":"%s"}`+"\n"+`{"log":"b\u003c\n","stream":"stdout","time":"%s"}`+"\n", i, stamp, stamp), fmt.Sprintf("a %d b<\n", i)
		}},
		"multiline": {lines.Options{Start: `^\S`, Wait: 100 * time.Millisecond}, func(i int) (in, out string) {
			in = fmt.Sprintf("message %d\n\tat line 1\n\tat line 2\n", i)
			return in, in
		}},
		"utf-16": {lines.Options{}, func(i int) (in, out string) {
			out = fmt.Sprintf("line Ċ ਊ 𝄞 %d\r\n", i)
			return out, out
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "a.log")
			r.inputs[0].Lines = c.lines
			r.store.fail = lossy
			var in []byte
			var want strings.Builder
			if name == "utf-16" {
				in = []byte("\xff\xfe")
			}
			for i := range 120 {
				text, out := c.text(i)
				want.WriteString(out)
				if name != "utf-16" {
					in = append(in, text...)
					continue
				}
				for _, u := range utf16.Encode([]rune(text)) {
					in = append(in, byte(u), byte(u>>8))
				}
			}
			r.start()
			for len(in) > 0 {
				n := min(len(in), 1+rand.IntN(400))
				r.write("a.log", string(in[:n]))
				in = in[n:]
				if rand.IntN(3) == 0 {
					r.stop()
					r.start()
				}
				time.Sleep(time.Duration(rand.IntN(8)) * time.Millisecond)
			}
			size := func() (n int) {
				for _, m := range r.store.get("c") {
					n += len(m)
				}
				return n
			}
			r.until("all messages", func() bool { return size() >= want.Len() })
			got := r.store.get("c")
			if name == "multiline" { // one of which nothing came for a while is complete
				got = []string{strings.Join(got, "")}
			}
			wanted := []string{want.String()}
			if name != "multiline" {
				wanted = strings.SplitAfter(strings.TrimSuffix(want.String(), "\n"), "\n")
				wanted[len(wanted)-1] += "\n"
			}
			if !slices.Equal(got, wanted) {
				t.Errorf("got %q\nwant %q", got, wanted)
			}
		})
	}
}

// TestLastMessageIsSent waits for no next one: grafana/loki#4936. What comes later is a message of its own, also when
// the answer to the call with the first was lost and the follower started anew: it must not make of both one that has
// the number of the first.
func TestLastMessageIsSent(t *testing.T) {
	r := newRig(t, "a.log")
	r.inputs[0].Lines = lines.Options{Start: `^\S`, Wait: 300 * time.Millisecond}
	var deaf atomic.Bool
	r.store.fail = func(int) (before, after error) {
		if deaf.Load() {
			return nil, errFault // it is there, and nobody knows
		}
		return nil, nil
	}
	r.write("a.log", "one\n more\ntwo\n more\n")
	r.start()
	r.until("what is complete", func() bool { return r.store.count("c") == 1 })
	deaf.Store(true)
	r.until("the last message", func() bool { return r.store.count("c") == 2 })
	r.stop()
	deaf.Store(false)
	r.write("a.log", " late\nthree\n")
	r.start()
	r.wantLines("one\n more\n", "two\n more\n", " late\n", "three\n")
}

// TestLineWithoutAnEndIsSentOnce does the same with a plain line that was sent without its end, because its file was
// rotated away.
func TestLineWithoutAnEndIsSentOnce(t *testing.T) {
	r := newRig(t, "a.log")
	var deaf atomic.Bool
	r.store.fail = func(int) (before, after error) {
		if deaf.Load() {
			return nil, errFault
		}
		return nil, nil
	}
	r.write("a.log", "one\nhalf")
	r.start()
	r.wantLines("one\n")
	deaf.Store(true)
	r.rename("a.log", "a.log.1")
	r.until("the half line", func() bool { return r.store.count("c") == 2 })
	r.stop()
	deaf.Store(false)
	r.write("a.log.1", " of it\n")
	r.start()
	r.wantLines("one\n", "half\n", " of it\n")
}

// TestPartWithoutEndAtTheEndOfAFile: a container ended without a newline, and its file is rotated away:
// grafana/loki#10998.
func TestPartWithoutEndAtTheEndOfAFile(t *testing.T) {
	r := newRig(t, "a.log")
	r.inputs[0].Lines = lines.Options{Format: lines.CRI, Wait: time.Hour}
	r.write("a.log", stamp+" stdout F hoge\n"+stamp+" stdout P fuga\n")
	r.start()
	r.wantLines("hoge\n")
	r.rename("a.log", "a.log.1")
	r.write("a.log", stamp+" stdout F next\n")
	r.until("all three", func() bool { return r.store.count("c") == 3 })
	got := r.store.get("c")
	slices.Sort(got)
	if !slices.Equal(got, []string{"fuga\n", "hoge\n", "next\n"}) {
		t.Errorf("got %q", got)
	}
}

// TestStreamsThatAreMixedOverARestart has a line of stdout that is not complete while stderr goes on: what was taken
// of stderr is not taken again.
func TestStreamsThatAreMixedOverARestart(t *testing.T) {
	r := newRig(t, "a.log")
	r.inputs[0].Lines = lines.Options{Format: lines.CRI, Wait: time.Hour}
	r.write("a.log", stamp+" stdout P be\n"+stamp+" stderr F e1\n"+stamp+" stdout P tw\n"+stamp+" stderr F e2\n")
	r.start()
	r.wantLines("e1\n", "e2\n")
	r.stop()
	r.store.once = nil // nobody leaves out what comes twice
	r.write("a.log", stamp+" stderr F e3\n"+stamp+" stdout F een\n")
	r.start()
	r.wantLines("e1\n", "e2\n", "e3\n", "between\n")
}

// TestLongMessages are longer than what is read at once, and than a message may be.
func TestLongMessages(t *testing.T) {
	r := newRig(t, "a.log")
	r.inputs[0].Lines = lines.Options{Format: lines.CRI, MaxLine: 1 << 20}
	part := strings.Repeat("x", 16<<10)
	long := strings.Repeat(stamp+" stdout P "+part+"\n", 40) + stamp + " stdout F end\n"
	tooLong := strings.Repeat(stamp+" stdout P "+part+"\n", 70) + stamp + " stdout F end\n"
	r.start()
	r.write("a.log", long[:300<<10])
	r.settle()
	r.write("a.log", long[300<<10:]+stamp+" stdout F short\n"+tooLong)
	r.wantLines(strings.Repeat(part, 40)+"end\n", "short\n", strings.Repeat(part, 64), strings.Repeat(part, 6)+"end\n")
	if n := r.counter("lines split"); n != 1 {
		t.Errorf("%d lines split", n)
	}
}

// TestCopytruncateOfMessages: the rest of a message is in the copy.
func TestCopytruncateOfMessages(t *testing.T) {
	r := newRig(t, "a.log")
	r.inputs[0].Lines = lines.Options{Start: `^\S`, Wait: time.Hour}
	r.write("a.log", "one\n more\ntwo\n more\n")
	r.start()
	r.wantLines("one\n more\n")
	r.copy("a.log", "a.log.1")
	r.truncate("a.log")
	r.write("a.log", "three\nfour\n")
	r.until("three messages", func() bool { return r.store.count("c") == 3 })
	got := r.store.get("c")
	slices.Sort(got)
	if !slices.Equal(got, []string{"one\n more\n", "three\n", "two\n more\n"}) {
		t.Errorf("got %q", got)
	}
}

// TestFromEndOfAWideFile begins behind the last newline, and not behind half of a character that looks like one.
func TestFromEndOfAWideFile(t *testing.T) {
	r := newRig(t, "a.log")
	r.opt.FromEnd = true
	r.write("a.log", "\xff\xfea\x00\n\x00\n\x01")
	r.start()
	r.until("it is followed", func() bool { return strings.Contains(readAll(t, r.state), "a.log") })
	r.write("a.log", "b\x00\n\x00")
	r.wantLines("Ċb\n")
}

// TestAnotherCategoryHasNumbersOfItsOwn: a number that was given in the former category would be missing in the new
// one.
func TestAnotherCategoryHasNumbersOfItsOwn(t *testing.T) {
	r := newRig(t, "a.log")
	r.write("a.log", "one\ntwo\n")
	r.start()
	r.wantLines("one\n", "two\n")
	r.stop()
	r.inputs[0].Category = "d"
	r.write("a.log", "three\n")
	r.start()
	r.until("the line in the new category", func() bool { return r.store.count("d") == 1 })
	r.stop()
	list, _, err := ReadPositions(r.state)
	if err != nil {
		t.Fatal(err)
	}
	numbers := make(map[string]int64)
	for _, p := range list {
		numbers[p.Category] += p.Number
	}
	if numbers["c"] != 2 || numbers["d"] != 1 {
		t.Errorf("numbers by category: %v", numbers)
	}
	if n := r.store.count("c"); n != 2 {
		t.Errorf("%d lines in the former category", n)
	}
}
