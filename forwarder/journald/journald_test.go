package journald

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/internal/testkit"
	"inkwell/proto"
)

// waitMax is how long a test waits for what has to come.
const waitMax = 60 * time.Second

// writer makes a journal file of what is written to it, by systemd's own program.
type writer struct {
	t     *testing.T
	in    io.WriteCloser
	cmd   *exec.Cmd
	n     int
	began time.Time
}

const remote = "/usr/lib/systemd/systemd-journal-remote"

// newWriter writes a file in dir.
func newWriter(t *testing.T, dir, name string) *writer {
	t.Helper()
	w := &writer{t: t, began: time.Now().Add(-time.Hour).Truncate(time.Second)}
	w.cmd = exec.Command(remote, "--output="+filepath.Join(dir, name+".journal"), "-")
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.cmd.ProcessState == nil {
			w.close()
		}
	})
	return w
}

// entry writes one entry in the export format.
func (w *writer) entry(unit string, message []byte, more ...string) {
	w.t.Helper()
	w.n++
	text := fmt.Sprintf("__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n_HOSTNAME=web1\nSYSLOG_IDENTIFIER=app\n",
		w.began.UnixMicro()+int64(w.n)*1000, 1000*w.n, strings.Repeat("a", 32))
	if unit != "" {
		text += "_SYSTEMD_UNIT=" + unit + "\n"
	}
	if !slices.Contains(more, "_PID=1") {
		more = append(more, "_PID=77")
	}
	for _, line := range more {
		text += line + "\n"
	}
	if message != nil {
		n := len(message)
		text += "MESSAGE\n" + string([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24), 0, 0, 0, 0}) + string(message) + "\n"
	}
	if _, err := io.WriteString(w.in, text+"\n"); err != nil {
		w.t.Fatal(err)
	}
}

// lines writes entries "line FROM" … of a unit.
func (w *writer) lines(unit string, from, to int) {
	for i := from; i < to; i++ {
		w.entry(unit, fmt.Appendf(nil, "line %d", i))
	}
}

// close ends the writing; all is in the file then.
func (w *writer) close() {
	w.t.Helper()
	if err := w.in.Close(); err != nil {
		w.t.Error(err)
	}
	if err := w.cmd.Wait(); err != nil {
		w.t.Errorf("systemd-journal-remote: %v", err)
	}
}

// collected is what was delivered, by category. Entries that come again with their number are left out, as a collector
// does it.
type collected struct {
	mu    sync.Mutex
	by    map[string][]string
	there map[string]map[int64]string
	again int
	fail  error // what deliveries end with, after they were taken
}

func newCollected() *collected {
	return &collected{by: make(map[string][]string), there: make(map[string]map[int64]string)}
}

func (c *collected) deliver(_ context.Context, b *proto.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := b.Spans()
	used := int32(0)
	for cur := b.Cursor(); cur.Next(); {
		category, message := string(cur.Category()), string(cur.Message())
		key := fmt.Sprintf("%x %s", spans[0].Stream, category)
		number := spans[0].First + int64(used)
		if used++; used == spans[0].Count {
			spans, used = spans[1:], 0
		}
		if c.there[key] == nil {
			c.there[key] = make(map[int64]string)
		}
		if _, again := c.there[key][number]; again {
			c.again++
			continue
		}
		c.there[key][number] = message
		c.by[category] = append(c.by[category], message)
	}
	return c.fail
}

func (c *collected) of(category string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.by[category])
}

func (c *collected) count() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, lines := range c.by {
		n += len(lines)
	}
	return n
}

// run is an input that reads.
type run struct {
	t    *testing.T
	in   *Input
	stop context.CancelFunc
	done chan error
	dir  *faultfs.Dir
}

func begin(t *testing.T, state string, o Options, c *collected) *run {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Stats = stats.New()
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	dir, err := faultfs.OpenDir(state, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, in: New(o), done: make(chan error, 1), dir: dir}
	r.in.zone = time.UTC
	if err := r.in.Open(dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	t.Cleanup(cancel)
	go func() { r.done <- r.in.Run(ctx, context.Background(), c.deliver) }()
	return r
}

// end waits for the end and closes the input.
func (r *run) end() error {
	r.t.Helper()
	var err error
	select {
	case err = <-r.done:
	case <-time.After(waitMax):
		r.t.Fatal("the input does not end")
	}
	if err := r.in.Close(); err != nil {
		r.t.Error(err)
	}
	if err := r.dir.Close(); err != nil {
		r.t.Error(err)
	}
	return err
}

func (r *run) finish() {
	r.t.Helper()
	r.stop()
	if err := r.end(); err != nil {
		r.t.Error(err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(waitMax); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// numbered are the messages "line FROM" ….
func numbered(from, to int) (lines []string) {
	for i := from; i < to; i++ {
		lines = append(lines, fmt.Sprintf("line %d\n", i))
	}
	return lines
}

func TestEntriesBecomeLines(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, "system")
	w.entry("nginx.service", []byte("plain"))
	w.entry("nginx.service", []byte("two\nlines"))
	w.entry("nginx.service", []byte("not UTF-8: \xff\xfe\x00"))
	w.entry("nginx.service", nil)
	w.entry("getty@tty1.service", []byte(""))
	w.entry("", []byte("of the kernel"), "_TRANSPORT=kernel")
	w.entry("", []byte("of nobody"))
	w.entry("init.scope", []byte("Started nginx"), "UNIT=nginx.service", "_PID=1")
	w.entry("evil.service", []byte("not from systemd"), "UNIT=nginx.service")
	w.close()
	c := newCollected()
	if err := begin(t, t.TempDir(), Options{Directory: dir, Category: "j.{unit}", Once: true}, c).end(); err != nil {
		t.Fatal(err)
	}
	stamp := func(n int) string {
		return w.began.Add(time.Duration(n) * time.Millisecond).UTC().Format("2006-01-02T15:04:05.000000Z07:00")
	}
	want := map[string][]string{
		"j.nginx.service": {
			stamp(1) + " web1 app[77]: plain\n", stamp(2) + " web1 app[77]: two\nlines\n", stamp(3) + " web1 app[77]: not UTF-8: \xff\xfe\x00\n",
			stamp(4) + " web1 app[77]: \n", stamp(8) + " web1 app[1]: Started nginx\n",
		},
		"j.getty%40tty1.service": {stamp(5) + " web1 app[77]: \n"},
		"j.kernel":               {stamp(6) + " web1 app[77]: of the kernel\n"},
		"j.unknown":              {stamp(7) + " web1 app[77]: of nobody\n"},
		"j.evil.service":         {stamp(9) + " web1 app[77]: not from systemd\n"},
	}
	for category, lines := range want {
		if got := c.of(category); !slices.Equal(got, lines) {
			t.Errorf("%s: %q, want %q", category, got, lines)
		}
	}
	if n := c.count(); n != 9 {
		t.Errorf("%d entries", n)
	}
}

// TestGoesOnBehindTheLastEntry stops and starts the input again and again while entries come: none comes twice, none is
// left out, the first behind a start least of all.
func TestGoesOnBehindTheLastEntry(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	w := newWriter(t, dir, "system")
	c := newCollected()
	o := Options{Directory: dir, Units: []string{"app-*.service"}, Category: "apps", Bare: true}
	for i := range 6 {
		r := begin(t, state, o, c)
		w.lines("app-1.service", 10*i, 10*i+5)
		w.lines("other.service", 0, 3)
		until(t, "the entries", func() bool { return len(c.of("apps")) == 10*i+5 })
		r.finish()
		w.lines("app-2.service", 10*i+5, 10*i+10)
	}
	w.close()
	o.Once = true
	if err := begin(t, state, o, c).end(); err != nil {
		t.Fatal(err)
	}
	if got := c.of("apps"); !slices.Equal(got, numbered(0, 60)) {
		t.Errorf("got %q", got)
	}
	if c.again != 0 {
		t.Errorf("%d entries were sent again", c.again)
	}
	list, bad, err := ReadPositions(state)
	if err != nil || bad != 0 || len(list) != 1 || list[0].Number != 60 || list[0].Category != "apps" || list[0].Journal != "journal:"+dir {
		t.Errorf("positions: %+v, %d, %v", list, bad, err)
	}
}

// TestKilledChildren kills journalctl while it writes: it is started again behind the last whole entry.
func TestKilledChildren(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, "system")
	c := newCollected()
	r := begin(t, t.TempDir(), Options{Directory: dir, Bare: true}, c)
	const n = 20_000
	go func() {
		w.lines("a.service", 0, n)
		w.close()
	}()
	kills := 0
	for len(c.of("a.service")) < n {
		if pid := childOf(t, os.Getpid()); pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			kills++
		}
		before := len(c.of("a.service"))
		until(t, "more entries", func() bool { k := len(c.of("a.service")); return k == n || k > before })
	}
	r.finish()
	if got := c.of("a.service"); !slices.Equal(got, numbered(0, n)) {
		t.Errorf("%d entries, want %d", len(got), n)
	}
	if kills < 3 || c.again != 0 {
		t.Errorf("%d kills, %d entries were sent again", kills, c.again)
	}
}

// childOf is a journalctl that pid has started, 0 if there is none.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var child, parent int
		var name, state string
		if _, err := fmt.Sscan(string(text), &child, &name, &state, &parent); err == nil && parent == pid && name == "(journalctl)" {
			return child
		}
	}
	return 0
}

// TestDiesBetweenDeliveryAndState has the state of before each time: what is sent again has the numbers it had.
func TestDiesBetweenDeliveryAndState(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	w := newWriter(t, dir, "system")
	for i := range 100 {
		w.entry([]string{"a.service", "b.service"}[i%2], fmt.Appendf(nil, "line %d", i/2))
	}
	w.close()
	c := newCollected()
	o := Options{Directory: dir, Bare: true, Once: true}
	for range 3 {
		c.fail = io.ErrUnexpectedEOF // it was taken, and the answer is lost
		if err := begin(t, state, o, c).end(); err == nil {
			t.Error("a lost answer was taken for one")
		}
	}
	c.fail = nil
	if err := begin(t, state, o, c).end(); err != nil {
		t.Fatal(err)
	}
	for _, category := range []string{"a.service", "b.service"} {
		if got := c.of(category); !slices.Equal(got, numbered(0, 50)) {
			t.Errorf("%s: %q", category, got)
		}
	}
	if c.again == 0 {
		t.Error("nothing was sent again")
	}
}

// TestTheLastEntryIsGone goes on by time: nothing that is there and was not read is passed over, not even the first.
func TestTheLastEntryIsGone(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	w := newWriter(t, dir, "old")
	w.lines("a.service", 0, 10)
	w.close()
	c, log := newCollected(), new(testkit.Log)
	o := Options{Directory: dir, Bare: true, Once: true, Logger: log.Logger()}
	if err := begin(t, state, o, c).end(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "old.journal")); err != nil {
		t.Fatal(err)
	}
	next := newWriter(t, dir, "new")
	next.began = w.began.Add(time.Minute)
	next.lines("a.service", 10, 20)
	next.close()
	if err := begin(t, state, o, c).end(); err != nil {
		t.Fatal(err)
	}
	if got := c.of("a.service"); !slices.Equal(got, numbered(0, 20)) {
		t.Errorf("got %q", got)
	}
	if !strings.Contains(log.String(), "no longer in the journal") {
		t.Errorf("nothing is said of it:\n%s", log)
	}
}

// TestTheLastEntryIsNotShown has journalctl not show the file of the last entry for some time, as happens while journald renames it.
func TestTheLastEntryIsNotShown(t *testing.T) {
	real, err := exec.LookPath("journalctl")
	if err != nil {
		t.Fatal(err)
	}
	for _, looks := range []int{1, 1000} { // for so many, the last entry is not shown
		dir, rest, state, bin := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
		w := newWriter(t, dir, "old")
		w.lines("a.service", 0, 10)
		w.close()
		c := newCollected()
		o := Options{Directory: dir, Bare: true, Once: true}
		if err := begin(t, state, o, c).end(); err != nil {
			t.Fatal(err)
		}
		next := newWriter(t, dir, "new")
		next.began, next.n = w.began, w.n
		next.lines("a.service", 10, 20)
		next.close()
		if err := os.Link(filepath.Join(dir, "new.journal"), filepath.Join(rest, "new.journal")); err != nil {
			t.Fatal(err)
		}
		script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *--cursor=*)\n\techo >> %[1]s/looks\n\t"+
			"if [ $(wc -l < %[1]s/looks) -le %[2]d ]; then exec %[3]s \"$@\" --directory=%[4]s; fi\nesac\nexec %[3]s \"$@\"\n",
			bin, looks, real, rest)
		program := filepath.Join(bin, "journalctl")
		if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		if err := begin(t, state, o, c).end(); err != nil {
			t.Fatal(err)
		}
		if got := c.of("a.service"); !slices.Equal(got, numbered(0, 20)) {
			t.Errorf("%d looks: got %q", looks, got)
		}
	}
}

// TestTheLastEntryWasOfTheFuture has a state from a time when the clock was wrong, and a journal that was cleared
// since.
func TestTheLastEntryWasOfTheFuture(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	w := newWriter(t, dir, "old")
	w.began = time.Now().Add(1000 * time.Hour)
	w.lines("a.service", 0, 10)
	w.close()
	c := newCollected()
	o := Options{Directory: dir, Bare: true, Once: true}
	if err := begin(t, state, o, c).end(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "old.journal")); err != nil {
		t.Fatal(err)
	}
	next := newWriter(t, dir, "new")
	next.lines("a.service", 10, 20)
	o.Once = false
	r := begin(t, state, o, c)
	until(t, "the entries", func() bool { return len(c.of("a.service")) == 20 })
	r.finish()
	if got := c.of("a.service"); !slices.Equal(got, numbered(0, 20)) {
		t.Errorf("got %q", got)
	}
}

func TestFromEnd(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	w := newWriter(t, dir, "system")
	w.lines("a.service", 0, 10)
	c := newCollected()
	o := Options{Directory: dir, Bare: true, FromEnd: true}
	until(t, "the file", func() bool {
		out, err := exec.Command("journalctl", "--directory="+dir, "--output=cat", "--quiet").Output()
		return err == nil && strings.Count(string(out), "\n") == 10
	})
	r := begin(t, state, o, c)
	w.lines("a.service", 10, 15)
	until(t, "the entries", func() bool { return len(c.of("a.service")) == 5 })
	r.finish()
	w.lines("a.service", 15, 20) // what comes while it is down counts the second time
	w.close()
	o.Once = true
	if err := begin(t, state, o, c).end(); err != nil {
		t.Fatal(err)
	}
	if got := c.of("a.service"); !slices.Equal(got, numbered(10, 20)) {
		t.Errorf("got %q", got)
	}
}

// TestDamagedState reads the journal again when nothing of the state can be read, and says so; it never stops for it.
func TestDamagedState(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty":       func([]byte) []byte { return nil },
		"random":      func([]byte) []byte { return []byte("\x00\xff\x13 not a state") },
		"cut":         func(b []byte) []byte { return b[:len(b)-5] },
		"one bit":     func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"no newlines": func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), "\n", "")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, state := t.TempDir(), t.TempDir()
			w := newWriter(t, dir, "system")
			w.lines("a.service", 0, 10)
			w.close()
			c := newCollected()
			o := Options{Directory: dir, Bare: true, Once: true}
			if err := begin(t, state, o, c).end(); err != nil {
				t.Fatal(err)
			}
			paths, err := filepath.Glob(filepath.Join(state, statePrefix+"*"))
			if err != nil || len(paths) != 1 {
				t.Fatalf("%q, %v", paths, err)
			}
			data, err := os.ReadFile(paths[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(paths[0], damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := begin(t, state, o, c).end(); err != nil {
				t.Fatal(err)
			}
			if n := len(c.of("a.service")); n != 20 && n != 10 { // read again as another stream, or behind an older line
				t.Errorf("%d entries", n)
			}
		})
	}
}

// TestLongMessagesAreSplit has no line longer than it may be, and nothing missing.
func TestLongMessagesAreSplit(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, "system")
	long := []byte(strings.Repeat("0123456789", 10_000))
	w.entry("a.service", long)
	w.entry("a.service", []byte("short"))
	w.close()
	c := newCollected()
	if err := begin(t, t.TempDir(), Options{Directory: dir, Bare: true, Once: true, MaxLine: 4096}, c).end(); err != nil {
		t.Fatal(err)
	}
	got := c.of("a.service")
	if text := strings.Join(got, ""); text != string(long)+"\nshort\n" {
		t.Errorf("%d bytes of %d", len(text), len(long))
	}
	for _, piece := range got {
		if len(piece) > 4096 {
			t.Errorf("a piece of %d bytes", len(piece))
		}
	}
}

// TestTooManyCategories puts the entries of further ones together, after a restart the same ones.
func TestTooManyCategories(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	w := newWriter(t, dir, "system")
	for i := range 6 {
		w.lines(fmt.Sprintf("u%d.service", i), i, i+1)
	}
	w.close()
	c := newCollected()
	o := Options{Directory: dir, Bare: true, Once: true, MaxCategories: 4, Category: "x.{unit}"}
	for range 2 {
		if err := begin(t, state, o, c).end(); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.of("x.other"); !slices.Equal(got, numbered(4, 6)) {
		t.Errorf("got %q", got)
	}
	if n := c.count(); n != 6 {
		t.Errorf("%d entries", n)
	}
}

// TestNoSuchDirectory is tried again until the directory is there.
func TestNoSuchDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	c, log := newCollected(), new(testkit.Log)
	r := begin(t, t.TempDir(), Options{Directory: dir, Bare: true, Logger: log.Logger()}, c)
	until(t, "a word of it", func() bool { return strings.Contains(log.String(), "No such file or directory") })
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWriter(t, dir, "system")
	w.lines("a.service", 0, 3)
	until(t, "the entries", func() bool { return len(c.of("a.service")) == 3 })
	r.finish()
	if err := begin(t, t.TempDir(), Options{Directory: dir + "x", Once: true}, c).end(); err == nil {
		t.Error("--once of a directory that is not there ends well")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{
		{Category: "{app}"}, {Category: "{"}, {Units: []string{"["}}, {Units: []string{""}}, {Directory: "/x", Namespace: "y"}, {Namespace: "--x"},
		{Namespace: "*"},
	} {
		if err := o.Validate(); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
