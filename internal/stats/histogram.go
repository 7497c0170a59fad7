package stats

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of the buckets of every Histogram, in seconds: from an fsync on a fast disk up to the
// patience of a caller.
var Bounds = [...]float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
	10}

// Histogram counts durations. Safe for concurrent use; an observation costs a few comparisons and two additions.
type Histogram struct {
	buckets [len(Bounds) + 1]atomic.Uint64 // one for each bound, not cumulative; the last counts longer durations
	nanos   atomic.Int64
}

// Observe counts one duration.
func (h *Histogram) Observe(took time.Duration) {
	seconds, i := took.Seconds(), 0
	for i < len(Bounds) && seconds > Bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.nanos.Add(int64(took))
}

// Read returns, for each bound, how many durations did not exceed it, the number of all durations, and their sum in
// seconds.
func (h *Histogram) Read() (atMost map[float64]uint64, count uint64, seconds float64) {
	atMost = make(map[float64]uint64, len(Bounds))
	for i := range h.buckets {
		count += h.buckets[i].Load()
		if i < len(Bounds) {
			atMost[Bounds[i]] = count
		}
	}
	return atMost, count, time.Duration(h.nanos.Load()).Seconds()
}

// Histogram returns the histogram of that name, which is created empty on first use. It is not one of the counters.
func (s *Set) Histogram(name string) *Histogram {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.histograms[name]
	if h == nil {
		h = new(Histogram)
		s.histograms[name] = h
	}
	return h
}

// Histograms returns all histograms by their names.
func (s *Set) Histograms() map[string]*Histogram {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]*Histogram, len(s.histograms))
	for name, h := range s.histograms {
		all[name] = h
	}
	return all
}
