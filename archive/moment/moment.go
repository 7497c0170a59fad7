// Package moment parses times as people write them on a command line.
//
//	now  today  yesterday  tomorrow  noon  midnight  monday  last friday
//	14:00  14:00:05  14:00:05.250  2pm            today
//	2026-11-29  2026-11-29 14:00  2026-11-29T14   29 Nov 2026 14:00  Nov 29  29/Nov/2026:14:00:05 +0100
//	2h  90m  2 hours ago  3 days ago 14:00  1h30m  in 2h  +2h   a duration alone is that long ago
//	@1764403200                                   seconds since 1970
//	… UTC  … Z  … +02:00  … Europe/Berlin         in another zone; else the local one
//
// These are the forms of date -d that are in use. A date without a time means the beginning of that day. When clocks
// are set back, an hour occurs twice: for the beginning of a period the first one is meant, for its end the second. A
// time that is skipped when clocks are set forward means the moment of the change.
package moment

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Parse parses a time. late says that it is the end of a period.
func Parse(text string, now time.Time, late bool) (time.Time, error) {
	p := &parser{now: now, zone: now.Location(), late: late}
	words := strings.Fields(strings.NewReplacer(",", " ", "−", "-").Replace(text))
	for i := 0; i < len(words); {
		n := p.take(words[i:])
		if n == 0 {
			return time.Time{}, fmt.Errorf("%q is no time: %q is not understood "+
				"(as in 14:00, yesterday, '2026-11-29 14:00', 2h, '3 days ago', 2026-11-29T14:00:00+01:00, @1764403200; "+
				"a zone behind it as in UTC or Europe/Berlin)",
				text, words[i])
		}
		i += n
	}
	if len(words) == 0 {
		return time.Time{}, fmt.Errorf("an empty text is no time (as in 14:00, yesterday, 2h)")
	}
	t, err := p.time()
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time: %w", text, err)
	}
	return t, nil
}

// parser collects what the words say.
type parser struct {
	now  time.Time
	zone *time.Location
	late bool

	exact             time.Time // if set, nothing else counts
	dated, clocked    bool
	year, day         int
	month             time.Month
	hour, min, sec    int
	nsec              int
	shift             time.Duration
	years, mons, days int // relative
	moved             bool
}

// take parses the first words, and returns how many they are.
func (p *parser) take(words []string) int {
	word := strings.ToLower(words[0])
	for _, try := range []func([]string, string) int{p.named, p.weekday, p.length, p.stamp, p.clock, p.date, p.zoned} {
		if n := try(words, word); n > 0 {
			return n
		}
	}
	return 0
}

func (p *parser) named(words []string, word string) int {
	switch word {
	case "now":
		p.moved = true
	case "today":
		p.onDay(0)
	case "yesterday":
		p.onDay(-1)
	case "tomorrow":
		p.onDay(1)
	case "noon":
		p.clocked, p.hour, p.min, p.sec = true, 12, 0, 0
	case "midnight":
		p.clocked, p.hour, p.min, p.sec = true, 0, 0, 0
	case "in", "at", "on", "and":
		if len(words) == 1 {
			return 0
		}
	default:
		return 0
	}
	return 1
}

func (p *parser) onDay(shift int) {
	p.dated = true
	p.year, p.month, p.day = p.now.In(p.zone).Date()
	p.days += shift
}

var weekdays = [...]string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// weekday is the last day of that name, which may be today. "last" excludes today; "next" is the following one.
func (p *parser) weekday(words []string, word string) int {
	n, step := 1, 0
	if (word == "last" || word == "next") && len(words) > 1 {
		n, step = 2, 7
		if word == "last" {
			step = -7
		}
		word = strings.ToLower(words[1])
	}
	for i, name := range weekdays {
		if len(word) < 3 || word != name && word != name[:3] {
			continue
		}
		back := (int(p.now.In(p.zone).Weekday()) - i + 7) % 7
		switch {
		case step > 0:
			back -= 7
		case step < 0 && back == 0:
			back = 7
		}
		p.onDay(-back)
		return n
	}
	return 0
}

var units = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "ms": time.Millisecond}

// length parses a duration: 2h, 1h30m, 2 hours ago, +3 days. A duration alone counts backwards.
func (p *parser) length(words []string, word string) int {
	n, sign := 1, -1
	if rest, ok := strings.CutPrefix(word, "+"); ok {
		word, sign = rest, 1
	} else {
		word = strings.TrimPrefix(word, "-")
	}
	digits := word
	if i := strings.IndexFunc(word, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = word[:i]
	}
	count, err := strconv.Atoi(digits)
	if err != nil || count > 1e6 {
		return 0
	}
	unit := word[len(digits):]
	if unit == "" {
		if len(words) < 2 {
			return 0
		}
		unit, n = strings.ToLower(words[1]), 2
	}
	d, err := time.ParseDuration(word)
	single := unit
	if len(unit) > 2 {
		single = strings.TrimSuffix(unit, "s")
	}
	var years, months, days int
	switch single {
	case "d", "day":
		days = count
	case "w", "week":
		days = 7 * count
	case "mo", "month":
		months = count
	case "y", "year":
		years = count
	default:
		if n == 2 || err != nil {
			if units[single] == 0 {
				return 0
			}
			d = time.Duration(count) * units[single]
		}
	}
	if len(words) > n && strings.EqualFold(words[n], "ago") {
		n++
	}
	p.moved = true
	p.shift += time.Duration(sign) * d
	p.years, p.mons, p.days = p.years+sign*years, p.mons+sign*months, p.days+sign*days
	return n
}

// stamp parses @SECONDS, or an RFC 3339 time with its zone.
func (p *parser) stamp(_ []string, word string) int {
	if text, ok := strings.CutPrefix(word, "@"); ok {
		whole, part, _ := strings.Cut(text, ".")
		n, err := strconv.ParseInt(whole, 10, 40)
		if err != nil {
			return 0
		}
		nsec, err := strconv.Atoi((part + "000000000")[:9])
		if err != nil {
			return 0
		}
		p.exact = time.Unix(n, int64(nsec))
		return 1
	}
	word = titled(word)
	if t, err := time.Parse("02/Jan/2006:15:04:05", word); err == nil {
		p.dated, p.clocked = true, true
		p.year, p.month, p.day = t.Date()
		p.hour, p.min, p.sec = t.Clock()
		return 1
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, word); err == nil {
			p.exact = t.In(p.zone)
			return 1
		}
	}
	return 0
}

// titled writes months as in Nov, and all other letters as capitals, as in RFC 3339.
func titled(word string) string {
	word = strings.ToUpper(word)
	for i := range 12 {
		name := time.Month(i + 1).String()[:3]
		word = strings.Replace(word, strings.ToUpper(name), name, 1)
	}
	return word
}

// clock parses a time of day, which may end with its zone.
func (p *parser) clock(words []string, word string) int {
	if i := strings.LastIndexAny(word, "+-"); i > 0 && strings.Contains(word[:i], ":") {
		if p.zoned(nil, word[i:]) == 0 {
			return 0
		}
		word = word[:i]
	} else if rest, ok := strings.CutSuffix(word, "z"); ok && strings.Contains(rest, ":") {
		p.zone, word = time.UTC, rest
	}
	for _, layout := range []string{"15:04:05.999999999", "15:04", "3pm", "3:04pm", "15h04"} {
		t, err := time.Parse(layout, word)
		if err != nil && layout == "3pm" && len(words) > 1 {
			continue
		}
		if err == nil {
			p.clocked = true
			p.hour, p.min, p.sec = t.Clock()
			p.nsec = t.Nanosecond()
			return 1
		}
	}
	return 0
}

// date parses a day, which may be followed by T and a time.
func (p *parser) date(words []string, word string) int {
	if day, clock, ok := strings.Cut(word, "t"); ok && len(day) == len(time.DateOnly) {
		if len(clock) == 2 {
			clock += ":00"
		}
		if p.date(nil, day) == 1 && p.clock(nil, clock) == 1 {
			return 1
		}
		return 0
	}
	for n := min(3, len(words)); n > 1; n-- {
		text := titled(strings.Join(words[:n], " "))
		for _, layout := range []string{"2 Jan 2006", "Jan 2 2006", "2 Jan", "Jan 2"} {
			t, err := time.Parse(layout, text)
			if err != nil {
				continue
			}
			if t.Year() == 0 {
				t = t.AddDate(p.now.In(p.zone).Year(), 0, 0)
			}
			p.dated = true
			p.year, p.month, p.day = t.Date()
			return n
		}
	}
	for _, layout := range []string{time.DateOnly, "2006/01/02", "20060102", "2006-01-02_15"} {
		if t, err := time.Parse(layout, word); err == nil {
			p.dated = true
			p.year, p.month, p.day = t.Date()
			if strings.HasSuffix(layout, "15") {
				p.clocked, p.hour = true, t.Hour()
			}
			return 1
		}
	}
	return 0
}

// zoned parses a zone.
func (p *parser) zoned(words []string, word string) int {
	switch word {
	case "utc", "gmt", "z":
		p.zone = time.UTC
		return 1
	}
	for _, layout := range []string{"-07:00", "-0700", "-07"} {
		if t, err := time.Parse(layout, word); err == nil {
			p.zone = t.Location()
			return 1
		}
	}
	if len(words) > 0 && strings.Contains(words[0], "/") {
		if zone, err := time.LoadLocation(words[0]); err == nil {
			p.zone = zone
			return 1
		}
	}
	return 0
}

// time returns the time that the words mean.
func (p *parser) time() (time.Time, error) {
	if !p.exact.IsZero() {
		return p.exact, nil
	}
	now := p.now.In(p.zone)
	if !p.dated && !p.clocked {
		return now.AddDate(p.years, p.mons, p.days).Add(p.shift), nil
	}
	if !p.dated {
		p.year, p.month, p.day = now.Date()
	}
	noon := time.Date(p.year+p.years, p.month+time.Month(p.mons), p.day+p.days, 12, 0, 0, 0, p.zone)
	t := time.Date(noon.Year(), noon.Month(), noon.Day(), p.hour, p.min, p.sec, p.nsec, p.zone)
	return p.unambiguous(t).Add(p.shift), nil
}

// unambiguous chooses between two meanings of a time when the clocks are changed.
func (p *parser) unambiguous(t time.Time) time.Time {
	h, m, s := t.Clock()
	if h != p.hour || m != p.min || s != p.sec { // the clocks skip it
		if _, end := t.ZoneBounds(); !end.IsZero() && end.Sub(t) < 3*time.Hour && end.After(t) {
			return end
		}
		start, _ := t.ZoneBounds()
		return start
	}
	_, offset := t.Zone()
	for _, step := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		_, other := t.Add(step).Zone()
		twin := t.Add(time.Duration(offset-other) * time.Second)
		if th, tm, _ := twin.Clock(); twin.Equal(t) || th != h || tm != m {
			continue
		}
		if twin.After(t) == p.late {
			return twin
		}
	}
	return t
}
