package series

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"inkwell/store"
)

func repeat(s string, n int) string { return strings.Repeat(s, n) }

// TestBytes has what stands in the files after one batch, with each option.
func TestBytes(t *testing.T) {
	long := repeat("L", 20)
	for _, of := range []struct {
		name     string
		o        PlainOptions
		messages []string
		want     map[string]string
	}{
		{"as they are", PlainOptions{}, []string{"one\n", "two", "", "three\n"}, map[string]string{"k_00000": "one\ntwothree\n", "k_current": "-> k_00000"}},
		{"nothing", PlainOptions{}, nil, map[string]string{"k_00000": "", "k_current": "-> k_00000"}},
		{"binary", PlainOptions{}, []string{"a\x00b\xff\n"}, map[string]string{"k_00000": "a\x00b\xff\n", "k_current": "-> k_00000"}},
		{"newlines", PlainOptions{Form: store.Form{Newlines: store.NewlinesAlways}}, []string{"m", "n\n", ""}, map[string]string{"k_00000": "m\nn\n\n\n", "k_current": "-> k_00000"}},
		{"category", PlainOptions{WriteCategory: true}, []string{"m\n", "n"}, map[string]string{"k_00000": "k\nm\nk\nn", "k_current": "-> k_00000"}},
		{"category and newlines", PlainOptions{WriteCategory: true, Form: store.Form{Newlines: store.NewlinesAlways}}, []string{"m"}, map[string]string{"k_00000": "k\nm\n", "k_current": "-> k_00000"}},
		{"no link", PlainOptions{NoSymlink: true}, []string{"m"}, map[string]string{"k_00000": "m"}},
		{"a link of another name", PlainOptions{Symlink: "s"}, []string{"m"}, map[string]string{"k_00000": "m", "s_current": "-> k_00000"}},
		{"sub directory", PlainOptions{Sub: "x/y"}, []string{"m"}, map[string]string{"x/y/k_00000": "m", "x/y/k_current": "-> k_00000"}},
		{"daily", PlainOptions{Period: Daily}, []string{"m"}, map[string]string{"k-2026-11-23_00000": "m", "k_current": "-> k-2026-11-23_00000"}},
		{"hourly begins with the hour", PlainOptions{Period: Hourly}, []string{"m"}, map[string]string{"k-2026-11-23_00002": "m", "k_current": "-> k-2026-11-23_00002"}},
		{"a length", PlainOptions{Period: Period{'s', time.Minute}}, []string{"m"}, map[string]string{"k-2026-11-23_00000": "m", "k_current": "-> k-2026-11-23_00000"}},
		{"thrift", PlainOptions{Thrift: true, Form: store.Form{Newlines: store.NewlinesAlways}, WriteCategory: true}, []string{"one", "", "three"},
			map[string]string{"k_00000": "\x03\x00\x00\x00one\x05\x00\x00\x00three", "k_current": "-> k_00000"}},
		{"thrift in chunks", PlainOptions{Thrift: true, Chunk: 10}, []string{"one", "two", "three", "123456"},
			map[string]string{"k_00000": "\x03\x00\x00\x00one" + "\x00\x00\x00" + "\x03\x00\x00\x00two" + "\x00\x00\x00" + "\x05\x00\x00\x00three" + "\x00" + "\x06\x00\x00\x00123456", "k_current": "-> k_00000"}},
		{"thrift with a message longer than a chunk", PlainOptions{Thrift: true, Chunk: 8}, []string{"12345", "6"},
			map[string]string{"k_00000": repeat("\x00", 8) + "\x05\x00\x00\x0012345" + "\x01\x00\x00\x006", "k_current": "-> k_00000"}},
		{"thrift without lengths", PlainOptions{Thrift: true, Simple: true, Chunk: 8}, []string{"one\n", "", "three"}, map[string]string{"k_00000": "one\nthree", "k_current": "-> k_00000"}},
		{"chunks", PlainOptions{Chunk: 10}, []string{"12345678\n", "abcdef\n", "gh\n", "ij\n"},
			map[string]string{"k_00000": "12345678\n" + "\x00" + "abcdef\ngh\n" + "ij\n", "k_current": "-> k_00000"}},
		{"a message as long as a chunk", PlainOptions{Chunk: 20}, []string{long, long, "x", long, "y"},
			map[string]string{"k_00000": long + long + "x" + repeat("\x00", 19) + long + "y", "k_current": "-> k_00000"}},
		{"a message longer than a chunk wastes none", PlainOptions{Chunk: 8}, []string{long, "1234", "5", long, "z"},
			map[string]string{"k_00000": long + "1234" + "5" + repeat("\x00", 7) + long + "z", "k_current": "-> k_00000"}},
		{"the category is part of what must not cross", PlainOptions{Chunk: 8, WriteCategory: true, Form: store.Form{Newlines: store.NewlinesAlways}}, []string{"123", "456"},
			map[string]string{"k_00000": "k\n123\n\x00\x00k\n456\n", "k_current": "-> k_00000"}},
	} {
		t.Run(of.name, func(t *testing.T) {
			dir := t.TempDir()
			e := start(t, dir, of.o)
			e.append(of.messages...)
			e.restartless()
			wantTree(t, dir, of.want)
		})
	}
}

// restartless ends the run.
func (e *engine) restartless() {
	e.t.Helper()
	e.checkpoint()
	must(e.t, e.f.Close())
}

// TestChunksHoldOverBatches begins batches anywhere in a chunk, and goes on after a crash and a restart.
func TestChunksHoldOverBatches(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir, PlainOptions{Chunk: 64})
	for i := range 40 {
		e.append(fmt.Sprintf("<%02d%s>", i, repeat("x", i%23)), fmt.Sprintf("<%02d%s>", i, repeat("y", i%17)))
		switch {
		case i%9 == 8:
			e.restart()
		case i%5 == 4:
			e.checkpoint()
			e.append("<lost>")
			e.crash()
		}
	}
	e.restartless()
	data := onDisk(t, dir)["k_00000"]
	found := 0
	for at := 0; at < len(data); at++ {
		switch data[at] {
		case 0:
		case '<':
			n := strings.IndexByte(data[at:], '>') + 1
			if at/64 != (at+n-1)/64 {
				t.Errorf("the message at %d of %d bytes crosses a chunk", at, n)
			}
			found++
			at += n - 1
		default:
			t.Fatalf("neither message nor padding at %d: %q", at, data[at:])
		}
	}
	if found != 80 {
		t.Errorf("%d messages, want 80", found)
	}
}

// TestBySize is the recorded run of the original, with the events counted rightly: files end behind the write that
// passes the bound.
func TestBySize(t *testing.T) {
	for _, newlines := range []store.Newlines{store.NewlinesNever, store.NewlinesAlways} {
		dir := t.TempDir()
		e := start(t, dir, PlainOptions{MaxSize: 50, WriteStats: true, WriteMeta: true, Form: store.Form{Newlines: newlines}})
		line := func(i int) string { return fmt.Sprintf("twenty-four bytes long %d", i) }
		end := ""
		if newlines == store.NewlinesAlways {
			end = "\n"
		} else {
			plain := line
			line = func(i int) string { return plain(i) + "\n" }
		}
		e.append(line(0), line(1), line(2))
		e.checkpoint()
		e.append(line(3), line(4), line(5))
		e.append("last\n")
		e.restartless()
		text := func(from int) string {
			return fmt.Sprintf("twenty-four bytes long %d\ntwenty-four bytes long %d\ntwenty-four bytes long %d\n", from, from+1, from+2)
		}
		wantTree(t, dir, map[string]string{
			"k_00000":   text(0) + "scribe_meta<new_logfile>: {DIR}/k_00001" + end,
			"k_00001":   text(3) + "scribe_meta<new_logfile>: {DIR}/k_00002" + end,
			"k_00002":   "last\n" + end,
			"k_current": "-> k_00002",
			"scribe_stats": "2026-11-23-02:59 wrote <75> bytes in <3> events to file <{DIR}/k_00000>\n" +
				"2026-11-23-02:59 wrote <75> bytes in <3> events to file <{DIR}/k_00001>\n",
		})
	}
}

// TestWritesAreGathered has the original's boundaries: max_size 1000, writes of a little more than 100, messages of 54:
// 1080 a file.
func TestWritesAreGathered(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir, PlainOptions{MaxSize: 1000, MaxWrite: 100, WriteStats: true, NoSymlink: true})
	var messages []string
	for i := range 50 {
		messages = append(messages, fmt.Sprintf("%053d\n", i))
	}
	e.append(messages...)
	e.restartless()
	wantTree(t, dir, map[string]string{
		"k_00000": strings.Join(messages[:20], ""), "k_00001": strings.Join(messages[20:40], ""), "k_00002": strings.Join(messages[40:], ""),
		"scribe_stats": "2026-11-23-02:59 wrote <1080> bytes in <20> events to file <{DIR}/k_00000>\n2026-11-23-02:59 wrote <1080> bytes in <20> events to file <{DIR}/k_00001>\n",
	})
}

// TestThriftFilesAreRotatedBehindABatch counts the bytes of messages only, and looks at them when a batch is done.
func TestThriftFilesAreRotatedBehindABatch(t *testing.T) {
	for _, simple := range []bool{false, true} {
		dir := t.TempDir()
		e := start(t, dir, PlainOptions{Thrift: true, Simple: simple, MaxSize: 10, MaxWrite: 3, WriteStats: true, NoSymlink: true})
		e.append("1234567890")
		e.checkpoint()
		e.append("gone after the crash")
		e.crash()
		e.append("a", "", "bcdefghijklm")
		e.append("n")
		e.restartless()
		record := func(text string) string {
			if simple {
				return text
			}
			return string(rune(len(text))) + "\x00\x00\x00" + text
		}
		wantTree(t, dir, map[string]string{"k_00000": record("1234567890") + record("a") + record("bcdefghijklm"), "k_00001": record("n"),
			"scribe_stats": "2026-11-23-02:59 wrote <23> bytes in <4> events to file <{DIR}/k_00000>\n"})
	}
}

// TestSingleMessages rotates behind each message, as the original did where a category store gave it one at a time.
func TestSingleMessages(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir, PlainOptions{Single: true, MaxSize: 10, NoSymlink: true})
	e.append("12345678")
	e.append("9", "0", "a", "b", "c")
	e.restartless()
	wantTree(t, dir, map[string]string{"k_00000": "1234567890a", "k_00001": "bc"})
	thrift := t.TempDir()
	e = start(t, thrift, PlainOptions{Single: true, Thrift: true, Simple: true, MaxSize: 10, NoSymlink: true})
	e.append("12345678")
	e.append("9", "0", "a", "b", "c")
	e.restartless()
	wantTree(t, thrift, map[string]string{"k_00000": "1234567890a", "k_00001": "bc"})
}

// TestPathsAreWrittenAsTheyWereConfigured has them in what the original wrote of files.
func TestPathsAreWrittenAsTheyWereConfigured(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir, PlainOptions{Dir: dir + "/", Sub: "x/", MaxSize: 1, WriteMeta: true, WriteStats: true, NoSymlink: true})
	e.append("one")
	e.restartless()
	wantTree(t, dir, map[string]string{"x/k_00000": "onescribe_meta<new_logfile>: {DIR}//x//k_00001", "x/k_00001": "",
		"x/scribe_stats": "2026-11-23-02:59 wrote <3> bytes in <1> events to file <{DIR}//x//k_00000>\n"})
}

// TestStatsCountWhatWasThere counts the bytes that a continued file had, and events over crashes.
func TestStatsCountWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir, PlainOptions{MaxSize: 10, WriteStats: true, NoSymlink: true})
	e.append("12345")
	e.restart()
	e.append("678")
	e.checkpoint()
	e.append("gone after the crash")
	e.crash()
	e.append("9", "0abc")
	e.restartless()
	wantTree(t, dir, map[string]string{"k_00000": "1234567890abc", "k_00001": "",
		"scribe_stats": "2026-11-23-02:59 wrote <13> bytes in <3> events to file <{DIR}/k_00000>\n"})
}

// TestNumbers says which file is opened when some are there, and which comes after it.
func TestNumbers(t *testing.T) {
	for _, of := range []struct {
		name         string
		o            PlainOptions
		before       []string
		opened, next string
	}{
		{"none", PlainOptions{}, nil, "k_00000", "k_00001"},
		{"the largest is continued", PlainOptions{}, []string{"k_00000", "k_00003"}, "k_00003", "k_00004"},
		{"numbers are numbers", PlainOptions{}, []string{"k_99999", "k_100000"}, "k_100000", "k_100001"},
		{"a new one on reopen", PlainOptions{RotateOnReopen: true}, []string{"k_00003"}, "k_00004", "k_00005"},
		{"a new one for thrift", PlainOptions{Thrift: true}, []string{"k_00003"}, "k_00004", "k_00005"},
		{"compressed by somebody", PlainOptions{}, []string{"k_00003.gz"}, "k_00003", "k_00004"},
		{"compressed by somebody, new on reopen", PlainOptions{RotateOnReopen: true}, []string{"k_00003.gz"}, "k_00004", "k_00005"},
		{"fewer digits", PlainOptions{}, []string{"k_3"}, "k_00003", "k_00004"},
		{"as a stream reads numbers", PlainOptions{}, []string{"k_+7", "k_ 5", "k_-9"}, "k_00007", "k_00008"},
		{"no digits are 0", PlainOptions{RotateOnReopen: true}, []string{"k_x"}, "k_00001", "k_00002"},
		{"nothing is nothing", PlainOptions{RotateOnReopen: true}, []string{"k_", "k"}, "k_00000", "k_00001"},
		{"compressed beside it", PlainOptions{}, []string{"k_00003", "k_00003.gz"}, "k_00003", "k_00004"},
		{"not of the series", PlainOptions{}, []string{"kk_00007", "k_x_00008", "k-2026-11-23_00009", "k_x", "k_", "j_00001", "k_00001_00005"}, "k_00000", "k_00001"},
		{"of the day", PlainOptions{Period: Daily}, []string{"k-2026-11-22_00007", "k-2026-11-23_00002", "k_00009"}, "k-2026-11-23_00002", "k-2026-11-23_00003"},
		{"a day without any", PlainOptions{Period: Daily}, []string{"k-2026-11-22_00007"}, "k-2026-11-23_00000", "k-2026-11-23_00001"},
		{"hourly without any", PlainOptions{Period: Hourly}, []string{"k-2026-11-22_00023"}, "k-2026-11-23_00002", "k-2026-11-23_00003"},
		{"hourly, new on reopen", PlainOptions{Period: Hourly, RotateOnReopen: true}, nil, "k-2026-11-23_00000", "k-2026-11-23_00001"},
		{"hourly thrift", PlainOptions{Period: Hourly, Thrift: true}, nil, "k-2026-11-23_00000", "k-2026-11-23_00001"},
		{"hourly", PlainOptions{Period: Hourly}, []string{"k-2026-11-23_00001"}, "k-2026-11-23_00001", "k-2026-11-23_00002"},
		{"a number that is none", PlainOptions{}, []string{"k_99999999999999999999999", "k_00001"}, "k_00001", "k_00002"},
	} {
		t.Run(of.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range of.before {
				write(t, dir, name, "there\n")
			}
			of.o.MaxSize = 1000
			e := start(t, dir, of.o)
			if e.f.name != of.opened {
				t.Errorf("opened %s, want %s", e.f.name, of.opened)
			}
			e.append(repeat("x", 1000))
			e.append("y")
			if e.f.name != of.next {
				t.Errorf("the next is %s, want %s", e.f.name, of.next)
			}
			e.restartless()
			got := onDisk(t, dir)
			for _, name := range of.before {
				if !strings.HasPrefix(got[name], "there\n") || name != of.opened && got[name] != "there\n" {
					t.Errorf("%s was changed: %.20q", name, got[name])
				}
			}
		})
	}
}

// TestClock goes through days and hours.
func TestClock(t *testing.T) {
	type step struct{ at, file string }
	day := func(rest string) string { return "k-2026-11-" + rest }
	for _, of := range []struct {
		name  string
		o     PlainOptions
		steps []step
	}{
		{"never", PlainOptions{}, []step{{"2026-11-23 03:00", "k_00000"}, {"2027-01-01 00:00", "k_00000"}}},
		{"daily", PlainOptions{Period: Daily, RotateHour: 1, RotateMinute: 15}, []step{
			{"2026-11-23 23:59", day("23_00000")}, {"2026-11-24 00:30", day("23_00000")}, {"2026-11-24 01:14", day("23_00000")}, {"2026-11-24 01:15", day("24_00000")},
			{"2026-11-24 23:00", day("24_00000")}, {"2026-11-25 02:00", day("24_00000")}, {"2026-11-25 02:15", day("25_00000")}}},
		{"daily with a minute of each hour", PlainOptions{Period: Daily, RotateMinute: 30}, []step{{"2026-11-24 00:29", day("23_00000")}, {"2026-11-24 01:00", day("23_00000")}, {"2026-11-24 01:30", day("24_00000")}}},
		{"hourly", PlainOptions{Period: Hourly, RotateMinute: 15}, []step{
			{"2026-11-23 03:14", day("23_00002")}, {"2026-11-23 03:15", day("23_00003")}, {"2026-11-23 03:59", day("23_00003")}, {"2026-11-23 04:00", day("23_00003")},
			{"2026-11-23 05:15", day("23_00004")}, {"2026-11-24 07:20", day("24_00000")}}},
		{"the same hour of another day", PlainOptions{Period: Hourly}, []step{{"2026-11-24 02:30", day("24_00000")}}},
		{"the same day of another month", PlainOptions{Period: Daily}, []step{{"2026-12-23 02:30", "k-2026-12-23_00000"}}},
		{"90 minutes", PlainOptions{Period: Period{'s', 90 * time.Minute}}, []step{
			{"2026-11-23 04:28", day("23_00000")}, {"2026-11-23 04:29", day("23_00001")}, {"2026-11-23 05:58", day("23_00001")}, {"2026-11-24 00:00", day("24_00000")}}},
	} {
		t.Run(of.name, func(t *testing.T) {
			e := start(t, t.TempDir(), of.o)
			for _, s := range of.steps {
				e.at(s.at)
				if e.f.name != s.file {
					t.Errorf("%s: %s, want %s", s.at, e.f.name, s.file)
				}
				e.checkpoint()
			}
		})
	}
}

// TestRestartArmsTheClockAgain: a restart counts as the beginning of the file, a crash does not, so that no day goes
// into the file of another.
func TestRestartArmsTheClockAgain(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir, PlainOptions{Period: Period{'s', time.Hour}})
	e.at("2026-11-23 03:30")
	e.restart()
	e.at("2026-11-23 04:29")
	if e.f.name != "k-2026-11-23_00000" {
		t.Error("rotated before an hour went by since the restart")
	}
	e.at("2026-11-23 04:30")
	if e.f.name != "k-2026-11-23_00001" {
		t.Error("not rotated an hour after the restart")
	}

	dir = t.TempDir()
	e = start(t, dir, PlainOptions{Period: Daily, NoSymlink: true})
	e.append("monday\n")
	e.checkpoint()
	e.append("monday, too\n")
	e.clock = e.clock.AddDate(0, 0, 1)
	e.crash()
	e.append("monday, too\n")
	e.at("2026-11-24 03:00")
	e.append("tuesday\n")
	e.restartless()
	wantTree(t, dir, map[string]string{"k-2026-11-23_00000": "monday\nmonday, too\n", "k-2026-11-24_00000": "tuesday\n"})
}

// TestFileThatIsTooLargeWhenItIsOpened ends before the first message, whether the clock or a message comes first.
func TestFileThatIsTooLargeWhenItIsOpened(t *testing.T) {
	for _, checked := range []bool{true, false} {
		dir := t.TempDir()
		write(t, dir, "k_00000", repeat("x", 11))
		e := start(t, dir, PlainOptions{MaxSize: 10, WriteStats: true})
		if checked {
			must(t, e.f.Check(e.clock))
		}
		e.append("m")
		e.restartless()
		wantTree(t, dir, map[string]string{"k_00000": repeat("x", 11), "k_00001": "m", "k_current": "-> k_00001",
			"scribe_stats": "2026-11-23-02:59 wrote <11> bytes in <0> events to file <{DIR}/k_00000>\n"})
	}
}

// TestEmptyMessagesAreNoPadding: in a thrift file a length of 0 would be read as such, so it is counted instead.
func TestEmptyMessagesAreNoPadding(t *testing.T) {
	e := start(t, t.TempDir(), PlainOptions{Thrift: true})
	e.append("", "x", "", "")
	for _, name := range []string{"k:dropped empty", "scribe_overall:dropped empty"} {
		if n := e.o.Stats.Get(name); n != 3 {
			t.Errorf("%s is %d, want 3", name, n)
		}
	}
}
