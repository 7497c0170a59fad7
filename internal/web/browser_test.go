package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"

	"inkwell/internal/access"
	"inkwell/internal/stats"
	"inkwell/internal/status"
)

// browser is a tab of Debian's Chromium that looks at a server.
type browser struct {
	ctx context.Context
	t   *testing.T

	mu       sync.Mutex
	problems []string // what the browser logged: blocked by the policy, not found
}

// browse opens a tab; its profile and its log are in a directory of the test.
func browse(t *testing.T) *browser {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, chromedp.ExecPath("/usr/bin/chromium"),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("headless", true), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-dev-shm-usage",
			true), chromedp.WSURLReadTimeout(time.Minute))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{ctx: ctx, t: t}
	if err := chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*cdplog.EventEntryAdded); ok {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.problems = append(b.problems, fmt.Sprint(e.Entry.Text, " ", e.Entry.URL))
		}
	}); err != nil {
		t.Fatalf("start chromium (Debian package chromium, see .ci/deps): %v", err)
	}
	b.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, cdplog.Enable, cdp.Empty{})
		return err
	}), chromedp.EmulateViewport(1280, 900))
	return b
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// value returns the value of a JavaScript expression.
func value[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// await waits until an expression is true.
func (b *browser) await(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !value[bool](b, expression); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s does not become true", expression)
		}
	}
}

// scheme makes the browser prefer a light or dark page.
func (b *browser) scheme(name string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia,
			emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme",
				Value: name}}})
		return err
	}))
}

// scripts turns scripts on or off for the following pages.
func (b *browser) scripts(on bool) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled,
			emulation.SetScriptExecutionDisabledParams{Value: !on})
		return err
	}))
}

// picture saves a screenshot in the directory of INKWELL_SCREENSHOTS, for a person to look at.
func (b *browser) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("INKWELL_SCREENSHOTS")
	if dir == "" {
		return
	}
	image, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), image, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// clean fails the test if the browser reported errors or contacted another host.
func (b *browser) clean(base string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.problems) > 0 {
		b.t.Errorf("the browser says %q", b.problems)
	}
	for _, url := range value[[]string](b, `performance.getEntriesByType("resource").map((e) => e.name)`) {
		if !strings.HasPrefix(url, base) && !strings.HasPrefix(url, "data:") {
			b.t.Errorf("%s was asked for", url)
		}
	}
}

// serveStatus serves the status that get returns at the time of the request.
func serveStatus(t *testing.T, get func() *status.Status) (base string) {
	return serve(t, Options{Status: func(context.Context) *status.Status { return get() }, Reads: readsLocal,
		Stats: stats.New(), Files: new(noFiles)})
}

// serve serves to this machine.
func serve(t *testing.T, o Options) (base string) {
	h := Handler(o)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(access.NewContext(r.Context(),
			&access.Caller{Identity: access.Identity{Addr: netip.MustParseAddr("127.0.0.1")}})))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

const evil = `"><img src=x onerror="document.title='run'"><script>document.title='run'</script>`

// full returns a document with something in every part, in which all names are hostile, with that many categories and
// senders.
func full(categories, senders int) *status.Status {
	now := time.Now()
	ago := now.Add(-3 * time.Minute)
	s := document()
	s.Daemon.Listen = []string{"0.0.0.0:1463", "tls://0.0.0.0:1464"}
	s.Received = status.Flow{Entries: 123_456_789, Bytes: 98_765_432_100, EntriesPerSecond: 4321,
		BytesPerSecond: 3_456_789}
	for i := range 720 {
		s.History.Entries = append(s.History.Entries, int64(20_000+i%97*300))
		s.History.Bytes = append(s.History.Bytes, int64(15_000_000+i%53*400_000))
	}
	s.History.Step = 5
	for i := range categories {
		c := status.Category{Name: fmt.Sprintf("team%02d.service%04d", i%40, i), LastEntry: &ago,
			Backlog: int64(i * 100), Oldest: float64(i % 11),
			Flow: status.Flow{Entries: int64(1_000_000 - i), Bytes: int64(300_000_000 - i),
				EntriesPerSecond: float64(categories-i) / 7, BytesPerSecond: float64(100 * (categories - i))}}
		if i == 1 {
			c.Name, c.Trouble, c.Oldest = evil, "File open error: no space left on device", 1234
		}
		s.Categories = append(s.Categories, c)
	}
	for i := range senders {
		s.Senders = append(s.Senders, status.Sender{Host: fmt.Sprintf("web%03d.example.com", i),
			Path: "/var/log/nginx/access.log", Version: "1.4.0", Address: "192.0.2.1",
			Lag: int64((senders - i) * 1000), Oldest: float64(senders - i), LastSeen: &ago, Entries: int64(i * 1000)})
	}
	s.Hops = []status.Hop{{Address: "logs2.example.com:1463", Since: &ago, LastError: "connection refused",
		Failed: &ago}, {Address: "logs1.example.com:1463", Up: true, Since: &ago}}
	s.Journal = &status.Store{Dir: "/var/lib/inkwell/journal", Bytes: 30 << 30, Limit: 32 << 30, Entries: 1e6,
		Oldest: 1234}
	s.Disks = []status.Disk{{Path: "/srv/logs", Use: "files", Free: 5 << 30, Total: 100 << 30},
		{Path: "/mnt/nfs", Use: "files", Error: "it has not answered for 1m0s"}}
	s.Files = &status.Files{Published: 1234, Last: &ago}
	s.Refused = []status.Refusal{{Reason: "refused not allowed", Count: 12, Recent: 3}}
	s.Certificates = []status.Certificate{{File: "/etc/inkwell/logs.pem", Expires: now.Add(72 * time.Hour)}}
	s.Events = []status.Event{{At: ago, Level: "error", Message: "store does not take its entries",
		Detail: "category=" + evil, Count: 7}}
	s.Finish()
	return s
}

// TestPageInABrowser looks at the page as people do: light, dark, narrow, with scripts and without.
func TestPageInABrowser(t *testing.T) {
	var mu sync.Mutex
	s := full(30, 5)
	base := serveStatus(t, func() *status.Status { mu.Lock(); defer mu.Unlock(); return s })
	b := browse(t)
	b.do(chromedp.Navigate(base + "/"))
	var doc status.Status
	answer, err := http.Get(base + "/status.json")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	rows := value[[]string](b, `[...document.querySelectorAll("#category-table tbody th")].map((e) => e.textContent)`)
	if len(rows) != len(doc.Categories) {
		t.Fatalf("%d rows, %d categories", len(rows), len(doc.Categories))
	}
	for i, c := range doc.Categories {
		if rows[i] != c.Name {
			t.Errorf("row %d is %q, want %q", i, rows[i], c.Name)
		}
	}
	if got := value[string](b, `document.getElementById("entries").textContent`); got != "123,456,789" {
		t.Errorf("%s entries", got)
	}
	if n := value[int](b, `document.querySelectorAll(".verdict li").length`); n != len(doc.Verdict.Reasons) {
		t.Errorf("%d reasons, want %d", n, len(doc.Verdict.Reasons))
	}
	if title := value[string](b, "document.title"); strings.Contains(title, "run") || value[int](b, `document.images.length`) != 0 {
		t.Errorf("something ran: %q", title)
	}
	if wide := value[int](b, `document.querySelector(".verdict").offsetWidth`); wide < 1000 {
		t.Errorf("the verdict is %d pixels wide, of 1280: the style is broken", wide)
	}
	b.picture("light")
	b.scheme("dark")
	if ground := value[string](b, `getComputedStyle(document.body).backgroundColor`); ground != "rgb(13, 17, 23)" {
		t.Errorf("dark is %s", ground)
	}
	b.picture("dark")
	b.scheme("light")
	b.do(chromedp.EmulateViewport(390, 844))
	if over := value[int](b, "document.documentElement.scrollWidth - window.innerWidth"); over > 0 {
		t.Errorf("a narrow screen has to be moved by %d pixels to the side", over)
	}
	b.picture("narrow")
	b.do(chromedp.EmulateViewport(1280, 900))
	// Every region that can be scrolled has a name and can be reached by keys.
	if n := value[int](b, `document.querySelectorAll(".scroll:not([tabindex]), .scroll:not([aria-labelledby]), svg:not([aria-label]), th:not([scope])").length`); n > 0 {
		t.Errorf("%d parts are without a name", n)
	}
	mu.Lock()
	s = full(30, 5)
	s.Received.Entries++
	mu.Unlock()
	b.await(`document.getElementById("entries").textContent === "123,456,790"`)
	b.clean(base)

	b.do(chromedp.Navigate(base + "/category?name=" + "team00.service0000"))
	b.await(`document.getElementById("tail").textContent.includes("<b>one</b>")`)
	b.picture("category")
	b.clean(base)

	b.scripts(false)
	b.do(chromedp.Navigate(base + "/"))
	b.scripts(true)
	if n := value[int](b, `document.querySelectorAll("#category-table tbody tr").length`); n != 30 {
		t.Errorf("without scripts: %d rows", n)
	}
}

// TestPageOfAGreatFleet measures the page with 2,000 categories and 500 senders, all shown. The figures are printed,
// not checked.
func TestPageOfAGreatFleet(t *testing.T) {
	s := full(2000, 500)
	base := serveStatus(t, func() *status.Status { return s })
	b := browse(t)
	for _, target := range []string{"/", "/?all=1", "/?q=service19"} {
		b.do(chromedp.Navigate(base + target))
		size := value[int](b, `performance.getEntriesByType("navigation")[0].decodedBodySize`)
		answer := value[float64](b, `(() => { const n = performance.getEntriesByType("navigation")[0]; return n.responseEnd - n.requestStart })()`)
		ready := value[float64](b, `performance.getEntriesByType("navigation")[0].loadEventEnd`)
		layout := value[float64](b, `(() => { const b = performance.now(); document.body.style.width = "1000px"; document.body.offsetHeight; document.body.style.width = ""; document.body.offsetHeight; return performance.now() - b })()`)
		rows := value[int](b, `document.querySelectorAll("tbody tr").length`)
		t.Logf("%s: %d rows, %d kB, answered after %.0f ms, loaded after %.0f ms, laid out twice in %.0f ms", target,
			rows, size/1000, answer, ready, layout)
		if want := map[string]int{"/": 2 * shown, "/?all=1": 2500}[target]; rows < want {
			t.Errorf("%s: %d rows, want %d and more", target, rows, want)
		}
	}
	b.do(chromedp.Navigate(base + "/"))
	b.picture("fleet")
	b.clean(base)
}

// TestStatisticsInABrowser looks at the statistics of a category, with a hostile key, and at what is complete.
func TestStatisticsInABrowser(t *testing.T) {
	s := full(30, 5)
	var asked []Question
	base := serve(t, Options{Status: func(context.Context) *status.Status { return s }, Reads: readsLocal, Stats: stats.New(),
		Files: new(noFiles), Count: func(_ context.Context, q Question) (*Counts, error) {
			asked = append(asked, q)
			c := &Counts{Note: "12 lines are not combined, and not counted"}
			for i := range 20 {
				c.Rows = append(c.Rows, Counted{Key: fmt.Sprintf("/item/%d", i), Count: int64(90000 / (i + 1)), Failures: int64(i % 3), Rate: 12,
					Bytes: 1 << 20, Timed: 1, Avg: .002, P50: .001, P95: .04, P99: 1.5, Max: 12.25})
			}
			c.Rows[3].Key = evil
			for i := range 60 {
				c.Series = append(c.Series, Counted{Key: s.Now.Add(-time.Duration(60-i) * q.Every).Format(time.RFC3339),
					Count: int64(300 + i*i%70*10), Failures: int64(i % 5), P95: float64(i%7) / 100})
			}
			return c, nil
		}})
	b := browse(t)
	b.do(chromedp.Navigate(base + "/category?name=team00.service0000"))
	b.do(chromedp.Click("#statistics"))
	b.await(`document.querySelectorAll("#count-table tbody tr").length === 20`)
	if got := value[string](b, `document.querySelectorAll("#count-table tbody th")[3].textContent`); got != evil {
		t.Errorf("the key is %q", got)
	}
	if n := value[int](b, `document.querySelectorAll("figure svg polyline").length`); n != 3 {
		t.Errorf("%d plots", n)
	}
	if lines := value[string](b, `document.querySelector("polyline").getAttribute("points")`); strings.Count(lines, ",") != points+1 || strings.Count(lines, ",60.0") > 3 {
		t.Errorf("the line is %s", lines)
	}
	b.picture("statistics")
	b.do(chromedp.SetValue("#hours", "12"), chromedp.SetValue("#by", "status"), chromedp.Click("#count"))
	b.await(`(document.querySelector("#keys") || {}).textContent === "By status"`)
	b.do(chromedp.Reload())
	b.await(`document.querySelector("#hours").value === "12"`)
	if len(asked) != 2 || asked[1].Last != 12*time.Hour || asked[1].By != "status" || asked[0].By != "url" {
		t.Errorf("counted were %+v", asked)
	}
	b.do(chromedp.EmulateViewport(390, 844))
	if over := value[int](b, "document.documentElement.scrollWidth - window.innerWidth"); over > 0 {
		t.Errorf("a narrow screen has to be moved by %d pixels to the side", over)
	}
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(base+"/"), chromedp.Click("#complete"))
	b.await(`document.querySelectorAll("table.cells tbody tr").length > 0`)
	if n := value[int](b, `document.querySelectorAll("table.cells .good").length`); n != 30 {
		t.Errorf("%d cells are complete, want one of each category", n)
	}
	b.picture("complete")
	b.clean(base)
}
