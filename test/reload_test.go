package test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

// forwardConfig is a configuration of a forwarder with blocks for its inputs.
func forwardConfig(to, state string, blocks ...string) string {
	host, port, _ := strings.Cut(to, ":")
	return fmt.Sprintf("inkwell 1\nstate=%s\n%s\n<store>\ncategory=default\ntype=buffer\nspool_dir=%s/spool\n<primary>\ntype=network\n"+
		"remote_host=%s\nremote_port=%s\n</primary>\n</store>\n", state, strings.Join(blocks, "\n"), state, host, port)
}

func tailBlock(category, path string) string {
	return fmt.Sprintf("<tail>\ncategory=%s\npath=%s\n</tail>", category, path)
}

// reloaded sends SIGHUP and waits for the n-th line of the log that has text.
func reloaded(t *testing.T, f *harness.Process, text string, n int) {
	t.Helper()
	f.Signal(syscall.SIGHUP)
	harness.Until(t, "the log says "+text, func() bool { return strings.Count(f.Stderr(), text) >= n })
}

// TestForwarderReadsItsConfigurationAgain: under load, another input is followed after SIGHUP, one that is left out
// is not any more, a file with a mistake changes nothing, and every line is there once.
func TestForwarderReadsItsConfigurationAgain(t *testing.T) {
	t.Parallel()
	in, out, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, out, bulk...)
	a, b := newLogger(t, filepath.Join(in, "a.log"), "a"), newLogger(t, filepath.Join(in, "b.log"), "b")
	conf := filepath.Join(t.TempDir(), "forward.conf")
	harness.WriteFile(t, conf, forwardConfig(c.Addr, state, tailBlock("app", a.path)))
	f := ink.Start(t, harness.Command{Args: []string{"forward", "-c", conf}})
	a.write(t, 1000, true)
	b.write(t, 1000, true)
	c.Received(t, 1000)
	harness.WriteFile(t, conf, forwardConfig(c.Addr, state, tailBlock("app", a.path), tailBlock("app", b.path)))
	stop := make(chan struct{})
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		for {
			select {
			case <-stop:
				return
			default:
				a.write(t, 500, true)
			}
			if a.next > 100000 {
				<-stop
				return
			}
		}
	}()
	for i := range 4 {
		reloaded(t, f, "configuration reloaded", i+1)
	}
	if r := ink.Run(t, "ctl", "reload", state); r.Code != 0 || r.Stdout != "reloaded\n" {
		t.Errorf("ctl reload: %+v", r)
	}
	harness.WriteFile(t, conf, forwardConfig(c.Addr, state, "<tail>\nnonsense=1\n</tail>"))
	if r := ink.Run(t, "ctl", "reload", state); r.Code != 1 || !strings.HasPrefix(r.Stdout, "reload refused: ") || !strings.Contains(r.Stdout, "nonsense") {
		t.Errorf("ctl reload of a file with a mistake: %+v", r)
	}
	harness.WriteFile(t, conf, forwardConfig(c.Addr, t.TempDir(), tailBlock("app", b.path)))
	reloaded(t, f, "that needs a new start", 1)
	close(stop)
	<-writing
	c.Received(t, a.next+1000)
	harness.WriteFile(t, conf, forwardConfig(c.Addr, state, tailBlock("app", b.path)))
	reloaded(t, f, "configuration reloaded", 6)
	taken := a.next
	a.write(t, 10, false)
	b.write(t, 10, false)
	c.Received(t, taken+1010)
	f.Stop(t)
	if n := c.Counter(t, "duplicates"); n != 0 {
		t.Errorf("%d entries came twice", n)
	}
	c.Stop(t)
	harness.Audit(t, out, "app").Exactly(t, map[string]int{"a": taken, "b": b.next})
}

// TestReloadKeepsSyslogSockets: what is sent to a socket while the configuration is read again arrives; an address
// that is left out is closed, one that is new is listened on.
func TestReloadKeepsSyslogSockets(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	c := ink.Collect(t, t.TempDir(), bulk...)
	kept, left, added := harness.FreeAddr(t), harness.FreeAddr(t), harness.FreeAddr(t)
	conf := filepath.Join(t.TempDir(), "forward.conf")
	block := func(addrs ...string) string {
		return "<syslog>\nlisten=" + strings.Join(addrs, "\nlisten=") + "\ncategory=sys\n</syslog>"
	}
	harness.WriteFile(t, conf, forwardConfig(c.Addr, state, block("udp://"+kept, "tcp://"+left)))
	f := ink.Start(t, harness.Command{Args: []string{"forward", "-c", conf}})
	harness.Until(t, "it listens", func() bool { return strings.Count(f.Stderr(), "listening for syslog") == 2 })
	nc, err := net.Dial("udp", kept)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sent := 0
	send := func(n int) {
		for range n {
			sent++
			if _, err := fmt.Fprintf(nc, "<13>app: message %d", sent); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(100)
	c.Received(t, sent)
	harness.WriteFile(t, conf, forwardConfig(c.Addr, state, block("udp://"+kept, "tcp://"+added)))
	f.Signal(syscall.SIGHUP)
	send(100)
	harness.Until(t, "the configuration is read again", func() bool { return strings.Contains(f.Stderr(), "configuration reloaded") })
	send(100)
	c.Received(t, sent)
	if _, err := net.Dial("tcp", left); err == nil {
		t.Error("the address that was left out is still listened on")
	}
	tcp, err := net.Dial("tcp", added)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	if _, err := fmt.Fprintf(tcp, "<13>app: over tcp\n"); err != nil {
		t.Fatal(err)
	}
	c.Received(t, sent+1)
	f.Stop(t)
	if _, err := os.Stat(filepath.Join(state, "spool")); err != nil {
		t.Error(err)
	}
}
