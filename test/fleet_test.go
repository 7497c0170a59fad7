package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// fleetOf is what a collector says of its senders: by HOST NAME, their states.
func fleetOf(t *testing.T, addr string) map[string]string {
	t.Helper()
	r := ink.Run(t, "ctl", "status", "--json", addr)
	var a struct {
		Detail struct {
			Fleet struct {
				Senders []struct {
					Host, Name, Peer, State, Version string
					Files                            int
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(r.Stdout), &a); err != nil {
		t.Fatalf("%v in %s\n%s", err, r.Stdout, r.Stderr)
	}
	fleet := make(map[string]string)
	for _, s := range a.Detail.Fleet.Senders {
		if s.Peer != "127.0.0.1" || s.Version == "" {
			t.Errorf("%+v", s)
		}
		fleet[s.Host+" "+s.Name] = s.State
	}
	return fleet
}

// TestCollectorKnowsItsFleet: who sends, who has trouble, who has ended, over a restart of the collector that is a kill;
// of a sender that may not write anything nothing is heard.
func TestCollectorKnowsItsFleet(t *testing.T) {
	t.Parallel()
	out, in := t.TempDir(), t.TempDir()
	c := ink.Collect(t, out, append(bulk, "--allow", "loopback=app")...)
	start := func(host, category string) (*harness.Process, string) {
		l := newLogger(t, filepath.Join(in, host+".log"), host)
		l.write(t, 10, false)
		state := t.TempDir()
		return ink.Start(t, harness.Command{Args: []string{"forward", "--to", c.Addr, "--state", state, "--host", host, category + "=" + l.path}}), host + " " + state
	}
	well, wellName := start("web1", "app")
	bad, badName := start("web2", "other") // which is thrown away: it says so
	harness.Until(t, "both are known", func() bool {
		f := fleetOf(t, c.Addr)
		return f[wellName] == "sending" && f[badName] == "trouble"
	})
	r := ink.Run(t, "ctl", "status", "-v", c.Addr)
	if !strings.Contains(r.Stdout, "2 senders: 1 trouble, 1 sending\n") || !strings.Contains(r.Stdout, "web2") {
		t.Errorf("status -v: %+v", r)
	}
	if n := c.Counter(t, "senders in trouble"); n != 1 {
		t.Errorf("%d senders in trouble", n)
	}
	bad.Stop(t)
	harness.Until(t, "one has ended", func() bool { return fleetOf(t, c.Addr)[badName] == "ended" })
	harness.Until(t, "that is saved", func() bool {
		text, err := os.ReadFile(filepath.Join(out, ".inkwell", "fleet"))
		return err == nil && strings.Contains(string(text), `"ended":true`)
	})
	c.Kill()
	c.Restart(t)
	if f := fleetOf(t, c.Addr); f[badName] != "ended" || f[wellName] == "" {
		t.Errorf("after a kill: %v", f)
	}
	well.Stop(t)
	c.Stop(t)

	none := ink.Collect(t, t.TempDir(), append(bulk, "--allow", "10.0.0.1=app")...)
	l := newLogger(t, filepath.Join(in, "none.log"), "none")
	l.write(t, 10, false)
	f := ink.Start(t, harness.Command{Args: []string{"forward", "--to", none.Addr, "--state", t.TempDir(), "app=" + l.path}})
	harness.Until(t, "it is refused", func() bool { return none.Counter(t, "refused not allowed") == 10 })
	f.Stop(t) // which reports, too
	if f := fleetOf(t, none.Addr); len(f) != 0 {
		t.Errorf("a sender that may not write anything is heard: %v", f)
	}
}
