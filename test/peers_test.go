package test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/test/harness"
)

// throw sends bytes over a connection of its own, and says whether the collector closed it within patience.
func throw(addr string, data []byte, patience time.Duration) (closed bool, answer []byte, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false, nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(data); err != nil {
		return false, nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return false, nil, err
	}
	answer, err = io.ReadAll(conn)
	return !errors.Is(err, os.ErrDeadlineExceeded), answer, nil
}

// TestSlowPeers closes connections on which a call began and did not go on; one that is quiet between calls stays.
func TestSlowPeers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir)
	quiet := dialScribe(t, c.Addr)
	var peers sync.WaitGroup
	for _, data := range [][]byte{{0, 0}, append([]byte{0, 0x10, 0, 0}, "half a frame"...)} {
		peers.Go(func() {
			if closed, answer, err := throw(c.Addr, data, harness.Patience); !closed || len(answer) > 0 || err != nil {
				t.Errorf("closed %v, answer %q, %v", closed, answer, err)
			}
		})
	}
	peers.Wait()
	if n := c.Counter(t, "connections timed out"); n != 2 {
		t.Errorf("%d connections timed out, want 2", n)
	}
	logLines(t, quiet, "cat", "quiet", 0, 1)
	c.Stop(t)
	harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"quiet": 1})
}

// TestTooManyConnections refuses those beyond the limit, and serves others when there is room again.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	c := ink.Collect(t, t.TempDir(), "--max-connections", "3")
	answered := func() *harness.Scribe {
		s, err := harness.DialScribe(c.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if code, err := s.Log(harness.Entry{Category: "cat", Message: "m"}); err != nil || code != harness.OK {
			s.Close()
			return nil
		}
		return s
	}
	var held []*harness.Scribe
	harness.Until(t, "three connections are served", func() bool { // those of the harness may still be counted
		if s := answered(); s != nil {
			held = append(held, s)
		}
		return len(held) == 3
	})
	if s := answered(); s != nil {
		t.Error("a fourth connection is served")
		s.Close()
	}
	if n, err := held[0].Counter("scribe_overall:connections refused"); err != nil || n == 0 {
		t.Errorf("connections refused: %d, %v", n, err)
	}
	held[1].Close()
	harness.Until(t, "there is room again", func() bool {
		s := answered()
		if s != nil {
			s.Close()
		}
		return s != nil
	})
	held[0].Close()
	held[2].Close()
	c.Stop(t)
}

// TestFrameLimit refuses a frame over --max-frame and only that; other connections do not notice.
func TestFrameLimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir, "--max-frame", "1MiB", "--max-trusted-frame", "0")
	s, big := dialScribe(t, c.Addr), dialScribe(t, c.Addr)
	if code, err := big.Log(harness.Entry{Category: "cat", Message: strings.Repeat("x", 1<<20)}); err == nil {
		t.Errorf("a frame over the limit is answered %d", code)
	}
	if n := c.Counter(t, "frames too large"); n != 1 {
		t.Errorf("frames too large: %d, want 1", n)
	}
	mustLog(t, s, harness.Entry{Category: "cat", Message: strings.Repeat("y", 1<<20-100)})
	c.Stop(t)
	if got := harness.Contents(t, dir, "cat"); len(got) != 1<<20-100 {
		t.Errorf("%d bytes came out, want %d", len(got), 1<<20-100)
	}
}

// TestAnOriginalsFullBuffer is one call, as an original sends that empties its buffer: larger than others may send, and taken from this
// machine, by collect and by scribed, each line once.
func TestAnOriginalsFullBuffer(t *testing.T) {
	t.Parallel()
	const lines = 500_000
	entries := harness.Entries("cat", "src", 0, lines)
	size := 0
	for _, e := range entries {
		size += len(e.Message)
	}
	if size < 80<<20 {
		t.Fatalf("%d bytes are no large call", size)
	}
	t.Run("collect", func(t *testing.T) {
		dir := t.TempDir()
		c := ink.Collect(t, dir)
		mustLog(t, dialScribe(t, c.Addr), entries...)
		if n := c.Counter(t, "calls on disk"); n != 1 {
			t.Errorf("%d calls went through a file", n)
		}
		c.Stop(t)
		l := harness.NewLedger()
		l.Bytes(harness.Contents(t, dir, "cat"))
		l.Exactly(t, map[string]int{"src": lines})
	})
	t.Run("scribed", func(t *testing.T) {
		out := t.TempDir()
		s := ink.Scribed(t, strings.Replace("port={PORT}\nmax_queue_size=200000000\n<store>\ncategory=default\ntype=file\nfs_type=std\nfile_path={OUT}\nmax_size=1000000000\n</store>\n", "{OUT}", out, 1))
		mustLog(t, dialScribe(t, s.Addr), entries...)
		s.Shutdown(t)
		l := harness.NewLedger()
		l.Bytes(harness.Contents(t, out, "cat"))
		l.Exactly(t, map[string]int{"src": lines})
	})
}

// TestPipelinedCalls sends many calls before it reads an answer, and several in one frame: each is answered, in order.
func TestPipelinedCalls(t *testing.T) {
	t.Parallel()
	const calls, perCall = 200, 20
	dir := t.TempDir()
	c := ink.Collect(t, dir)
	s := dialScribe(t, c.Addr)
	var all []byte
	for call := range calls {
		all = s.LogCall(all, harness.Entries("cat", "src", call*perCall, (call+1)*perCall))
	}
	two := s.LogCall(nil, harness.Entries("cat", "src", calls*perCall, calls*perCall+1))[4:]
	two = append(two, s.LogCall(nil, harness.Entries("cat", "src", calls*perCall+1, calls*perCall+2))[4:]...)
	if _, err := s.Conn.Write(append(all, harness.Frame(two)...)); err != nil {
		t.Fatal(err)
	}
	for seq := range int32(calls + 2) {
		if code, err := s.LogReply(seq + 1); err != nil || code != harness.OK {
			t.Fatalf("answer %d: %d, %v", seq+1, code, err)
		}
	}
	counters, err := s.Counters()
	if err != nil || counters["cat:received good"] != calls*perCall+2 {
		t.Errorf("counters %v, %v", counters, err)
	}
	c.Stop(t)
	harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"src": calls*perCall + 2})
}
