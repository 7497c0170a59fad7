package hop

import (
	"cmp"
	"math/rand/v2"
	"time"
)

// FixedSchedule waits for Interval, give or take half of Range, like retry_interval and retry_interval_range of the
// original. As there, times are in whole seconds.
type FixedSchedule struct {
	Interval, Range time.Duration
}

// Next returns Interval - Range/2 plus a random part of Range.
func (s FixedSchedule) Next() time.Duration {
	spread := s.Range / time.Second
	if spread < 1 {
		return s.Interval
	}
	return s.Interval - s.Range/2 + rand.N(spread)*time.Second
}

// Reset does nothing: every failure is the first.
func (FixedSchedule) Reset() {}

// AdaptiveSchedule waits longer with each failure and less with each success, like adaptive_backoff of the original. As
// there, times are in whole seconds.
type AdaptiveSchedule struct {
	Min, Max, Offset time.Duration

	current time.Duration // 0: not started
}

// adaptiveStart is the initial value of every AdaptiveSchedule, whatever its bounds.
const adaptiveStart = 5 * time.Second

// Next returns 1.414 times the previous value plus a random part of Offset, at most Max.
func (s *AdaptiveSchedule) Next() time.Duration {
	grown := time.Duration(float64(cmp.Or(s.current, adaptiveStart)/time.Second)*1.414) * time.Second
	if spread := s.Offset / time.Second; spread > 0 {
		grown += rand.N(spread) * time.Second
	}
	s.current = min(grown, s.Max)
	return s.current
}

// Reset subtracts two seconds, down to Min.
func (s *AdaptiveSchedule) Reset() {
	s.current = max(cmp.Or(s.current, adaptiveStart)-2*time.Second, s.Min)
}
