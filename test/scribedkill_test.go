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

// TestScribedKilled kills a scribed again and again while clients send: what it acknowledged is in its files, once.
func TestScribedKilled(t *testing.T) {
	t.Parallel()
	for name, store := range killable {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ink.Scribed(t, "port={PORT}\ncheck_interval=1\nmax_queue_size=1000000000\n<store>\ncategory=default\n"+store+"</store>\n")
			stop := make(chan struct{})
			var work sync.WaitGroup
			var callers []*harness.Caller
			for i := range 3 {
				c := &harness.Caller{Addr: s.Addr, Source: fmt.Sprint("s", strings.Repeat("x", i)), Category: fmt.Sprint("c", i),
					Most: 40}
				callers = append(callers, c)
				work.Go(func() { c.Run(t.Context(), stop) })
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
			for _, c := range callers {
				lines += c.Judge(t, ledger.Of(c.Source)).Lines
				if c.Later > 0 {
					t.Errorf("%s: %d answers TRY_LATER", c.Source, c.Later)
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
		case harness.IsMetadata(name):
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
	client := ink.Scribed(t, "port={PORT}\ncheck_interval=1\nmax_queue_size=1000000000\n"+
		harness.RelayStore("remote_host=127.0.0.1\nremote_port="+central.Port, "{DIR}/buf"))
	stop := make(chan struct{})
	caller := &harness.Caller{Addr: client.Addr, Source: "relay", Category: "c", Most: 40}
	var work sync.WaitGroup
	work.Go(func() { caller.Run(t.Context(), stop) })
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
	lines := caller.Judge(t, ledger.Of("relay")).Lines
	if lines < 500 || caller.Later > 0 {
		t.Errorf("%d lines only, or %d answers TRY_LATER", lines, caller.Later)
	}
	t.Logf("%d lines", lines)
}
