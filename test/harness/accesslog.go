package harness

import (
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// accessLog generates an access log with the statistics of a real web server's: few clients and pages make most of the
// requests, each page has its own size and each client its own browser. The same seed and size give the same bytes. It
// compresses about as well as real logs do (7 to 9 times).
type accessLog struct {
	rng     *rand.Rand
	left    int64
	at      time.Time
	clients []client
	pages   []page
	rest    []byte
	buf     []byte
}

type client struct{ addr, agent string }

type page struct {
	path, referer string
	size          int
}

// AccessLog returns about size bytes in Apache's combined format, up to the end of a line.
func AccessLog(seed uint64, size int64) io.Reader {
	a := &accessLog{rng: rand.New(rand.NewPCG(seed, 1)), left: size, at: time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)}
	for range 20_000 {
		addr := ""
		for i := range 4 {
			if i > 0 {
				addr += "."
			}
			addr += strconv.Itoa(1 + a.rng.IntN(254))
		}
		a.clients = append(a.clients, client{addr: addr, agent: agents[a.skewed(len(agents))]})
	}
	for i := range 5_000 {
		p := page{path: sections[a.rng.IntN(len(sections))] + strconv.Itoa(i), referer: "-",
			size: 200 + a.rng.IntN(80_000)}
		if a.rng.IntN(3) > 0 {
			p.referer = "https://www.example.com" + sections[a.rng.IntN(len(sections))]
		}
		a.pages = append(a.pages, p)
	}
	return a
}

// skewed draws a number below n, small ones far more often than large ones.
func (a *accessLog) skewed(n int) int {
	if a.rng.IntN(3) == 0 {
		return a.rng.IntN(n)
	}
	return min(int(math.Pow(float64(n), a.rng.Float64()))-1, n-1)
}

func (a *accessLog) Read(p []byte) (int, error) {
	if len(a.rest) == 0 {
		if a.left <= 0 {
			return 0, io.EOF
		}
		a.buf = a.buf[:0]
		for len(a.buf) < 64<<10 && int64(len(a.buf)) < a.left {
			a.buf = a.appendLine(a.buf)
		}
		a.left -= int64(len(a.buf))
		a.rest = a.buf
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

var (
	sections = []string{"/", "/static/css/site.css?v=", "/static/js/app.js?v=", "/api/v1/items/", "/api/v1/users/",
		"/images/photo-", "/search?q=", "/blog/2026/11/"}
	methods  = []string{"GET", "GET", "GET", "GET", "GET", "GET", "GET", "POST", "POST", "HEAD"}
	statuses = []string{"200", "200", "200", "200", "200", "200", "200", "304", "304", "304", "301", "404", "500"}
	agents   = []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 " +
			"Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
			"Version/17.5 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 " +
			"Safari/605.1.15",
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.6422.165 " +
			"Mobile Safari/537.36",
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
		"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
		"curl/8.8.0", "Prometheus/2.53.0", "python-requests/2.32.3", "-",
	}
)

func (a *accessLog) appendLine(b []byte) []byte {
	if a.rng.IntN(40) == 0 {
		a.at = a.at.Add(time.Second)
	}
	c, p := &a.clients[a.skewed(len(a.clients))], &a.pages[a.skewed(len(a.pages))]
	b = append(append(b, c.addr...), " - - "...)
	b = a.at.AppendFormat(b, "[02/Jan/2006:15:04:05 -0700]")
	b = append(append(b, ` "`...), methods[a.rng.IntN(len(methods))]...)
	b = append(append(b, ' '), p.path...)
	if a.rng.IntN(5) < 2 {
		b = strconv.AppendUint(append(b, "?t="...), a.rng.Uint64()>>24, 16)
	}
	b = append(b, ` HTTP/1.1" `...)
	status := statuses[a.rng.IntN(len(statuses))]
	b = append(append(b, status...), ' ')
	switch status {
	case "304":
		b = append(b, '-')
	case "200":
		b = strconv.AppendInt(b, int64(p.size), 10)
	default:
		b = strconv.AppendInt(b, int64(180+a.rng.IntN(300)), 10)
	}
	b = append(append(b, ` "`...), p.referer...)
	b = append(append(b, `" "`...), c.agent...)
	return append(b, "\"\n"...)
}
