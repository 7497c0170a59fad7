package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"inkwell/internal/rpc"
	"inkwell/internal/status"
	"inkwell/proto/gen/fb303"
)

// maxDocument bounds a status document, in bytes: some 100,000 categories fit.
const maxDocument = 64 << 20

// unknown is the level of a daemon that did not report its status.
const unknown status.Level = "unknown"

// probe is the answer of one daemon to a query of its status.
type probe struct {
	name    string         // as it was asked for
	status  *status.Status // nil: only the verdict is known
	verdict status.Verdict
}

// prober queries the status of daemons: /status.json; if that is forbidden /healthz, which everybody may ask; and fb303
// for servers without HTTP, such as the original scribed. Safe for concurrent use.
type prober struct {
	servers    []server
	names      []string
	thresholds status.Thresholds
	timeout    time.Duration
}

// prober resolves the arguments of a command: addresses and state directories.
func (a *app) prober(args []string, timeout time.Duration) (*prober, error) {
	if len(args) == 0 {
		args = []string{net.JoinHostPort("localhost", scribePort)}
	}
	p := &prober{thresholds: status.DefaultThresholds(), timeout: timeout, names: args}
	for _, arg := range args {
		to, err := a.server(arg)
		if err != nil {
			return nil, err
		}
		p.servers = append(p.servers, to)
	}
	addrs := make([]string, len(p.servers))
	for i, to := range p.servers {
		addrs[i] = to.addr
	}
	return p, checkTLS(addrs, a.tls)
}

// ask queries all daemons at once; the answers are in the order of the arguments.
func (p *prober) ask(ctx context.Context) []probe {
	answers := make([]probe, len(p.servers))
	var asking sync.WaitGroup
	for i := range p.servers {
		asking.Go(func() { answers[i] = p.one(ctx, i) })
	}
	asking.Wait()
	return answers
}

// one queries one daemon. HTTP may take half of the time: a server without HTTP may take the request for the beginning
// of a call and wait for the rest.
func (p *prober) one(ctx context.Context, i int) probe {
	to := p.servers[i]
	answer := probe{name: p.names[i]}
	half, cancel := context.WithTimeout(ctx, p.timeout/2)
	defer cancel()
	s, err := p.document(half, to)
	var refused *httpError
	unreachable, away := rpc.DialReason(err)
	switch {
	case err == nil:
		answer.status, answer.verdict = s, s.Judge(p.thresholds)
	case errors.As(err, &refused) && (refused.code == http.StatusForbidden ||
		refused.code == http.StatusServiceUnavailable):
		answer.verdict = p.health(ctx, to, refused)
	case away:
		answer.verdict = verdictOf(status.Critical, "it cannot be reached: "+unreachable, dialCure(answer.name))
	case errors.Is(err, errDocument):
		answer.verdict = verdictOf(unknown, err.Error(), "use the inkwell of that version")
	default:
		answer.verdict = p.fb303(ctx, to, err)
	}
	answer.verdict = hinted(answer.verdict, directoryHint(answer.name))
	return answer
}

// verdictOf returns a verdict with one reason.
func verdictOf(level status.Level, text, cure string) status.Verdict {
	v := status.Verdict{Level: level, Text: text, Reasons: []status.Reason{}}
	if level != status.Good {
		v.Reasons = append(v.Reasons, status.Reason{Level: level, Code: status.Trouble, Text: text, Cure: cure})
	}
	return v
}

// hinted returns a verdict whose text, why a daemon cannot be reached, is followed by a hint.
func hinted(v status.Verdict, hint string) status.Verdict {
	if v.Level != status.Good && hint != "" && len(v.Reasons) == 1 {
		v.Text += hint
		v.Reasons[0].Text += hint
	}
	return v
}

// errDocument means that the status of a daemon has a format that this program does not know.
var errDocument = errors.New("its status cannot be read")

// dialCure says what to do about a daemon that cannot be reached.
func dialCure(name string) string {
	if strings.Contains(name, "/") && !isTLS(name) {
		return "start the forwarder or pipe whose directory that is; a collector is asked by its HOST:PORT"
	}
	return "start it, or let this machine connect to it"
}

// httpError is an HTTP answer other than 200.
type httpError struct {
	code int
	text string
}

func (e *httpError) Error() string { return e.text }

// document fetches /status.json.
func (p *prober) document(ctx context.Context, to server) (*status.Status, error) {
	body, err := p.get(ctx, to, "/status.json")
	if err != nil {
		return nil, err
	}
	s := new(status.Status)
	if err := json.Unmarshal(body, s); err != nil {
		return nil, fmt.Errorf("%w: %w", errDocument, err)
	}
	if s.Format != status.Format {
		return nil, fmt.Errorf("%w: it has format %d, this inkwell knows %d", errDocument, s.Format, status.Format)
	}
	return s, nil
}

// get fetches a path over a connection of its own.
func (p *prober) get(ctx context.Context, to server, path string) ([]byte, error) {
	transport := &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return rpc.Connect(ctx, to.addr, p.timeout, to.credentials)
		}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", to.addr, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer of %s: %w", to.addr, err)
	case len(body) > maxDocument:
		return nil, fmt.Errorf("the answer of %s is longer than %d bytes", to.addr, maxDocument)
	case answer.StatusCode != http.StatusOK:
		return body, &httpError{answer.StatusCode, strings.TrimSpace(string(body[:min(len(body), maxText)]))}
	}
	return body, nil
}

// health fetches /healthz from a daemon that does not let us read its status, and adds the reason for that.
func (p *prober) health(ctx context.Context, to server, why *httpError) status.Verdict {
	ctx, cancel := context.WithTimeout(ctx, p.timeout/2)
	defer cancel()
	body, err := p.get(ctx, to, "/healthz")
	var bad *httpError
	if err != nil && !errors.As(err, &bad) {
		return verdictOf(unknown, err.Error(), "see its log")
	}
	level, text, ok := strings.Cut(strings.TrimSpace(string(body[:min(len(body), maxText)])), ": ")
	l := status.Level(level)
	if !ok || !slices.Contains([]status.Level{status.Good, status.Warning, status.Critical}, l) {
		return verdictOf(unknown, why.text,
			"ask it from its own machine, or give this one an <allow> block with status=yes")
	}
	return verdictOf(l, text, "ask it from its own machine, or with status=yes in an <allow> block, for more")
}

// fb303 queries a server without HTTP; why is the error of the attempt over HTTP.
func (p *prober) fb303(ctx context.Context, to server, why error) status.Verdict {
	c := &control{server: to, timeout: p.timeout / 2}
	code, err := ask(ctx, c, (*fb303.FacebookServiceClient).GetStatus)
	details := ""
	if err == nil {
		details, err = ask(ctx, c, (*fb303.FacebookServiceClient).GetStatusDetails)
	}
	if err != nil {
		if errors.Is(why, context.DeadlineExceeded) && errors.Is(err, os.ErrDeadlineExceeded) {
			return verdictOf(status.Critical, fmt.Sprintf("it does not answer within %v", p.timeout),
				"see whether it hangs, or is overloaded")
		}
		if errors.Is(err, rpc.ErrSpeaksTLS) {
			return verdictOf(status.Critical, "it cannot be asked without TLS", "write tls:// before the address")
		}
		return verdictOf(status.Critical, fmt.Sprintf("it does not say how it is: %v; %v", why, err),
			"see whether a Scribe server listens there, and of what version")
	}
	level := status.Warning
	switch code {
	case fb303.FbStatus_ALIVE:
		level = status.Good
	case fb303.FbStatus_DEAD, fb303.FbStatus_STOPPED, fb303.FbStatus_STOPPING:
		level = status.Critical
	}
	return verdictOf(level, statusText(code, details), "see its log")
}

// parseLimit parses WARN[,CRIT], two values that parse reads. Without CRIT the default stays, unless WARN is beyond it:
// then nothing is critical.
func parseLimit(text string, parse func(string) (float64, error), byDefault status.Limit,
	high bool) (status.Limit, error) {
	warn, crit, two := strings.Cut(text, ",")
	l := byDefault
	var err error
	if l.Warning, err = parse(strings.TrimSpace(warn)); err != nil {
		return l, err
	}
	if two {
		if l.Critical, err = parse(strings.TrimSpace(crit)); err != nil {
			return l, err
		}
		if high == (l.Critical < l.Warning) && l.Critical != l.Warning {
			return l, fmt.Errorf("%q: the critical limit is reached before the warning", text)
		}
		return l, nil
	}
	if high && l.Critical < l.Warning {
		l.Critical = 1e300
	} else if !high && l.Critical > l.Warning {
		l.Critical = -1
	}
	return l, nil
}

// parsePercent parses a share, 80% or 0.8.
func parsePercent(s string) (float64, error) {
	number, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("%q: want a share, such as 80%% or 0.8", s)
	}
	return v, nil
}
