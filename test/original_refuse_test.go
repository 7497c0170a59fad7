package test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

// within makes calls of so many messages, all of them within one second of the clock, and returns the answers.
func within(t *testing.T, s *harness.Scribe, calls, messages int) (codes []int) {
	t.Helper()
	var entries []harness.Entry
	for range messages {
		entries = append(entries, harness.Entry{Category: "cat", Message: "m\n"})
	}
	for range 50 { // attempts: the machine can be busy
		now := time.Now()
		time.Sleep(now.Truncate(time.Second).Add(time.Second + 5*time.Millisecond).Sub(now))
		begun := time.Now().Unix()
		codes = nil
		for range calls {
			code, err := s.Log(entries...)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, code)
		}
		if time.Now().Unix() == begun {
			return codes
		}
	}
	t.Fatal("the calls never came within a second")
	return nil
}

// TestOriginalRateLimit is exact: the messages of a second are counted, but calls of more than half the limit are let in uncounted,
// because they could never come in otherwise.
func TestOriginalRateLimit(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, globals+"max_msg_per_second=10\n"+fileStore("category=default", "out"))
	c := dialScribe(t, s.Addr)
	const ok, later = harness.OK, harness.TryLater
	for _, of := range []struct {
		messages int
		want     []int
	}{
		{5, []int{ok, ok, later, later}},
		{6, []int{ok, ok, ok, ok, ok}},
		{1, []int{ok, ok, ok, ok, ok, ok, ok, ok, ok, ok, later, later}},
		{3, []int{ok, ok, ok, later}},
		{11, []int{ok, ok}},
		{0, []int{ok, ok, ok}},
	} {
		before := s.Counter(t, "denied for rate")
		got := within(t, c, len(of.want), of.messages)
		if !slices.Equal(got, of.want) {
			t.Errorf("calls of %d: %v, want %v", of.messages, got, of.want)
		}
		denied := 0
		for _, code := range of.want {
			denied += code
		}
		if n := s.Counter(t, "denied for rate") - before; n < int64(denied) {
			t.Errorf("calls of %d: denied for rate grew by %d, want %d: one for each call", of.messages, n, denied)
		}
	}
	s.Shutdown(t)
}

// TestOriginalQueueLimit accepts one huge call while nothing waits, then refuses the category whose queue is too long, and no other.
func TestOriginalQueueLimit(t *testing.T) {
	t.Parallel()
	s := ink.NewScribed(t, "port={PORT}\ncheck_interval=1\nmax_queue_size=1000\n"+fileStore("category=default", "out")+fileStore("category=bad*", "bad"))
	bad := filepath.Join(s.Dir, "bad")
	block(t, bad)
	s.Restart(t)
	c := dialScribe(t, s.Addr)
	huge := harness.Entry{Category: "bad1", Message: strings.Repeat("x", 4999) + "\n"}
	mustLog(t, c, huge)
	s.Reaches(t, "bad1:requeue", 1) // it has left the queue
	taken := 1
	harness.Until(t, "the queue is too long", func() bool { // the batch that fails does not count
		code, err := c.Log(huge)
		if err != nil {
			t.Fatal(err)
		}
		taken += 1 - code
		return code == harness.TryLater
	})
	if taken > 3 {
		t.Errorf("%d calls were taken", taken)
	}
	for _, name := range []string{"bad1:denied for queue size", "scribe_overall:denied for queue size"} {
		if n, err := c.Counter(name); n != 1 || err != nil {
			t.Errorf("%s is %d, %v", name, n, err)
		}
	}
	mustLog(t, c, harness.Entry{Category: "good", Message: "others go on\n"})
	mustLog(t, c, harness.Entry{Category: "bad2", Message: "even here\n"})
	// an entry for the full category makes the whole call to be tried later
	if code, err := c.Log(harness.Entry{Category: "good", Message: "not taken\n"}, huge); code != harness.TryLater || err != nil {
		t.Errorf("answer %d, %v", code, err)
	}
	unblock(t, bad)
	harness.Until(t, "the queue is short", func() bool {
		code, err := c.Log(harness.Entry{Category: "bad1", Message: "last\n"})
		return code == harness.OK && err == nil
	})
	s.Shutdown(t)
	if got := read(t, s.Dir, "out/good/good_00000"); got != "others go on\n" {
		t.Errorf("%q", got)
	}
	if got := read(t, bad, "bad1/bad1_00000"); got != strings.Repeat(huge.Message, taken)+"last\n" {
		t.Errorf("%d bytes, %d calls were taken", len(got), taken)
	}
}

// TestOriginalLowRateRaisedUnderLoad reloads a higher limit while clients are refused.
func TestOriginalLowRateRaisedUnderLoad(t *testing.T) {
	t.Parallel()
	const clients, each = 4, 500
	conf := globals + "max_msg_per_second=%d\n" + fileStore("category=default", "out")
	s := ink.Scribed(t, fmt.Sprintf(conf, 8))
	var work sync.WaitGroup
	var refused atomic.Int64
	for i := range clients {
		work.Go(func() {
			c, err := harness.DialScribe(s.Addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for seq := 0; seq < each; {
				code, err := c.Log(harness.Entries("cat", fmt.Sprint("src", i), seq, seq+2)...)
				switch {
				case err != nil:
					t.Error(err)
					return
				case code == harness.OK:
					seq += 2
				default:
					refused.Add(1)
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	s.Reaches(t, "scribe_overall:denied for rate", 20)
	s.Write(t, fmt.Sprintf(conf, 2000000))
	s.Signal(syscall.SIGHUP)
	work.Wait()
	if n := s.Counter(t, "denied for rate"); n != refused.Load() {
		t.Errorf("denied for rate is %d, the clients counted %d", n, refused.Load())
	}
	s.Shutdown(t)
	want := map[string]int{}
	for i := range clients {
		want[fmt.Sprint("src", i)] = each
	}
	harness.Audit(t, filepath.Join(s.Dir, "out"), "cat").Exactly(t, want)
}

// TestFullJournal refuses everything while what one store does not take fills the journal, and goes on when there is room.
func TestFullJournal(t *testing.T) {
	t.Parallel()
	central := ink.NewScribed(t, globals+fileStore("category=default", "out"))
	s := ink.Scribed(t, globals+"journal_max=1MiB\n"+fileStore("category=good", "out")+
		"<store>\ncategory=away\ntype=network\nremote_host=127.0.0.1\nremote_port="+central.Port+"\n</store>\n")
	c := dialScribe(t, s.Addr)
	big := strings.Repeat("x", 299_999) + "\n"
	taken := 0
	harness.Until(t, "the journal is full", func() bool {
		code, err := c.Log(harness.Entry{Category: "away", Message: big})
		if err != nil {
			t.Fatal(err)
		}
		taken += 1 - code
		return code == harness.TryLater
	})
	if taken < 2 || taken > 4 {
		t.Errorf("%d calls were taken", taken)
	}
	if code, err := c.Log(harness.Entry{Category: "good", Message: big}); code != harness.TryLater || err != nil {
		t.Errorf("another category: %d, %v", code, err)
	}
	if n := s.Counter(t, "scribe_overall:denied for queue size"); n != 2 {
		t.Errorf("denied for queue size is %d", n)
	}
	central.Restart(t)
	harness.Until(t, "there is room", func() bool {
		code, err := c.Log(harness.Entry{Category: "good", Message: big})
		return code == harness.OK && err == nil
	})
	s.Shutdown(t)
	central.Shutdown(t)
	if got := read(t, central.Dir, "out/away/away_00000"); got != strings.Repeat(big, taken) {
		t.Errorf("%d bytes arrived of %d calls", len(got), taken)
	}
	if got := read(t, s.Dir, "out/good_00000"); got != big {
		t.Errorf("good: %d bytes", len(got))
	}
}
