package feed

import "time"

// Line is what precedes the text of a log message in syslog's traditional files, but with a time that has a date and a
// zone:
//
//	2026-11-29T10:00:00.123456+01:00 web1 sshd[4711]: Accepted publickey for root
type Line struct {
	Time           time.Time
	Host, App, PID string // "" = not known
}

// timeLayout is RFC 3339 with microseconds, as rsyslog and journalctl write them.
const timeLayout = "2006-01-02T15:04:05.000000Z07:00"

// Append appends the line with message, without a newline.
func (l *Line) Append(dst, message []byte) []byte {
	dst = l.Time.AppendFormat(dst, timeLayout)
	dst = append(dst, ' ')
	if l.Host == "" {
		dst = append(dst, '-')
	} else {
		dst = append(dst, l.Host...)
	}
	dst = append(dst, ' ')
	if l.App != "" {
		dst = append(dst, l.App...)
		if l.PID != "" {
			dst = append(append(append(dst, '['), l.PID...), ']')
		}
		dst = append(dst, ": "...)
	}
	return append(dst, message...)
}

// Ended returns message with a newline at its end. It may append to message in place.
func Ended(message []byte) []byte {
	if n := len(message); n > 0 && message[n-1] == '\n' {
		return message
	}
	return append(message, '\n')
}

// Pieces cuts message into pieces of at most limit bytes.
func Pieces(message []byte, limit int, piece func([]byte)) {
	for len(message) > limit {
		piece(message[:limit])
		message = message[limit:]
	}
	piece(message)
}
