package series

import (
	"fmt"
	"strconv"
	"time"
)

// Period is how often plain files are rotated. The zero value is Never.
type Period struct {
	kind   byte // 'h' = hourly, 'd' = daily, 's' = after each length, 0 = never
	length time.Duration
}

// The periods with names.
var (
	Never  = Period{}
	Hourly = Period{kind: 'h'}
	Daily  = Period{kind: 'd'}
)

// longestPeriod bounds the length, so that the end of a period can be computed.
const longestPeriod = 200 * 365 * 24 * time.Hour

// ParsePeriod parses never, hourly, daily, or a number followed by w, d, h, m, s or nothing (seconds), as in 15m.
func ParsePeriod(text string) (Period, error) {
	switch text {
	case "never":
		return Never, nil
	case "hourly":
		return Hourly, nil
	case "daily":
		return Daily, nil
	}
	unit, digits := time.Second, text
	if n := len(text) - 1; n > 0 {
		if u, ok := map[byte]time.Duration{'w': 7 * 24 * time.Hour, 'd': 24 * time.Hour, 'h': time.Hour,
			'm': time.Minute, 's': time.Second}[text[n]]; ok {
			unit, digits = u, text[:n]
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 {
		return Never, fmt.Errorf(
			"period %q: must be never, hourly, daily or a number above 0 with w, d, h, m or s, as in 15m", text)
	}
	return Period{kind: 's', length: min(time.Duration(n), longestPeriod/unit) * unit}, nil
}

// String returns the period in the form that ParsePeriod parses.
func (p Period) String() string {
	switch p.kind {
	case 'h':
		return "hourly"
	case 'd':
		return "daily"
	case 's':
		return strconv.FormatInt(int64(p.length/time.Second), 10) + "s"
	}
	return "never"
}

// over reports whether a file that was begun at a time has to end now.
func (o *PlainOptions) over(begun, now time.Time) bool {
	otherDay := now.YearDay() != begun.YearDay() || now.Year() != begun.Year()
	switch o.Period.kind {
	case 'h':
		return (now.Hour() != begun.Hour() || otherDay) && now.Minute() >= o.RotateMinute
	case 'd':
		return otherDay && now.Hour() >= o.RotateHour && now.Minute() >= o.RotateMinute
	case 's':
		return !now.Before(begun.Add(o.Period.length))
	}
	return false
}
