package test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/test/harness"
)

// killable are stores that put everything below {DIR}/out, in small files.
var killable = map[string]string{
	"file":   "type=file\nfile_path={DIR}/out\nmax_size=20000\nmax_write_size=3000\n",
	"gzip":   "type=file\nfile_path={DIR}/out\nmax_size=20000\ncompress=gzip\n",
	"bucket": "type=bucket\nnum_buckets=3\nbucket_type=key_hash\ndelimiter=32\nbucket_subdir=b\n<bucket>\ntype=file\nfile_path={DIR}/out\nbase_filename=f\nmax_size=20000\n</bucket>\n",
	"multi":  "type=multi\n<store0>\ntype=file\nfile_path={DIR}/out\nmax_size=20000\n</store0>\n<store1>\ntype=null\n</store1>\n",
}

// sender sends numbered lines of its own source, call by call, over whatever stands at addr.
type sender struct {
	source, category string
	next             int
	acked, unsure    []harness.Run
}

// send sends calls until stop is closed; a call whose answer is missing is not sent again, so that whatever comes twice was doubled by
// the server.
func (s *sender) send(t *testing.T, addr string, stop chan struct{}) {
	var c *harness.Scribe
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for rng := rand.New(rand.NewPCG(1, uint64(len(s.source)))); ; {
		select {
		case <-stop:
			return
		default:
		}
		if c == nil {
			var err error
			if c, err = harness.DialScribe(addr); err != nil {
				c = nil
				time.Sleep(5 * time.Millisecond)
				continue
			}
		}
		run := harness.Run{First: s.next, Lines: 1 + rng.IntN(40)}
		var entries []harness.Entry
		for range run.Lines {
			entries = append(entries, harness.Entry{Category: s.category, Message: string(harness.AppendLine(nil, s.source, s.next))})
			s.next++
		}
		switch code, err := c.Log(entries...); {
		case err != nil:
			s.unsure = append(s.unsure, run)
			c.Close()
			c = nil
		case code != harness.OK:
			t.Errorf("%s: answer %d", s.source, code)
		default:
			s.acked = append(s.acked, run)
		}
	}
}

// TestScribedKilled kills a scribed again and again while clients send: what it acknowledged is in its files, once.
func TestScribedKilled(t *testing.T) {
	t.Parallel()
	for name, store := range killable {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ink.Scribed(t, "port={PORT}\ncheck_interval=1\nmax_queue_size=1000000000\n<store>\ncategory=default\n"+store+"</store>\n")
			stop := make(chan struct{})
			var work sync.WaitGroup
			var senders []*sender
			for i := range 3 {
				from := &sender{source: fmt.Sprint("s", strings.Repeat("x", i)), category: fmt.Sprint("c", i)}
				senders = append(senders, from)
				work.Go(func() { from.send(t, s.Addr, stop) })
			}
			const kills = 8
			for range kills {
				time.Sleep(time.Duration(50+rand.IntN(2500)) * time.Millisecond)
				s.Kill()
				s.Restart(t)
			}
			time.Sleep(100 * time.Millisecond)
			close(stop)
			work.Wait()
			s.Stop(t)
			ledger, files := outputs(t, filepath.Join(s.Dir, "out"))
			if got, code := auditConfigured(t, s); code != 0 || got.Sums.Written != int64(ledger.Lines()) || got.Sums.Missing != 0 {
				t.Errorf("%d lines are in the files; the audit ends with %d: %+v", ledger.Lines(), code, got)
			}
			if files < 20 {
				t.Errorf("%d files only: there was hardly a rotation", files)
			}
			lines := 0
			for _, from := range senders {
				account := ledger.Of(from.source)
				for _, run := range from.acked {
					for seq := run.First; seq < run.First+run.Lines; seq++ {
						if n := account.Count(seq); n != 1 {
							t.Fatalf("%s: line %d was acknowledged and is there %d times; %d lines twice, again %v", from.source, seq, n, account.Twice, account.Resent)
						}
					}
					lines += run.Lines
				}
				if account.Twice > 0 || account.Late > 0 {
					t.Errorf("%s: %d lines twice, %d out of order", from.source, account.Twice, account.Late)
				}
			}
			if lines < 1000 {
				t.Errorf("%d lines only", lines)
			}
			t.Logf("%d kills, %d lines in %d files", kills, lines, files)
		})
	}
}

// TestKilledWhenAPartWorksAgain kills a scribed just when a category has a file that could not be had before, while those beside it had
// theirs: after the crash nothing is in either twice.
func TestKilledWhenAPartWorksAgain(t *testing.T) {
	t.Parallel()
	s := ink.NewScribed(t, "port={PORT}\ncheck_interval=1\nnew_thread_per_category=no\n<store>\ncategory=default\ntype=multifile\nfile_path={DIR}/out\n</store>\n")
	blocked := filepath.Join(s.Dir, "out", "b")
	if err := os.MkdirAll(filepath.Dir(blocked), 0o755); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, blocked, "a file")
	s.Restart(t)
	mustLog(t, dialScribe(t, s.Addr), harness.Entry{Category: "a", Message: "1\n"}, harness.Entry{Category: "b", Message: "2\n"})
	s.Becomes(t, harness.Warning, "File open error")
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // it dies before it says anywhere that the file is there
		if data, _ := os.ReadFile(filepath.Join(blocked, "b_00000")); len(data) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("b has no file\n%s", s.Stderr())
		}
	}
	s.Kill()
	s.Restart(t)
	s.Becomes(t, harness.Alive, "")
	s.Stop(t)
	for name, want := range map[string]string{"out/a/a_00000": "1\n", "out/b/b_00000": "2\n"} {
		if got := read(t, s.Dir, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// outputs reads every file below dir, in the order of their names, none of which may be unfinished.
func outputs(t *testing.T, dir string) (l *harness.Ledger, files int) {
	t.Helper()
	l = harness.NewLedger()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		switch name := e.Name(); {
		case harness.Beside(name):
			return nil
		case strings.HasPrefix(name, "."):
			t.Errorf("%s is left", path)
		}
		files++
		data, err := harness.Read(path)
		l.Bytes(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l, files
}

// TestRelayKilled kills the client and the central of a relay in turn: what the client acknowledged is at the central, once.
func TestRelayKilled(t *testing.T) {
	t.Parallel()
	central := ink.Scribed(t, "port={PORT}\ncheck_interval=1\nmax_queue_size=1000000000\n<store>\ncategory=default\ntype=file\nfile_path={DIR}/out\nmax_size=100000\n</store>\n")
	client := ink.Scribed(t, "port={PORT}\ncheck_interval=1\nmax_queue_size=1000000000\n<store>\ncategory=default\ntype=buffer\nretry_interval=1\nretry_interval_range=1\n"+
		"<primary>\ntype=network\nremote_host=127.0.0.1\nremote_port="+central.Port+"\n</primary>\n<secondary>\ntype=file\nfile_path={DIR}/buf\n</secondary>\n</store>\n")
	stop := make(chan struct{})
	from := &sender{source: "relay", category: "c"}
	var work sync.WaitGroup
	work.Go(func() { from.send(t, client.Addr, stop) })
	for i := range 8 {
		time.Sleep(time.Duration(100+rand.IntN(1500)) * time.Millisecond)
		victim := []*harness.Scribed{central, client}[i%2]
		victim.Kill()
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
		victim.Restart(t)
	}
	close(stop)
	work.Wait()
	harness.Until(t, "the client has delivered everything", func() bool {
		return client.Counter(t, "journal entries") == 0 && client.Counter(t, "c:spool entries") == 0
	})
	client.Stop(t)
	central.Stop(t)
	ledger, _ := outputs(t, filepath.Join(central.Dir, "out"))
	if got, code := auditConfigured(t, client, central); code != 0 || got.Sums.Written != int64(ledger.Lines()) || got.Sums.Missing != 0 {
		t.Errorf("%d lines are in the files; the audit ends with %d: %+v", ledger.Lines(), code, got)
	}
	account := ledger.Of("relay")
	missing, lines := 0, 0
	for _, run := range from.acked {
		for seq := run.First; seq < run.First+run.Lines; seq++ {
			if account.Count(seq) == 0 {
				missing++
			}
		}
		lines += run.Lines
	}
	if missing > 0 || lines < 500 {
		t.Errorf("%d of %d acknowledged lines are missing", missing, lines)
	}
	if account.Twice > 0 || account.Late > 0 {
		t.Errorf("%d lines came twice, %d out of order: their numbers should have told", account.Twice, account.Late)
	}
	t.Logf("%d lines", lines)
}
