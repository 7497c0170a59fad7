// Package metrics exports a daemon's counters and its status to Prometheus.
//
//	stats.Set ──────┐
//	status.Status ──┴─► Collector ─► prometheus.Registry ─► /metrics
//
// The counters are those that fb303 getCounters answers. They are read from the same stats.Set at each scrape, so that
// the two interfaces cannot disagree. This package only knows the name of each by Prometheus' conventions (names.go).
//
// Invariants: a counter never falls while the process lives, and no label has more than maxCategories values and
// "other". A category with a label keeps it until the process ends, and one that is counted in "other" stays there. If
// a large category moved out of "other", the fall would look like a restart; if one moved in, the rise would look like
// a burst.
//
// Limitations: when there are too many categories for the first time, the largest by bytes get the labels. A category
// that becomes large later stays in "other" until the next start. /status.json has all of them.
package metrics

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"inkwell/internal/stats"
	"inkwell/internal/status"
)

// maxCategories is the number of values of the label "category" besides Other.
const maxCategories = 200

// Other is the shared label of the categories that have none of their own.
const Other = "other"

// Registry returns a registry with the counters in set, the metrics from document, and those of the Go runtime and the
// process. document is called once per scrape. When it returns nil, the status is not available and the scrape has only
// the counters.
func Registry(set *stats.Set, document func() *status.Status) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{set: set, document: document, own: make(map[string]bool)})
	return r
}

// collector produces the metrics of a scrape. Safe for concurrent use.
type collector struct {
	set      *stats.Set
	document func() *status.Status

	mu   sync.Mutex
	own  map[string]bool // categories with a label of their own
	full bool            // all labels are taken: every other category is in Other
}

// Describe sends nothing, because the set of metrics depends on what the daemon does (an unchecked collector).
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	counters := c.set.Counters()
	doc := c.document()
	c.choose(counters)
	if doc != nil && doc.Journal != nil {
		begin(counters)
	}
	c.counters(to, counters)
	for name, h := range c.set.Histograms() {
		atMost, count, seconds := h.Read()
		m := histograms[name]
		m.name = cmp.Or(m.name, prefix+snake(name)+"_seconds")
		to <- prometheus.MustNewConstHistogram(m.desc(), count, seconds, atMost)
	}
	if doc == nil {
		return
	}
	c.fromDocument(to, doc)
	if doc.Journal != nil {
		for _, name := range gauges {
			m := table[name]
			to <- m.withValue(float64(c.set.Get(stats.Overall + ":" + name)))
		}
	}
}

// gauges are the values of a stats.Set that the table lists as gauges; the others come from the document.
var gauges = []string{"missing", "streams", "senders well", "senders behind", "senders silent", "senders in trouble"}

// begin creates, at zero, counters that would otherwise first appear together with their first value. Prometheus sees
// no increase in such a counter, so that an alert on the increase would miss the first loss.
func begin(counters map[string]int64) {
	for _, name := range []string{"journal damaged", "bytes lost", "refused"} {
		counters[stats.Overall+":"+name] += 0
	}
	for name := range counters {
		if category, ok := strings.CutSuffix(name, ":received good"); ok && category != stats.Overall {
			counters[category+":lost"] += 0
		}
	}
}

// choose assigns labels to categories, the largest first, while there are any left.
func (c *collector) choose(counters map[string]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full {
		return
	}
	var fresh []string
	for name := range counters {
		if category, _, ok := split(name); ok && category != stats.Overall && !c.own[category] {
			c.own[category] = true
			fresh = append(fresh, category)
		}
	}
	if len(c.own) <= maxCategories {
		return
	}
	size := func(category string) int64 {
		return max(counters[category+":received good bytes"], counters[category+":received good"])
	}
	slices.SortFunc(fresh, func(a, b string) int { return cmp.Or(cmp.Compare(size(b), size(a)), cmp.Compare(a, b)) })
	c.full = true
	for _, category := range fresh[len(fresh)-(len(c.own)-maxCategories):] {
		delete(c.own, category)
	}
}

// label returns the value of the label "category".
func (c *collector) label(category string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own[category] || !c.full {
		return strings.ToValidUTF8(category, "\uFFFD")
	}
	return Other
}

// split divides the name of a counter at its last colon.
func split(name string) (category, counter string, ok bool) {
	i := strings.LastIndexByte(name, ':')
	if i < 0 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

// counters adds the counters: by category where the table says so, else as sums. A sum that is exported by category is
// not exported as a total too, because a query would add both up.
func (c *collector) counters(to chan<- prometheus.Metric, all map[string]int64) {
	sums := make(map[metric]map[string]int64) // by label
	add := func(m metric, label string, n int64) {
		if sums[m] == nil {
			sums[m] = make(map[string]int64)
		}
		sums[m][label] += n
	}
	for name, n := range all {
		category, counter, ok := split(name)
		if !ok {
			continue
		}
		m := named(counter)
		switch overall := category == stats.Overall; {
		case m.label == "category" && !overall:
			add(m, c.label(category), n)
		case m.label != "category" && overall:
			add(m, m.value, n)
		}
	}
	for m, values := range sums {
		value := m.value
		for label, n := range values {
			m.value = label
			to <- m.withValue(float64(n))
		}
		m.value = value
	}
}
