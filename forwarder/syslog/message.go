package syslog

import (
	"bytes"
	"strconv"
	"time"

	golog "github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/common"
	"github.com/leodido/go-syslog/v4/rfc3164"
	"github.com/leodido/go-syslog/v4/rfc5424"

	"inkwell/forwarder/feed"
)

// header is what precedes the text of a message, as far as it is known.
type header struct {
	time               time.Time
	facility, severity uint8
	host, app, pid     string
	peer               string // the address that sent it
}

// message is one message.
type message struct {
	header
	text []byte
	raw  []byte
}

// unmarked is the priority of a message that has none (RFC 3164, 4.3.3): facility user, severity notice.
const unmarked = 13

// parser turns bytes into messages. It is used by one goroutine.
type parser struct {
	peer  string // the sender
	local string // the host of messages that name none
	last  header // of the previous message; its time is zero before the first
	old   golog.Machine
	new   golog.Machine
	line  []byte
}

func newParser(peer, local string) *parser {
	return &parser{
		peer:  peer,
		local: local,
		old: rfc3164.NewMachine(rfc3164.WithBestEffort(), rfc3164.WithRFC3339(), rfc3164.WithSecondFractions(),
			rfc3164.WithEmbeddedNewlines()),
		new: rfc5424.NewMachine(rfc5424.WithBestEffort()),
	}
}

// parse makes a message of b, which was received at now. The message refers to b. On a stream, bytes without a priority
// belong to the message before: they are the second line of a stack trace, or the rest of a message that was split.
func (p *parser) parse(b []byte, now time.Time, stream bool) *message {
	b = bytes.TrimRight(b, "\r\n\x00")
	m := &message{text: b, raw: b, header: header{
		time: now, facility: unmarked / 8, severity: unmarked % 8, host: p.local, peer: p.peer,
	}}
	priority, rest, ok := cutPriority(b)
	switch {
	case ok:
		m.facility, m.severity, m.text = priority/8, priority%8, rest
		p.fields(m, b, rest)
		p.last = m.header
	case stream && !p.last.time.IsZero():
		m.header = p.last
		m.time = now
	}
	return m
}

// cutPriority parses <0> to <191>.
func cutPriority(b []byte) (priority uint8, rest []byte, ok bool) {
	end := bytes.IndexByte(b[:min(len(b), 5)], '>')
	if end < 2 || b[0] != '<' {
		return 0, nil, false
	}
	n, err := strconv.ParseUint(string(b[1:end]), 10, 8)
	if err != nil || n > 191 {
		return 0, nil, false
	}
	return uint8(n), b[end+1:], true
}

// fields sets what the parser of the message's RFC finds. If that parser fails within the header, everything after the
// priority stays the text.
func (p *parser) fields(m *message, b, rest []byte) {
	machine, exact := p.old, time.Time{}
	if len(rest) > 1 && rest[0] >= '1' && rest[0] <= '9' && rest[1] == ' ' {
		machine = p.new
	} else {
		b, exact = p.withoutFraction(b, rest)
		b = p.printable(b)
	}
	parsed, err := machine.Parse(b)
	var base *golog.Base
	switch v := parsed.(type) {
	case *rfc3164.SyslogMessage:
		base = &v.Base
	case *rfc5424.SyslogMessage:
		base = &v.Base
	default:
		return
	}
	if base.Timestamp != nil {
		m.time = *base.Timestamp
		if m.time.Year() == 0 {
			m.time = inYear(m.time, time.Now())
		}
	}
	if !exact.IsZero() {
		m.time = exact
	}
	set(&m.host, base.Hostname)
	set(&m.app, base.Appname)
	set(&m.pid, base.ProcID)
	switch {
	case err == nil && base.Message != nil:
		m.text = bytes.TrimPrefix(m.raw[len(m.raw)-len(*base.Message):], []byte("\ufeff"))
	case err == nil && base.Appname != nil:
		m.text = nil // there is none
	}
}

func set(to *string, value *string) {
	if value != nil && *value != "" {
		*to = *value
	}
}

// withoutFraction returns b without the fraction of a second, and the exact time. The parser of RFC 3164 does not
// accept the fraction that rsyslog and ESXi send:
//
//	<14>2026-11-29T10:00:00.123456+01:00 host …   →   <14>2026-11-29T10:00:00+01:00 host …
func (p *parser) withoutFraction(b, rest []byte) ([]byte, time.Time) {
	stamp, behind, ok := bytes.Cut(rest, []byte{' '})
	if !ok || len(stamp) < len("2026-11-29T10:00:00Z") || len(stamp) > 40 || stamp[0] < '0' || stamp[0] > '9' {
		return b, time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return b, time.Time{}
	}
	p.line = append(p.line[:0], b[:len(b)-len(rest)]...)
	p.line = t.Truncate(time.Second).AppendFormat(p.line, time.RFC3339)
	p.line = append(append(p.line, ' '), behind...)
	return p.line, t
}

// printable returns b with a ? for each control character. The parser of RFC 3164 drops what follows one, and with it
// the text of every program that logs in colours; so it is only asked how long the text is:
//
//	<14>Nov 29 10:00:00 web1 app: \x1b[31mred   →   <14>Nov 29 10:00:00 web1 app: ?[31mred
func (p *parser) printable(b []byte) []byte {
	control := func(c rune) bool { return c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f }
	if bytes.IndexFunc(b, control) < 0 {
		return b
	}
	p.line = append(p.line[:0], b...)
	for i, c := range p.line {
		if control(rune(c)) {
			p.line[i] = '?'
		}
	}
	return p.line
}

// inYear completes a time of RFC 3164, which has neither year nor zone: with the local zone, and the year that brings
// it closest to now.
func inYear(t, now time.Time) time.Time {
	best := time.Time{}
	for year := now.Year() - 1; year <= now.Year()+1; year++ {
		c := time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), now.Location())
		if best.IsZero() || c.Sub(now).Abs() < best.Sub(now).Abs() {
			best = c
		}
	}
	return best
}

// value is the value of a name in a category.
func (m *message) value(name string) string {
	switch name {
	case "app":
		return m.app
	case "facility":
		return common.FacilityKeywords[m.facility]
	case "severity":
		return common.SeverityLevels[m.severity]
	case "host":
		return m.host
	}
	return m.peer
}

// format returns the entry for the message.
func (m *message) format(f Format) []byte {
	switch f {
	case Message:
		return feed.Ended(m.text[:len(m.text):len(m.text)])
	case Raw:
		return feed.Ended(m.raw[:len(m.raw):len(m.raw)])
	}
	l := feed.Line{Time: m.time, Host: m.host, App: m.app, PID: m.pid}
	return feed.Ended(l.Append(nil, m.text))
}
