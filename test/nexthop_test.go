package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// bareConf is a scribed with a network store and no buffer: what is not sent waits in its journal.
const bareConf = `port={PORT}
check_interval=1
<store>
category=default
type=network
max_write_interval=1
remote_host=127.0.0.1
remote_port={CENTRAL}
timeout=1000
max_batch_size=5000
</store>
`

// boundedSenders are those of old peers, and a scribed without a buffer.
var boundedSenders = append([]toOldPeer{{"scribed without a buffer", func(t *testing.T, p *oldPeer) (func(int, int, ...string), func()) {
	s := ink.Scribed(t, strings.Replace(bareConf, "{CENTRAL}", p.port(), 1))
	c := dialScribe(t, s.Addr)
	return func(from, to int, poison ...string) {
		entries := harness.Entries("cat", "src", from, to)
		for _, line := range poison {
			entries = append(entries[:len(entries)/2], append([]harness.Entry{{Category: "cat", Message: line}}, entries[len(entries)/2:]...)...)
		}
		mustLog(t, c, entries...)
	}, func() { s.Shutdown(t) }
}}}, oldPeerSenders...)

// TestOldPeersWithBounds: peers that take only so much at once, in one way or another, get every line once and in
// order, and no call that is larger than configured, although all comes in one piece.
func TestOldPeersWithBounds(t *testing.T) {
	t.Parallel()
	const lines = 1000
	atMost := func(n int, otherwise answer) func(*testing.T, int, []harness.Entry) answer {
		return func(_ *testing.T, _ int, entries []harness.Entry) answer {
			if len(entries) > n {
				return otherwise
			}
			return takes
		}
	}
	for name, judge := range map[string]func(*testing.T, int, []harness.Entry) answer{
		"TRY_LATER to more than 7": atMost(7, refuses), // Flume with a small channel, scribe-rb with message_limit
		"TRY_LATER to more than 1": atMost(1, refuses),
		"hangs up on more than 50": atMost(50, hangsUp), // a limit of the frame
		"throws at more than 20":   atMost(20, throws),
		"2 ms a line": func(_ *testing.T, _ int, entries []harness.Entry) answer {
			time.Sleep(time.Duration(len(entries)) * 2 * time.Millisecond)
			return takes
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, from := range boundedSenders {
				t.Run(from.name, func(t *testing.T) {
					t.Parallel()
					p := newOldPeer(t, func(call int, entries []harness.Entry) answer { return judge(t, call, entries) })
					send, stop := from.start(t, p)
					send(0, lines)
					harness.Until(t, "all lines have arrived", func() bool { return p.took() >= lines })
					stop()
					p.ledger("cat").Exactly(t, map[string]int{"src": lines})
					if p.largest > 5000+100 { // and what is around the entries
						t.Errorf("a call of %d bytes", p.largest)
					}
				})
			}
		})
	}
}

// TestOldPeerThatNeverTakesALine: one line that is answered with TRY_LATER for ever, as fluentd does with what is no
// JSON, lets the others pass, and is kept.
func TestOldPeerThatNeverTakesALine(t *testing.T) {
	t.Parallel()
	const bad = "no JSON\n"
	for _, from := range boundedSenders {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			p := newOldPeer(t, func(_ int, entries []harness.Entry) answer {
				for _, e := range entries {
					if e.Message == bad {
						return refuses
					}
				}
				return takes
			})
			send, stop := from.start(t, p)
			send(0, 100, bad)
			harness.Until(t, "those before it have arrived", func() bool { return p.took() >= 50 })
			for n := 100; p.took() < n; n += 10 { // those behind it, and more
				send(n, n+10)
				time.Sleep(200 * time.Millisecond)
				if n > 3000 {
					t.Fatalf("%d lines arrived of %d", p.took(), n)
				}
			}
			stop()
			l := p.ledger("cat")
			l.Known(t, func(source string) bool { return source == "src" })
			if twice := l.Of("src").Twice; twice > 0 {
				t.Errorf("%d lines came twice", twice)
			}
		})
	}
}

// TestOldPeerWithBoundsWhileTheForwarderDies: a forwarder that is killed again and again gets all lines to a slow peer
// that takes few at once and cuts its connections now and then, and few of them twice.
func TestOldPeerWithBoundsWhileTheForwarderDies(t *testing.T) {
	t.Parallel()
	const lines, kills = 15_000, 8
	p := newOldPeer(t, func(_ int, entries []harness.Entry) answer {
		if len(entries) > 30 {
			return refuses
		}
		time.Sleep(5 * time.Millisecond)
		return takes
	})
	dir := t.TempDir()
	conf := p.forwardTo(t, dir)
	harness.WriteFile(t, filepath.Join(dir, "app.log"), string(harness.Lines("src", 0, lines)))
	start := func() *harness.Process {
		return ink.Start(t, harness.Command{Args: []string{"forward", "-c", conf, "--state", filepath.Join(dir, "state")}})
	}
	f := start()
	for k := range kills {
		before := p.took()
		harness.Until(t, "some more arrive", func() bool { return p.took() > before+1500 || p.took() >= lines })
		if p.took() >= lines {
			break
		}
		if k%2 == 1 {
			p.cut()
			continue
		}
		f.Kill()
		f = start()
	}
	harness.Until(t, "all lines have arrived", func() bool {
		return len(p.ledger("cat").Of("src").Seen) >= lines && p.ledger("cat").Of("src").Count(lines-1) > 0
	})
	f.Stop(t)
	l := p.ledger("cat")
	l.Known(t, func(source string) bool { return source == "src" })
	l.All(t, "src", lines)
	t.Logf("%d of %d lines came twice", l.Of("src").Twice, lines)
	// What was under way: a tenth of a second at first, a record of the spool later.
	if twice := l.Of("src").Twice; twice > kills*1000 {
		t.Errorf("%d lines came twice after %d kills", twice, kills)
	}
	if _, err := os.Stat(filepath.Join(dir, "spool", "forward.spool", "refused")); !os.IsNotExist(err) {
		t.Errorf("lines were set aside: %v", err)
	}
}
