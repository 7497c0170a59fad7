package rotate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Period says how long files are written before the next one is begun. The zero value is daily.
type Period struct {
	kind  periodKind
	every time.Duration // of kind everyN
}

type periodKind int

const (
	daily periodKind = iota
	hourly
	never
	everyN
)

// ParsePeriod reads daily, hourly, never, or a length of at least a second: Go's syntax (90s, 15m, 1h30m) or Scribe's
// (2d, 1w).
//
// Days and hours are those of the local clock, daylight saving included. Lengths are counted from the beginning of 1970
// in UTC, so that 15m ends files at :00, :15, :30 and :45 whenever they were begun, and so that all hosts agree.
func ParsePeriod(s string) (Period, error) {
	for k, name := range []string{daily: "daily", hourly: "hourly", never: "never"} {
		if s == name {
			return Period{kind: periodKind(k)}, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		d, err = parseDays(s)
	}
	if err != nil || d < time.Second {
		return Period{}, fmt.Errorf(
			"%q is no rotation period (use daily, hourly, never, or a length of 1s or more as 90s, 15m, 2d)", s)
	}
	return Period{kind: everyN, every: d}, nil
}

// parseDays reads a number of days or weeks.
func parseDays(s string) (time.Duration, error) {
	unit := 24 * time.Hour
	digits, ok := strings.CutSuffix(s, "d")
	if !ok {
		unit *= 7
		digits, ok = strings.CutSuffix(s, "w")
	}
	n, err := strconv.ParseUint(digits, 10, 12) // up to eleven years of days
	if !ok || err != nil {
		return 0, fmt.Errorf("no number of days or weeks: %q", s)
	}
	return time.Duration(n) * unit, nil
}

// String is what ParsePeriod reads.
func (p Period) String() string {
	if p.kind == everyN {
		return p.every.String()
	}
	return [...]string{"daily", "hourly", "never"}[p.kind]
}

func (p Period) never() bool { return p.kind == never }

// short says whether the period is shorter than a day, so that names have the hour.
func (p Period) short() bool { return p.kind == hourly || p.kind == everyN && p.every < 24*time.Hour }

// Calendar is the period whose files share a partition in the layout of Hive: an hour if p is shorter than a day, and a
// day otherwise. never has none.
func (p Period) Calendar() Period {
	switch {
	case p.kind == never:
		return p
	case p.short():
		return Period{kind: hourly}
	}
	return Period{kind: daily}
}

// Clock is a time of day.
type Clock struct{ Hour, Minute int }

// ParseClock reads HH:MM, 00:00 to 23:59.
func ParseClock(s string) (Clock, error) {
	t, err := time.Parse("15:04", s)
	if err != nil {
		return Clock{}, fmt.Errorf("%q is no time of day (use HH:MM, 00:00 to 23:59)", s)
	}
	return Clock{Hour: t.Hour(), Minute: t.Minute()}, nil
}

// String is the time of day as HH:MM.
func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c.Hour, c.Minute) }

// Next is the first time after t, in its location, at which a file ends; zero for never.
func (p Period) Next(t time.Time, at Clock) time.Time {
	switch p.kind {
	case daily:
		for day := t.Day(); ; day++ {
			if end := at.on(time.Date(t.Year(), t.Month(), day, 12, 0, 0, 0, t.Location())); end.After(t) {
				return end
			}
		}
	case hourly:
		return nextHour(t, at.Minute)
	case everyN:
		n := p.every.Nanoseconds()
		return time.Unix(0, (floorDiv(t.UnixNano(), n)+1)*n).In(t.Location())
	}
	return time.Time{}
}

// on is when the local clock shows c on the day of noon; where a change of the clock passes over it, the moment of that
// change.
func (c Clock) on(noon time.Time) time.Time {
	t := time.Date(noon.Year(), noon.Month(), noon.Day(), c.Hour, c.Minute, 0, 0, noon.Location())
	wish := time.Date(noon.Year(), noon.Month(), noon.Day(), c.Hour, c.Minute, 0, 0, time.UTC)
	_, offset := t.Zone()
	shown := t.Add(time.Duration(offset) * time.Second)
	// For a time that does not exist time.Date takes the offset from before the change or the one from behind it.
	switch start, end := t.ZoneBounds(); {
	case shown.After(wish):
		return start
	case shown.Before(wish):
		return end
	}
	return t
}

// nextHour is the first time after t at which the local clock shows minute, or at which the clock is changed by other
// than whole hours.
func nextHour(t time.Time, minute int) time.Time {
	_, offset := t.Zone()
	shift := int64(offset) - int64(minute)*60
	next := time.Unix((floorDiv(t.Unix()+shift, 3600)+1)*3600-shift, 0).In(t.Location())
	if _, end := t.ZoneBounds(); !end.IsZero() && end.Before(next) && next.Minute() != minute {
		return end
	}
	return next
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Begin is the last time not after t, in its location, at which a file ends: when the period that t lies in began; zero
// for never.
func (p Period) Begin(t time.Time, at Clock) time.Time {
	if p.kind == never {
		return time.Time{}
	}
	b := p.Next(t.Add(-map[periodKind]time.Duration{daily: 26 * time.Hour, hourly: 2 * time.Hour,
		everyN: p.every}[p.kind]), at)
	for next := p.Next(b, at); !next.After(t); next = p.Next(b, at) {
		b = next
	}
	return b
}

// Label names the period that t lies in: by the day, by day and hour, or by day and time when it has another length.
// Empty for never.
func (p Period) Label(t time.Time, at Clock) string {
	switch p.kind {
	case daily:
		return p.Begin(t, at).Format("2006-01-02")
	case hourly:
		return p.Begin(t, at).Format("2006-01-02T15")
	case everyN:
		return p.Begin(t, at).Format("2006-01-02T15-04-05")
	}
	return ""
}
