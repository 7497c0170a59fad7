package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/test/harness"
)

// block puts a file where a directory has to be, which keeps even root from writing there.
func block(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, dir, "no directory")
}

func unblock(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
}

// exchange swaps two names in one step. Between two renames a server could make the directory that is missing.
func exchange(t *testing.T, one, other string) {
	t.Helper()
	if err := unix.Renameat2(unix.AT_FDCWD, one, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE); err != nil {
		t.Fatalf("exchange %s and %s: %v", one, other, err)
	}
}

// TestDestinationThatCannotBeWritten is no business of the client's: it is OK, tried again and again, and told.
func TestDestinationThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := ink.NewScribed(t, globals+fileStore("category=default", "out")+fileStore("category=lossy*", "out", "must_succeed=no"))
	out := filepath.Join(s.Dir, "out")
	block(t, out)
	s.Restart(t)
	mustStress(t, s.Addr, "cat", "src", 1000)
	s.Becomes(t, harness.Warning, "File open error")
	s.Reaches(t, "cat:requeue", 1)
	first := s.Counter(t, "cat:requeue")
	s.Reaches(t, "cat:requeue", first+1) // it grows with every attempt
	if n := s.Counter(t, "cat:lost"); n != 0 {
		t.Errorf("cat:lost is %d", n)
	}
	mustLog(t, dialScribe(t, s.Addr), harness.Entry{Category: "lossy1", Message: "gone\n"}, harness.Entry{Category: "lossy1", Message: "gone\n"})
	s.Reaches(t, "lossy1:lost", 2)
	s.Reaches(t, "scribe_overall:lost", 2)
	unblock(t, out)
	holds(t, out, "cat", 1000)
	s.Becomes(t, harness.Alive, "")
	if n := s.Counter(t, "lossy1:requeue"); n != 0 {
		t.Errorf("lossy1:requeue is %d", n)
	}
	s.Shutdown(t)
	harness.Audit(t, out, "cat").Exactly(t, map[string]int{"src": 1000})
}

// TestBufferBeforeFilesThatCannotBeWritten: a secondary takes what the primary does not, so no client is told to try later, and nothing
// is thrown away.
func TestBufferBeforeFilesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"type=file\nfile_path={DIR}/out\n",
		"type=bucket\nnum_buckets=1\nbucket_type=key_hash\nbucket_subdir=b\n<bucket>\ntype=file\nfile_path={DIR}/out\nbase_filename=cat\n</bucket>\n"} {
		t.Run(kind[:strings.Index(kind, "\n")], func(t *testing.T) {
			t.Parallel()
			s := ink.NewScribed(t, "port={PORT}\ncheck_interval=1\nmax_queue_size=1000\n<store>\ncategory=default\nmust_succeed=no\ntype=buffer\n<primary>\n"+kind+
				"</primary>\n<secondary>\ntype=file\nfile_path={DIR}/aside\n</secondary>\n</store>\n")
			out := filepath.Join(s.Dir, "out")
			block(t, out)
			s.Restart(t)
			c := dialScribe(t, s.Addr)
			mustLog(t, c, harness.Entry{Category: "cat", Message: "first\n"})
			s.Becomes(t, harness.Warning, "open error")
			s.Reaches(t, "cat:retries", 1) // a bucket without a part waits for a checkpoint before its first attempt
			long := harness.Entry{Category: "cat", Message: strings.Repeat("x", 4999) + "\n"}
			for range 3 {
				mustLog(t, c, long)
				time.Sleep(1200 * time.Millisecond) // time for an attempt
			}
			if n := s.Counter(t, "cat:retries"); n != 1 {
				t.Errorf("retries is %d", n)
			}
			for _, name := range []string{"requeue", "lost", "denied for queue size"} {
				if n := s.Counter(t, "cat:"+name); n != 0 {
					t.Errorf("%s is %d", name, n)
				}
			}
			unblock(t, out)
			s.Becomes(t, harness.Alive, "")
			mustLog(t, c, harness.Entry{Category: "cat", Message: "last\n"})
			s.Shutdown(t)
			path := "cat/cat_00000"
			if strings.HasPrefix(kind, "type=bucket") {
				path = "b000/cat/cat_00000"
			}
			if got := read(t, out, path); got != "first\n"+strings.Repeat(long.Message, 3)+"last\n" {
				t.Errorf("%d bytes", len(got))
			}
		})
	}
}

// TestFileSystemThatIsNotSupported has messages wait for a configuration that has a place for them, as they would wait for a file
// system that is away.
func TestFileSystemThatIsNotSupported(t *testing.T) {
	t.Parallel()
	hdfs := globals + "<store>\ncategory=default\ntype=buffer\n<primary>\ntype=file\nfs_type=hdfs\nfile_path=hdfs://namenode:9000/out\n</primary>\n" +
		"<secondary>\ntype=file\nfile_path={DIR}/aside\n</secondary>\n</store>\n"
	s := ink.Scribed(t, hdfs)
	mustStress(t, s.Addr, "cat", "src", 1000)
	s.Becomes(t, harness.Warning, "File open error")
	if n := s.Counter(t, "cat:received good"); n != 1000 {
		t.Errorf("received good is %d", n)
	}
	s.Write(t, globals+fileStore("category=default", "out"))
	s.Tell(t, "reinitialize")
	holds(t, filepath.Join(s.Dir, "out"), "cat", 1000)
	s.Becomes(t, harness.Alive, "")
	s.Shutdown(t)
	harness.Audit(t, filepath.Join(s.Dir, "out"), "cat").Exactly(t, map[string]int{"src": 1000})
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "*")); len(left) != 1 {
		t.Errorf("more than the output was made: %v", left)
	}
}

// TestUndeliveredEntriesWaitForAGoodConfiguration ends a server that could not write, and starts it with configurations that have no
// place for what it took: it stays in the journal until one has.
func TestUndeliveredEntriesWaitForAGoodConfiguration(t *testing.T) {
	t.Parallel()
	good := globals + fileStore("category=default", "out")
	s := ink.NewScribed(t, good)
	s.Flags("-p", s.Port)
	out := filepath.Join(s.Dir, "out")
	block(t, out)
	s.Restart(t)
	mustStress(t, s.Addr, "cat", "src", 1000)
	s.Reaches(t, "cat:requeue", 1)
	s.Kill()
	unblock(t, out)
	for _, conf := range []string{"", globals, globals + "num_thrift_server_threads=0\n" + fileStore("category=default", "out"), globals + "<store>\ncategory=default\ntype=trololo\n</store>\n"} {
		s.Write(t, conf)
		s.Restart(t)
		s.Becomes(t, harness.Warning, "No stores configured successfully")
		mustLog(t, dialScribe(t, s.Addr), harness.Entry{Category: "cat", Message: "received bad\n"})
		s.Signal(syscall.SIGTERM)
		s.Wait(t)
	}
	s.Write(t, good)
	s.Restart(t)
	holds(t, out, "cat", 1000)
	s.Becomes(t, harness.Alive, "")
	s.Shutdown(t)
	harness.Audit(t, out, "cat").Exactly(t, map[string]int{"src": 1000})
}

// TestSuccessOfAllChildren does not write again what a child has when another fails.
func TestSuccessOfAllChildren(t *testing.T) {
	t.Parallel()
	multi := func(category, dir, report string) string {
		return fmt.Sprintf("<store>\ncategory=%s\ntype=multi\nreport_success=%s\n<store>\ntype=file\nfile_path={DIR}/%s1\n</store>\n<store>\ntype=file\nfile_path={DIR}/%s2\n</store>\n</store>\n",
			category, report, dir, dir)
	}
	s := ink.NewScribed(t, globals+multi("all*", "all", "all")+multi("any*", "any", "any"))
	all2, any1 := filepath.Join(s.Dir, "all2"), filepath.Join(s.Dir, "any1")
	block(t, all2)
	block(t, any1)
	s.Restart(t)
	mustStress(t, s.Addr, "all", "src", 500)
	mustStress(t, s.Addr, "any", "src", 500)
	s.Reaches(t, "all:requeue", 1)
	s.Reaches(t, "all:requeue", s.Counter(t, "all:requeue")+1)
	holds(t, filepath.Join(s.Dir, "all1"), "all", 500)
	holds(t, filepath.Join(s.Dir, "any2"), "any", 500)
	unblock(t, all2)
	holds(t, all2, "all", 500)
	if n := s.Counter(t, "any:requeue"); n != 0 {
		t.Errorf("any:requeue is %d: one child is enough", n)
	}
	s.Shutdown(t)
	for _, dir := range []string{"all1", "all2"} {
		harness.Audit(t, filepath.Join(s.Dir, dir), "all").Exactly(t, map[string]int{"src": 500})
	}
	harness.Audit(t, filepath.Join(s.Dir, "any2"), "any").Exactly(t, map[string]int{"src": 500})
}

// TestBufferThatIsNotReplayed is a fail-over: what the secondary took stays there.
func TestBufferThatIsNotReplayed(t *testing.T) {
	t.Parallel()
	s := ink.NewScribed(t, globals+`<store>
category=default
type=buffer
replay_buffer=no
retry_interval=1
retry_interval_range=1
<primary>
type=file
file_path={DIR}/first
</primary>
<secondary>
type=file
file_path={DIR}/second
</secondary>
</store>
`)
	first, second := filepath.Join(s.Dir, "first"), filepath.Join(s.Dir, "second")
	block(t, first)
	s.Restart(t)
	mustStress(t, s.Addr, "cat", "before", 500)
	holds(t, second, "cat", 500)
	unblock(t, first)
	n := 0
	harness.Until(t, "the primary is used again", func() bool {
		if err := stress(s.Addr, "cat", "after", n, n+10); err != nil {
			t.Fatal(err)
		}
		n += 10
		return len(harness.Published(t, first, "cat")) > 0
	})
	s.Shutdown(t)
	a, b := harness.Audit(t, first, "cat"), harness.Audit(t, second, "cat")
	b.All(t, "before", 500)
	if got := a.Of("after").Lines + b.Of("after").Lines; got != n || a.Of("before").Lines != 0 || a.Of("after").Lines == 0 {
		t.Errorf("%d of %d lines, %d before", got, n, a.Of("before").Lines)
	}
}

// TestRemovedDirectory goes on where the original wrote into a file that nobody can see any more.
func TestRemovedDirectory(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, globals+fileStore("category=cat", "out/cat", "base_filename=cat"))
	mustStress(t, s.Addr, "cat", "before", 100)
	out := filepath.Join(s.Dir, "out")
	holds(t, out, "cat", 100)
	if err := os.RemoveAll(out); err != nil {
		t.Fatal(err)
	}
	mustStress(t, s.Addr, "cat", "after", 100)
	holds(t, out, "cat", 100)
	s.Shutdown(t)
	if a := harness.Audit(t, out, "cat"); a.Of("after").Lines != 100 || a.Of("after").Twice > 0 {
		t.Errorf("%d lines", a.Of("after").Lines)
	}
	if strings.Contains(s.Stderr(), "panic") {
		t.Error(s.Stderr())
	}
}

// TestLossyStoreDoesNotHoldTheJournal throws away what cannot be written at once, for good.
func TestLossyStoreDoesNotHoldTheJournal(t *testing.T) {
	t.Parallel()
	s := ink.NewScribed(t, globals+fileStore("category=default", "out", "must_succeed=no"))
	out := filepath.Join(s.Dir, "out")
	block(t, out)
	s.Restart(t)
	mustStress(t, s.Addr, "cat", "gone", 1000)
	s.Reaches(t, "cat:lost", 1000)
	harness.Until(t, "the journal is empty", func() bool { return s.Counter(t, "journal entries") == 0 })
	unblock(t, out)
	mustStress(t, s.Addr, "cat", "src", 100)
	harness.Until(t, "it is written again", func() bool { return len(harness.Published(t, out, "cat")) > 0 })
	lost := int(s.Counter(t, "cat:lost")) - 1000
	mustStress(t, s.Addr, "cat", "more", 100)
	s.Shutdown(t)
	l := harness.Audit(t, out, "cat")
	if l.Of("src").Lines+lost != 100 {
		t.Errorf("%d lines, %d lost, want 100", l.Of("src").Lines, lost)
	}
	l.All(t, "more", 100)
	if l.Of("gone").Lines > 0 {
		t.Errorf("%d lines that were counted as lost", l.Of("gone").Lines)
	}
	if log := s.Stderr(); !strings.Contains(log, "they are thrown away") || strings.Contains(log, "they are offered again") {
		t.Errorf("the log says\n%s", log)
	}
}

// TestFailoverComesBack finds the file of the primary as it was when it went away, and loses nothing of it.
func TestFailoverComesBack(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, globals+`<store>
category=default
type=buffer
target_write_size=1
replay_buffer=no
retry_interval=1
retry_interval_range=1
<primary>
type=file
file_path={DIR}/first
</primary>
<secondary>
type=file
file_path={DIR}/second
</secondary>
</store>
`)
	first, second, away := filepath.Join(s.Dir, "first"), filepath.Join(s.Dir, "second"), filepath.Join(s.Dir, "away")
	empty := func() {
		harness.Until(t, "a checkpoint has it", func() bool { return s.Counter(t, "journal entries") == 0 })
	}
	n := 0
	send := func() {
		t.Helper()
		if err := stress(s.Addr, "cat", "src", n, n+100); err != nil {
			t.Fatal(err)
		}
		n += 100
	}
	lines := func() int {
		return harness.Audit(t, first, "cat").Of("src").Lines + harness.Audit(t, second, "cat").Of("src").Lines
	}
	send()
	holds(t, first, "cat", n)
	empty()
	s.Kill()
	s.Restart(t) // it knows of the file from before now
	send()
	holds(t, first, "cat", n)
	empty()
	harness.WriteFile(t, away, "no directory")
	exchange(t, first, away)
	send()
	harness.Until(t, "the secondary takes it", func() bool { return len(harness.Contents(t, second, "cat")) > 0 })
	send()
	empty()
	exchange(t, first, away)
	harness.Until(t, "the primary is used again", func() bool {
		send()
		holds := harness.Audit(t, first, "cat").Of("src").Lines
		return holds > 200
	})
	harness.Until(t, "everything is there", func() bool { return lines() == n })
	s.Shutdown(t)
	all := harness.NewLedger()
	all.Bytes(harness.Contents(t, first, "cat"))
	all.Bytes(harness.Contents(t, second, "cat"))
	if a := all.Of("src"); a.Lines != n || a.Twice > 0 {
		t.Errorf("%d of %d lines, %d twice", a.Lines, n, a.Twice)
	}
}

// TestABucketThatCannotBeOpened keeps nothing from the other buckets, makes no files meanwhile, and is used as soon as it can be.
func TestABucketThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	s := ink.NewScribed(t, globals+"<store>\ncategory=bk\ntype=bucket\nnum_buckets=1\nbucket_type=key_hash\nbucket_subdir=b\n<bucket>\n"+
		"type=thriftfile\nuse_simple_file=1\nfile_path={DIR}/out\nbase_filename=f\n</bucket>\n</store>\n")
	blocked := filepath.Join(s.Dir, "out", "b001")
	if err := os.MkdirAll(filepath.Dir(blocked), 0o755); err != nil {
		t.Fatal(err)
	}
	block(t, blocked)
	s.Restart(t)
	s.Becomes(t, harness.Warning, "File open error")
	c := dialScribe(t, s.Addr)
	mustLog(t, c, harness.Entry{Category: "bk", Message: "no key\n"})
	written := func() bool { return s.Counters(t)["scribe_overall:journal entries"] == 0 }
	harness.Until(t, "the other bucket has its message", written)
	unblock(t, blocked)
	s.Becomes(t, harness.Alive, "") // without a message for it
	mustLog(t, c, harness.Entry{Category: "bk", Message: "1:x\n"})
	harness.Until(t, "both are written", written)
	s.Stop(t)
	files, err := filepath.Glob(filepath.Join(s.Dir, "out", "b00?", "f_0*"))
	if len(files) != 2 || err != nil {
		t.Errorf("files %q, %v", files, err)
	}
	for name, want := range map[string]string{"out/b000/f_00000": "no key\n", "out/b001/f_00000": "1:x\n"} {
		if got := read(t, s.Dir, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestARefusedBlockLosesNothing starts with a mistake that makes a block no store, while messages for it are in the journal: what comes
// now has no store, but what was taken before waits until the mistake is corrected.
func TestARefusedBlockLosesNothing(t *testing.T) {
	t.Parallel()
	good := globals + "<store>\ncategory=z\ntype=null\n</store>\n" + fileStore("category=k", "out") + fileStore("category=p*", "out")
	s := ink.NewScribed(t, good)
	blocked := filepath.Join(s.Dir, "out")
	block(t, blocked)
	s.Restart(t)
	entries := []harness.Entry{{Category: "k", Message: "1\n"}, {Category: "prefixed", Message: "2\n"}}
	mustLog(t, dialScribe(t, s.Addr), entries...)
	s.Becomes(t, harness.Warning, "File open error")
	s.Stop(t)
	unblock(t, blocked)
	s.Write(t, strings.ReplaceAll(good, "type=file", "type=fiel"))
	s.Restart(t)
	s.Becomes(t, harness.Warning, "Bad config - can't create a store of type: fiel")
	mustLog(t, dialScribe(t, s.Addr), entries...)
	s.Reaches(t, "scribe_overall:received bad", 2)
	s.Write(t, good)
	s.Tell(t, "reinitialize")
	s.Becomes(t, harness.Alive, "")
	harness.Until(t, "it is written", func() bool { return s.Counters(t)["scribe_overall:journal entries"] == 0 })
	if n := s.Counters(t)["scribe_overall:lost"]; n != 0 {
		t.Errorf("%d are lost", n)
	}
	s.Stop(t)
	for name, want := range map[string]string{"out/k_00000": "1\n", "out/prefixed/prefixed_00000": "2\n"} {
		if got := read(t, s.Dir, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
