package test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"inkwell/internal/dnstest"
	"inkwell/test/harness"
)

// siegeRounds is how many processes die in TestForwardersUnderSiege.
const siegeRounds = 8

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
	to         string
	forwarders []*harness.Process
	states     []string
	loggers    []*logger
}

func startSpread(t *testing.T, to string, n int) *spreadOver {
	t.Helper()
	s := &spreadOver{to: to}
	for i := range n {
		host, state := fmt.Sprintf("web%d", i), t.TempDir()
		l := newLogger(t, filepath.Join(t.TempDir(), host+".log"), host)
		l.write(t, 10, false)
		s.loggers, s.states, s.forwarders = append(s.loggers, l), append(s.states, state), append(s.forwarders, nil)
		s.begin(t, i)
	}
	return s
}

// begin starts a forwarder, or starts it again.
func (s *spreadOver) begin(t *testing.T, i int) {
	t.Helper()
	s.forwarders[i] = ink.Start(t, harness.Command{Args: []string{"forward", "--to", s.to, "--state", s.states[i],
		"--host", fmt.Sprint("web", i), "app=" + s.loggers[i].path}})
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
	s.arrived(t, c, dirs)
}

// arrived waits until everything was sent, ends all processes, and has an audit check that each line is at one collector.
func (s *spreadOver) arrived(t *testing.T, c []*harness.Collector, dirs []string) {
	t.Helper()
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
	for _, one := range c {
		if !one.Ended() {
			one.Stop(t)
		}
	}
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

// listed starts three collectors and writes their addresses into a file. It returns the file, the collectors, and the
// directories that they write to.
func listed(t *testing.T) (list string, c []*harness.Collector, dirs []string) {
	t.Helper()
	list = filepath.Join(t.TempDir(), "collectors")
	text := ""
	for range 3 {
		dirs = append(dirs, t.TempDir())
		c = append(c, ink.Collect(t, dirs[len(dirs)-1], bulk...))
		text += c[len(c)-1].Addr + "\n"
	}
	harness.WriteFile(t, list, text)
	return list, c, dirs
}

// TestForwardersUnderSiege: collectors are killed, stopped and started again, and forwarders killed, in any order, while
// every file is written: every line arrives, and at one collector only.
func TestForwardersUnderSiege(t *testing.T) {
	t.Parallel()
	list, c, dirs := listed(t)
	s := startSpread(t, "file:"+list, 4)
	s.all(t, c...)
	r := rand.New(rand.NewPCG(13, 5))
	for round := range siegeRounds {
		victim := c[r.IntN(len(c))]
		switch what := r.IntN(4); what {
		case 0, 1:
			victim.Kill()
		case 2:
			victim.Stop(t)
		default:
			i := r.IntN(len(s.forwarders))
			s.forwarders[i].Kill()
			s.write(t)
			s.begin(t, i)
			s.all(t, c...) // the collector of a forwarder that was killed must not stay away for long
			continue
		}
		for range r.IntN(20) {
			s.write(t)
		}
		if round%2 == 0 { // the others get all of it meanwhile
			var others []*harness.Collector
			for _, one := range c {
				if one != victim {
					others = append(others, one)
				}
			}
			s.all(t, others...)
		}
		victim.Restart(t)
	}
	s.all(t, c...)
	s.arrived(t, c, dirs)
}

// TestRelaySpreadsItsCategories over collectors that it finds, and loses and duplicates nothing when one is killed and
// another one is stopped.
func TestRelaySpreadsItsCategories(t *testing.T) {
	t.Parallel()
	list, c, dirs := listed(t)
	in := t.TempDir()
	relay := ink.Scribed(t, "port={PORT}\ncheck_interval=1\nhost=relay\n"+harness.RelayStore("service_list=file:"+list, "{DIR}"))
	args := []string{"forward", "--to", relay.Addr, "--state", t.TempDir()}
	var loggers []*logger
	for i := range 6 {
		l := newLogger(t, filepath.Join(in, fmt.Sprintf("app%d.log", i)), fmt.Sprintf("app%d", i))
		loggers, args = append(loggers, l), append(args, fmt.Sprintf("app%d=%s", i, l.path))
	}
	f := ink.Start(t, harness.Command{Args: args})
	lines := 0
	sent := func(rounds int) {
		t.Helper()
		for range rounds {
			for _, l := range loggers {
				l.write(t, 20, false)
				lines += 20
			}
			harness.Until(t, "the relay has it", func() bool { return relay.Counter(t, "received good") >= int64(lines) })
		}
	}
	sent(10)
	taken := func(one *harness.Collector) int64 { return one.Counter(t, "received good") }
	harness.Until(t, "several collectors have categories", func() bool {
		sent(1)
		n := 0
		for _, one := range c {
			if taken(one) > 0 {
				n++
			}
		}
		return n > 1
	})
	for i := range c {
		if taken(c[i]) > 0 { // so that one has something to lose
			c[0], c[i] = c[i], c[0]
			break
		}
	}
	c[0].Kill()
	sent(10)
	c[0].Restart(t)
	c[1].Stop(t)
	sent(10)
	f.Stop(t)
	harness.Until(t, "the relay has sent everything, and nothing is in doubt", func() bool {
		return relay.Counter(t, "sent") == int64(lines) && relay.Counter(t, "in doubt") == 0
	})
	relay.Stop(t)
	c[0].Stop(t)
	c[2].Stop(t)
	a, code := audit(t, append([]string{"--verify"}, dirs...)...)
	if code != 0 || a.Sums.Missing != 0 || a.Sums.Written != int64(lines) {
		t.Errorf("of %d lines %+v, exit code %d", lines, a.Sums, code)
	}
}
