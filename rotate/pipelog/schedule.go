package pipelog

import "time"

// schedule divides time into intervals that begin at multiples of a period, as clocks on the wall of a zone show them:
// with a period of a day they begin at midnight there and last 23 to 25 hours.
type schedule struct {
	every int64 // seconds; 0 = one interval without an end
	zone  *time.Location
}

// wall is what the clock shows at t, as if it were UTC, in seconds.
func (s schedule) wall(t time.Time) int64 {
	_, offset := t.In(s.zone).Zone()
	return t.Unix() + int64(offset)
}

// begin is what the clock shows at the begin of t's interval.
func (s schedule) begin(t time.Time) int64 {
	w := s.wall(t)
	into := w % s.every
	if into < 0 {
		into += s.every
	}
	return w - into
}

// end is the first moment behind t that is in another interval. An hour that the clock shows twice is one interval, one
// that it does not show is none.
func (s schedule) end(t time.Time) time.Time {
	t = time.Unix(t.Unix(), 0)
	begin := s.begin(t)
	for {
		next := t.Add(time.Duration(begin+s.every-s.wall(t)) * time.Second)
		if _, change := t.In(s.zone).ZoneBounds(); !change.IsZero() && change.Before(next) {
			next = change
		}
		if s.begin(next) != begin {
			return next
		}
		t = next
	}
}
