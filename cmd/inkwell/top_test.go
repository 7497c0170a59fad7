package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/internal/status"
)

// TestTopPiped prints everything once, problems first, then the tables; text from a daemon cannot move the cursor.
func TestTopPiped(t *testing.T) {
	well, bad := telling(t, nil), telling(t, func(s *status.Status) {
		s.Hops[0] = status.Hop{Address: "next:1463", Since: s.Categories[0].LastEntry, LastError: "connection refused"}
	})
	r := inkwell(t, nil, "top", well, bad)
	if r.code != 0 || strings.ContainsRune(r.stdout, '\x1b') {
		t.Fatalf("%+v", r)
	}
	for _, want := range []string{
		"WARNING " + bad + ": the next hop next:1463 is down for 1m30s: connection refused (start it,",
		"     12  3.4 kB  5.0 kB      7s        42%        1  2h       OK  " + well + " (collector on central)\n",
		`3.0 kB    1,000  30 kB    0 B      5s    1m  web\x1b[31m on ` + well + "\n",
		" 日本語 on " + well + "\n",
		"4.1 kB      1m        0    1m  1.1      web1:/var/log/a.log (web) on " + well + "\n",
		" down   1m  next:1463 on " + bad + ": connection refused\n",
	} {
		if !strings.Contains(r.stdout, want) && !strings.Contains(squeezed(r.stdout), squeezed(want)) {
			t.Errorf("no %q in\n%s", want, r.stdout)
		}
	}
	if r := inkwell(t, nil, "top", closedAddr); r.code != 1 || !strings.HasPrefix(r.stdout, "CRITICAL "+closedAddr+": it cannot be reached") {
		t.Errorf("of nobody: %+v", r)
	}
}

// squeezed replaces runs of blanks by one.
func squeezed(s string) string { return regexp.MustCompile(` +`).ReplaceAllString(s, " ") }

// terminal is a pseudo terminal: the side of the program, and that of a person.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File

	mu   sync.Mutex
	seen strings.Builder
}

func newTerminal(t *testing.T, lines, columns int) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := master.SyscallConn() // Fd would make reads of it block, also when it is closed
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var failed error
	err = raw.Control(func(fd uintptr) {
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed == nil {
			n, failed = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &terminal{t: t, master: master, slave: slave}
	p.resize(lines, columns)
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := master.Read(buf)
			p.mu.Lock()
			p.seen.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		master.Close() // which ends the reads of both sides
		reading.Wait()
		slave.Close()
	})
	return p
}

func (p *terminal) resize(lines, columns int) {
	size := &unix.Winsize{Row: uint16(lines), Col: uint16(columns)}
	if err := unix.IoctlSetWinsize(int(p.slave.Fd()), unix.TIOCSWINSZ, size); err != nil {
		p.t.Fatal(err)
	}
}

func (p *terminal) press(keys string) {
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// screen returns what was drawn last, as lines without control sequences.
func (p *terminal) screen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.seen.String()
	parts := strings.Split(text, "\x1b[J")
	if len(parts) < 2 {
		return nil
	}
	_, last, _ := strings.Cut(parts[len(parts)-2], "\x1b[H")
	return strings.Split(regexp.MustCompile(`\x1b\[[0-9;?]*[a-zA-Z]`).ReplaceAllString(last, ""), "\r\n")
}

func (p *terminal) shows(what string, f func(lines []string) bool) {
	p.t.Helper()
	for end := time.Now().Add(time.Minute); !f(p.screen()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("%s is not shown, but\n%s", what, strings.Join(p.screen(), "\n"))
		}
	}
}

// TestTopOnATerminal scrolls, filters, adapts to the size of the terminal, and restores it.
func TestTopOnATerminal(t *testing.T) {
	addr := telling(t, func(s *status.Status) {
		for i := range 100 {
			s.Categories = append(s.Categories, status.Category{Name: fmt.Sprintf("category%03d", i)})
		}
	})
	p := newTerminal(t, 24, 80)
	before, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{stdin: p.slave, stdout: p.slave, screen: newScreen(p.slave, func() int { return 0 }), lookup: func(string) (string, bool) { return "", false }}
	done := make(chan int)
	go func() { done <- a.main(context.Background(), []string{"top", "--every", "50ms", addr}) }()
	joined := func(lines []string) string { return strings.Join(lines, "\n") }
	p.shows("the daemon", func(l []string) bool {
		return len(l) == 24 && strings.Contains(joined(l), "OK  127.0.0.1:") && l[2] == "OK all is well"
	})
	p.press("\x1b[F")
	p.shows("the end", func(l []string) bool {
		return strings.Contains(joined(l), "next:1463") && !strings.Contains(joined(l), "DAEMON")
	})
	p.press("g")
	p.shows("the beginning", func(l []string) bool { return strings.Contains(joined(l), "DAEMON") })
	p.press("/gory04")
	p.shows("ten categories", func(l []string) bool {
		return strings.Count(joined(l), "category04") == 10 && !strings.Contains(joined(l), "category050")
	})
	p.press("2\r")
	p.shows("one category", func(l []string) bool {
		return strings.Count(joined(l), "category") == 1 && strings.Contains(l[0], "rows with gory042")
	})
	p.press("\x1b")
	p.shows("all again", func(l []string) bool { return strings.Contains(joined(l), "category003") })
	p.resize(10, 30)
	p.shows("a smaller screen", func(l []string) bool {
		for _, line := range l {
			if columnCount(line) > 30 {
				return false
			}
		}
		return len(l) == 10
	})
	p.press("q")
	select {
	case code := <-done:
		if code != 0 {
			t.Errorf("code %d", code)
		}
	case <-time.After(time.Minute):
		t.Fatal("q does not end it")
	}
	after, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is not as it was: %v, %+v, before %+v", err, after, before)
	}
	until(t, "the screen is given back", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return strings.HasSuffix(p.seen.String(), leaveScreen)
	})
}

func TestKeysIn(t *testing.T) {
	for text, want := range map[string]string{"ab": "a|b", "\x1b": "\x1b", "\x1b[A\x1b[B": "\x1b[A|\x1b[B", "\x1b[5~q": "\x1b[5~|q", "ä\x1bOAx": "ä|\x1bOA|x", "\x1b[": "\x1b|[", "\x1b[12": "\x1b[12"} {
		if got := strings.Join(keysIn(text), "|"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestVerdictsAreFolded shows the cure of the first problem also on a narrow screen, and says how many are left out.
func TestVerdictsAreFolded(t *testing.T) {
	texts := []string{"CRITICAL a: it cannot be reached (start it)", "WARNING b: 日本語 日本語", "WARNING c: x"}
	for _, c := range []struct {
		lines, columns int
		want           string
	}{
		{8, 80, texts[0] + "|" + texts[1] + "|" + texts[2]},
		{3, 20, "CRITICAL a: it|  cannot be reached|and 2 more"},
		{4, 20, "CRITICAL a: it|  cannot be reached|  (start it)|and 2 more"},
		{6, 18, "CRITICAL a: it|  cannot be|  reached (start|  it)|and 2 more"},
		{7, 20, "CRITICAL a: it|  cannot be reached|  (start it)|WARNING b: 日本語|  日本語|WARNING c: x"},
		{2, 80, texts[0] + "|and 2 more"},
		{9, 4, "CRIT|  a:|  it|  ca|  be|  re|  (s|  it|and 2 more"},
	} {
		if got := strings.Join(foldAll(texts, c.lines, c.columns), "|"); got != c.want {
			t.Errorf("%d lines of %d columns:\n%s, want\n%s", c.lines, c.columns, got, c.want)
		}
	}
	if got := foldAll([]string{"OK all is well"}, 1, 80); len(got) != 1 || got[0] != "OK all is well" {
		t.Errorf("%q", got)
	}
}

func TestColumns(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		cut  string // to 4 columns
	}{{"plain", 5, "plai"}, {"日本語", 6, "日本"}, {"a\u0301bcde", 5, "a\u0301bcd"}, {"", 0, ""}, {"x日本語", 7, "x日"}} {
		if n, cut := columnCount(c.text), cutTo(c.text, 4); n != c.n || cut != c.cut {
			t.Errorf("%q: %d columns, cut %q; want %d, %q", c.text, n, cut, c.n, c.cut)
		}
	}
}
