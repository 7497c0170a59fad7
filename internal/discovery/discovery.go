// Package discovery finds the collectors that a sender can send to, by a name in the DNS or a file:
//
//	srv:_inkwell._tcp.example.com        the targets and ports of the SRV records of the lowest priority that work
//	dns:collectors.example.com:1463      the A records, or the AAAA records if there are none
//	file:/etc/inkwell/collectors         the addresses in a file, with blanks or newlines between them
//
// tls:// before the name or path says that all addresses have TLS. A name can end in @HOST:PORT, the server to ask in
// place of those of /etc/resolv.conf, for example srv:_inkwell._tcp.service.consul@127.0.0.1:8600.
//
// A Directory looks the sources up, again when their TTL is over or when the file changes:
//
//	source ── lookup ──► valid? ── yes ──► Watch.List, Watch.Changed
//	   ▲                   └── no: the last list stays, and the log says why ─┐
//	   └──────────────────────── TTL, or a growing pause ◄────────────────────┘
//
// A lookup is valid if it found at least one address. An error is logged once, when it begins and when it becomes
// another one. The number of addresses is bounded.
//
// Limitations: the weights of SRV records are not used. /etc/hosts is not read. DNSSEC is not validated.
package discovery

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// DefaultPort is the port of addresses that have none.
const DefaultPort = 1463

const (
	// maxAddresses bounds the addresses of one source; further ones are not used.
	maxAddresses = 1024
	// minTTL and maxTTL bound the time between two lookups, whatever the records say: with a TTL of 0 a server would
	// otherwise be asked without end, and with one of weeks a new collector would get no work.
	minTTL = 5 * time.Second
	maxTTL = time.Hour
)

// Address is a collector.
type Address struct {
	Name     string // HOST:PORT, tls://HOST:PORT or unix:PATH
	Priority int    // of the SRV record; those of the lowest number that work are used
}

// Source is a place to find addresses.
type Source struct {
	text   string // as it was written
	kind   string // "srv", "dns" or "file"
	name   string // the name to look up, or the path
	port   int    // of the addresses of dns
	secure bool   // the addresses get tls://
	server string // HOST:PORT of the server to ask; "" = those of the system
}

// IsSource reports whether text names a source and not an address.
func IsSource(text string) bool {
	kind, _, _ := strings.Cut(text, ":")
	return (kind == "srv" || kind == "dns" || kind == "file") && kind != text
}

// Parse parses a source.
func Parse(text string) (*Source, error) {
	kind, rest, _ := strings.Cut(text, ":")
	s := &Source{text: text, kind: kind, port: DefaultPort}
	rest, s.secure = strings.CutPrefix(rest, "tls://")
	var err error
	switch kind {
	case "file":
		if s.name = rest; !filepath.IsAbs(rest) {
			return nil, fmt.Errorf("%q: want an absolute path, as in file:/etc/inkwell/collectors", text)
		}
		return s, nil
	case "srv", "dns":
	default:
		return nil, fmt.Errorf("%q: want srv:NAME, dns:NAME:PORT or file:PATH", text)
	}
	name, server, asked := strings.Cut(rest, "@")
	if asked {
		if s.server, err = withPort(server, 53); err != nil {
			return nil, fmt.Errorf("%q: the server to ask: %w", text, err)
		}
	}
	if kind == "dns" {
		if host, port, ok := strings.Cut(name, ":"); ok {
			if name, s.port, err = host, 0, nil; err == nil {
				s.port, err = strconv.Atoi(port)
			}
			if err != nil || s.port < 1 || s.port > 65535 {
				return nil, fmt.Errorf("%q: %q is no port", text, port)
			}
		}
	}
	if s.name = name; name == "" || strings.ContainsAny(name, " \t/:[]") {
		return nil, fmt.Errorf("%q: want srv:NAME as in srv:_inkwell._tcp.example.com, "+
			"or dns:NAME:PORT as in dns:collectors.example.com:1463", text)
	}
	return s, nil
}

// Secure returns the source with TLS for all its addresses.
func Secure(text string) string {
	kind, rest, _ := strings.Cut(text, ":")
	return kind + ":tls://" + strings.TrimPrefix(rest, "tls://")
}

// HasTLS reports whether a source, as text, gives its addresses TLS.
func HasTLS(text string) bool {
	_, rest, _ := strings.Cut(text, ":")
	return IsSource(text) && strings.HasPrefix(rest, "tls://")
}

// CertificateName returns the name that is in the certificates of the addresses of a source, "" if each has its own:
// the A records of a name stand for the name.
func (s *Source) CertificateName() string {
	if s.kind == "dns" && s.secure {
		return s.name
	}
	return ""
}

func (s *Source) String() string { return s.text }

// answer is the result of a lookup.
type answer struct {
	list    []Address
	again   time.Duration // until the next lookup
	skipped string        // what was left out, "" = nothing
}

// failure is why a lookup found nothing. Its text is the same each time, so that it can be logged once.
type failure struct{ text string }

func (f *failure) Error() string { return f.text }

func failf(format string, args ...any) error { return &failure{fmt.Sprintf(format, args...)} }

// Lookup looks a source up once.
func Lookup(ctx context.Context, text string) (names []string, err error) {
	s, err := Parse(text)
	if err != nil {
		return nil, err
	}
	a, err := s.lookup(ctx)
	for _, addr := range a.list {
		names = append(names, addr.Name)
	}
	return names, err
}

// lookup finds the addresses of the source.
func (s *Source) lookup(ctx context.Context) (answer, error) {
	switch s.kind {
	case "file":
		return s.lookupFile(ctx)
	case "srv":
		return s.lookupSRV(ctx)
	}
	return s.lookupHosts(ctx)
}

// address returns the address of a host and port, with TLS if the source has it.
func (s *Source) address(host string, port int) string {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	if s.secure {
		return "tls://" + addr
	}
	return addr
}

// withPort adds a port to HOST, if there is none.
func withPort(addr string, port int) (string, error) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(strings.Trim(addr, "[]"), strconv.Itoa(port))
	}
	host, number, err := net.SplitHostPort(addr)
	n, bad := strconv.Atoi(number)
	if err != nil || bad != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, " \t/") {
		return "", fmt.Errorf("%q: want HOST:PORT or HOST", addr)
	}
	return addr, nil
}

// between limits a TTL.
func between(ttl time.Duration) time.Duration { return max(minTTL, min(ttl, maxTTL)) }
