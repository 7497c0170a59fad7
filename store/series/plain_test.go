package series

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/testkit"
	"inkwell/store"
)

// clock is the time of a test.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// noon is 2026-11-23 12:00 UTC, a Monday.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, o PlainOptions, saved store.States) *Plain {
	t.Helper()
	if o.MaxWrite == 0 {
		o.MaxWrite = 1e6
	}
	f, err := OpenPlain(o, saved)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settle does what a queue does after each batch: mark, save, publish.
func settle(t *testing.T, f *Plain) store.States {
	t.Helper()
	m := make(store.States)
	must(t, f.Mark(&store.Marks{Files: m}))
	must(t, f.Publish(nil))
	return m
}

// tree is what is in a directory: "name=content", "name->target", in byte order.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if e.Type() == os.ModeSymlink {
			target, err := os.Readlink(path)
			all = append(all, name+"->"+target)
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, name+"="+string(data))
		return err
	}))
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestNamesAndNumbersAreThoseOfTheOriginal(t *testing.T) {
	for _, c := range []struct {
		name   string
		o      PlainOptions
		before []string
		want   string
	}{
		{"never", PlainOptions{}, nil, "b_00000=m b_current->b_00000"},
		{"daily", PlainOptions{Period: Daily}, nil, "b-2026-11-23_00000=m b_current->b-2026-11-23_00000"},
		{"hourly begins with the hour", PlainOptions{Period: Hourly}, nil, "b-2026-11-23_00012=m b_current->b-2026-11-23_00012"},
		{"seconds", PlainOptions{Period: Period{kind: 's', length: time.Hour}}, nil, "b-2026-11-23_00000=m b_current->b-2026-11-23_00000"},
		{"the newest is continued", PlainOptions{}, []string{"b_00000", "b_00007"}, "b_00000=x b_00007=xm b_current->b_00007"},
		{"more than five digits", PlainOptions{}, []string{"b_123456"}, "b_123456=xm b_current->b_123456"},
		{"another day", PlainOptions{Period: Daily}, []string{"b-2026-11-22_00003"}, "b-2026-11-22_00003=x b-2026-11-23_00000=m b_current->b-2026-11-23_00000"},
		{"another base", PlainOptions{}, []string{"bb_00005", "b-x_00005", "b_c_00005"}, "b-x_00005=x b_00000=m b_c_00005=x b_current->b_00000 bb_00005=x"},
		{"the number of a compressed file is continued", PlainOptions{}, []string{"b_00003.gz"}, "b_00003.gz=x b_00003=m b_current->b_00003"},
		{"new at open", PlainOptions{RotateOnReopen: true}, []string{"b_00003"}, "b_00003=x b_00004=m b_current->b_00004"},
		{"thrift is always new", PlainOptions{Thrift: true}, []string{"b_00003"}, "b_00003=x b_00004=\x01\x00\x00\x00m b_current->b_00004"},
		{"own link", PlainOptions{Symlink: "latest"}, nil, "b_00000=m latest_current->b_00000"},
		{"no link", PlainOptions{NoSymlink: true}, nil, "b_00000=m"},
		{"sub directory", PlainOptions{Sub: "x/y"}, nil, "x/y/b_00000=m x/y/b_current->b_00000"},
		{"category and newline", PlainOptions{WriteCategory: true, Form: store.Form{Newlines: store.NewlinesAlways}}, nil, "b_00000=cat\nm\n b_current->b_00000"},
		{"quoted category", PlainOptions{Form: store.Form{Quote: true}}, nil, "b_00000=\"cat\" m\n b_current->b_00000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range c.before {
				must(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
			}
			c.o.Dir, c.o.Base, c.o.Now = dir, "b", (&clock{noon}).now
			f := open(t, c.o, nil)
			settle(t, f)
			must(t, f.Append(t.Context(), testkit.Batch("cat", "m")))
			settle(t, f)
			must(t, f.Close())
			if got := tree(t, dir); got != c.want {
				t.Errorf("\n%q, want\n%q", got, c.want)
			}
		})
	}
}

func TestClockEndsFilesByTheOriginalsRules(t *testing.T) {
	for _, c := range []struct {
		name         string
		period       Period
		hour, minute int
		began, now   string
		want         bool
	}{
		{"same hour", Hourly, 1, 15, "12:00", "12:59", false},
		{"next hour, too early", Hourly, 1, 15, "12:59", "13:14", false},
		{"next hour", Hourly, 1, 15, "12:59", "13:15", true},
		{"same day", Daily, 1, 15, "00:00", "23:59", false},
		{"next day, too early", Daily, 1, 15, "12:00", "+00:59", false},
		{"next day, minute too early", Daily, 1, 15, "12:00", "+02:14", false},
		{"next day", Daily, 1, 15, "12:00", "+01:15", true},
		{"seconds, too early", Period{'s', 90 * time.Minute}, 1, 15, "12:00", "13:29", false},
		{"seconds", Period{'s', 90 * time.Minute}, 1, 15, "12:00", "13:30", true},
		{"never", Never, 0, 0, "12:00", "+12:00", false},
	} {
		at := func(text string) time.Time {
			day := 23
			if rest, next := strings.CutPrefix(text, "+"); next {
				text, day = rest, 24
			}
			clock, err := time.Parse("15:04", text)
			must(t, err)
			return time.Date(2026, 11, day, clock.Hour(), clock.Minute(), 0, 0, time.UTC)
		}
		o := PlainOptions{Period: c.period, RotateHour: c.hour, RotateMinute: c.minute}
		if got := o.over(at(c.began), at(c.now)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCheckRotatesAndTellsOfIt(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon}
	f := open(t, PlainOptions{Dir: dir, Base: "b", Period: Daily, RotateHour: 0, RotateMinute: 5, WriteMeta: true,
		WriteStats: true, Form: store.Form{Newlines: store.NewlinesAlways}, Now: c.now}, nil)
	settle(t, f)
	must(t, f.Append(t.Context(), testkit.Batch("c", "one", "two")))
	must(t, f.Check(c.t))
	c.t = noon.Add(12*time.Hour + 5*time.Minute)
	must(t, f.Check(c.t))
	if got := tree(t, dir); !strings.Contains(got, ".b-2026-11-24_00000.open=") || !strings.Contains(got,
		"b_current->b-2026-11-23_00000") {
		t.Errorf("before the mark is saved there is %q", got)
	}
	settle(t, f)
	must(t, f.Append(t.Context(), testkit.Batch("c", "three")))
	settle(t, f)
	must(t, f.Close())
	want := "b-2026-11-23_00000=one\ntwo\nscribe_meta<new_logfile>: " + dir + "/b-2026-11-24_00000\n b-2026-11-24_00000=three\n b_current->b-2026-11-24_00000 " +
		"scribe_stats=2026-11-24-00:05 wrote <8> bytes in <2> events to file <" + dir + "/b-2026-11-23_00000>\n"
	if got := tree(t, dir); got != want {
		t.Errorf("\n%q, want\n%q", got, want)
	}
}

func TestSizeIsLookedAtBehindEachWrite(t *testing.T) {
	for _, c := range []struct {
		max, write int64
		length     int
		count      int
		want       []int64 // sizes of the files
	}{
		{50, 1e6, 25, 3, []int64{75, 0}},
		{1000, 100, 54, 20, []int64{1080, 0}},
		{1000, 100, 54, 21, []int64{1080, 54}},
		{0, 100, 54, 21, []int64{21 * 54}},
	} {
		dir := t.TempDir()
		f := open(t, PlainOptions{Dir: dir, Base: "b", MaxSize: c.max, MaxWrite: c.write, NoSymlink: true}, nil)
		settle(t, f)
		must(t, f.Append(t.Context(), testkit.Batch("c", slices.Repeat([]string{strings.Repeat("x", c.length)}, c.count)...)))
		settle(t, f)
		must(t, f.Close())
		var got []int64
		for i := 0; ; i++ {
			info, err := os.Stat(filepath.Join(dir, fmt.Sprintf("b_%05d", i)))
			if err != nil {
				break
			}
			got = append(got, info.Size())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("max_size=%d, max_write_size=%d, %d × %d bytes: files of %v, want %v", c.max, c.write, c.count, c.length,
				got, c.want)
		}
	}
}

func TestChunksHoldOverTheWholeFile(t *testing.T) {
	dir := t.TempDir()
	f := open(t, PlainOptions{Dir: dir, Base: "b", Chunk: 8, NoSymlink: true}, nil)
	settle(t, f)
	for _, m := range []string{"12345", "abcd", "efgh", "longer than one", "x"} {
		must(t, f.Append(t.Context(), testkit.Batch("c", m)))
	}
	must(t, f.Close())
	if got, want := tree(t, dir), "b_00000=12345\x00\x00\x00abcdefghlonger than onex"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestEmptyMessageOfAThriftFileIsCounted(t *testing.T) {
	dir := t.TempDir()
	f := open(t, PlainOptions{Dir: dir, Base: "b", Thrift: true, NoSymlink: true}, nil)
	settle(t, f)
	must(t, f.Append(t.Context(), testkit.Batch("c", "one\n", "", "three")))
	must(t, f.Close())
	if got, want := tree(t, dir), "b_00000=\x04\x00\x00\x00one\n\x05\x00\x00\x00three"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if n := f.empty.Load(); n != 1 {
		t.Errorf("%d empty messages were counted", n)
	}
}

// A series that was compressed when the program was killed is gone on with as plain files: the marks are of the other
// kind.
func TestPlainFilesBehindCompressedOnes(t *testing.T) {
	dir := t.TempDir()
	c, err := OpenCompressed(CompressedOptions{Dir: dir, Base: "k", MaxSize: 1 << 20}, nil)
	must(t, err)
	must(t, c.Append(t.Context(), testkit.Batch("k", "compressed\n")))
	marks := make(store.States)
	must(t, c.Mark(&store.Marks{Files: marks}))
	must(t, c.Close())
	if len(marks) != 1 {
		t.Fatalf("%d marks", len(marks))
	}
	f, err := OpenPlain(PlainOptions{Dir: dir, Base: "k", MaxWrite: 1_000_000}, marks)
	must(t, err)
	must(t, f.Append(t.Context(), testkit.Batch("k", "plain\n")))
	must(t, f.Mark(&store.Marks{Files: marks}))
	must(t, f.Close())
	if got, err := os.ReadFile(filepath.Join(dir, "k_00000")); err != nil || string(got) != "plain\n" {
		t.Errorf("%q, %v", got, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".k-*_00000.gz.open")); err != nil || len(left) != 1 {
		t.Errorf("the compressed file is not there any more: %v", err)
	}
}

// dying stops the world behind some number of disk operations; the one that it dies in is done in part.
type dying struct{ left int }

var errDead = errors.New("dead")

func (d *dying) Inject(op faultfs.Op, _ string, n int) (int, error) {
	if d.left--; d.left < 0 {
		if d.left == -1 && op == faultfs.OpWrite {
			return n / 2, errDead
		}
		return 0, errDead
	}
	return n, nil
}

// TestEveryMessageIsThereOnceWhereverItDies dies at each disk operation of a run with rotations in every batch, opens
// again with what was saved last, and appends again what came behind that.
func TestEveryMessageIsThereOnceWhereverItDies(t *testing.T) {
	const batches = 6
	message := func(i, k int) string { return fmt.Sprintf("%d.%d %s\n", i, k, strings.Repeat("x", 10*k)) }
	deaths := 0
	for at := 0; ; at++ {
		dir := t.TempDir()
		var saved store.States
		done := 0 // batches that saved covers
		life := func(inj faultfs.Injector) error {
			f, err := OpenPlain(PlainOptions{Dir: dir, Base: "b", MaxSize: 60, MaxWrite: 30, WriteStats: true, WriteMeta: true,
				Injector: inj, Now: (&clock{noon}).now}, saved)
			if err != nil {
				return err
			}
			defer f.Close()
			keep := func(through int) error {
				m := make(store.States)
				if err := f.Mark(&store.Marks{Files: m}); err != nil {
					return err
				}
				saved, done = m, through
				return f.Publish(nil)
			}
			if err := keep(done); err != nil {
				return err
			}
			for i := done; i < batches; i++ {
				if err := f.Append(t.Context(), testkit.Batch("c", message(i, 0), message(i, 1), message(i, 2), message(i,
					3))); err != nil {
					return err
				}
				if i%2 == 1 { // two batches for each mark
					if err := keep(i + 1); err != nil {
						return err
					}
				}
			}
			return nil
		}
		err := life(&dying{left: at})
		if err == nil {
			break
		}
		deaths++
		if err := life(nil); err != nil {
			t.Fatalf("after a death at operation %d: %v", at, err)
		}
		var want strings.Builder
		for i := range batches {
			for k := range 4 {
				want.WriteString(message(i, k))
			}
		}
		var got strings.Builder
		list, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range list {
			switch {
			case strings.HasPrefix(e.Name(), "."):
				t.Errorf("death at operation %d: %s is left", at, e.Name())
			case strings.HasPrefix(e.Name(), "b_0"):
				data, err := os.ReadFile(filepath.Join(dir, e.Name()))
				must(t, err)
				text, _, _ := strings.Cut(string(data), "scribe_meta<new_logfile>")
				got.WriteString(text)
			}
		}
		if got.String() != want.String() {
			t.Errorf("death at operation %d: the files hold\n%q, want\n%q", at, got.String(), want.String())
		}
		if target, err := os.Readlink(filepath.Join(dir, "b_current")); err != nil || target != list[slices.IndexFunc(list,
			func(e os.DirEntry) bool { return e.Name() == "b_current" })-1].Name() {
			t.Errorf("death at operation %d: the link leads to %q, %v", at, target, err)
		}
	}
	if deaths < 50 {
		t.Errorf("it died %d times only", deaths)
	}
	t.Logf("%d deaths", deaths)
}

// full is a disk without room for writes.
type full struct{ on bool }

func (f *full) Inject(op faultfs.Op, _ string, n int) (int, error) {
	if f.on && op == faultfs.OpWrite {
		return n / 2, syscall.ENOSPC
	}
	return n, nil
}

func TestAFailedWriteIsBroken(t *testing.T) {
	dir, inj := t.TempDir(), new(full)
	f := open(t, PlainOptions{Dir: dir, Base: "b", Injector: inj, NoSymlink: true}, nil)
	settle(t, f)
	must(t, f.Append(t.Context(), testkit.Batch("c", "good\n")))
	saved := settle(t, f)
	inj.on = true
	err := f.Append(t.Context(), testkit.Batch("c", "halfhalf"))
	if !errors.Is(err, store.ErrBroken) || !errors.Is(err, syscall.ENOSPC) || store.StatusText(err) != "File write error" {
		t.Fatalf("error is %v", err)
	}
	if err := f.Mark(&store.Marks{Files: make(store.States)}); !errors.Is(err, store.ErrBroken) {
		t.Errorf("Mark of a broken file: %v", err)
	}
	must(t, f.Close())
	inj.on = false
	f = open(t, PlainOptions{Dir: dir, Base: "b", NoSymlink: true}, saved)
	must(t, f.Append(t.Context(), testkit.Batch("c", "again\n")))
	must(t, f.Close())
	if got, want := tree(t, dir), "b_00000=good\nagain\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestParsePeriod(t *testing.T) {
	for text, want := range map[string]string{"never": "never", "hourly": "hourly", "daily": "daily", "90": "90s",
		"90s": "90s", "15m": "900s", "2h": "7200s", "1d": "86400s", "1w": "604800s", "+5m": "300s",
		"3000000000": "3000000000s", "99999999999w": "6306854400s"} {
		if p, err := ParsePeriod(text); err != nil || p.String() != want {
			t.Errorf("%s: %v, %v; want %s", text, p, err, want)
		}
	}
	for _, text := range []string{"", "weekly", "0", "0s", "-1h", "1y", "m", "1.5h", "5 m", "15min",
		"99999999999999999999"} {
		if p, err := ParsePeriod(text); err == nil {
			t.Errorf("%q is %v", text, p)
		}
	}
}
