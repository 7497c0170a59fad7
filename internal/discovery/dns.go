package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	resolvConf = "/etc/resolv.conf"
	askTimeout = 2 * time.Second // for each attempt at a server
	udpSize    = 1232            // bytes that pass everywhere without fragments
)

// question is a name and type to ask for, and who is asked.
type question struct {
	names   []string // fully qualified, in the order in which to try them
	kind    uint16
	servers []string
}

// ask returns a question about a name.
func (s *Source) ask(name string, kind uint16) (question, error) {
	if s.server != "" {
		return question{[]string{dns.Fqdn(name)}, kind, []string{s.server}}, nil
	}
	c, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil {
		return question{}, failf("read %s: %v", resolvConf, err)
	}
	q := question{names: c.NameList(name), kind: kind}
	for _, host := range c.Servers {
		q.servers = append(q.servers, net.JoinHostPort(host, c.Port))
	}
	if len(q.servers) == 0 {
		return question{}, failf("%s names no server", resolvConf)
	}
	return q, nil
}

// errNoName means that a name does not exist, or has no records of the type.
var errNoName = errors.New("no records")

// get returns the records of the type that was asked for, and the smallest TTL of the whole answer. The error wraps
// errNoName if all names are unknown.
func (q question) get(ctx context.Context) (records []dns.RR, ttl time.Duration, err error) {
	for _, name := range q.names {
		reply, failed := q.of(ctx, name)
		if failed != nil {
			return nil, 0, failed
		}
		ttl = maxTTL
		for _, rr := range reply.Answer { // of aliases on the way, too
			ttl = min(ttl, time.Duration(rr.Header().Ttl)*time.Second)
			if rr.Header().Rrtype == q.kind {
				records = append(records, rr)
			}
		}
		if len(records) > 0 {
			return records, ttl, nil
		}
		what := "has no " + dns.TypeToString[q.kind] + " records"
		if reply.Rcode == dns.RcodeNameError {
			what = "does not exist"
		}
		err = cmp.Or(err, fmt.Errorf("%s %s (%w)", name, what, errNoName))
	}
	return nil, 0, err
}

// of asks the servers in turn about one name, until one gives an answer that is valid.
func (q question) of(ctx context.Context, name string) (*dns.Msg, error) {
	var failures []string
	for _, server := range q.servers {
		reply, err := exchange(ctx, name, q.kind, server)
		if err == nil {
			return reply, nil
		}
		failures = append(failures, server+" "+err.Error())
	}
	return nil, failf("ask for %s %s: %s", dns.TypeToString[q.kind], name, strings.Join(failures, "; "))
}

// exchange asks one server, over TCP if the answer does not fit into a datagram. The error has the same text each time.
func exchange(ctx context.Context, name string, kind uint16, server string) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	m.SetEdns0(udpSize, false)
	reply, err := over(ctx, "udp", m, server)
	if err == nil && reply.Rcode == dns.RcodeFormatError { // a server that does not know EDNS
		m.Extra = nil
		reply, err = over(ctx, "udp", m, server)
	}
	if err == nil && reply.Truncated {
		reply, err = over(ctx, "tcp", m, server)
	}
	switch {
	case err != nil:
		return nil, err
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return nil, fmt.Errorf("answers %s", cmp.Or(dns.RcodeToString[reply.Rcode], fmt.Sprint(reply.Rcode)))
	case reply.Truncated:
		return nil, errors.New("sends an answer that is cut off, over TCP, too")
	}
	return reply, nil
}

// over asks over UDP or TCP.
func over(ctx context.Context, network string, m *dns.Msg, server string) (*dns.Msg, error) {
	c := dns.Client{Net: network, Timeout: askTimeout, UDPSize: udpSize}
	reply, _, err := c.ExchangeContext(ctx, m, server)
	var timeout net.Error
	var op *net.OpError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, errors.New("does not answer over " + network)
	case errors.As(err, &op): // its text has a port that differs each time
		return nil, fmt.Errorf("cannot be asked over %s: %w", network, op.Err)
	case err != nil:
		return nil, fmt.Errorf("sends what is no answer, over %s: %w", network, err)
	case len(reply.Question) != 1 || !strings.EqualFold(reply.Question[0].Name, m.Question[0].Name) ||
		reply.Question[0].Qtype != m.Question[0].Qtype:
		return nil, errors.New("answers another question, over " + network)
	}
	return reply, nil
}

// hosts returns the IP addresses of a name: the A records, or else the AAAA records, sorted.
func (s *Source) hosts(ctx context.Context, name string) (ips []string, ttl time.Duration, err error) {
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		q, err := s.ask(name, kind)
		if err != nil {
			return nil, 0, err
		}
		records, ttl, err := q.get(ctx)
		if errors.Is(err, errNoName) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		for _, rr := range records {
			switch rr := rr.(type) {
			case *dns.A:
				ips = append(ips, rr.A.String())
			case *dns.AAAA:
				ips = append(ips, rr.AAAA.String())
			}
		}
		slices.Sort(ips)
		return slices.Compact(ips), ttl, nil
	}
	return nil, 0, failf("%s has no A or AAAA records", name)
}

// lookupHosts is lookup for dns.
func (s *Source) lookupHosts(ctx context.Context) (answer, error) {
	ips, ttl, err := s.hosts(ctx, s.name)
	if err != nil {
		return answer{}, err
	}
	a := answer{again: between(ttl)}
	for _, ip := range ips {
		a.list = append(a.list, Address{Name: s.address(ip, s.port)})
	}
	return a, nil
}

// lookupSRV is lookup for srv.
func (s *Source) lookupSRV(ctx context.Context) (answer, error) {
	q, err := s.ask(s.name, dns.TypeSRV)
	if err != nil {
		return answer{}, err
	}
	records, ttl, err := q.get(ctx)
	if errors.Is(err, errNoName) {
		return answer{}, failf("%s has no SRV records", s.name)
	}
	if err != nil {
		return answer{}, err
	}
	a := answer{again: between(ttl)}
	var nowhere []string
	for _, rr := range records {
		srv, ok := rr.(*dns.SRV)
		if !ok || srv.Target == "." || srv.Port == 0 { // "." says that there is no such service
			continue
		}
		host := strings.ToLower(strings.TrimSuffix(srv.Target, "."))
		if s.server != "" { // the resolver of the system need not know the name
			ips, _, err := s.hosts(ctx, host)
			if ctx.Err() != nil {
				return answer{}, ctx.Err()
			}
			if err != nil {
				nowhere = append(nowhere, host)
				continue
			}
			host = ips[0]
		}
		a.list = append(a.list, Address{Name: s.address(host, int(srv.Port)), Priority: int(srv.Priority)})
	}
	if len(nowhere) > 0 {
		slices.Sort(nowhere)
		a.skipped = "no address is known of " + strings.Join(nowhere[:min(len(nowhere), 5)], ", ")
	}
	if len(a.list) == 0 {
		return answer{}, failf("the SRV records of %s name no server; %s", s.name, cmp.Or(a.skipped, "they say so"))
	}
	slices.SortFunc(a.list, func(x, y Address) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Priority, y.Priority))
	})
	a.list = slices.CompactFunc(a.list, func(x, y Address) bool { return x.Name == y.Name })
	return a, nil
}
