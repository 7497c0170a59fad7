package format

import (
	"bytes"
	"slices"
)

var accessFields = []string{
	"host", "ident", "user", "time", "request", "method", "url", "protocol", "status", "bytes",
	"referer", "agent", "duration",
}

// The places of fields in accessFields.
const (
	accessUser = 2 + iota
	accessTime
	accessRequest
	accessMethod
	accessURL
	accessProtocol
	accessStatus
	accessBytes
	accessReferer
	accessAgent
	accessDuration
)

// accessReader parses what web servers write: %h %l %u [%t] "%r" %>s %b, then optionally "%{Referer}i"
// "%{User-agent}i", and a number at the end, as from %D (microseconds) or $request_time (seconds).
func accessReader(fields []string) func([]byte, [][]byte) bool {
	places := make([]int, len(fields)) // in accessFields
	last := 0
	for i, f := range fields {
		places[i] = slices.Index(accessFields, f)
		last = max(last, places[i])
	}
	return func(line []byte, values [][]byte) bool {
		var found [accessDuration + 1][]byte
		if !readAccess(line, &found, last) {
			return false
		}
		for i, k := range places {
			if k >= 0 {
				values[i] = found[k]
			}
		}
		return true
	}
}

// readAccess finds the fields up to the last that is wanted. What is behind the time need not be as it should, if only the
// time is wanted.
func readAccess(line []byte, found *[accessDuration + 1][]byte, last int) bool {
	rest := line
	for field := range accessUser + 1 {
		k := 1
		if len(rest) < 2 || rest[1] != ' ' || rest[0] == ' ' { // not a dash, as most often
			if k = bytes.IndexByte(rest, ' '); k <= 0 {
				return false
			}
		}
		found[field], rest = rest[:k], rest[k+1:]
	}
	if len(rest) == 0 || rest[0] != '[' {
		return false
	}
	k := len("[23/Nov/2026:14:00:00 +0100")
	if len(rest) <= k || rest[k] != ']' || bytes.IndexByte(rest[:k], ']') >= 0 {
		if k = bytes.IndexByte(rest, ']'); k < 0 {
			return false
		}
	}
	found[accessTime] = rest[1:k]
	if last <= accessTime {
		return true
	}
	request, rest, ok := quoted(rest[k+1:])
	if !ok {
		return false
	}
	found[accessRequest] = request
	splitRequest(request, found)
	found[accessStatus], rest = word(rest)
	found[accessBytes], rest = word(rest)
	if len(found[accessStatus]) != 3 {
		return false
	}
	if last <= accessBytes {
		return true
	}
	if referer, after, ok := quoted(rest); ok {
		found[accessReferer], rest = referer, after
		if agent, after, ok := quoted(rest); ok {
			found[accessAgent], rest = agent, after
		}
	}
	if k := bytes.LastIndexByte(bytes.TrimRight(rest, " "), ' '); k >= 0 {
		if last := bytes.TrimRight(rest[k+1:], " "); len(last) > 0 && last[0] >= '0' && last[0] <= '9' {
			found[accessDuration] = last
		}
	}
	return true
}

func splitRequest(request []byte, found *[accessDuration + 1][]byte) {
	method, rest, ok := bytes.Cut(request, []byte{' '})
	if !ok {
		found[accessURL] = request
		return
	}
	found[accessMethod] = method
	if k := bytes.LastIndexByte(rest, ' '); k >= 0 && bytes.HasPrefix(rest[k+1:], []byte("HTTP/")) {
		found[accessProtocol] = rest[k+1:]
		rest = rest[:k]
	}
	found[accessURL] = rest
}

// word returns the next word, and skips spaces before it.
func word(text []byte) (value, rest []byte) {
	for len(text) > 0 && text[0] == ' ' {
		text = text[1:]
	}
	if k := bytes.IndexByte(text, ' '); k >= 0 {
		return text[:k], text[k:]
	}
	return text, nil
}

// quoted returns the text in quotes after spaces. A backslash quotes the next byte.
func quoted(text []byte) (value, rest []byte, ok bool) {
	for len(text) > 0 && text[0] == ' ' {
		text = text[1:]
	}
	if len(text) == 0 || text[0] != '"' {
		return nil, text, false
	}
	for i := 1; i < len(text); {
		k := bytes.IndexByte(text[i:], '"')
		if k < 0 {
			return nil, text, false
		}
		i += k
		back := 0
		for text[i-1-back] == '\\' {
			back++
		}
		if back%2 == 0 {
			return text[1:i], text[i+1:], true
		}
		i++
	}
	return nil, text, false
}

var syslogFields = []string{"time", "host", "app", "pid", "message"}

// syslogReader parses what syslog daemons write to files: "Nov 29 14:00:00 HOST APP[PID]: …", or the same with an RFC
// 3339 time.
func syslogReader(fields []string) func([]byte, [][]byte) bool {
	place := make([]int, len(syslogFields))
	for i, f := range syslogFields {
		place[i] = slices.Index(fields, f)
	}
	return func(line []byte, values [][]byte) bool {
		set := func(field int, value []byte) {
			if k := place[field]; k >= 0 {
				values[k] = value
			}
		}
		n := bytes.IndexByte(line, ' ')
		if n < 0 {
			return false
		}
		if line[0] >= '0' && line[0] <= '9' {
			if n < len("2026-11-29T14:00:00") || line[4] != '-' || line[10] != 'T' {
				return false
			}
		} else if n = len("Nov 29 14:00:00"); len(line) <= n || line[n] != ' ' || line[n-3] != ':' {
			return false
		}
		set(0, line[:n])
		host, rest := word(line[n:])
		set(1, host)
		tag, message, ok := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(": "))
		if !ok {
			return len(host) > 0
		}
		if app, pid, ok := bytes.Cut(tag, []byte{'['}); ok {
			set(2, app)
			set(3, bytes.TrimSuffix(pid, []byte{']'}))
		} else {
			set(2, tag)
		}
		set(4, message)
		return true
	}
}
