package harness

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The fb303 states that occur in the tests.
const (
	Alive   = 2
	Warning = 5
)

// Scribed is an `inkwell scribed` with its own configuration, state directory and data directory.
type Scribed struct {
	*Collector
	Conf string // the path of its configuration
	Port string
}

// NewScribed writes the configuration without starting the server. In the text {PORT} stands for a free port and {DIR}
// for a data directory; pairs are further words and their replacements.
func (k Inkwell) NewScribed(tb testing.TB, conf string, pairs ...string) *Scribed {
	tb.Helper()
	home := tb.TempDir()
	s := &Scribed{Collector: &Collector{Addr: FreeAddr(tb), Dir: filepath.Join(home, "data"), inkwell: k},
		Conf: filepath.Join(home, "scribe.conf")}
	_, s.Port, _ = net.SplitHostPort(s.Addr)
	if err := os.Mkdir(s.Dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	s.Write(tb, conf, pairs...)
	s.args = []string{"scribed", "--listen", "127.0.0.1", "-c", s.Conf}
	s.env = []string{"INKWELL_STATE=" + filepath.Join(home, "state")}
	return s
}

// RelayStore returns the part of a configuration that sends all categories to a next hop, as the options of a network
// store name it, with a spool in dir.
//
//	RelayStore("remote_host=127.0.0.1\nremote_port=1463", "{DIR}/spool")
func RelayStore(hop, dir string) string {
	return "<store>\ncategory=default\ntype=buffer\nretry_interval=1\nretry_interval_range=1\n" +
		"<primary>\ntype=network\n" + hop + "\n</primary>\n" +
		"<secondary>\ntype=file\nfile_path=" + dir + "\n</secondary>\n</store>\n"
}

// Scribed is NewScribed, started and listening.
func (k Inkwell) Scribed(tb testing.TB, conf string, pairs ...string) *Scribed {
	tb.Helper()
	s := k.NewScribed(tb, conf, pairs...)
	s.Restart(tb)
	return s
}

// Write replaces the configuration. A running server does not notice that before it reads it again.
func (s *Scribed) Write(tb testing.TB, conf string, pairs ...string) {
	tb.Helper()
	WriteFile(tb, s.Conf, s.Fill(conf, pairs...))
}

// Fill replaces {PORT} and {DIR} in a text.
func (s *Scribed) Fill(text string, pairs ...string) string {
	return strings.NewReplacer(append([]string{"{PORT}", s.Port, "{DIR}", s.Dir}, pairs...)...).Replace(text)
}

// Shutdown ends the server by the fb303 call, which has no answer; it must exit with 0.
func (s *Scribed) Shutdown(tb testing.TB) {
	tb.Helper()
	s.Tell(tb, "shutdown")
	s.Expect(tb, 0)
}

// Tell calls a method that has no answer.
func (s *Scribed) Tell(tb testing.TB, method string) {
	tb.Helper()
	c, err := DialScribe(s.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	if err := c.Tell(method); err != nil {
		tb.Fatal(err)
	}
}

// Status asks for the state and its reason.
func (s *Scribed) Status(tb testing.TB) (code int, details string) {
	tb.Helper()
	c, err := DialScribe(s.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	code, details, err = c.Status()
	if err != nil {
		tb.Fatal(err)
	}
	return code, details
}

// Becomes waits until the server has the state, with a reason that contains the text.
func (s *Scribed) Becomes(tb testing.TB, code int, text string) {
	tb.Helper()
	now, details := 0, ""
	defer func() {
		if now != code {
			tb.Logf("the status is %d %q", now, details)
		}
	}()
	Until(tb, fmt.Sprintf("the status becomes %d %q", code, text), func() bool {
		now, details = s.Status(tb)
		return now == code && strings.Contains(details, text)
	})
}

// Counters asks for all counters.
func (s *Scribed) Counters(tb testing.TB) map[string]int64 {
	tb.Helper()
	c, err := DialScribe(s.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	all, err := c.Counters()
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// Reaches waits until a counter has at least the given value.
func (s *Scribed) Reaches(tb testing.TB, name string, n int64) {
	tb.Helper()
	now := int64(0)
	defer func() {
		if now < n {
			tb.Logf("it is %d", now)
		}
	}()
	Until(tb, fmt.Sprintf("counter %q reaches %d", name, n), func() bool {
		now = s.Counter(tb, name)
		return now >= n
	})
}

// Tell makes a call that has no arguments and no answer.
func (s *Scribe) Tell(method string) error {
	b := s.header(nil, method)
	if s.Strict {
		b[3] = 4
	} else {
		b[4+len(method)] = 4
	}
	_, err := s.Conn.Write(Frame(append(b, 0)))
	return err
}

// Status asks for the state and its reason.
func (s *Scribe) Status() (code int, details string, err error) {
	body, err := s.Call("getStatus", []byte{0})
	if err != nil {
		return 0, "", err
	}
	if len(body) != 8 || body[0] != typeI32 {
		return 0, "", fmt.Errorf("answer % x to getStatus", body)
	}
	details, err = s.Text("getStatusDetails")
	return int(binary.BigEndian.Uint32(body[3:])), details, err
}

// Text makes a call that has no arguments and returns a string.
func (s *Scribe) Text(method string) (string, error) {
	body, err := s.Call(method, []byte{0})
	if err != nil {
		return "", err
	}
	if len(body) < 8 || body[0] != typeString || int(binary.BigEndian.Uint32(body[3:])) != len(body)-8 {
		return "", fmt.Errorf("answer % x to %s", body, method)
	}
	return string(body[7 : len(body)-1]), nil
}

// Flags adds flags for the next start.
func (s *Scribed) Flags(flags ...string) { s.args = append(s.args, flags...) }
