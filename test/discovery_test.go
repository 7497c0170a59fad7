package test

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"inkwell/internal/dnstest"
	"inkwell/test/harness"
)

// service is the name under which the test's DNS server knows the collectors.
const service = "_inkwell._tcp.example.test."

// announce makes the DNS server name these collectors.
func announce(t *testing.T, d *dnstest.Server, collectors ...*harness.Collector) {
	t.Helper()
	var records []string
	for i, c := range collectors {
		_, port, err := net.SplitHostPort(c.Addr)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, fmt.Sprintf("%s 1 IN SRV 0 0 %s c%d.example.test.", service, port, i),
			fmt.Sprintf("c%d.example.test. 1 IN A 127.0.0.1", i))
	}
	d.Set(t, records...)
}

// hopOf is the collector to which a forwarder is connected.
func hopOf(t *testing.T, state string) (address string) {
	t.Helper()
	for _, h := range ask(t, state).Detail.Hops {
		if h.Connected != "" {
			address = h.Address
		}
	}
	return address
}

// spreadOver is some forwarders that find their collectors, each with a file that is written all the time.
type spreadOver struct {
	forwarders []*harness.Process
	states     []string
	loggers    []*logger
}

func startSpread(t *testing.T, to string, n int) *spreadOver {
	t.Helper()
	s := new(spreadOver)
	for i := range n {
		host, state := fmt.Sprintf("web%d", i), t.TempDir()
		l := newLogger(t, filepath.Join(t.TempDir(), host+".log"), host)
		l.write(t, 10, false)
		s.loggers, s.states = append(s.loggers, l), append(s.states, state)
		s.forwarders = append(s.forwarders, ink.Start(t, harness.Command{Args: []string{"forward", "--to", to,
			"--state", state, "--host", host, "app=" + l.path}}))
	}
	return s
}

// write adds lines to every file.
func (s *spreadOver) write(t *testing.T) {
	t.Helper()
	for _, l := range s.loggers {
		l.write(t, 50, false)
	}
}

// all writes until every forwarder is at one of the collectors.
func (s *spreadOver) all(t *testing.T, at ...*harness.Collector) {
	t.Helper()
	harness.Until(t, "every forwarder is at one of the collectors", func() bool {
		s.write(t)
		for _, state := range s.states {
			here := hopOf(t, state)
			found := false
			for _, c := range at {
				found = found || here == c.Addr
			}
			if !found {
				return false
			}
		}
		return true
	})
}

// TestForwardersFindTheirCollectors by SRV records of a DNS server whose answers change. One collector is killed, the DNS
// server fails, the killed one comes back, another one is stopped: every line arrives, and at one collector only.
func TestForwardersFindTheirCollectors(t *testing.T) {
	t.Parallel()
	d := dnstest.Start(t)
	var c []*harness.Collector
	var dirs []string
	for range 3 {
		dirs = append(dirs, t.TempDir())
		c = append(c, ink.Collect(t, dirs[len(dirs)-1], bulk...))
	}
	announce(t, d, c...)
	s := startSpread(t, "srv:_inkwell._tcp.example.test@"+d.Addr, 6)
	s.all(t, c...)
	for i := 0; i < 3; i++ { // so that one has a forwarder to lose
		if hopOf(t, s.states[0]) == c[i].Addr {
			c[0], c[i] = c[i], c[0]
		}
	}
	s.write(t)
	c[0].Kill()
	s.all(t, c[1], c[2])
	d.Fail(dns.RcodeNameError)
	asked := d.Asked()
	harness.Until(t, "the names are asked for in vain", func() bool { s.write(t); return d.Asked() > asked+6 })
	s.all(t, c[1], c[2]) // the last list stays
	c[0].Restart(t)
	announce(t, d, c[0], c[1], c[2])
	c[1].Stop(t)
	if !strings.Contains(c[1].Stderr(), "about to stop: senders are told to go to other collectors") ||
		strings.Contains(c[1].Stderr(), "senders have not gone") {
		t.Errorf("the collector did not let its senders go:\n%s", c[1].Stderr())
	}
	s.all(t, c[0], c[2])
	lines := 0
	for i, l := range s.loggers {
		state := s.states[i]
		harness.Until(t, "everything was sent, and nothing is in doubt", func() bool {
			d := ask(t, state).Detail
			return d.Lag == 0 && d.Spool.Entries == 0
		})
		lines += l.next
	}
	args := append([]string{"--verify"}, dirs...)
	for i, f := range s.forwarders {
		if strings.Contains(f.Stderr(), "both may have them") {
			t.Errorf("forwarder %d:\n%s", i, f.Stderr())
		}
		f.Stop(t)
		args = append(args, "--state", s.states[i])
	}
	c[0].Stop(t)
	c[2].Stop(t)
	r := ink.Run(t, append([]string{"audit", "--json"}, args...)...)
	var a struct {
		Sums     struct{ Received, Written, Duplicated, Missing int64 }
		Findings []struct{ Kind string }
	}
	if err := json.Unmarshal([]byte(r.Stdout), &a); err != nil {
		t.Fatalf("%v: %s%s", err, r.Stdout, r.Stderr)
	}
	if r.Code != 0 || a.Sums.Missing != 0 || a.Sums.Written != int64(lines) || len(a.Findings) != 0 {
		t.Errorf("of %d lines %+v, exit code %d\n%s", lines, a.Sums, r.Code, r.Stdout)
	}
}
