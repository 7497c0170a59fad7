package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/test/harness"
)

// The pair that most shops had: a central that writes files, and a client on every machine that sends there and buffers.
const (
	centralConf = `port={PORT}
max_msg_per_second=2000000
check_interval=1
max_queue_size=100000000
<store>
category=default
type=file
fs_type=std
file_path={DIR}/out
base_filename=thisisoverwritten
max_size=1000000
</store>
`
	relayConf = `port={PORT}
max_msg_per_second=2000000
check_interval=1
max_queue_size=100000000
<store>
category=default
type=buffer
target_write_size=20480
max_write_interval=1
buffer_send_rate=2
retry_interval=1
retry_interval_range=1
<primary>
type=network
remote_host=127.0.0.1
remote_port={CENTRAL}
timeout=2000
</primary>
<secondary>
type=file
fs_type=std
file_path={DIR}/buffer
base_filename=thisisoverwritten
max_size=3000000
</secondary>
</store>
`
)

// stress sends lines from … to-1 of a source over a connection of its own, each call until it is answered OK.
func stress(addr, category, source string, from, to int) error {
	s, err := harness.DialScribe(addr)
	if err != nil {
		return err
	}
	defer s.Close()
	for from < to {
		next := min(from+200, to)
		switch code, err := s.Log(harness.Entries(category, source, from, next)...); {
		case err != nil:
			return fmt.Errorf("%s, line %d of %s: %w", category, from, source, err)
		case code == harness.OK:
			from = next
		default:
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// mustStress is stress, which must go well.
func mustStress(t *testing.T, addr, category, source string, n int) {
	t.Helper()
	if err := stress(addr, category, source, 0, n); err != nil {
		t.Fatal(err)
	}
}

// holds waits until the plain files of a category, being written, hold n lines.
func holds(t *testing.T, dir, category string, n int) {
	t.Helper()
	last := 0
	harness.Until(t, fmt.Sprintf("%s/%s has %d lines", dir, category, n), func() bool {
		now := 0
		for _, path := range harness.Published(t, dir, category) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			now += strings.Count(string(data), "\n")
		}
		if now < last {
			t.Fatalf("%s/%s had %d lines and has %d", dir, category, last, now)
		}
		last = now
		return now >= n
	})
}

// read is the content of a file.
func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// bufferedFile is a store block of a buffer before a file, as the original's tests have it.
func bufferedFile(category, base string) string {
	return strings.NewReplacer("{category}", category, "{base}", base).Replace(`<store>
{category}
type=buffer

target_write_size=20480
max_write_interval=1
buffer_send_rate=2
retry_interval=3
retry_interval_range=2

<primary>
type=file
fs_type=std
file_path={DIR}/primary{base}
base_filename={name}
max_size=10000000
rotate_period=daily
rotate_hour=0
rotate_minute=10
</primary>

<secondary>
type=file
fs_type=std
file_path={DIR}/secondary{base}
base_filename={name}
max_size=3000000
</secondary>
</store>
`)
}

// basicConf is the configuration of the original's basic tests. Without threads each block has one file.
func basicConf(threads bool) string {
	conf := "port={PORT}\nmax_msg_per_second=2000000\ncheck_interval=1\nmax_queue_size=100000000\n"
	if !threads {
		conf += "new_thread_per_category=no\nnum_thrift_server_threads=4\n"
	}
	for _, b := range [][2]string{{"category=default", "default"}, {"category=tps", "tps"}, {"category=foo*", "foo"}, {"categories=rock* paper", "rockpaper"}} {
		base := ""
		if !threads || b[1] == "tps" {
			base = "/" + b[1]
		}
		conf += strings.ReplaceAll(bufferedFile(b[0], base), "{name}", b[1])
	}
	return conf
}

// basicTest sends what the original's basic test does and returns which lines belong into which series.
func basicTest(t *testing.T, addr string, threads bool, n int) map[string]map[string]int {
	t.Helper()
	want := map[string]map[string]int{}
	of := func(category, shared string) map[string]int {
		if !threads {
			category = shared
		}
		if want[category] == nil {
			want[category] = map[string]int{}
		}
		return want[category]
	}
	for _, c := range []struct{ category, shared, source string }{
		{"test", "default", "client1"}, {"test", "default", "again"}, {"tps", "tps", "tps"}, {"foodoo", "foo", "foodoo"}, {"rock", "rockpaper", "rock"}, {"paper", "rockpaper", "paper"},
	} {
		mustStress(t, addr, c.category, c.source, n)
		of(c.category, c.shared)[c.source] = n
	}
	return want
}

func TestOriginalSimpleTest(t *testing.T) {
	t.Parallel()
	conf := strings.ReplaceAll(bufferedFile("category=default", ""), "{name}", "thisisoverwritten")
	conf = "port={PORT}\ncheck_interval=1\nnum_thrift_server_threads=4\n" + strings.Replace(conf, "rotate_period=daily", "chunk_size=1024", 1)
	s := ink.Scribed(t, conf)
	c := dialScribe(t, s.Addr)
	odd := strings.Repeat(`%s%n%d\n\\;;"'<>&|$(x)`+"`\x01\x1b[31m", 20)[:300]
	mustLog(t, c, harness.Entry{Category: odd, Message: strings.Repeat(odd, 7)[:2000]},
		harness.Entry{Category: "scribe_test", Message: `\n`}, harness.Entry{Category: "scribe_test", Message: ""})
	mustLog(t, c, harness.Entry{Category: "scribe_test", Message: "this is a message"}, harness.Entry{Category: "scribe_test", Message: "and a binary\x00\x01 message"})
	want := `\nthis is a message` + "and a binary\x00\x01 message"
	current := filepath.Join(s.Dir, "primary", "scribe_test", "scribe_test_current")
	harness.Until(t, "the messages are in the file", func() bool {
		data, err := os.ReadFile(current)
		return err == nil && string(data) == want
	})
	if code, details := s.Status(t); code != harness.Alive || details != "" {
		t.Errorf("status %d %q", code, details)
	}
	s.Shutdown(t)
	if got := read(t, current); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOriginalBasicTest(t *testing.T) {
	t.Parallel()
	const many = 200_000
	for _, threads := range []bool{true, false} {
		t.Run(fmt.Sprintf("threads=%v", threads), func(t *testing.T) {
			t.Parallel()
			s := ink.Scribed(t, basicConf(threads))
			want := basicTest(t, s.Addr, threads, 2000)
			if threads {
				mustStress(t, s.Addr, "test", "client2", many)
				want["test"]["client2"] = many
			}
			s.Shutdown(t)
			for series, lines := range want {
				harness.Audit(t, filepath.Join(s.Dir, "primary"), series).Exactly(t, lines)
				if link, err := os.Readlink(filepath.Join(s.Dir, "primary", series, series+"_current")); err != nil || !strings.HasPrefix(link, series+"-20") {
					t.Errorf("link %q, %v", link, err)
				}
			}
		})
	}
}

// TestOriginalBufferTest takes the directory of the primary away, and puts a file in its place so that nobody can make it.
func TestOriginalBufferTest(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} { // the second test of the original removes it before the start, and has no threads
		t.Run(fmt.Sprintf("before the start=%v", early), func(t *testing.T) {
			t.Parallel()
			threads := !early
			s := ink.NewScribed(t, basicConf(threads))
			primary := filepath.Join(s.Dir, "primary")
			if !early {
				s.Restart(t)
			}
			harness.Until(t, "a file takes the place of the primary's directory", func() bool { // which a server makes anew
				return os.RemoveAll(primary) == nil && os.WriteFile(primary, nil, 0o644) == nil
			})
			if early {
				s.Restart(t)
			}
			want := basicTest(t, s.Addr, threads, 2000)
			s.Becomes(t, harness.Warning, "pen error")
			if err := os.Remove(primary); err != nil {
				t.Fatal(err)
			}
			for series, lines := range want {
				n := 0
				for _, lines := range lines {
					n += lines
				}
				holds(t, primary, series, n)
			}
			s.Becomes(t, harness.Alive, "")
			s.Shutdown(t)
			for series, lines := range want {
				harness.Audit(t, primary, series).Exactly(t, lines)
			}
		})
	}
}

func TestOriginalTwoDefaultTest(t *testing.T) {
	t.Parallel()
	store := "<store>\ncategory=default\ntype=file\nfile_path={DIR}/%s\nmax_size=300000\n</store>\n"
	s := ink.Scribed(t, "port={PORT}\ncheck_interval=1\nmax_queue_size=100000000\n"+fmt.Sprintf(store, "one")+fmt.Sprintf(store, "two"))
	want := basicTest(t, s.Addr, true, 1000)
	if n := s.Counter(t, "test:received good"); n != 2000 {
		t.Errorf("test:received good is %d, want 2000: an entry counts once, however many stores take it", n)
	}
	s.Shutdown(t)
	for category, lines := range want {
		for _, dir := range []string{"one", "two"} {
			harness.Audit(t, filepath.Join(s.Dir, dir), category).Exactly(t, lines)
		}
	}
}

func TestOriginalParamTest(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, `port={PORT}
file::fs_type=std
<store>
category=default
type=buffer
file::file_path={DIR}/paramtest
file::max_size=10000
file::add_newlines=1
<primary>
type=file
</primary>
<secondary>
type=null
</secondary>
</store>
<store>
category=primary
type=file
file::file_path={DIR}/own
base_filename=primary
</store>
`)
	mustLog(t, dialScribe(t, s.Addr), harness.Entry{Category: "test", Message: "a message"}, harness.Entry{Category: "primary", Message: "another"})
	s.Shutdown(t)
	if got := read(t, s.Dir, "paramtest/test/test_current"); got != "a message\n" {
		t.Errorf("%q", got)
	}
	if got := read(t, s.Dir, "own/primary_current"); got != "another" {
		t.Errorf("%q", got)
	}
}

func TestOriginalCategoriesTest(t *testing.T) {
	t.Parallel()
	const n = 3000
	conf := "port={PORT}\ncheck_interval=1\nmax_queue_size=100000000\n"
	for _, c := range []string{"category=default", "category=foo*", "categories= paper  rock*", "category=scissors", "categories=apple pear banana"} {
		dir := "{DIR}/out"
		if c == "category=scissors" {
			dir += "/scissors" // a block with a name of its own has no directory for it
		}
		conf += "<store>\n" + c + "\ntype=file\nfile_path=" + dir + "\nbase_filename=scissors\nmax_size=1000000\n</store>\n"
	}
	s := ink.Scribed(t, conf)
	categories := []string{"foo", "foobar", "paper", "rock", "rocket", "scissors", "apple", "banana", "else"}
	var work sync.WaitGroup
	for _, c := range categories {
		work.Go(func() {
			if err := stress(s.Addr, c, c, 0, n); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	for _, c := range categories {
		if got := s.Counter(t, c+":received good"); got != n {
			t.Errorf("%s:received good is %d", c, got)
		}
	}
	s.Shutdown(t)
	for _, c := range categories {
		harness.Audit(t, filepath.Join(s.Dir, "out"), c).Exactly(t, map[string]int{c: n})
	}
}

// TestOriginalRotationBySeconds begins a file every second, even when nothing comes.
func TestOriginalRotationBySeconds(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, globals+fileStore("category=default", "out", "rotate_period=1s", "write_stats=yes"))
	dir := filepath.Join(s.Dir, "out", "cat")
	files := func() []string {
		paths, err := filepath.Glob(filepath.Join(dir, "cat-*_*"))
		if err != nil {
			t.Fatal(err)
		}
		return paths
	}
	n := 0
	harness.Until(t, "there are some files", func() bool {
		if err := stress(s.Addr, "cat", "src", n, n+10); err != nil {
			t.Fatal(err)
		}
		n += 10
		return len(files()) >= 3
	})
	quiet := len(files())
	harness.Until(t, "there are more", func() bool { return len(files()) > quiet })
	s.Shutdown(t)
	all, last := harness.NewLedger(), ""
	for i, path := range files() {
		last = filepath.Base(path)
		if _, number, _ := strings.Cut(last, "_"); number != fmt.Sprintf("%05d", i) && strings.HasPrefix(last, "cat-"+time.Now().Format(time.DateOnly)) {
			t.Errorf("file %d is called %s", i, last)
		}
		all.Bytes([]byte(read(t, path)))
	}
	all.Exactly(t, map[string]int{"src": n})
	if link, err := os.Readlink(filepath.Join(dir, "cat_current")); err != nil || link != last {
		t.Errorf("link to %s, %v, want %s", link, err, last)
	}
	if stats := strings.Count(read(t, dir, "scribe_stats"), "\n"); stats != len(files())-1 {
		t.Errorf("%d lines of stats, %d files", stats, len(files()))
	}
}

// TestOriginalRandomBuckets spreads without a key.
func TestOriginalRandomBuckets(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, globals+"<store>\ncategory=k\ntype=bucket\nnum_buckets=3\nbucket_type=random\nbucket_subdir=b\n<bucket>\ntype=file\nfile_path={DIR}/out\nbase_filename=f\n</bucket>\n</store>\n")
	mustStress(t, s.Addr, "k", "src", 1000)
	s.Shutdown(t)
	lines := 0
	for i := range 4 {
		n := strings.Count(read(t, s.Dir, fmt.Sprintf("out/b%03d/f_00000", i)), "\n")
		if lines += n; i == 0 && n > 0 || i > 0 && n < 100 {
			t.Errorf("bucket %d has %d of 1000 lines", i, n)
		}
	}
	if lines != 1000 {
		t.Errorf("%d lines", lines)
	}
}
