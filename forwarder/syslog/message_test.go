package syslog

import (
	"strings"
	"testing"
	"time"
)

// messages are what senders were seen to send, or users of other programs reported.
var messages = []struct {
	name, in         string
	app, host, pid   string // host "" = that of the peer
	facility, detail string // detail: the text
}{
	{"RFC 3164", "<13>Nov 29 10:00:00 web1 app[12]: hello", "app", "web1", "12", "user", "hello"},
	{"RFC 3164, day with a blank", "<13>Nov  9 10:00:00 web1 app: hello", "app", "web1", "", "user", "hello"},
	{"glibc, local", "<38>Nov 29 10:00:00 sshd[4711]: Accepted", "sshd", "", "4711", "auth", "Accepted"},
	{"HAProxy", "<134>Nov 29 10:00:00 haproxy[123]: 127.0.0.1:1 [x] fe be/s 0/0", "haproxy", "", "123", "local0", "127.0.0.1:1 [x] fe be/s 0/0"},
	{"program with a slash", "<22>Nov 29 10:00:00 mx postfix/smtpd[99]: connect", "postfix/smtpd", "mx", "99", "mail", "connect"},
	{"rsyslog's forward format", "<13>2026-11-29T10:00:00.123456+01:00 web1 app[12]: hello", "app", "web1", "12", "user", "hello"},
	{"ESXi", "<14>2022-03-07T09:33:22.936Z esx Hostd: verbose hostd[79A7B80] x", "Hostd", "esx", "", "user", "verbose hostd[79A7B80] x"},
	{"RFC 5424", "<165>1 2003-10-11T22:14:15.003Z mymachine evntslog 12 ID47 [a@1 iut=\"3\"] \ufeffAn event", "evntslog", "mymachine", "12", "local4", "An event"},
	{"RFC 5424, nothing known", "<13>1 - - - - - - msg", "", "", "", "user", "msg"},
	{"RFC 5424 without a text", "<13>1 2026-11-29T10:00:00Z h app 1 2 -", "app", "h", "1", "user", ""},
	{"RFC 5424, invalid UTF-8", "<13>1 2026-11-29T10:00:00Z h app - - - a\xff\xfe\x00b", "app", "h", "", "user", "a\xff\xfe\x00b"},
	{"several lines", "<13>Nov 29 10:00:00 web1 app: one\n\ttwo\nthree", "app", "web1", "", "user", "one\n\ttwo\nthree"},
	{"invalid UTF-8", "<13>Nov 29 10:00:00 web1 app: inv\xff\xfealid", "app", "web1", "", "user", "inv\xff\xfealid"},
	{"an end of line and a NUL behind it", "<13>Nov 29 10:00:00 web1 app: hello\r\n\x00", "app", "web1", "", "user", "hello"},
	// rsyslog #5098, telegraf #10791, syslogparser #23, collector-contrib #27871: no time, or none that is one
	{"appliance without a time", "<38>User logged into the appliance. User: x.", "", "", "", "auth", "User logged into the appliance. User: x."},
	{"UniFi switch", "<14>MiniSwitch 7483c04f9d75,USW: NETDEV: Setup PVID", "", "", "", "user", "MiniSwitch 7483c04f9d75,USW: NETDEV: Setup PVID"},
	{"FortiGate", "<189>date=2023-10-11 time=15:44:14 devname=\"F\"", "", "", "", "local7", "date=2023-10-11 time=15:44:14 devname=\"F\""},
	{"Cisco", "<189>237: *Jan 8 19:46:03.295: %SYS-5-CONFIG_I: conf", "", "", "", "local7", "237: *Jan 8 19:46:03.295: %SYS-5-CONFIG_I: conf"},
	{"year in an old time", "<13>Nov 29 2026 10:00:00 web1 app: x", "", "", "", "user", "Nov 29 2026 10:00:00 web1 app: x"},
	// vector #1455: what cannot be parsed is not dropped
	{"no priority", "just text", "", "", "", "user", "just text"},
	{"a priority that is none", "<999>Nov 29 10:00:00 h app: x", "", "", "", "user", "<999>Nov 29 10:00:00 h app: x"},
	{"RFC 5424 with bad structured data", "<13>1 2026-11-29T10:00:00Z h app - - [bad sd", "app", "h", "", "user", "1 2026-11-29T10:00:00Z h app - - [bad sd"},
	{"RFC 5424, nanoseconds", "<13>1 2026-11-29T10:00:00.123456789Z h app - - - nano", "", "", "", "user", "1 2026-11-29T10:00:00.123456789Z h app - - - nano"},
	{"only a priority", "<13>", "", "", "", "user", ""},
}

func TestMessages(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for _, c := range messages {
		m := newParser("192.0.2.7", "192.0.2.7").parse([]byte(c.in), now, false)
		host := c.host
		if host == "" {
			host = "192.0.2.7"
		}
		if m.app != c.app || m.host != host || m.pid != c.pid || m.value("facility") != c.facility || string(m.text) != c.detail {
			t.Errorf("%s: app %q, host %q, pid %q, facility %q, text %q", c.name, m.app, m.host, m.pid, m.value("facility"), m.text)
		}
		if raw := string(m.format(Raw)); raw != strings.TrimRight(c.in, "\r\n\x00")+"\n" {
			t.Errorf("%s: raw %q", c.name, raw)
		}
	}
}

func TestTimes(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 5, 0, time.Local)
	if got := inYear(time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC), now); got.Year() != 2025 || got.Location() != time.Local {
		t.Errorf("a message of the last second of the year is of %v", got)
	}
	p := newParser("h", "h")
	m := p.parse([]byte("<13>2026-11-29T10:00:00.123456+01:00 web1 app: x"), now, false)
	if got, want := string(m.format(Line)), "2026-11-29T10:00:00.123456+01:00 web1 app: x\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if m := p.parse([]byte("<13>no time"), now, false); !m.time.Equal(now) {
		t.Errorf("a message without a time is of %v", m.time)
	}
}

// TestContinuation has lines without a priority belong to what came before them over the same stream.
func TestContinuation(t *testing.T) {
	p := newParser("h", "h")
	p.parse([]byte("<11>Nov 29 10:00:00 web1 java[1]: Exception"), time.Now(), true)
	m := p.parse([]byte("\tat Main.main"), time.Now(), true)
	if m.app != "java" || m.host != "web1" || string(m.text) != "\tat Main.main" {
		t.Errorf("app %q, host %q, text %q", m.app, m.host, m.text)
	}
	if m := p.parse([]byte("not of a stream"), time.Now(), false); m.app != "" {
		t.Errorf("app %q", m.app)
	}
}

func FuzzMessage(f *testing.F) {
	for _, c := range messages {
		f.Add([]byte(c.in), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, stream bool) {
		p := newParser("peer", "local")
		m := p.parse(data, time.Unix(0, 0), stream)
		want := strings.TrimRight(string(data), "\r\n\x00")
		if string(m.raw) != want {
			t.Fatalf("%q became %q", want, m.raw)
		}
		// The text is the end of what came, but for what a message has none.
		if text := string(m.text); text != "" && !strings.HasSuffix(want, text) {
			t.Fatalf("the text of %q is %q", want, text)
		}
		for _, name := range names {
			m.value(name)
		}
	})
}

// FuzzText has the text of a message whose header is in order arrive as it was sent, whatever bytes it has.
func FuzzText(f *testing.F) {
	for _, text := range []string{"one", "\x1b[31mred\x1b[0m", "a\x00b", "a\x7fb", "one\n\b", "a \n \x1b", "\x01", "  a\r\nb\x80", "b: c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := strings.TrimRight(text, "\r\n\x00")
		if want == "" || strings.HasPrefix(text, "\ufeff") {
			return // nothing is said; and to RFC 5424 this mark means that the text is UTF-8
		}
		p := newParser("peer", "local")
		for _, header := range []string{
			"<3>Nov 29 10:00:00 web1 app: ", "<3>Nov 29 10:00:00 web1 app[7]: ", "<3>2026-11-29T10:00:00.123456+01:00 web1 app: ",
			"<3>1 2026-11-29T10:00:00Z web1 app 7 - - ",
		} {
			m := p.parse([]byte(header+text), time.Unix(0, 0), true)
			if string(m.text) != want || m.app != "app" || m.host != "web1" {
				t.Fatalf("app %q on %q sent %q after %q: %q", m.app, m.host, want, header, m.text)
			}
		}
	})
}
