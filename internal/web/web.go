// Package web answers HTTP for one daemon: /healthz and /readyz for everybody who can connect; /status.json, /metrics,
// the page and the files of a collector for those who may read.
//
//	rpc.Server ─► Handler ─┬─ /healthz, /readyz, OPTIONS   one line, 200 or 503
//	                       ├─ may read? (access) ─ is the host ours? ─┬─ /status.json, / and /category   from one status.Status
//	                       │                                          ├─ /file, /tail, /complete         Files
//	                       │                                          └─ /counts                         Options.Count
//	                       └─ may read? ─ /metrics                        internal/metrics
//
// All views show the same status.Status. It is made at most once a second, however many clients ask, and in a goroutine
// of its own: if making it hangs, the requests are answered with 503 after makeWait and do not hang too.
//
// The handler only reads: it accepts only GET, HEAD and OPTIONS, so that a page of another site cannot make a browser
// change anything.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"inkwell/internal/access"
	"inkwell/internal/metrics"
	"inkwell/internal/stats"
	"inkwell/internal/status"
)

// Options says what a handler serves. Its functions are called by several goroutines at once.
type Options struct {
	Status func(ctx context.Context) *status.Status // of the daemon, now
	Reads  func(c *access.Caller) bool              // whether a peer may see more than /healthz and /readyz
	// addresses whose hosts are names of this machine, in addition to its own
	Listen []string
	Stats  *stats.Set // for /metrics; counts requests, too
	Files  Files      // of a collector; nil = no files are served

	Count func(ctx context.Context, q Question) (*Counts, error) // makes statistics of a category; nil = there are none
}

// handler implements http.Handler.
type handler struct {
	o       Options
	latest  latest
	mux     *http.ServeMux
	scrape  http.Handler
	asked   *atomic.Int64
	refused *atomic.Int64
	tails   chan struct{} // holds a value for each who looks on
	reading chan struct{} // holds a value for each request that reads from a disk

	counting *counting // nil = there are no statistics
}

// Handler returns the handler for o. It takes the peer of a request from the request's context (access.From).
func Handler(o Options) http.Handler {
	h := &handler{o: o, mux: http.NewServeMux(), latest: latest{build: o.Status}, tails: make(chan struct{}, maxTails),
		reading: make(chan struct{}, maxReads),
		asked:   o.Stats.Overall("HTTP requests"), refused: o.Stats.Overall("HTTP requests refused")}
	registry := metrics.Registry(o.Stats, func() *status.Status {
		s, _ := h.latest.get(context.Background()) // without it a scrape has the counters
		return s
	})
	h.scrape = promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})
	h.mux.HandleFunc("/healthz", h.healthz)
	h.mux.HandleFunc("/readyz", h.readyz)
	h.mux.HandleFunc("/metrics", h.mayRead(h.scrape.ServeHTTP))
	h.mux.HandleFunc("/status.json", h.mayRead(h.ours(h.statusJSON)))
	h.mux.HandleFunc("/{$}", h.mayRead(h.ours(h.index)))
	h.mux.HandleFunc("/page.css", asset("page.css", "text/css; charset=utf-8"))
	h.mux.HandleFunc("/page.js", asset("page.js", "text/javascript; charset=utf-8"))
	if o.Files != nil {
		h.mux.HandleFunc("/category", h.mayRead(h.ours(h.category)))
		h.mux.HandleFunc("/complete", h.mayRead(h.ours(h.grid)))
		h.mux.HandleFunc("/file", h.mayRead(h.ours(h.file)))
		h.mux.HandleFunc("/tail", h.mayRead(h.ours(h.tail)))
	}
	if o.Count != nil {
		h.counting = newCounting(o.Count)
		h.mux.HandleFunc("/counts", h.mayRead(h.ours(h.counts)))
	}
	return h
}

// maxScrapes is the number of scrapes that are answered at once; further ones get 503.
const maxScrapes = 4

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.asked.Add(1)
	head := w.Header()
	for _, x := range headers {
		head.Set(x[0], x[1])
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions {
		head.Set("Allow", "GET, HEAD, OPTIONS")
		h.end(w, http.StatusMethodNotAllowed,
			"only GET, HEAD and OPTIONS are answered: nothing can be changed here (see inkwell ctl)")
		return
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		h.end(w, http.StatusBadRequest, "a request with a body, for which there is no use")
		return
	}
	if r.Method == http.MethodOptions { // the check of a load balancer (haproxy's option httpchk)
		h.readyz(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// end answers a request that is malformed or not allowed and closes the connection, without reading the request's body.
func (h *handler) end(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Connection", "close")
	// if it cannot be set, the body is not read either
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
	say(w, code, text)
}

// headers are sent with every answer: the page loads nothing from elsewhere, runs no foreign script, and is neither
// cached nor framed.
var headers = [][2]string{
	{"Content-Security-Policy",
		"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " +
			"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"},
	{"X-Content-Type-Options", "nosniff"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Cache-Control", "no-store"},
}

// say answers with a line of text.
func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, strings.ToValidUTF8(oneLine(text), "\uFFFD")+"\n") // who has gone does not read it
}

// oneLine removes control characters from a text.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// healthz answers 503 if something is critical, and names the worst reason.
func (h *handler) healthz(w http.ResponseWriter, r *http.Request) {
	s, err := h.latest.get(r.Context())
	switch {
	case err != nil:
		say(w, http.StatusServiceUnavailable, "unknown: "+err.Error())
	case s.Verdict.Level == status.Critical:
		say(w, http.StatusServiceUnavailable, "critical: "+s.Verdict.Text)
	default:
		say(w, http.StatusOK, string(s.Verdict.Level)+": "+s.Verdict.Text)
	}
}

// readyz answers 200 if the daemon accepts entries.
func (h *handler) readyz(w http.ResponseWriter, r *http.Request) {
	s, err := h.latest.get(r.Context())
	switch {
	case err != nil:
		say(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
	case !s.Daemon.Ready:
		text := "not ready"
		if s.Daemon.Trouble != "" {
			text += ": " + s.Daemon.Trouble
		}
		say(w, http.StatusServiceUnavailable, text)
	default:
		say(w, http.StatusOK, "ready")
	}
}

// statusJSON serves the document.
func (h *handler) statusJSON(w http.ResponseWriter, r *http.Request) {
	s, ok := h.document(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s) // who has gone does not read it
}

// document returns the status for an answer. If there is none, it has sent the error and ok is false.
func (h *handler) document(w http.ResponseWriter, r *http.Request) (s *status.Status, ok bool) {
	s, err := h.latest.get(r.Context())
	if err != nil {
		say(w, http.StatusServiceUnavailable, err.Error())
	}
	return s, err == nil
}

// mayRead passes on only the requests of peers that may read.
func (h *handler) mayRead(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if h.o.Reads(access.FromContext(r.Context())) {
			next(w, r)
			return
		}
		h.refused.Add(1)
		say(w, http.StatusForbidden, "not allowed: this is for this machine, and for peers of an <allow> block with "+
			"status=yes (--allow-status); everybody may ask /healthz")
	}
}

// ours passes on only requests that came over TLS or whose Host header names this machine. Otherwise a foreign page
// whose name is suddenly resolved to our address (DNS rebinding) could have a browser on this machine read everything.
func (h *handler) ours(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller := access.FromContext(r.Context())
		if h.known(r.Host) || caller != nil && caller.TLS {
			next(w, r)
			return
		}
		h.refused.Add(1)
		say(w, http.StatusForbidden, fmt.Sprintf(
			"not under the name %q: use an address, localhost, the name of this machine (%s), or TLS", r.Host,
			hostname()))
	}
}

// known reports whether a Host header names this machine: an IP address, localhost, the machine's own name, or a host
// of Options.Listen. A request without the header does not come from a browser and is accepted. A name that only begins
// like one of ours is not: anybody can register it.
func (h *handler) known(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || host == "" || host == "localhost" {
		return true
	}
	mine := strings.ToLower(hostname())
	first, _, _ := strings.Cut(mine, ".")
	return host == mine || host == first || slices.ContainsFunc(h.o.Listen, func(addr string) bool {
		name, _, err := net.SplitHostPort(strings.TrimPrefix(addr, "tls://"))
		return err == nil && strings.EqualFold(name, host)
	})
}

// errLate says that a status could not be made in time.
var errLate = errors.New(
	"the daemon does not say how it is: it reads its configuration again, or something hangs; see the log")
