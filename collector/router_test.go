package collector

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"inkwell/internal/config"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store/journal"
)

// routerOf makes the router of a configuration over a journal of its own.
func routerOf(t *testing.T, text string) *router {
	t.Helper()
	c := config.Load("test.conf", []byte(text))
	j, err := journal.Open(journal.Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r := newRouter(c, j, newOpener(c, t.TempDir(), j, &Options{Logger: slog.New(slog.DiscardHandler), Stats: stats.New()}), stats.New())
	j.Start(r.routes())
	t.Cleanup(func() {
		j.Stop(10 * time.Second)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// named are the names of the outlets of a category, in order.
func named(r *router, category string) string {
	var names []string
	for _, q := range r.find([]byte(category)).Outlets {
		names = append(names, q.Name())
	}
	return strings.Join(names, "|")
}

func block(lines ...string) string { return "<store>\n" + strings.Join(lines, "\n") + "\n</store>\n" }

func TestRoutesFollowTheOriginalsRules(t *testing.T) {
	dir := t.TempDir()
	file := func(category, sub string) string {
		return block(category, "type=file", "file_path="+dir+"/"+sub)
	}
	for _, c := range []struct {
		name, conf string
		want       map[string]string // category → names of its outlets
	}{
		{"exact, prefix, list, default", file("category=tps", "a") + file("category=foo*", "b") + file("categories=rock* paper", "c") + file("category=default", "d"),
			map[string]string{"tps": "tps", "foo": "foo", "foodoo": "foodoo", "rocket": "rocket", "paper": "paper", "papers": "papers", "default": "default"}},
		{"threads off", "new_thread_per_category=no\n" + file("category=tps", "a") + file("category=foo*", "b") + file("categories=rock* paper", "c") + file("category=default", "d"),
			map[string]string{"tps": "tps", "foo": "foo", "foodoo": "foo", "rocket": "rock* paper", "paper": "rock* paper", "other": "default"}},
		{"no default", file("category=p*", "a"), map[string]string{"pq": "pq", "other": ""}},
		{"two defaults", file("category=default", "a") + file("category=default", "b"), map[string]string{"x": "x|x"}},
		{"one category in several stores", file("category=x", "a") + file("category=x", "b") + file("category=default", "c"), map[string]string{"x": "x|x", "y": "y"}},
		{"everything", file("category=*", "a"), map[string]string{"x": "x"}},
		{"unsafe names share one", file("category=default", "a"), map[string]string{"../x": "_unsafe", "/abs": "_unsafe", strings.Repeat("l", 201): "_unsafe", "te st": "te st"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := routerOf(t, "port=1\n"+c.conf)
			for category, want := range c.want {
				if got := named(r, category); got != want {
					t.Errorf("%q goes to %q, want %q", category, got, want)
				}
			}
		})
	}
}

// What is left of a call whose other entries have no store keeps its numbers: sent again, it is there once.
func TestNumbersStayWithWhatHasAStore(t *testing.T) {
	dir := t.TempDir()
	c, stop := launch(t, Options{Load: func() *config.Config {
		return config.Load("test.conf", []byte("port=1\n"+block("category=a", "type=file", "file_path="+dir, "add_newlines=1")))
	}})
	b := batch("nowhere", "x", "a", "one", "nowhere", "y", "a", "two")
	b.AppendSpan(proto.Span{Stream: [16]byte{1}, First: 5, Count: 4})
	client := dial(t, c)
	for range 2 {
		if code, err := client.Log(t.Context(), []*proto.Batch{b}); code != proto.OK || err != nil {
			t.Fatal(code, err)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "a*_0*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if got, err := os.ReadFile(names[0]); string(got) != "one\ntwo\n" || err != nil {
		t.Errorf("the file has %q, %v", got, err)
	}
}

func TestFirstPrefixWinsUnlessTheLongestIsAskedFor(t *testing.T) {
	conf := "port=1\n" + block("category=pre*", "type=null") + block("category=p*", "type=null", "must_succeed=no")
	for text, want := range map[string]string{conf: "p", "prefix_match=longest\n" + conf: "pre"} {
		r := routerOf(t, text)
		if got := r.match("prefix")[0].name; got != want {
			t.Errorf("prefix goes to the store of %q, want %q", got, want)
		}
	}
}

func TestCategoriesBeyondTheLimitShareOne(t *testing.T) {
	r := routerOf(t, "port=1\nmax_categories=20\n"+block("category=default", "type=null")+block("category=own", "type=null"))
	var names []string
	for i := range 30 {
		names = append(names, named(r, fmt.Sprint("c", i)))
	}
	if got := slices.Index(names, "_overflow"); got < 15 || got > 20 {
		t.Errorf("category %d is the first in _overflow", got)
	}
	if got := named(r, "own"); got != "own" {
		t.Errorf("a category that the operator names goes to %q", got)
	}
}

func TestAllChildrenOfAMultiStoreHaveOutletsOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	child := func(name, sub string) string {
		return "<" + name + ">\ntype=file\nfile_path=" + dir + "/" + sub + "\n</" + name + ">"
	}
	r := routerOf(t, "port=1\n"+block("category=all", "type=multi", child("store0", "a"), child("store1", "b"))+
		block("category=any", "type=multi", "report_success=any", child("store0", "c"), child("store1", "d")))
	if got := named(r, "all"); got != "all|all" {
		t.Errorf("report_success=all: %q", got)
	}
	if got := named(r, "any"); got != "any" {
		t.Errorf("report_success=any: %q", got)
	}
}

func TestLimiterHasTheOriginalsArithmetic(t *testing.T) {
	second := time.Unix(1000, 0)
	for _, c := range []struct {
		max   int64
		calls []int
		want  []bool
	}{
		{10, []int{5, 5, 5, 5}, []bool{true, true, false, false}},
		{10, []int{6, 6, 6, 6}, []bool{true, true, true, true}},
		{10, []int{5, 6, 5, 1}, []bool{true, true, true, false}},
		{0, []int{1000, 1000}, []bool{true, true}},
		{3, []int{1, 1, 1, 1}, []bool{true, true, true, false}},
	} {
		var l limiter
		l.set(c.max)
		var got []bool
		for i, n := range c.calls {
			got = append(got, l.admit(n, second.Add(time.Duration(i)*time.Millisecond)))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("limit %d, calls of %v: %v, want %v", c.max, c.calls, got, c.want)
		}
		if !l.admit(1, second.Add(time.Second)) {
			t.Errorf("limit %d: a new second brings nothing new", c.max)
		}
	}
}
