package test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/test/harness"
)

// The crowd.
const (
	crowdClients    = 200
	crowdCategories = 500
	crowdMemory     = 400 << 20 // bytes that a collector may take of it
	secret          = "payload-that-nobody-may-log"
)

// junk is what has no business on a Scribe port. Where the connection is not closed at once it is left to the test to close it.
var junk = []struct {
	name   string
	bytes  []byte
	closed bool
}{
	{"HTTP", []byte("GET /" + secret + " HTTP/1.1\r\nHost: localhost\r\n\r\n"), true},
	{"negative length", []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, true},
	{"largest length", []byte{0x7f, 0xff, 0xff, 0xff}, true},
	{"no length", []byte{0, 0, 0, 0}, true},
	{"list that lies", logFrame(0x7fffffff, nil), true},
	{"list that lies a little", logFrame(2, harness.AppendString([]byte{11, 0, 1}, "cat")), true},
	{"string that lies", logFrame(1, append([]byte{11, 0, 1, 0x7f, 0xff, 0xff, 0xf0}, secret...)), true},
	{"negative string", logFrame(1, []byte{11, 0, 1, 0xff, 0xff, 0xff, 0xff}), true},
	{"text", harness.Frame([]byte(strings.Repeat(secret, 10))), true},
	{"bad version word", harness.Frame([]byte{0x80, 0x77, 0, 1, 0, 0, 0, 3, 'L', 'o', 'g', 0, 0, 0, 1, 0}), true},
	{"half a long frame", append([]byte{0, 0x10, 0, 0}, secret...), false},
	{"half a length", []byte{0, 0}, false},
	{"silence", nil, false},
}

// logFrame is a Log call that says its list has n entries.
func logFrame(n uint32, entries []byte) []byte {
	b := append(harness.AppendString(nil, "Log"), 1, 0, 0, 0, 9, 15, 0, 1, 12)
	return harness.Frame(append(binary.BigEndian.AppendUint32(b, n), entries...))
}

// throw sends junk over a connection of its own and says whether it was closed, and what came back.
func throw(addr string, bytes []byte, patience time.Duration) (closed bool, answer []byte, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false, nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(bytes); err != nil {
		return false, nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return false, nil, err
	}
	answer, err = io.ReadAll(conn)
	return !errors.Is(err, os.ErrDeadlineExceeded), answer, nil
}

// TestCrowd has 200 clients write to 500 categories while others throw junk at the same port.
func TestCrowd(t *testing.T) {
	t.Run("measured", func(t *testing.T) {
		k, err := plain()
		if err != nil {
			t.Fatal(err)
		}
		crowd(t, k, amount(100))
	})
	if ink.Race {
		t.Run("raced", func(t *testing.T) { crowd(t, ink, amount(50)) })
	}
}

func crowd(t *testing.T, k harness.Inkwell, calls int) {
	dir := t.TempDir()
	c := k.Collect(t, dir)
	stop, junkers := make(chan struct{}), sync.WaitGroup{}
	for _, j := range junk {
		junkers.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
				patience := 20 * time.Millisecond
				if j.closed {
					patience = harness.Patience
				}
				if closed, answer, err := throw(c.Addr, j.bytes, patience); err != nil || closed != j.closed || len(answer) > 0 {
					t.Errorf("%s: closed %v, want %v; answer %q, %v", j.name, closed, j.closed, answer, err)
				}
			}
		})
	}
	var clients sync.WaitGroup
	start := make(chan struct{})
	for i := range crowdClients {
		clients.Go(func() { member(t, c.Addr, i, calls, start) })
	}
	close(start)
	clients.Wait()
	close(stop)
	junkers.Wait()

	const perCall = 50
	sent := crowdClients * calls * perCall
	c.Received(t, sent)
	for _, name := range []string{"frames too large", "frames bad", "received good bytes"} {
		if c.Counter(t, name) == 0 {
			t.Errorf("counter %q does not move", name)
		}
	}
	_, most := c.Memory(t)
	t.Logf("%d calls of %d lines by %d clients to %d categories: at most %d MB", crowdClients*calls, perCall, crowdClients, crowdCategories, most>>20)
	if most > crowdMemory && !k.Race {
		t.Errorf("the collector took %d MB", most>>20)
	}
	text := c.Stderr()
	if strings.Contains(text, secret) {
		t.Error("what peers sent is in the log")
	}
	if n := strings.Count(text, "peer=127.0.0.1"); n == 0 || n > 1+int(time.Since(c.Started)/time.Minute) {
		t.Errorf("%d log lines about a bad peer in %v", n, time.Since(c.Started))
	}
	c.Stop(t)
	harness.Clean(t, dir)
	judgeCrowd(t, dir, calls*perCall)
}

// member is one client: each of its calls has 50 lines, of five categories.
func member(t *testing.T, addr string, number, calls int, start <-chan struct{}) {
	s, err := harness.DialScribe(addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	<-start
	source := fmt.Sprintf("client%d", number)
	for call := range calls {
		var entries []harness.Entry
		for i := range 50 {
			category := fmt.Sprintf("cat%03d", (number*31+call*7+i%5)%crowdCategories)
			entries = append(entries, harness.Entry{Category: category, Message: string(harness.AppendLine(nil, source, call*50+i))})
		}
		if code, err := s.Log(entries...); err != nil || code != harness.OK {
			t.Errorf("%s: call %d: %d, %v", source, call, code, err)
			return
		}
	}
}

// judgeCrowd checks that each line of each client is there once, in one of the categories.
func judgeCrowd(t *testing.T, dir string, lines int) {
	t.Helper()
	all, categories := harness.NewLedger(), 0
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name.Name(), "cat") {
			continue
		}
		categories++
		all.Bytes(harness.Contents(t, dir, name.Name()))
	}
	if categories != crowdCategories {
		t.Errorf("%d categories, want %d", categories, crowdCategories)
	}
	if all.Lines() != crowdClients*lines {
		t.Errorf("%d lines, want %d", all.Lines(), crowdClients*lines)
	}
	for i := range crowdClients {
		a := all.Of(fmt.Sprintf("client%d", i))
		for seq := range lines {
			if n := a.Count(seq); n != 1 {
				t.Errorf("client %d: line %d is there %d times", i, seq, n)
				break
			}
		}
	}
}

// TestSlowPeers closes connections on which a call began and did not go on, and nobody else notices.
func TestSlowPeers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none")
	var peers sync.WaitGroup
	for _, bytes := range [][]byte{{0, 0}, append([]byte{0, 0x10, 0, 0}, secret...)} {
		peers.Go(func() {
			if closed, answer, err := throw(c.Addr, bytes, harness.Patience); !closed || len(answer) > 0 || err != nil {
				t.Errorf("closed %v, answer %q, %v", closed, answer, err)
			}
		})
	}
	quiet, err := harness.DialScribe(c.Addr) // between calls a connection may be quiet for far longer
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	peers.Wait()
	if n := c.Counter(t, "connections timed out"); n != 2 {
		t.Errorf("%d connections timed out, want 2", n)
	}
	logLines(t, quiet, "cat", "quiet", 0, 1)
	c.Stop(t)
	harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"quiet": 1})
}

// TestTooManyConnections refuses those beyond the limit and serves them when others have gone.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	c := ink.Collect(t, t.TempDir(), "--max-connections", "3")
	var held []*harness.Scribe
	for range 3 {
		s, err := harness.DialScribe(c.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		harness.Until(t, "a connection is served", func() bool { // the one that looked whether somebody listens may still be counted
			_, err := s.Log(harness.Entry{Category: "cat", Message: "m"})
			if err != nil {
				s.Close()
				if s, err = harness.DialScribe(c.Addr); err != nil {
					t.Fatal(err)
				}
			}
			return err == nil
		})
		held = append(held, s)
	}
	if closed, _, err := throw(c.Addr, nil, harness.Patience); err == nil && !closed {
		t.Error("a connection too many is not closed")
	}
	n, err := held[0].Counter("scribe_overall:connections refused")
	if err != nil || n == 0 {
		t.Errorf("connections refused: %d, %v", n, err)
	}
	held[1].Close()
	harness.Until(t, "there is room again", func() bool {
		s, err := harness.DialScribe(c.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		code, err := s.Log(harness.Entry{Category: "cat", Message: "m"})
		return err == nil && code == harness.OK
	})
	c.Stop(t)
}

// TestUnsafeCategories checks that no category leads out of the output directory.
func TestUnsafeCategories(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "deep", "out")
	c := ink.Collect(t, dir, "--compress", "none")
	s, err := harness.DialScribe(c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	long := strings.Repeat("x", 129)
	bad := []string{"../x", "/abs", "a/b", "nul\x00nul", long, "..", ".", ".hidden", "_unsafe", "_overflow", "../../../../../../../../tmp/inkwell-escaped", "bad\xffutf8", "new\nline"}
	good := []string{"plain", "with.dots", "Über", "a b", strings.Repeat("y", 128), "-dash", "Foo::Bar"}
	var entries []harness.Entry
	kept := ""
	for _, name := range bad {
		entries = append(entries, harness.Entry{Category: name, Message: "message\n"})
		kept += fmt.Sprintf("%q message\n", name)
	}
	for _, name := range good {
		entries = append(entries, harness.Entry{Category: name, Message: "of " + name + "\n"})
	}
	entries = append(entries, harness.Entry{Message: "blank\n"}, harness.Entry{Message: "blank\n"})
	if code, err := s.Log(entries...); err != nil || code != harness.OK {
		t.Fatal(code, err)
	}
	for name, want := range map[string]int64{"received blank category": 2, "received good": int64(len(bad) + len(good))} {
		if got := c.Counter(t, name); got != want {
			t.Errorf("counter %q is %d, want %d", name, got, want)
		}
	}
	if c.Counter(t, "received unsafe category") == 0 {
		t.Error(`counter "received unsafe category" does not move`)
	}
	c.Stop(t)
	if got := string(harness.Contents(t, dir, "_unsafe")); got != kept {
		t.Errorf("_unsafe holds %q\nwant %q", got, kept)
	}
	want := map[string]bool{"_unsafe": true, ".inkwell": true}
	for _, name := range good {
		want[name] = true
		if got := string(harness.Contents(t, dir, name)); got != "of "+name+"\n" {
			t.Errorf("category %q holds %q", name, got)
		}
	}
	for where, names := range map[string]map[string]bool{dir: want, filepath.Dir(dir): {"out": true}, root: {"deep": true}} {
		found, err := os.ReadDir(where)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if !names[f.Name()] {
				t.Errorf("%s has %q", where, f.Name())
			}
		}
	}
	if _, err := os.Lstat("/tmp/inkwell-escaped"); err == nil {
		t.Error("a category has led to /tmp/inkwell-escaped")
	}
}

// TestTooManyCategories keeps what is beyond the cap, with its category, under _overflow.
func TestTooManyCategories(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir, "--compress", "none", "--max-categories", "3")
	s, err := harness.DialScribe(c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := map[string]string{}
	for range 2 {
		for i := range 6 {
			name := fmt.Sprintf("cat%d", i)
			if code, err := s.Log(harness.Entry{Category: name, Message: "of " + name + "\n"}); err != nil || code != harness.OK {
				t.Fatal(code, err)
			}
			if i < 3 {
				want[name] += "of " + name + "\n"
			} else {
				want["_overflow"] += fmt.Sprintf("%q of %s\n", name, name)
			}
		}
	}
	c.Stop(t)
	for name, text := range want {
		if got := string(harness.Contents(t, dir, name)); got != text {
			t.Errorf("category %s holds %q, want %q", name, got, text)
		}
	}
}
