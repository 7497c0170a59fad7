package status

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"inkwell/internal/stats"
)

const (
	// Step is the interval at which the counters are read.
	Step = 5 * time.Second

	historySteps = int(time.Hour / Step)
	refusedSteps = int(10 * time.Minute / Step)
)

// filesPublished is the counter of files that were given their final name.
const filesPublished = stats.Overall + ":files published"

// refusals are the counters of entries that did not go where their sender wanted them.
var refusals = []string{
	"received blank category", "received bad", "denied for rate", "denied for queue size", "refused not allowed",
	"refused message size", "refused control", "connections refused", "frames too large", "frames bad",
	"frames without room",
	"calls too many entries", "TLS handshakes failed", "lost", "bytes lost", "refused", "held",
	"refused by the next hop", "datagrams dropped", "files lost",
	"files beyond max_categories", "streams forgotten", "journal damaged",
}

// Meter reads the counters of a daemon every Step and keeps an hour of them. Safe for concurrent use.
type Meter struct {
	set *stats.Set

	mu         sync.Mutex
	end        time.Time           // of the last step
	last       Flow                // at that time
	categories map[string]*metered // by name
	entries    []int64             // of each step, the oldest first
	bytes      []int64             // likewise
	published  metered             // files
	refused    []map[string]int64  // the counters at the end of each step, the oldest first
}

// metered is what the meter keeps of one category.
type metered struct {
	flow Flow
	last time.Time // when its counter was seen to grow; zero = never
}

// NewMeter returns a meter that has read the counters once.
func NewMeter(set *stats.Set) *Meter {
	m := &Meter{set: set, categories: make(map[string]*metered)}
	m.look(time.Now())
	m.entries, m.bytes = nil, nil // the first step begins now
	return m
}

// Run reads the counters every Step until ctx ends.
func (m *Meter) Run(ctx context.Context) {
	tick := time.NewTicker(Step)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			m.look(now)
		case <-ctx.Done():
			return
		}
	}
}

// look reads the counters at the end of a step.
func (m *Meter) look(now time.Time) {
	counters := m.set.Counters()
	m.mu.Lock()
	defer m.mu.Unlock()
	seconds := now.Sub(m.end).Seconds()
	if m.end.IsZero() || seconds <= 0 {
		seconds = Step.Seconds()
	}
	all := total(counters)
	all.rates(m.last, seconds)
	m.entries = append(last(m.entries, historySteps-1), all.Entries-m.last.Entries)
	m.bytes = append(last(m.bytes, historySteps-1), all.Bytes-m.last.Bytes)
	for name, flow := range perCategory(counters) {
		c := m.categories[name]
		if c == nil {
			c = new(metered)
			m.categories[name] = c
		}
		if flow.Entries > c.flow.Entries {
			c.last = now
		}
		flow.rates(c.flow, seconds)
		c.flow = flow
	}
	if n := counters[filesPublished]; n > m.published.flow.Entries {
		m.published = metered{flow: Flow{Entries: n}, last: now}
	}
	m.refused = append(last(m.refused, refusedSteps-1), refusedOf(counters))
	m.last, m.end = all, now
}

// last returns the newest n elements of a list.
func last[T any](list []T, n int) []T {
	if len(list) <= n {
		return list
	}
	return slices.Delete(list, 0, len(list)-n)
}

// rates sets the rates of f from its growth since before.
func (f *Flow) rates(before Flow, seconds float64) {
	f.EntriesPerSecond = float64(f.Entries-before.Entries) / seconds
	f.BytesPerSecond = float64(f.Bytes-before.Bytes) / seconds
}

// total returns what has come in altogether: a collector counts what it received, a forwarder what it read.
func total(counters map[string]int64) Flow {
	f := Flow{Entries: counters[stats.Overall+":received good"], Bytes: counters[stats.Overall+":received good bytes"]}
	if lines, ok := counters[stats.Overall+":lines read"]; ok {
		f.Entries += lines
		f.Bytes += counters[stats.Overall+":bytes read"]
	}
	return f
}

// perCategory returns the entries and bytes of each category.
func perCategory(counters map[string]int64) map[string]Flow {
	flows := make(map[string]Flow)
	for name, n := range counters {
		category, ok := strings.CutSuffix(name, ":received good")
		if !ok || category == stats.Overall {
			continue
		}
		flows[category] = Flow{Entries: n, Bytes: counters[name+" bytes"]}
	}
	return flows
}

// refusedOf returns the counters of refusals.
func refusedOf(counters map[string]int64) map[string]int64 {
	refused := make(map[string]int64)
	for _, reason := range refusals {
		if n := counters[stats.Overall+":"+reason]; n != 0 {
			refused[reason] = n
		}
	}
	return refused
}

// Fill adds totals, rates, categories and refusals to s.
func (m *Meter) Fill(s *Status) {
	counters := m.set.Counters()
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Received = total(counters)
	s.Received.EntriesPerSecond, s.Received.BytesPerSecond = m.last.EntriesPerSecond, m.last.BytesPerSecond
	for name, flow := range perCategory(counters) {
		c := Category{Name: name, Flow: flow}
		if known := m.categories[name]; known != nil {
			c.EntriesPerSecond, c.BytesPerSecond = known.flow.EntriesPerSecond, known.flow.BytesPerSecond
			if at := known.last; !at.IsZero() {
				c.LastEntry = &at
			}
		}
		s.Categories = append(s.Categories, c)
	}
	now, oldest := refusedOf(counters), m.refused[0]
	for _, reason := range refusals {
		if n := now[reason]; n > 0 {
			s.Refused = append(s.Refused, Refusal{Reason: reason, Count: n, Recent: max(n-oldest[reason], 0)})
		}
	}
	if n, ok := counters[filesPublished]; ok {
		s.Files = &Files{Published: n}
		if at := m.published.last; !at.IsZero() {
			s.Files.Last = &at
		}
	}
	s.History = History{Step: Step.Seconds(), End: m.end, Entries: slices.Clone(m.entries),
		Bytes: slices.Clone(m.bytes)}
}
