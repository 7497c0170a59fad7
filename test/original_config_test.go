package test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

// fileStore is the block of a store that writes plain files into a directory below {DIR}.
func fileStore(categories, dir string, more ...string) string {
	return "<store>\n" + categories + "\ntype=file\nfile_path={DIR}/" + dir + "\n" + strings.Join(append(more, ""), "\n") + "</store>\n"
}

const globals = "port={PORT}\ncheck_interval=1\nmax_queue_size=100000000\n"

// TestOriginalBadConfigurations starts with a mistake, finds it in the status, and gets over it by a reload: nothing has to be restarted.
func TestOriginalBadConfigurations(t *testing.T) {
	t.Parallel()
	good := fileStore("category=good", "out")
	for _, of := range []struct {
		name, conf, details string
		runs                bool // the good store does
	}{
		{"unknown type", globals + good + "<store>\ncategory=bad\ntype=trololo\n</store>\n", "Bad config - can't create a store of type: trololo", true},
		{"no type", globals + good + "<store>\ncategory=bad\n</store>\n", "Bad config - no type for store with category: bad", true},
		{"no category", globals + good + "<store>\ntype=file\n</store>\n", "Bad config - store with no category", true},
		{"no stores", globals, "No stores configured successfully", false},
		{"only a bad store", globals + "<store>\ncategory=bad\ntype=trololo\n</store>\n", "trololo", false},
		{"no threads", globals + "num_thrift_server_threads=0\n" + good, "No stores configured successfully", false},
		{"no buckets", globals + good + "<store>\ncategory=bad\ntype=bucket\n</store>\n", "bucket store must have num_buckets", true},
		{"no success", globals + good + "<store>\ncategory=bad\ntype=multi\nreport_success=some\n</store>\n", "MULTI: Invalid report_success value.", true},
		{"a directory that cannot be made", globals + good + fileStore("category=bad", "scribe.txt/out"), "File open error", true},
		{"empty", "", "No stores configured successfully", false},
		{"binary", "\x00\x01\xff<store>\x7f\n\n=\n<<<>>>\n</", "No stores configured successfully", false},
	} {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			s := ink.NewScribed(t, of.conf)
			s.Flags("-p", s.Port)
			harness.WriteFile(t, filepath.Join(s.Dir, "scribe.txt"), "a file")
			s.Restart(t)
			s.Becomes(t, harness.Warning, of.details)
			if err := s.Stderr(); !strings.Contains(err, strings.TrimPrefix(of.details, "Bad config - ")) && !strings.Contains(err, "rror") {
				t.Errorf("the log does not say it:\n%s", err)
			}
			c := dialScribe(t, s.Addr)
			mustLog(t, c, harness.Entry{Category: "good", Message: "1\n"}) // OK even if no store takes it
			name := "good:received bad"
			if of.runs {
				name = "good:received good"
			}
			if n, err := c.Counter(name); n != 1 || err != nil {
				t.Errorf("%s is %d, %v", name, n, err)
			}
			s.Write(t, globals+good)
			s.Tell(t, "reinitialize")
			s.Becomes(t, harness.Alive, "")
			mustLog(t, c, harness.Entry{Category: "good", Message: "2\n"})
			s.Shutdown(t)
			want := "2\n"
			if of.runs {
				want = "1\n2\n"
			}
			if got := read(t, s.Dir, "out/good_00000"); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// TestMessagesWaitForABetterConfiguration sends to stores in which something is wrong: what was taken is brought to them when that was
// corrected, by a reload or by a restart.
func TestMessagesWaitForABetterConfiguration(t *testing.T) {
	t.Parallel()
	const buckets = "type=bucket\nnum_buckets=1\nbucket_type=key_hash\nbucket_subdir=b\n<bucket>\ntype=file\nbase_filename=f\n"
	const multi = "<store>\ncategory=m\ntype=multi\n<store>\ntype=file\nfile_path={DIR}/m0\n</store>\n<store>\n"
	bad := globals + "<store>\ncategory=bk\n" + buckets + "</bucket>\n</store>\n" + "<store>\ncategory=default\n" + buckets + "</bucket>\n</store>\n" + multi + "</store>\n</store>\n"
	good := globals + "<store>\ncategory=bk\n" + buckets + "file_path={DIR}/one\n</bucket>\n</store>\n" + "<store>\ncategory=default\n" + buckets + "file_path={DIR}/all\n</bucket>\n</store>\n" +
		multi + "type=file\nfile_path={DIR}/m1\n</store>\n</store>\n"
	s := ink.Scribed(t, bad)
	s.Becomes(t, harness.Warning, "file store contained by bucketizer must have a file_path")
	for _, restart := range []bool{false, true} {
		c := dialScribe(t, s.Addr)
		mustLog(t, c, harness.Entry{Category: "bk", Message: "1:x\n"}, harness.Entry{Category: "other", Message: "1:y\n"}, harness.Entry{Category: "m", Message: "z\n"})
		s.Becomes(t, harness.Warning, "Failed write to bucket store")
		s.Write(t, good)
		if restart {
			s.Stop(t)
			s.Restart(t)
		} else {
			s.Tell(t, "reinitialize")
		}
		s.Becomes(t, harness.Alive, "")
		harness.Until(t, "it is written", func() bool { return s.Counters(t)["scribe_overall:journal entries"] == 0 })
		s.Write(t, bad)
		s.Stop(t)
		s.Restart(t)
	}
	s.Stop(t)
	for name, want := range map[string]string{"one/b001/f_00000": "1:x\n1:x\n", "all/b001/other/other_00000": "1:y\n1:y\n", "m0/m_00000": "z\nz\n"} {
		if got := read(t, s.Dir, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestOriginalLettersInNumbers reads what begins as a number as far as it goes, and everything else as 0, as strtol does.
func TestOriginalLettersInNumbers(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, "port={PORT}xyz\ncheck_interval=abc\nmax_msg_per_second=many\nnum_thrift_server_threads=3three\n"+
		fileStore("category=a", "out", "max_size=none", "max_write_interval=soon", "add_newlines=yes", "rotate_period=never ever")+
		fileStore("category=b", "out", "max_size=1x", "add_newlines=1st", "rotate_hour=noon"))
	c := dialScribe(t, s.Addr)
	for range 2 {
		mustLog(t, c, harness.Entry{Category: "a", Message: "m"}, harness.Entry{Category: "b", Message: "m"})
		harness.Until(t, "it is written", func() bool { n, err := c.Counter("scribe_overall:journal entries"); return n == 0 && err == nil })
	}
	if code, details := s.Status(t); code != harness.Alive {
		t.Errorf("status %d %q", code, details)
	}
	s.Shutdown(t)
	if got := read(t, s.Dir, "out/a_00000"); got != "mm" {
		t.Errorf("a: %q", got)
	}
	if got := read(t, s.Dir, "out/b_00000") + read(t, s.Dir, "out/b_00001"); got != "m\nm\n" {
		t.Errorf("b: %q", got)
	}
}

// TestConfigurationThatCannotBeRead: without its file a server does not start; one that runs goes on when the file is gone. (The original
// starts without stores.)
func TestConfigurationThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, globals+fileStore("category=default", "out"))
	conf := s.Conf
	if err := os.Rename(conf, conf+".away"); err != nil {
		t.Fatal(err)
	}
	s.Signal(syscall.SIGHUP)
	harness.Until(t, "the reload is refused", func() bool {
		code, details := s.Status(t)
		return code == harness.Warning && strings.Contains(details, "reload refused") && strings.Contains(details, "no such file")
	})
	mustLog(t, dialScribe(t, s.Addr), harness.Entry{Category: "cat", Message: "m"})
	s.Stop(t)
	if got := read(t, s.Dir, "out/cat/cat_00000"); got != "m" {
		t.Errorf("%q", got)
	}
	if r := ink.Run(t, "scribed", "-p", s.Port, "-c", conf); r.Code != 1 || !strings.Contains(r.Stderr, "no such file") || !strings.Contains(r.Stderr, "-c FILE") {
		t.Errorf("code %d, %s", r.Code, r.Stderr)
	}
}

func TestPortOfTheFileBeatsTheFlag(t *testing.T) {
	t.Parallel()
	s := ink.NewScribed(t, globals+fileStore("category=default", "out"))
	_, other, _ := net.SplitHostPort(harness.FreeAddr(t))
	s.Flags("-p", other)
	s.Restart(t)
	if want := fmt.Sprintf("port %s from conf file overriding old port %s", s.Port, other); !strings.Contains(s.Stderr(), want) {
		t.Errorf("the log does not say %q:\n%s", want, s.Stderr())
	}
	for method, want := range map[string]string{"getName": "Scribe", "getVersion": "2.2", "getStatusDetails": "", "getCpuProfile": ""} {
		c := dialScribe(t, s.Addr)
		args := []byte{0}
		if method == "getCpuProfile" {
			args = append(harness.AppendField(nil, 8, 1), 0, 0, 0, 1, 0)
		}
		body, err := c.Call(method, args)
		if text := string(append(harness.AppendString([]byte{11, 0, 0}, want), 0)); err != nil || string(body) != text {
			t.Errorf("%s: %q, %v, want %q", method, body, err, text)
		}
	}
	s.Shutdown(t)
}

// TestOriginalReloadTest sends, changes the configuration, reloads it in each of the ways, and sends again.
func TestOriginalReloadTest(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, globals+fileStore("category=default", "out0"))
	c := dialScribe(t, s.Addr)
	since, err := c.Call("aliveSince", []byte{0})
	if err != nil {
		t.Fatal(err)
	}
	for i, reload := range []func(){
		func() { s.Signal(syscall.SIGHUP) },
		func() { s.Tell(t, "reinitialize") },
		func() {
			if r := ink.Run(t, "ctl", "reload", s.Addr); r.Code != 0 || r.Stdout != "reloaded\n" {
				t.Errorf("ctl reload ends with %d: %s%s", r.Code, r.Stdout, r.Stderr)
			}
		},
	} {
		mustLog(t, c, harness.Entry{Category: "cat", Message: fmt.Sprintln("message", i)})
		s.Write(t, globals+fileStore("category=default", fmt.Sprint("out", i+1)))
		before := strings.Count(s.Stderr(), "configuration reloaded")
		reload()
		harness.Until(t, "it is reloaded", func() bool { return strings.Count(s.Stderr(), "configuration reloaded") > before })
	}
	s.Write(t, globals+"<store>\ncategory=default\ntype=fiel\n</store>\n")
	if r := ink.Run(t, "ctl", "reload", s.Addr); r.Code != 1 || !strings.HasPrefix(r.Stdout, "reload refused: the former configuration stays in use: ") {
		t.Errorf("ctl reload of a file with a mistake ends with %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	mustLog(t, c, harness.Entry{Category: "cat", Message: "message 3\n"})
	if n := s.Counter(t, "cat:received good"); n != 4 {
		t.Errorf("received good is %d: counters survive a reload", n)
	}
	if again, err := c.Call("aliveSince", []byte{0}); err != nil || string(again) != string(since) {
		t.Errorf("aliveSince % x, %v, before % x", again, err, since)
	}
	s.Shutdown(t)
	for i := range 4 {
		if got, want := read(t, s.Dir, fmt.Sprint("out", i), "cat/cat_current"), fmt.Sprintln("message", i); got != want {
			t.Errorf("out%d: %q, want %q", i, got, want)
		}
	}
}

// TestReloadOfABadFile leaves the configuration of before in use, and says why, until a good one comes.
func TestReloadOfABadFile(t *testing.T) {
	t.Parallel()
	good := globals + fileStore("category=default", "out")
	s := ink.Scribed(t, good)
	c := dialScribe(t, s.Addr)
	n := 0
	send := func() {
		mustLog(t, c, harness.Entry{Category: "cat", Message: fmt.Sprintln(n)})
		n++
	}
	send()
	for _, bad := range []struct{ conf, why string }{
		{globals + fileStore("category=default", "elsewhere") + "<store>\ncategory=x\ntype=trololo\n</store>\n", "trololo"},
		{globals, "no <store>"},
		{"inkwell 1\n" + good + "</store>\n", "</store>"},
		{"inkwell 1\n" + globals + fileStore("category=default", "elsewhere", "no_such_key=1"), "no_such_key"},
	} {
		s.Write(t, bad.conf)
		s.Tell(t, "reinitialize")
		s.Becomes(t, harness.Warning, bad.why)
		send()
	}
	if err := os.Remove(s.Conf); err != nil {
		t.Fatal(err)
	}
	s.Signal(syscall.SIGHUP)
	s.Becomes(t, harness.Warning, "no such file")
	send()
	s.Write(t, good)
	s.Signal(syscall.SIGHUP)
	s.Becomes(t, harness.Alive, "")
	send()
	s.Shutdown(t)
	want := ""
	for i := range n {
		want += fmt.Sprintln(i)
	}
	if got := read(t, s.Dir, "out/cat/cat_current"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "elsewhere")); !os.IsNotExist(err) {
		t.Errorf("a configuration that was refused was used: %v", err)
	}
}

// TestReloadUnderLoad moves the files from directory to directory while entries come in: each is in one of them, once.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	const reloads = 6
	conf := func(i int) string {
		return globals + fileStore("category=default", fmt.Sprint("out", i), "max_size=100000")
	}
	s := ink.Scribed(t, conf(0))
	var stopped atomic.Bool
	sent := make(chan int)
	go func() {
		n := 0
		for ; !stopped.Load(); n += 100 {
			if err := stress(s.Addr, "cat", "src", n, n+100); err != nil {
				t.Error(err)
				break
			}
		}
		sent <- n
	}()
	for i := range reloads {
		before := s.Counter(t, "cat:received good")
		s.Reaches(t, "cat:received good", before+500)
		s.Write(t, conf(i+1))
		s.Signal(syscall.SIGHUP)
		harness.Until(t, "it is reloaded", func() bool { return strings.Count(s.Stderr(), "configuration reloaded") > i })
	}
	stopped.Store(true)
	n := <-sent
	s.Shutdown(t)
	all := harness.NewLedger()
	for i := range reloads + 1 {
		data := harness.Contents(t, filepath.Join(s.Dir, fmt.Sprint("out", i)), "cat")
		if len(data) == 0 {
			t.Errorf("nothing in out%d", i)
		}
		all.Bytes(data)
	}
	all.Exactly(t, map[string]int{"src": n})
}
