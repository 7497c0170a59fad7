package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"inkwell/internal/access"
	"inkwell/internal/stats"
	"inkwell/internal/status"
)

// readsLocal lets this machine read, as without rules.
func readsLocal(c *access.Caller) bool { return (*access.Rules)(nil).MayRead(c) }

// document is a collector with categories.
func document(categories ...status.Category) *status.Status {
	s := status.NewMonitor(stats.New(), nil, status.Daemon{Role: status.Collector, Version: "1.0"}).Begin(time.Now())
	s.Daemon.Ready, s.Categories = true, categories
	s.Journal = &status.Store{Dir: "/state/journal", Limit: 100}
	s.Finish()
	return s
}

// fixed returns a handler that serves s.
func fixed(s *status.Status) http.Handler {
	return Handler(Options{Status: func(context.Context) *status.Status { return s }, Reads: readsLocal,
		Stats: stats.New(), Files: new(noFiles)})
}

// noFiles is a category "a" with one file of five bytes.
type noFiles struct{}

func (noFiles) List(category string) ([]File, error) {
	if category != "a" {
		return nil, fs.ErrNotExist
	}
	return []File{{Name: "a-2026-01-02_00000.gz", Bytes: 5, Written: time.Unix(1e9, 0), Entries: 7}}, nil
}

func (noFiles) Complete(string) []string {
	return []string{"2026-01-02T03", time.Now().Add(-2 * time.Hour).Format("2006-01-02T15")}
}

func (f noFiles) Open(category, name string) (io.ReadSeekCloser, File, error) {
	list, err := f.List(category)
	if err != nil || list[0].Name != name {
		return nil, File{}, fs.ErrNotExist
	}
	return nopCloser{strings.NewReader("12345")}, list[0], nil
}

func (noFiles) Tail(ctx context.Context, category string, each func([]byte, int64) error) error {
	if err := each([]byte("<b>one</b>"), 0); err != nil {
		return err
	}
	return each(nil, 3)
}

type nopCloser struct{ *strings.Reader }

func (nopCloser) Close() error { return nil }

// ask sends a request from a peer to an address; host is the Host header.
func ask(h http.Handler, method, target, host, from string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = host
	caller := &access.Caller{Identity: access.Identity{Addr: netip.MustParseAddr(from)}}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(access.NewContext(r.Context(), caller)))
	return w
}

func TestWhoMayReadWhat(t *testing.T) {
	h := fixed(document(status.Category{Name: "a"}))
	const here, there = "127.0.0.1", "192.0.2.1"
	for _, x := range []struct {
		method, target, host, from string
		want                       int
	}{
		{"GET", "/healthz", "x", there, 200},
		{"GET", "/readyz", "x", there, 200},
		{"OPTIONS", "/", "", there, 200},
		{"HEAD", "/healthz", "x", there, 200},
		{"GET", "/", "x", there, 403},
		{"GET", "/metrics", "x", there, 403},
		{"GET", "/status.json", "192.0.2.9", there, 403},
		{"GET", "/category?name=a", "192.0.2.9", there, 403},
		{"GET", "/file?category=a&name=a-2026-01-02_00000.gz", "192.0.2.9", there, 403},
		{"GET", "/tail?category=a", "192.0.2.9", there, 403},
		{"GET", "/", "localhost:1463", here, 200},
		{"GET", "/", "127.0.0.1:1463", here, 200},
		{"GET", "/", "[::1]:1463", here, 200},
		{"GET", "/", "", here, 200},
		{"GET", "/", hostname(), here, 200},
		{"GET", "/", "evil.example", here, 403},
		{"GET", "/", hostname() + ".evil.example", here, 403},
		{"GET", "/status.json", "localhost.evil.example", here, 403},
		{"GET", "/file?category=a&name=a-2026-01-02_00000.gz", "evil.example", here, 403},
		{"GET", "/tail?category=a", "evil.example", here, 403},
		{"GET", "/metrics", "collector.example", here, 200}, // a scraper knows us by any name
		{"POST", "/", "localhost", here, 405},
		{"DELETE", "/file?category=a&name=a-2026-01-02_00000.gz", "localhost", here, 405},
		{"GET", "/nothing", "localhost", here, 404},
		{"GET", "/category?name=b", "localhost", here, 404},
		{"GET", "/file?category=a&name=../a", "localhost", here, 404},
	} {
		w := ask(h, x.method, x.target, x.host, x.from)
		if w.Code != x.want {
			t.Errorf("%s %s at %q from %s: %d, want %d", x.method, x.target, x.host, x.from, w.Code, x.want)
		}
		if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") ||
			w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: headers %v", x.method, x.target, w.Header())
		}
		if x.want == 403 && strings.Contains(w.Body.String(), "journal") {
			t.Errorf("%s tells %q to whom it is not for", x.target, w.Body)
		}
	}
}

func TestHealthSaysWhy(t *testing.T) {
	s := document()
	for _, x := range []struct {
		change        func()
		health, ready int
		text          string
	}{
		{func() {}, 200, 200, "good: all is well"},
		{func() { s.Journal.Bytes = 85 }, 200, 200, "warning: the journal is 85% full: 85 B of 100 B"},
		{func() { s.Journal.Bytes = 99 }, 503, 200, "critical: the journal is 99% full: 99 B of 100 B"},
		{func() { s.Daemon.Ready, s.Daemon.Trouble = false, "bad\nthing" }, 503, 503,
			"critical: bad thing (and 1 more)"},
	} {
		x.change()
		s.Finish()
		h := fixed(s)
		if w := ask(h, "GET", "/healthz", "", "192.0.2.1"); w.Code != x.health || w.Body.String() != x.text+"\n" {
			t.Errorf("%d %q, want %d %q", w.Code, w.Body, x.health, x.text)
		}
		if w := ask(h, "GET", "/readyz", "", "192.0.2.1"); w.Code != x.ready {
			t.Errorf("readyz: %d %q", w.Code, w.Body)
		}
	}
}

func TestPageShowsHostileNamesAsText(t *testing.T) {
	evil := `<script>alert(1)</script>"'&` + "\u202e" + `javascript:x`
	s := document(status.Category{Name: evil, Trouble: evil}, status.Category{Name: "a"})
	s.Senders = []status.Sender{{Host: evil, Path: evil, Version: evil, Trouble: evil}}
	s.Events = []status.Event{{Message: evil, Detail: evil}}
	s.Hops = []status.Hop{{Address: evil, LastError: evil}}
	s.Daemon.Host = evil
	s.Finish()
	h := fixed(s)
	for _, target := range []string{"/?q=%3Cscript%3Ealert", "/",
		"/category?name=" + strings.ReplaceAll(strings.ReplaceAll(evil, "&", "%26"), `"`, "%22")} {
		w := ask(h, "GET", strings.ReplaceAll(target, " ", "%20"), "localhost", "127.0.0.1")
		page := w.Body.String()
		if w.Code != 200 || strings.Contains(page, "<script>alert") || !strings.Contains(page, "&lt;script&gt;alert") {
			t.Errorf("%s: %d %s", target, w.Code, page)
		}
		if strings.Contains(page, `href="javascript`) {
			t.Errorf("%s: a link runs what it is given", target)
		}
	}
}

func TestPageShowsSome(t *testing.T) {
	var list []status.Category
	for i := range 2000 {
		list = append(list, status.Category{Name: fmt.Sprintf("c%04d", i), Flow: status.Flow{Entries: int64(i)}})
	}
	s := document(list...)
	for i := range 500 {
		s.Senders = append(s.Senders, status.Sender{Host: fmt.Sprintf("host%03d", i)})
	}
	h := fixed(s)
	for _, x := range []struct {
		target string
		rows   int
		first  string
	}{{"/", 2 * shown, "c1999"}, {"/?all=1", 2500, "c1999"}, {"/?q=c000&sort=name", 10 + shown,
		"c0000"}, {"/?sort=entries", 2 * shown, "c1999"}} {
		page := ask(h, "GET", x.target, "localhost", "127.0.0.1").Body.String()
		if n := strings.Count(page, `<th scope="row">`); n != x.rows {
			t.Errorf("%s: %d rows, want %d", x.target, n, x.rows)
		}
		if first := page[strings.Index(page, "/category?name=")+len("/category?name="):][:5]; first != x.first {
			t.Errorf("%s: %s is first", x.target, first)
		}
	}
	var got status.Status
	if err := json.Unmarshal(ask(h, "GET", "/status.json", "localhost", "127.0.0.1").Body.Bytes(), &got); err != nil || len(got.Categories) != 2000 {
		t.Errorf("%d categories, %v", len(got.Categories), err)
	}
}

func TestFilesAndTail(t *testing.T) {
	h := fixed(document(status.Category{Name: "a"}))
	page := ask(h, "GET", "/category?name=a", "localhost", "127.0.0.1").Body.String()
	if !strings.Contains(page, "<li>2026-01-02T03</li>") {
		t.Error(page)
	}
	if !strings.Contains(page, "/file?category=a&amp;name=a-2026-01-02_00000.gz") ||
		!strings.Contains(page, `data-url="/tail?category=a"`) {
		t.Error(page)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(access.NewContext(r.Context(),
			&access.Caller{Identity: access.Identity{Addr: netip.MustParseAddr("127.0.0.1")}})))
	}))
	defer server.Close()
	for _, x := range []struct{ target, kind, body string }{
		{"/file?category=a&name=a-2026-01-02_00000.gz", "application/gzip", "12345"},
		{"/tail?category=a", "text/plain; charset=utf-8",
			"<b>one</b>\n… 3 entries came faster than they could be shown …\n"},
	} {
		answer, err := http.Get(server.URL + x.target)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(text) != x.body || answer.Header.Get("Content-Type") != x.kind {
			t.Errorf("%s: %q %v %v", x.target, text, answer.Header, err)
		}
		if x.kind == "application/gzip" && !strings.HasPrefix(answer.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: %v", x.target, answer.Header)
		}
	}
}

// TestOneStatusForAllWhoAsk makes one status a second, however many ask, and answers with an error when that hangs.
func TestOneStatusForAllWhoAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		hang := make(chan struct{})
		l := latest{build: func(context.Context) *status.Status {
			if made.Add(1) == 2 {
				<-hang
			}
			return new(status.Status)
		}}
		askAll := func() (late int) {
			var all sync.WaitGroup
			var n atomic.Int64
			for range 100 {
				all.Go(func() {
					if _, err := l.get(t.Context()); err != nil {
						n.Add(1)
					}
				})
			}
			all.Wait()
			return int(n.Load())
		}
		if late := askAll(); late != 0 || made.Load() != 1 {
			t.Errorf("%d late, %d made", late, made.Load())
		}
		time.Sleep(fresh)
		if late := askAll(); late != 100 || made.Load() != 2 {
			t.Errorf("while it hangs: %d late, %d made", late, made.Load())
		}
		close(hang)
		synctest.Wait()
		time.Sleep(fresh)
		if late := askAll(); late != 0 || made.Load() != 3 {
			t.Errorf("after that: %d late, %d made", late, made.Load())
		}
	})
}

// hanging are files on a file system that does not answer.
type hanging struct {
	noFiles
	until chan struct{}
}

func (f hanging) List(string) ([]File, error) { <-f.until; return nil, fs.ErrNotExist }

// TestAHangingDiskTakesNoRoom asks for the files of a category more often than there are slots, and for the health in
// between.
func TestAHangingDiskTakesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := make(chan struct{})
		s := document(status.Category{Name: "a"})
		h := Handler(Options{Status: func(context.Context) *status.Status { return s }, Reads: readsLocal,
			Stats: stats.New(), Files: hanging{until: until}})
		for i := range 2 * maxReads {
			began := time.Now()
			w := ask(h, "GET", "/category?name=a", "localhost", "127.0.0.1")
			want, most := errHang.Error(), listWait
			if i >= maxReads {
				want, most = errBusy.Error(), 0
			}
			if w.Code != 200 || !strings.Contains(w.Body.String(), want) || time.Since(began) > most {
				t.Errorf("request %d: %d after %v, want %q", i, w.Code, time.Since(began), want)
			}
			if w := ask(h, "GET", "/healthz", "", "127.0.0.1"); w.Code != 200 {
				t.Errorf("healthz: %d", w.Code)
			}
		}
		close(until)
		synctest.Wait()
		if w := ask(h, "GET", "/category?name=a", "localhost", "127.0.0.1"); strings.Contains(w.Body.String(), errBusy.Error()) {
			t.Error("the room was not given back")
		}
	})
}

// TestStatisticsCostLittle: one count at a time, however many ask; the same question is answered again for a while, and
// what is no question is refused before anything is counted.
func TestStatisticsCostLittle(t *testing.T) {
	var counted atomic.Int32
	begun, release := make(chan struct{}, 10), make(chan struct{})
	h := Handler(Options{Status: func(context.Context) *status.Status {
		return document(status.Category{Name: "a"}, status.Category{Name: "b"})
	},
		Reads: readsLocal, Stats: stats.New(), Files: new(noFiles), Count: func(context.Context, Question) (*Counts, error) {
			counted.Add(1)
			begun <- struct{}{}
			<-release
			return &Counts{Rows: []Counted{{Key: "/x", Count: 7}}}, nil
		}})
	const here = "127.0.0.1"
	for target, want := range map[string]int{"/counts?name=c": 404, "/counts?name=a&hours=2": 400, "/counts?name=a&hours=x": 400,
		"/counts?name=a&format=regexp%3D.": 400, "/counts?name=a&by=url%20--x": 400, "/counts?name=a&by=" + strings.Repeat("x", 200): 400} {
		if got := ask(h, "GET", target, "localhost", here).Code; got != want {
			t.Errorf("%s: %d, want %d", target, got, want)
		}
	}
	if got := ask(h, "GET", "/counts?name=a", "localhost", "192.0.2.1").Code; got != 403 || counted.Load() != 0 {
		t.Errorf("a stranger: %d, after %d counts", got, counted.Load())
	}
	var work sync.WaitGroup
	answers := make(chan string, 8)
	for range 8 {
		work.Go(func() { answers <- ask(h, "GET", "/counts?name=a", "localhost", here).Body.String() })
	}
	<-begun
	close(release)
	work.Wait()
	close(answers)
	for body := range answers {
		if !strings.Contains(body, "/x") {
			t.Errorf("an answer without the key: %s", body)
		}
	}
	if n := counted.Load(); n != 1 {
		t.Errorf("counted %d times for eight that asked the same", n)
	}
	ask(h, "GET", "/counts?name=b", "localhost", here)
	if n := counted.Load(); n != 2 {
		t.Errorf("counted %d times for two categories", n)
	}
}
