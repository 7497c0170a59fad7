package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"inkwell/internal/testkit"
)

const ctrlList = "The following commands are available:\n\tcounters\n\tname\n\tversion\n\talive\n\tstatus\n" +
	"The following commands are available for users with root privileges:\n\tstop\n\treload\n"

// TestScribeCtrl compares texts and codes with those of the original.
func TestScribeCtrl(t *testing.T) {
	up := startFake(t, alive())
	warned := alive()
	warned["getStatus"], warned["getStatusDetails"] = i32Result(5), stringResult("Failed to connect")
	warn := startFake(t, warned)
	starting := alive()
	starting["getStatus"], starting["getStatusDetails"] = i32Result(1), stringResult("configuring")
	start := startFake(t, starting)
	dead := startFake(t, nil).port() // closes every connection
	for _, c := range []struct {
		uid    int
		args   []string
		code   int
		stdout string
	}{
		{0, []string{"status", up.port()}, 2, "ALIVE\n"},
		{0, []string{"status", warn.port()}, 3, "WARNING - Failed to connect\n"},
		{0, []string{"status", start.port()}, 3, "STARTING - configuring\n"},
		{0, []string{"status", dead}, 3, "Failed to get status\n"},
		{0, []string{"counters", up.port()}, 0, "b:c:lost: 0\nfoo bar:received good: 7\nscribe_overall:received good: 12\nscribe_overall:sent: 5\n"},
		{0, []string{"counters", dead}, 3, "failed to get counters\n"},
		{0, []string{"version", up.port()}, 0, "2.2\n"},
		{0, []string{"version", dead}, 3, "failed to get  version\n"},
		{0, []string{"name", up.port()}, 0, "Scribe\n"},
		{0, []string{"name", dead}, 3, "failed to get  name\n"},
		{1000, []string{"alive", up.port()}, 0, "1795426052\n"},
		{0, []string{"alive", dead}, 3, "failed to get  alive\n"},
		{0, []string{"stop", up.port()}, 0, ""},
		{0, []string{"reload", up.port()}, 0, ""},
		{0, []string{"stop", "1"}, 3, "failed to tell the service to  stop\n"},
		{0, []string{"reload", "1"}, 3, "failed to tell the service to  reload\n"},
		{1000, []string{"stop", up.port()}, 4, "root privileges are required to stop or reload the service.\n"},
		{1000, []string{"reload", up.port()}, 4, "root privileges are required to stop or reload the service.\n"},
		{0, []string{"frobnicate", "1"}, 0, ctrlList},
		{1000, []string{"help"}, 0, ctrlList},
		{0, nil, 2, "Usage: scribe_ctrl command [port]\n  commands: stop counters status version name alive\n"},
	} {
		if r := tool(t, c.uid, "", "scribe_ctrl", c.args...); r != (result{code: c.code, stdout: c.stdout}) {
			t.Errorf("scribe_ctrl %q as %d: %+v\nwant %d %q", c.args, c.uid, r, c.code, c.stdout)
		}
	}
	if r := tool(t, 0, "", "scribe_ctrl", "status", "x"); r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, "want a number") {
		t.Errorf("%+v", r)
	}
	until(t, "stop and reload arrive", func() bool {
		called := up.methods()
		return slices.Contains(called, "shutdown") && slices.Contains(called, "reinitialize")
	})
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestCtl(t *testing.T) {
	odd := alive()
	odd["getStatus"], odd["getStatusDetails"] = i32Result(5), stringResult("a \x1b[31m\"b\"\nc")
	odd["getCounters"] = countersResult("x\ny:lost", 1, "gr\u00fc\u00df:sent", 2)
	s := startFake(t, odd)
	for _, c := range []struct {
		uid  int
		args string
		want result
	}{
		{0, "status " + s.port(), result{code: 3, stdout: "WARNING - a \\x1b[31m\"b\"\\nc\n"}},
		{0, "status " + s.addr, result{code: 3, stdout: "WARNING - a \\x1b[31m\"b\"\\nc\n"}},
		{0, "counters " + s.addr, result{stdout: "gr\u00fc\u00df:sent: 2\nx\\ny:lost: 1\n"}},
		{0, "alive " + s.addr, result{stdout: "1795426052\n"}},
		{1000, "reload " + s.addr, result{stdout: "told to reload; this server does not say what came of it: see its status\n"}}, // it decides
	} {
		if r := tool(t, c.uid, "", "inkwell", append([]string{"ctl"}, strings.Fields(c.args)...)...); r != c.want {
			t.Errorf("ctl %s: %+v, want %+v", c.args, r, c.want)
		}
	}
	r := tool(t, 0, "", "inkwell", "ctl", "version", closedAddr)
	if r.code != 3 || r.stdout != "failed to get  version\n" || !strings.HasPrefix(r.stderr, "inkwell ctl version: connect to "+closedAddr) {
		t.Errorf("%+v", r)
	}
	for args, want := range map[string]string{
		"frobnicate": "unknown command", "statos": "did you mean status?", "watch a:b:c": "a:b:c", "status h:x": "the port must be",
		"watch --every 1ms": "10ms or more",
	} {
		if r := tool(t, 0, "", "inkwell", append([]string{"ctl"}, strings.Fields(args)...)...); r.code != 2 || !strings.Contains(r.stderr, want) {
			t.Errorf("ctl %s: %+v, want %q", args, r, want)
		}
	}
}

// TestCtlOfADirectory explains how to name a directory that was taken for a host.
func TestCtlOfADirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("s0.invalid", 0o750); err != nil {
		t.Fatal(err)
	}
	if r := inkwell(t, nil, "ctl", "status", "s0.invalid"); r.code != ctlFailed || !strings.Contains(r.stderr, "write ./s0.invalid") {
		t.Errorf("%+v", r)
	}
	if r := inkwell(t, nil, "ctl", "status", "s1.invalid"); r.code != ctlFailed || strings.Contains(r.stderr, "write ./") {
		t.Errorf("%+v", r)
	}
}

func TestCtlStatusJSON(t *testing.T) {
	s := startFake(t, alive())
	r := tool(t, 0, "", "inkwell", "ctl", "status", "--json", s.addr)
	want := `{"address":"` + s.addr + `","status":"ALIVE","details":"","version":"2.2","alive_since":1795426052,"counters":` +
		`{"b:c:lost":0,"foo bar:received good":7,"scribe_overall:received good":12,"scribe_overall:sent":5}}` + "\n"
	if r != (result{code: 2, stdout: want}) {
		t.Errorf("%+v\nwant %s", r, want)
	}
	odd := alive()
	odd["getStatusDetails"] = stringResult("a\x1b[31m\u009b31m\x7fü")
	r = tool(t, 0, "", "inkwell", "ctl", "status", "--json", startFake(t, odd).addr)
	var said struct{ Details string }
	if err := json.Unmarshal([]byte(r.stdout), &said); err != nil || said.Details != "a\x1b[31m\u009b31m\x7fü" || strings.ContainsAny(r.stdout, "\x1b\u009b\x7f") {
		t.Errorf("%v: %+v", err, r)
	}
	odd["getStatusDetails"] = stringResult(strings.Repeat("x", 100_000))
	if r := tool(t, 0, "", "inkwell", "ctl", "status", startFake(t, odd).addr); len(r.stdout) > 2*maxText || !strings.HasSuffix(r.stdout, "x…\n") {
		t.Errorf("%d bytes of status", len(r.stdout))
	}
	r = tool(t, 0, "", "inkwell", "ctl", "status", "--json", closedAddr)
	var got map[string]string
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != 3 {
		t.Errorf("%v: %+v", err, r)
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{"address", "error"}) || got["address"] != closedAddr {
		t.Errorf("%q", got)
	}
}

// TestCtlTrustsNoReply gets replies that lie about their sizes: an error follows soon, and little memory is used.
func TestCtlTrustsNoReply(t *testing.T) {
	for name, result := range map[string]string{
		"a map of 2^31-1":        "\x0d\x00\x00\x0b\x0a\x7f\xff\xff\xff",
		"a map of -1":            "\x0d\x00\x00\x0b\x0a\xff\xff\xff\xff",
		"a key of 2 GB":          "\x0d\x00\x00\x0b\x0a\x00\x00\x00\x01\x7f\xff\xff\xff",
		"a map without its ends": "\x0d\x00\x00\x0b\x0a\x00\x10\x00\x00abc",
		"nothing":                "",
		"junk":                   "\xff\xff\xff",
	} {
		s := startFake(t, map[string]string{"getCounters": result})
		if r := tool(t, 0, "", "inkwell", "ctl", "counters", s.addr); r.code != 3 || r.stdout != "failed to get counters\n" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestWatch(t *testing.T) {
	s := startFake(t, alive())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := new(testkit.Log)
	a := &app{stdout: out, screen: newScreen(out, func() int { return 0 }), lookup: func(string) (string, bool) { return "", false }}
	done := make(chan int)
	go func() { done <- a.as(ctx, "inkwell", []string{"ctl", "watch", "--every", "20ms", s.addr}) }()
	until(t, "two blocks", func() bool { return strings.Count(out.String(), "\n\n") > 2 })
	text := out.String()
	for _, want := range []string{s.addr + "  ALIVE\n", "  received/s  sent/s  lost/s  category\n", "           0       0       -  scribe_overall\n", "           0       -       -  foo bar\n", "  b:c\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	s.set("getStatus", "junk")
	until(t, "the trouble shows", func() bool { return !strings.Contains(lastBlock(out), "ALIVE") })
	s.set("getStatus", i32Result(2))
	until(t, "it is over", func() bool { return strings.Contains(lastBlock(out), "category") })
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("code %d", code)
	}
}

// lastBlock returns the last complete block.
func lastBlock(out *testkit.Log) string {
	blocks := strings.Split(out.String(), "\n\n")
	return blocks[max(len(blocks)-2, 0)]
}

func TestRates(t *testing.T) {
	before := map[string]int64{"scribe_overall:received good": 100, "a:received good": 50, "gone:sent": 5, "anew:sent": 900}
	now := map[string]int64{
		"scribe_overall:received good": 3100, "a:received good": 51, "b:received good": 2999, "anew:sent": 10, "x:y:lost": 20,
		"odd": 7, "a:some gauge": 9,
	}
	var out bytes.Buffer
	if err := table(&out, rates(before, now, 2*time.Second), 4); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"  received/s  sent/s  lost/s  category\n" +
		"       1,500       -       -  scribe_overall\n" +
		"       1,499       -       -  b\n" +
		"        0.50       -       -  a\n" +
		"           -    5.00       -  anew\n" +
		"and 1 more\n"
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", &out, want)
	}
}

func TestWatchDrawsOverATerminal(t *testing.T) {
	var out bytes.Buffer
	w := &watcher{to: &out, size: func() (int, int) { return 5, 10 }}
	for _, block := range []string{"one\ntwo\n", "a line that is too long\n"} {
		if err := w.draw([]byte(block)); err != nil {
			t.Fatal(err)
		}
	}
	if want := "\r\x1b[Jone\ntwo\n\x1b[2A\r\x1b[Ja line tha\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
