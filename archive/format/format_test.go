package format

import (
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	for _, k := range []struct{ format, fields, line, want string }{
		{"combined", "host user time method url protocol status bytes referer agent duration", `1.2.3.4 - bob [29/Nov/2026:14:00:00 +0100] "GET /a?b=c HTTP/1.1" 200 12 "http://x/" "curl \"x\"" 1500`,
			`1.2.3.4|bob|29/Nov/2026:14:00:00 +0100|GET|/a?b=c|HTTP/1.1|200|12|http://x/|curl \"x\"|1500`},
		{"common", "url status bytes duration", `::1 - - [29/Nov/2026:14:00:00 +0100] "GET / HTTP/1.0" 304 -`, `/|304|-|`},
		{"combined", "request url", `h - - [t] "\x16\x03" 400 0 "-" "-"`, `\x16\x03|\x16\x03`},
		{"combined", "url duration", `h - - [t] "GET /a b HTTP/1.1" 400 0 "-" "-" "fwd" 0.012`, `/a b|0.012`},
		{"logfmt", "level msg dur", `time=x level=info msg="a \"b\" c" dur=5ms flag`, `info|a "b" c|5ms`},
		{"json", "level http.status http.url a.b n", `{"level":"error","http":{"status":500,"url":"\/x"},"a.b":1,"n":null}`, `error|500|/x|1|null`},
		{"syslog", "time host app pid message", `Nov 29 14:00:00 web1 sshd[12]: Failed: no`, `Nov 29 14:00:00|web1|sshd|12|Failed: no`},
		{"syslog", "time host app", `2026-11-29T14:00:00.1+01:00 web1 cron: x`, `2026-11-29T14:00:00.1+01:00|web1|cron`},
		{`regexp=(?P<verb>[A-Z]+) (?P<url>\S+)( (?P<status>\d+))?`, "verb url status", `GET /x`, `GET|/x|`},
	} {
		r, err := New(k.format, strings.Fields(k.fields))
		if err != nil {
			t.Fatal(err)
		}
		values, ok := r.Read([]byte(k.line))
		var all []string
		for _, v := range values {
			all = append(all, string(v))
		}
		if got := strings.Join(all, "|"); !ok || got != k.want {
			t.Errorf("%s of %q: %v %q, want %q", k.format, k.line, ok, got, k.want)
		}
		for _, other := range []string{"", " ", "\x00", "x"} {
			if _, ok := r.Read([]byte(other)); ok {
				t.Errorf("%q is %s", other, k.format)
			}
		}
	}
	r, err := New("syslog", []string{"host"})
	if err != nil {
		t.Fatal(err)
	}
	if values, ok := r.Read([]byte(`1.2.3.4 - - [29/Nov/2026:14:00:00 +0000] "GET / HTTP/1.1" 200 12`)); ok {
		t.Errorf("a line of a web server is one of syslog, from %q", values[0])
	}
	for _, bad := range []string{"", "xml", "regexp=(", "combine"} {
		if _, err := New(bad, nil); err == nil {
			t.Errorf("%q is a format", bad)
		}
	}
	if _, err := New("combined", []string{"colour"}); err == nil {
		t.Error("combined has a colour")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`1.2.3.4 - bob [29/Nov/2026:14:00:00 +0100] "GET /a?b=c HTTP/1.1" 200 12 "http://x/" "curl" 1500`)
	f.Add(`level=info msg="a b" x`)
	f.Add(`{"a":{"b":1}}`)
	f.Add(`Nov 29 14:00:00 web1 sshd[12]: Failed`)
	var all []*Reader
	for _, name := range []string{"combined", "common", "logfmt", "json", "syslog", "regexp=(?P<time>a+)"} {
		fields := []string{"time", "status", "url", "duration"}
		if name == "syslog" {
			fields = syslogFields
		}
		r, err := New(name, fields)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, r)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, r := range all {
			values, _ := r.Read([]byte(line))
			for _, v := range values {
				if len(v) > 4*len(line)+4 { // a backslash escape can become more bytes, of a rune
					t.Errorf("%q has a field %q", line, v)
				}
			}
		}
	})
}
