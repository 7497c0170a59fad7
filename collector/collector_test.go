package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"inkwell/internal/testkit"

	"inkwell/internal/config"
	"inkwell/internal/faultfs"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/proto/gen/fb303"
)

func TestMain(m *testing.M) {
	testkit.AtOnce(8)
	testkit.Main(m)
}

// filesIn is a configuration of plain files in dir that have their names when they are finished. lines come before the
// store's.
func filesIn(dir string, lines ...string) func() *config.Config {
	text := strings.Join(append(append([]string{"inkwell 1"}, lines...), "<store>", "category=default", "type=file", "publish=yes", "rotate_period=daily", "file_path="+dir, "</store>"), "\n")
	return func() *config.Config { return config.Load("test.conf", []byte(text)) }
}

// taken is an intake of plain files in dir.
func taken(t *testing.T, set *stats.Set, dir string, lines ...string) *intake {
	t.Helper()
	o := Options{Load: filesIn(dir, lines...), StateDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Stats: set}
	i, err := openIntake(&o, newGate(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	return i
}

// launch starts a collector on a free port, of plain files unless o says otherwise; stop ends it and waits.
func launch(t *testing.T, o Options) (c *Collector, stop func() error) {
	t.Helper()
	o.Listen = []string{"127.0.0.1:0"}
	o.StateDir = cmp.Or(o.StateDir, t.TempDir())
	if o.Load == nil {
		o.Load = filesIn(t.TempDir())
	}
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { stop() })
	return c, stop
}

func dial(t *testing.T, c *Collector) *rpc.Client {
	t.Helper()
	client, err := rpc.Dial(context.Background(), c.Addrs()[0].String(), rpc.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func batch(pairs ...string) *proto.Batch {
	b := new(proto.Batch)
	for i := 0; i < len(pairs); i += 2 {
		b.Append([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	return b
}

func contents(t *testing.T, dir, category string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, category, category+"-*_0*"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

func TestCollectorWritesAndCounts(t *testing.T) {
	dir := t.TempDir()
	c, stop := launch(t, Options{Load: filesIn(dir)})
	client := dial(t, c)
	for range 3 {
		code, err := client.Log(context.Background(), []*proto.Batch{batch("a", "1\n", "a", "2\n", "", "lost", "b", "3\n"), batch("a", "4\n", "../x", "5\n")})
		if err != nil || code != proto.OK {
			t.Fatal(code, err)
		}
	}
	if code, err := client.Log(context.Background(), nil); err != nil || code != proto.OK {
		t.Errorf("empty call: %v %v", code, err)
	}
	want := map[string]int64{
		"scribe_overall:received good": 15, "scribe_overall:received good bytes": 30, "scribe_overall:received blank category": 3,
		"scribe_overall:received unsafe category": 3, "a:received good": 9, "b:received good": 3, "_unsafe:received good": 3, "a:received good bytes": 18,
	}
	fb, closer, err := rpc.FB303(c.Addrs()[0].String(), 10*time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	all, err := fb.GetCounters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for name := range want {
		got[name] = all[name]
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for category, text := range map[string]string{"a": strings.Repeat("1\n2\n4\n", 3), "b": strings.Repeat("3\n", 3), "_unsafe": strings.Repeat("\"../x\" 5\n", 3)} {
		if got := contents(t, dir, category); got != text {
			t.Errorf("%s: got %q, want %q", category, got, text)
		}
	}
}

func TestControl(t *testing.T) {
	c, stop := launch(t, Options{Version: "1.2.3"})
	fb, closer, err := rpc.FB303(c.Addrs()[0].String(), 10*time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	ctx := context.Background()
	name, err := fb.GetName(ctx)
	if name != "Scribe" || err != nil {
		t.Errorf("name %q %v", name, err)
	}
	if version, err := fb.GetVersion(ctx); version != "1.2.3" || err != nil {
		t.Errorf("version %q %v", version, err)
	}
	if status, err := fb.GetStatus(ctx); status != fb303.FbStatus_ALIVE || err != nil {
		t.Errorf("status %v %v", status, err)
	}
	if details, err := fb.GetStatusDetails(ctx); details != "" || err != nil {
		t.Errorf("details %q %v", details, err)
	}
	if err := fb.SetOption(ctx, "k", "v"); err != nil {
		t.Error(err)
	}
	if v, err := fb.GetOption(ctx, "k"); v != "v" || err != nil {
		t.Errorf("option %q %v", v, err)
	}
	if v, err := fb.GetOption(ctx, "unknown"); v != "" || err != nil {
		t.Errorf("unknown option %q %v", v, err)
	}
	if m, err := fb.GetOptions(ctx); len(m) != 1 || m["k"] != "v" || err != nil {
		t.Errorf("options %v %v", m, err)
	}
	if since, err := fb.AliveSince(ctx); err != nil || time.Since(time.Unix(since, 0)) > time.Hour {
		t.Errorf("alive since %v %v", since, err)
	}
	if n, err := fb.GetCounter(ctx, "none"); n != 0 || err != nil {
		t.Errorf("counter %v %v", n, err)
	}
	if err := fb.Reinitialize(ctx); err != nil {
		t.Error(err)
	}
	if err := fb.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-c.control.shutdown:
	case <-time.After(30 * time.Second):
		t.Error("shutdown did nothing")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// What cannot be made durable now is answered TRY_LATER and not counted as received.
func TestIntakeAnswers(t *testing.T) {
	set := stats.New()
	dir := filepath.Join(t.TempDir(), "file") // so that nothing leaves the journal
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	i := taken(t, set, dir, "journal_max=1MiB")
	long := strings.Repeat("x", 1<<19)
	answers := map[proto.ResultCode]int64{}
	for range 4 {
		code, err := i.Log(t.Context(), batch("c", long, "", "blank"))
		if err != nil {
			t.Fatal(err)
		}
		answers[code]++
	}
	if answers[proto.OK] == 0 || answers[proto.TryLater] == 0 {
		t.Errorf("a journal of 1 MiB answers %v", answers)
	}
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if code, err := i.Log(t.Context(), batch("c", "m")); code != proto.TryLater || err != nil {
		t.Errorf("closed: %v %v", code, err)
	}
	got := map[string]int64{}
	for _, name := range []string{"c:received good", "scribe_overall:received blank category", "scribe_overall:denied for queue size"} {
		got[name] = set.Get(name)
	}
	want := map[string]int64{"c:received good": answers[proto.OK], "scribe_overall:received blank category": answers[proto.OK],
		"scribe_overall:denied for queue size": answers[proto.TryLater]}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A peer that makes up categories makes no counters of them beyond the limit.
func TestIntakeBoundsItsCounters(t *testing.T) {
	set := stats.New()
	i := taken(t, set, t.TempDir(), "max_categories=5")
	for n := range 100 {
		if code, err := i.Log(t.Context(), batch(fmt.Sprintf("c%d", n), "m")); code != proto.OK || err != nil {
			t.Fatal(code, err)
		}
	}
	if n := set.Get("_overflow:received good"); n != 95 {
		t.Errorf("overflow counts %d, want 95", n)
	}
	if n := i.figures().Categories; n != 6 {
		t.Errorf("%d categories, want 5 and the overflow", n)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		"choose another port":  {Listen: []string{ln.Addr().String()}, StateDir: t.TempDir()},
		"open state directory": {Listen: []string{"127.0.0.1:0"}, StateDir: file},
	} {
		o.Load = filesIn(t.TempDir())
		if c, err := Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v %v, want an error with %q", c, err, want)
		}
	}
}

// TestStateInUse has the second collector say so: the intake, which it could not open, is not closed.
func TestStateInUse(t *testing.T) {
	o := Options{Listen: []string{"127.0.0.1:0"}, StateDir: t.TempDir(), Load: filesIn(t.TempDir())}
	first, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := Open(o); second != nil || !errors.Is(err, faultfs.ErrLocked) {
		t.Errorf("%v, %v", second, err)
	}
	if err := first.release(); err != nil {
		t.Error(err)
	}
}
