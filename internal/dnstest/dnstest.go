// Package dnstest is a DNS server on loopback for tests, whose answers can be changed at any time.
package dnstest

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Server answers over UDP and TCP on Addr. The zero answer is NXDOMAIN.
type Server struct {
	Addr string

	mu      sync.Mutex
	records map[string][]dns.RR // by name and type
	rcode   int                 // in place of an answer, if it is not 0
	silent  bool
	cut     bool // every answer over TCP says that it is cut off, too
	asked   int
}

// Start starts a server that runs until the test ends.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{records: make(map[string][]dns.RR)}
	pc, ln := listen(tb)
	s.Addr = pc.LocalAddr().String()
	for _, server := range []*dns.Server{{PacketConn: pc, Handler: s}, {Listener: ln, Handler: s}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go server.ActivateAndServe()
		<-started
		tb.Cleanup(func() { server.Shutdown() })
	}
	return s
}

// listen opens a port that is free for both UDP and TCP: one that the system chose for one of them may be in use for
// the other.
func listen(tb testing.TB) (net.PacketConn, net.Listener) {
	tb.Helper()
	for attempt := 0; ; attempt++ {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		ln, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, ln
		}
		if err := errors.Join(err, pc.Close()); attempt == 100 {
			tb.Fatal(err)
		}
	}
}

// Set replaces all records by those in the form of a zone file, for example "_x._tcp.test. 1 IN SRV 0 0 1463 a.test.".
func (s *Server) Set(tb testing.TB, lines ...string) {
	tb.Helper()
	records := make(map[string][]dns.RR)
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			tb.Fatal(err)
		}
		key := strings.ToLower(rr.Header().Name)
		records[key] = append(records[key], rr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records, s.rcode, s.silent, s.cut = records, 0, false, false
}

// Fail makes every answer have this code, until Set.
func (s *Server) Fail(rcode int) { s.change(func() { s.rcode = rcode }) }

// Silence makes the server give no answers, until Set.
func (s *Server) Silence() { s.change(func() { s.silent = true }) }

// Cut makes every answer say that it is cut off, over TCP, too, until Set.
func (s *Server) Cut() { s.change(func() { s.cut = true }) }

// Asked returns how many questions have come.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *Server) change(how func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how()
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.silent {
		return
	}
	m := new(dns.Msg)
	m.SetReply(q)
	m.Rcode = s.rcode
	all, known := s.records[strings.ToLower(q.Question[0].Name)]
	if !known && s.rcode == 0 {
		m.Rcode = dns.RcodeNameError
	}
	for _, rr := range all {
		if rr.Header().Rrtype == q.Question[0].Qtype && s.rcode == 0 {
			m.Answer = append(m.Answer, rr)
		}
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		m.Truncate(size)
	}
	m.Truncated = m.Truncated || s.cut
	_ = w.WriteMsg(m) // the client has gone
}
