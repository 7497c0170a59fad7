package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"inkwell/internal/status"
)

// Question is what the statistics of a category are to be made of.
type Question struct {
	Category string
	Format   string        // how lines are read, as of inkwell stats
	By       string        // the fields that make the key, with commas
	Last     time.Duration // lines that came in since then
	Every    time.Duration // one point of the plots
}

// Counts is the statistics of a category.
type Counts struct {
	Rows   []Counted // by key, the most frequent first
	Series []Counted // by time: the key is the beginning of a stretch in RFC 3339
	Note   string    // what is said beside, as how many lines have another format
}

// Counted is the lines of one key, as inkwell stats writes them in JSON.
type Counted struct {
	Key      string  `json:"key"`
	Count    int64   `json:"count"`
	Failures int64   `json:"failures"`
	Rate     float64 `json:"per_second"`
	Bytes    int64   `json:"bytes"`
	Timed    int64   `json:"timed"`
	Avg      float64 `json:"avg"`
	P50      float64 `json:"p50"`
	P95      float64 `json:"p95"`
	P99      float64 `json:"p99"`
	Max      float64 `json:"max"`
}

const (
	countWait = 30 * time.Second // how long counting may take
	countKept = 30 * time.Second // how long counts are shown again
	maxKept   = 32               // counts that are kept
	points    = 60               // of a plot, about
)

// The choices of the page of statistics.
var (
	formats = []string{"combined", "common", "json", "logfmt", "syslog"}
	hours   = []int{1, 3, 12, 24}
	// by default
	keys   = map[string]string{"combined": "url", "common": "url", "json": "level", "logfmt": "level", "syslog": "app"}
	fields = regexp.MustCompile(`^[A-Za-z0-9_.,-]{1,100}$`)
)

var errCounting = errors.New("the lines of another category are being counted: try again in a moment")

// counting makes counts, one at a time, and keeps them for a while, so that pages cost a collector little however many
// ask. Safe for concurrent use.
type counting struct {
	count func(ctx context.Context, q Question) (*Counts, error)
	free  chan struct{} // holds a value while nobody counts

	mu   sync.Mutex
	kept map[Question]kept
}

// kept is counts, and until when they are shown.
type kept struct {
	counts *Counts
	until  time.Time
}

func newCounting(count func(context.Context, Question) (*Counts, error)) *counting {
	c := &counting{count: count, free: make(chan struct{}, 1), kept: make(map[Question]kept)}
	c.free <- struct{}{}
	return c
}

// get returns counts that are not older than countKept. While others are counted it waits for its turn as long as ctx
// and a moment last.
func (c *counting) get(ctx context.Context, q Question) (*Counts, error) {
	if known := c.known(q); known != nil {
		return known, nil
	}
	turn := time.NewTimer(listWait)
	defer turn.Stop()
	select {
	case <-c.free:
		defer func() { c.free <- struct{}{} }()
	case <-turn.C:
		return nil, errCounting
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if known := c.known(q); known != nil { // while it waited
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, countWait)
	defer cancel()
	counts, err := c.count(ctx, q)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("the lines could not be counted in %v: choose fewer hours, or use inkwell stats",
			countWait)
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) >= maxKept {
		clear(c.kept)
	}
	c.kept[q] = kept{counts, time.Now().Add(countKept)}
	return counts, nil
}

func (c *counting) known(q Question) *Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.kept[q]; time.Now().Before(k.until) {
		return k.counts
	}
	return nil
}

// plot is a line over the hours that were asked for.
type plot struct {
	Title  string
	Most   string // the greatest value
	Points template.HTMLAttr
}

// countsPage is the data of the page of statistics.
type countsPage struct {
	*status.Status
	Asked       Question
	Hours       int
	Formats     []string
	Choices     []int
	Counts      *Counts
	Plots       []plot
	Trouble     string
	Begin, Ends time.Time
}

// counts serves the page of statistics of a category.
func (h *handler) counts(w http.ResponseWriter, r *http.Request) {
	s, ok := h.document(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	p := countsPage{Status: s, Formats: formats, Choices: hours, Hours: hours[1]}
	p.Asked.Category = q.Get("name")
	if !slices.ContainsFunc(s.Categories, func(c status.Category) bool { return c.Name == p.Asked.Category }) {
		say(w, http.StatusNotFound, "no such category: see the list on /")
		return
	}
	if err := p.choose(q); err != nil {
		say(w, http.StatusBadRequest, err.Error())
		return
	}
	var err error
	if p.Counts, err = h.counting.get(r.Context(), p.Asked); err != nil {
		p.Trouble = err.Error()
	} else {
		p.draw(s.Now)
	}
	render(w, "counts.html", p)
}

// choose reads the choices of the reader.
func (p *countsPage) choose(q url.Values) error {
	if text := q.Get("hours"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || !slices.Contains(hours, n) {
			return fmt.Errorf("hours=%q: want one of %v", text, hours)
		}
		p.Hours = n
	}
	p.Asked.Format = cmp.Or(q.Get("format"), formats[0])
	if !slices.Contains(formats, p.Asked.Format) {
		return fmt.Errorf("format=%q: want one of %s", p.Asked.Format, strings.Join(formats, ", "))
	}
	if p.Asked.By = cmp.Or(q.Get("by"), keys[p.Asked.Format]); !fields.MatchString(p.Asked.By) {
		return fmt.Errorf("by=%q: want names of fields, with commas", p.Asked.By)
	}
	p.Asked.Last = time.Duration(p.Hours) * time.Hour
	p.Asked.Every = p.Asked.Last / points
	return nil
}

// draw makes the plots.
func (p *countsPage) draw(now time.Time) {
	p.Begin, p.Ends = now.Add(-p.Asked.Last), now
	for _, of := range []struct {
		title string
		value func(*Counted) float64
		text  func(float64) string
	}{
		{"Lines a second", func(c *Counted) float64 { return float64(c.Count) / p.Asked.Every.Seconds() }, rate},
		{"Failures in " + age(p.Asked.Every.Seconds()), func(c *Counted) float64 { return float64(c.Failures) },
			func(n float64) string { return humanize.Comma(int64(n)) }},
		{"95th percentile of the duration", func(c *Counted) float64 { return c.P95 }, seconds},
	} {
		most := 0.0
		values := make([]float64, points+1)
		for i := range p.Counts.Series {
			c := &p.Counts.Series[i]
			at, err := time.Parse(time.RFC3339, c.Key)
			k := int(at.Sub(p.Begin) / p.Asked.Every)
			if err != nil || at.Before(p.Begin) || k >= len(values) {
				continue // of a line that came late, or whose time is wrong
			}
			values[k] = of.value(c)
			most = max(most, values[k])
		}
		p.Plots = append(p.Plots, plot{of.title, of.text(most), polyline(values, most)})
	}
}

// polyline is the points of values in a box of 360 by 60.
func polyline(values []float64, most float64) template.HTMLAttr {
	var b strings.Builder
	for i, v := range values {
		y := chartHeight
		if most > 0 {
			y -= (chartHeight - 2) * v / most
		}
		fmt.Fprintf(&b, "%.1f,%.1f ", chartWidth*float64(i)/float64(len(values)-1), y)
	}
	return template.HTMLAttr(`points="` + strings.TrimSpace(b.String()) + `"`) // numbers only
}

// seconds formats a duration with three digits.
func seconds(s float64) string {
	switch {
	case s <= 0:
		return "–"
	case s < 1e-3:
		return strconv.FormatFloat(s*1e6, 'g', 3, 64) + " µs"
	case s < 1:
		return strconv.FormatFloat(s*1e3, 'g', 3, 64) + " ms"
	}
	return strconv.FormatFloat(s, 'g', 3, 64) + " s"
}
