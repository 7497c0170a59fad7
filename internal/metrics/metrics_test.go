package metrics

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"inkwell/internal/stats"
	"inkwell/internal/status"
)

// gathered holds the values of a metric by its first label.
func gathered(t *testing.T, r *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			label := ""
			if len(m.GetLabel()) > 0 {
				label = m.GetLabel()[0].GetValue()
			}
			values[label] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

func TestEveryMetricIsAsItShouldBe(t *testing.T) {
	set := stats.New()
	for counter := range table {
		if slices.Contains(gauges, counter) {
			set.Gauge(stats.Overall+":"+counter, func() int64 { return 7 })
			continue
		}
		set.Overall(counter).Add(1)
		set.Category("a", counter).Add(1)
	}
	set.Overall("bucketupdater.bucket_updated").Add(1)
	set.Histogram("append").Observe(time.Millisecond)
	set.Histogram("fsync").Observe(time.Hour)
	doc := &status.Status{Daemon: status.Daemon{Role: "collector", Version: "1"}, Journal: &status.Store{Limit: 1},
		Spool: &status.Store{}, Inputs: &status.Inputs{},
		Categories: []status.Category{{Name: "a\xff"}}, Hops: []status.Hop{{Address: "h:1"}},
		Disks:        []status.Disk{{Path: "/", Total: 1}},
		Certificates: []status.Certificate{{File: "c.pem"}}}
	r := Registry(set, func() *status.Status { return doc })
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	var none []promlint.Problem
	if fmt.Sprint(problems) != fmt.Sprint(none) {
		t.Error(problems)
	}
	if got := gathered(t, r, "inkwell_senders"); len(got) != 4 || got["silent"] != 7 {
		t.Errorf("senders %v", got)
	}
	if got := gathered(t, r, "inkwell_entries_refused_total"); len(got) != 4 {
		t.Errorf("reasons %v", got)
	}
}

// TestLabelsAreBoundedAndNothingFalls adds more and more categories, the last of which is the largest.
func TestLabelsAreBoundedAndNothingFalls(t *testing.T) {
	set := stats.New()
	r := Registry(set, func() *status.Status { return nil })
	before := make(map[string]float64)
	total := 0
	for round := range 10 {
		for i := range 50 * round * round { // 4050 in the end
			n := int64(1 + i%7)
			set.Category(fmt.Sprint("c", i), "received good").Add(n)
			total += int(n)
		}
		now := gathered(t, r, "inkwell_entries_received_total")
		if len(now) > maxCategories+1 {
			t.Fatalf("round %d: %d labels", round, len(now))
		}
		sum := 0.0
		for label, v := range now {
			sum += v
			if v < before[label] {
				t.Errorf("round %d: %s fell from %v to %v", round, label, before[label], v)
			}
		}
		for label := range before {
			if _, still := now[label]; !still {
				t.Errorf("round %d: %s is gone", round, label)
			}
		}
		if int(sum) != total {
			t.Errorf("round %d: the sum is %v, want %d", round, sum, total)
		}
		before = now
	}
	if before[Other] == 0 {
		t.Errorf("nothing is in %q: %v", Other, len(before))
	}
}

func TestTheLargestHaveLabels(t *testing.T) {
	set := stats.New()
	for i := range 1000 {
		set.Category(fmt.Sprint("c", i), "received good bytes").Add(int64(i))
		set.Category(fmt.Sprint("c", i), "received good").Add(1)
	}
	got := gathered(t, Registry(set, func() *status.Status { return nil }), "inkwell_received_bytes_total")
	if got["c999"] != 999 || got["c800"] != 800 || got["c799"] != 0 || got[Other] != 799*800/2 {
		t.Errorf("c999 %v, c800 %v, c799 %v, other %v", got["c999"], got["c800"], got["c799"], got[Other])
	}
}

func BenchmarkScrapeOf4096Categories(b *testing.B) {
	set := stats.New()
	doc := new(status.Status)
	for i := range 4096 {
		for _, counter := range []string{"received good", "received good bytes", "requeue", "lost", "sent"} {
			set.Category(fmt.Sprint("c", i), counter).Add(1)
		}
		doc.Categories = append(doc.Categories, status.Category{Name: fmt.Sprint("c", i)})
	}
	r := Registry(set, func() *status.Status { return doc })
	for b.Loop() {
		if _, err := r.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestCountersBeginAtZero for counters whose first increment matters: Prometheus sees no growth in a counter that
// appears with a value.
func TestCountersBeginAtZero(t *testing.T) {
	set := stats.New()
	set.Category("a", "received good").Add(5)
	r := Registry(set, func() *status.Status { return &status.Status{Journal: new(status.Store)} })
	if got := gathered(t, r, "inkwell_entries_lost_total"); len(got) != 1 || got["a"] != 0 {
		t.Errorf("lost %v", got)
	}
	for _, name := range []string{"inkwell_lost_bytes_total", "inkwell_entries_set_aside_total"} {
		if got := gathered(t, r, name); len(got) != 1 || got[""] != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestASeriesIsThereOnce: Prometheus refuses a scrape that has a series twice or a label that is not UTF-8, as with paths
// and categories that differ only in bytes that are not UTF-8.
func TestASeriesIsThereOnce(t *testing.T) {
	set := stats.New()
	set.Category("a\xff", "received good").Add(5)
	set.Category("a\xfe", "received good").Add(7)
	expires := time.Now()
	r := Registry(set, func() *status.Status {
		return &status.Status{Journal: new(status.Store),
			Hops:         []status.Hop{{Address: "a:1", Up: true}, {Address: "a:1"}, {Address: "a:2"}},
			Categories:   []status.Category{{Name: "a\xff"}, {Name: "a\xfe"}},
			Disks:        []status.Disk{{Path: "/\xfe", Use: "files", Total: 5}, {Path: "/\xff", Use: "files", Total: 5}},
			Certificates: []status.Certificate{{File: "x", Expires: expires}, {File: "x", Expires: expires}}}
	})
	if got := gathered(t, r, "inkwell_hop_up"); len(got) != 2 || got["a:1"] != 1 || got["a:2"] != 0 {
		t.Errorf("hops %v", got)
	}
	if got := gathered(t, r, "inkwell_entries_received_total"); len(got) != 1 || got["a\uFFFD"] != 12 {
		t.Errorf("received %v", got)
	}
}

// TestLossesAreAlerts looks for the counters of what is lost or refused in the alert rules, except for those that
// anybody can raise who finds the port.
func TestLossesAreAlerts(t *testing.T) {
	rules, err := os.ReadFile("../../packaging/prometheus/inkwell.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	loss := regexp.MustCompile(`^inkwell_.*(lost|refused|dropped|set_aside).*_total$`)
	stranger := regexp.MustCompile(`^inkwell_(control|http_requests)_refused_total$|_by_address_total$`)
	found := 0
	for _, m := range table {
		if !loss.MatchString(m.name) || stranger.MatchString(m.name) {
			continue
		}
		found++
		if !strings.Contains(string(rules), "("+m.name+"[") {
			t.Errorf("%s is in no alert rule", m.name)
		}
	}
	if found < 8 {
		t.Errorf("%d counters of losses only", found)
	}
}
