package main

import (
	"io"
	"math/rand/v2"
	"strconv"
	"time"
)

// apacheLog is an endless-looking but exact access log: the same seed and size give the same bytes. Not for concurrent
// use.
type apacheLog struct {
	rng  *rand.Rand
	left int64
	at   time.Time
	hits int
	buf  []byte
	rest []byte // of buf
}

// newApacheLog returns about size bytes of Apache's combined format, up to the end of a line.
func newApacheLog(seed uint64, size int64) io.Reader {
	return &apacheLog{rng: rand.New(rand.NewPCG(seed, 0)), left: size,
		at: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}
}

func (a *apacheLog) Read(p []byte) (int, error) {
	if len(a.rest) == 0 {
		if a.left <= 0 {
			return 0, io.EOF
		}
		a.buf = a.buf[:0]
		for len(a.buf) < 64<<10 && int64(len(a.buf)) < a.left {
			a.buf = a.line(a.buf)
		}
		a.left -= int64(len(a.buf))
		a.rest = a.buf
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

var (
	methods  = []string{"GET", "GET", "GET", "GET", "GET", "POST", "HEAD"}
	sections = []string{"/", "/index.html", "/static/css/site.css", "/static/js/app.js", "/api/v1/items/",
		"/api/v1/users/", "/images/photo-", "/search?q="}
	statuses = []string{"200", "200", "200", "200", "200", "200", "304", "304", "301", "404", "500"}
	referers = []string{"-", "-", "https://www.example.com/", "https://www.example.com/start",
		"https://search.example.org/?q=logs"}
	agents = []string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 " +
			"Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
			"Version/17.5 Mobile/15E148 Safari/604.1",
		"curl/8.8.0", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
	}
)

func (a *apacheLog) pick(from []string) string { return from[a.rng.IntN(len(from))] }

// line appends one request to b.
func (a *apacheLog) line(b []byte) []byte {
	if a.hits++; a.hits%50 == 0 {
		a.at = a.at.Add(time.Second)
	}
	for i := range 4 {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendInt(b, int64(1+a.rng.IntN(223)), 10)
	}
	b = a.at.AppendFormat(append(b, " - - "...), "[02/Jan/2006:15:04:05 -0700]")
	b = append(append(b, ` "`...), a.pick(methods)...)
	b = append(append(b, ' '), a.pick(sections)...)
	b = strconv.AppendInt(b, int64(a.rng.IntN(100000)), 10)
	b = append(append(b, ` HTTP/1.1" `...), a.pick(statuses)...)
	b = strconv.AppendInt(append(b, ' '), int64(a.rng.IntN(60000)), 10)
	b = append(append(b, ` "`...), a.pick(referers)...)
	b = append(append(b, `" "`...), a.pick(agents)...)
	return append(b, "\"\n"...)
}
