package test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/test/harness"
)

// The crowd: every sender has a connection and writes to some categories, each of which has several senders.
const (
	crowdSenders    = 200
	crowdCategories = 500
	crowdEach       = 10 // categories of a sender
)

func crowdCategory(sender, i int) string {
	return fmt.Sprintf("crowd%03d", (sender*crowdEach+i)%crowdCategories)
}

func crowdSource(sender, i int) string { return fmt.Sprintf("s%d.%d", sender, i) }

// send makes calls that hold perCall lines of each of the sender's categories, in turns, and repeats what is to be tried later.
func send(addr string, sender, calls, perCall int) error {
	s, err := harness.DialScribe(addr)
	if err != nil {
		return err
	}
	defer s.Close()
	s.Strict = sender%2 == 0
	for call := range calls {
		var entries []harness.Entry
		for n := range perCall {
			for i := range crowdEach {
				line := harness.AppendLine(nil, crowdSource(sender, i), call*perCall+n)
				entries = append(entries, harness.Entry{Category: crowdCategory(sender, i), Message: string(line)})
			}
		}
		for code := harness.TryLater; code != harness.OK; {
			if code, err = s.Log(entries...); err != nil {
				return fmt.Errorf("sender %d, call %d: %w", sender, call, err)
			}
		}
	}
	return nil
}

// marker is in every payload of the junk: nothing of a payload may get into the log.
const marker = "BLABBER"

// junk is what strangers send: none of it is a call that could be answered OK.
var junk = map[string][]byte{
	"http":            []byte("GET /" + marker + " HTTP/1.1\r\nHost: logs.example.com\r\n\r\n"),
	"no length":       {0, 0, 0, 0},
	"negative length": {0xff, 0xff, 0xff, 0xfe, 'B', 'L', 'A'},
	"huge length":     {0x7f, 0xff, 0xff, 0xff, 0x80, 0x01, 0, 1},
	"lying list":      harness.Frame(lyingList()),
	"lying string":    harness.Frame(append(logHeader(1), 11, 0, 1, 0x7f, 0xff, 0xff, 0xf0, 'B', 'L', 'A', 'B', 'B', 'E', 'R')),
	"deep":            harness.Frame(append(logHeader(1), []byte(strings.Repeat("\x0c\x00\x09", 100_000))...)),
	"noise":           harness.Frame([]byte(marker + strings.Repeat("\xf3\x17noise\x00", 500))),
}

// logHeader is the header of a Log call up to the first of n entries.
func logHeader(n uint32) []byte {
	b := append(harness.AppendString(nil, "Log"), 1, 0, 0, 0, 7)
	b = append(harness.AppendField(b, 15, 1), 12)
	return binary.BigEndian.AppendUint32(b, n)
}

func lyingList() []byte {
	b := harness.AppendString(harness.AppendField(logHeader(0x7fffffff), 11, 1), marker)
	return append(harness.AppendString(harness.AppendField(b, 11, 2), "a message\n"), 0, 0)
}

// strange sends junk until done, and every time waits until the collector closes the connection or refuses the call.
func strange(addr string, data []byte, done *atomic.Bool) error {
	for n := 0; !done.Load() || n == 0; n++ {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		_, _ = conn.Write(data) // the collector can have had enough of it before the end
		_ = conn.SetReadDeadline(time.Now().Add(harness.Patience))
		var reply [256]byte
		got, err := io.ReadAtLeast(conn, reply[:], 9)
		_ = conn.Close()
		if e, slow := err.(net.Error); slow && e.Timeout() {
			return fmt.Errorf("no reaction within %v", harness.Patience)
		}
		if got >= 12 && reply[7+4] == 2 {
			return fmt.Errorf("was answered: %q", reply[:got])
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// hang opens connections that promise a large frame, send a little of it and are silent, or say nothing at all.
func hang(t *testing.T, addr string, n int) {
	t.Helper()
	for i := range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if i%2 == 0 {
			promise := append(binary.BigEndian.AppendUint32(nil, 60<<20), logHeader(1000)...)
			if _, err := conn.Write(append(promise, marker...)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestCrowd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir, append(bulk, "--max-categories", fmt.Sprint(crowdCategories))...)
	hang(t, c.Addr, 100)

	var strangers, senders sync.WaitGroup
	var done atomic.Bool
	for kind, data := range junk {
		strangers.Go(func() {
			if err := strange(c.Addr, data, &done); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		})
	}
	calls, perCall := amount(60), 5
	for sender := range crowdSenders {
		senders.Go(func() {
			if err := send(c.Addr, sender, calls, perCall); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	done.Store(true)
	strangers.Wait()

	lines := calls * perCall
	c.Received(t, crowdSenders*crowdEach*lines)
	for _, name := range []string{"frames too large", "frames bad"} {
		if n := c.Counter(t, name); n == 0 {
			t.Errorf("counter %q has not moved", name)
		}
	}
	if n := c.Counter(t, "crowd007:received good"); n != int64(crowdSenders*crowdEach/crowdCategories*lines) {
		t.Errorf("crowd007 has received %d, want %d", n, crowdSenders*crowdEach/crowdCategories*lines)
	}
	limit := int64(300 << 20)
	if ink.Race {
		limit *= 5 // shadow memory
	}
	if _, most := c.Memory(t); most > limit {
		t.Errorf("the collector had %d MiB in memory", most>>20)
	}
	quiet(t, c)
	c.Stop(t)
	harness.Clean(t, dir)
	for n := range crowdCategories {
		want := make(map[string]int)
		for at := n; at < crowdSenders*crowdEach; at += crowdCategories {
			want[crowdSource(at/crowdEach, at%crowdEach)] = lines
		}
		harness.Audit(t, dir, fmt.Sprintf("crowd%03d", n)).Exactly(t, want)
	}
}

// quiet fails the test if junk made the collector talk: a line per peer and minute is what it may say, and nothing of the payload.
func quiet(t *testing.T, c *harness.Collector) {
	t.Helper()
	log := c.Stderr()
	if strings.Contains(log, marker) {
		t.Errorf("payload in the log:\n%s", log)
	}
	complaints := strings.Count(log, "level=WARN") + strings.Count(log, "level=ERROR")
	if most := int(time.Since(c.Started)/time.Minute) + 2; complaints == 0 || complaints > most {
		t.Errorf("%d complaints about one peer, want 1 to %d:\n%s", complaints, most, log[:min(len(log), 3000)])
	}
}
