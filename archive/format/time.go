package format

import (
	"strconv"
	"time"
)

// Times parses the times of lines, and remembers the last one, because many lines have the same. Not safe for
// concurrent use.
type Times struct {
	text string
	at   time.Time
}

var timeLayouts = []string{
	"02/Jan/2006:15:04:05 -0700", time.RFC3339Nano, "2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04:05.999999999Z0700", time.Stamp,
}

// Read parses a time in the forms of web servers and syslog, in RFC 3339, or as seconds or milliseconds since 1970. It
// is zero for other texts.
func (t *Times) Read(text []byte) time.Time {
	if string(text) == t.text {
		return t.at
	}
	t.text, t.at = string(text), time.Time{}
	for _, layout := range timeLayouts {
		if at, err := time.ParseInLocation(layout, t.text, time.Local); err == nil {
			if at.Year() == 0 {
				at = at.AddDate(time.Now().Year(), 0, 0)
			}
			t.at = at
			return at
		}
	}
	if seconds, err := strconv.ParseFloat(t.text, 64); err == nil && seconds > 1e8 && seconds < 1e13 {
		if seconds > 1e11 { // milliseconds
			seconds /= 1000
		}
		t.at = time.UnixMicro(int64(seconds * 1e6))
	}
	return t.at
}
