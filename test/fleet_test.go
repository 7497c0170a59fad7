package test

import (
	"encoding/json"
	"fmt"
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

// relay starts a relay that sends to the next hop at addr, with more global options and blocks.
func relay(t *testing.T, host, addr, more string) *harness.Scribed {
	t.Helper()
	return ink.Scribed(t, "port={PORT}\ncheck_interval=1\nhost="+host+"\n"+more+harness.RelayStore("service_list="+addr, "{DIR}"))
}

// TestRelayTellsWhatWaits: what a relay keeps in its spool while the next hop is down shows in its status, its metrics and
// its health, with its age, also after a kill and a restart without traffic, until the next hop has it.
func TestRelayTellsWhatWaits(t *testing.T) {
	t.Parallel()
	centre := ink.NewCollector(t, t.TempDir())
	r := relay(t, "relay", centre.Addr, "")
	c := dialScribe(t, r.Addr)
	mustLog(t, c, harness.Entries("app", "src", 0, 100)...)
	told := func(when string) {
		t.Helper()
		entries := int64(0)
		harness.Until(t, "the relay tells what waits "+when, func() bool {
			var s struct {
				Spool struct {
					Entries int64
					Oldest  float64 `json:"oldest_seconds"`
				}
				Categories []struct {
					Name    string
					Backlog int64   `json:"backlog_bytes"`
					Oldest  float64 `json:"oldest_seconds"`
				}
			}
			text, _ := curl(t, "http://"+r.Addr+"/status.json")
			if err := json.Unmarshal([]byte(text), &s); err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			entries = s.Spool.Entries // 200 if it was killed before it had noted what is in the spool: the centre drops the second ones
			return (entries == 100 || entries == 200) && s.Spool.Oldest > 0 && len(s.Categories) == 1 &&
				s.Categories[0].Name == "app" && s.Categories[0].Backlog > 1000 && s.Categories[0].Oldest > 0
		})
		metrics, _ := curl(t, "http://"+r.Addr+"/metrics")
		if !strings.Contains(metrics, fmt.Sprintf("\ninkwell_spool_entries %d\n", entries)) || strings.Contains(metrics, `inkwell_backlog_bytes{category="app"} 0`) {
			t.Errorf("%s the metrics are\n%s", when, metrics)
		}
		h := ink.Run(t, "health", "--backlog-age", "1ms,2ms", r.Addr)
		if h.Code != 2 || !strings.Contains(h.Stdout, `category "app": Failed to connect; `) || strings.Contains(h.Stdout, " 0 B wait") {
			t.Errorf("%s: %+v", when, h)
		}
	}
	told("at first")
	r.Kill()
	r.Restart(t)
	told("after a restart")
	centre.Restart(t)
	harness.Until(t, "all is well", func() bool {
		return ink.Run(t, "health", r.Addr).Code == 0 && centre.Distinct(t) == 100
	})
	r.Stop(t)
	centre.Stop(t)
}

// sees is what a collector tells of its senders in /status.json, by HOST.
func sees(t *testing.T, addr string) map[string]string {
	t.Helper()
	var s struct {
		Senders []struct{ Host, State, Via, Version, Trouble string }
	}
	text, _ := curl(t, "http://"+addr+"/status.json")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	seen := make(map[string]string)
	for _, of := range s.Senders {
		if of.Version == "" {
			t.Errorf("%+v", of)
		}
		if seen[of.Host] = of.State; of.Via != "" {
			seen[of.Host] += " via " + of.Via
		}
	}
	return seen
}

// TestCentreSeesThreeTiers: forwarders send to a relay, that to another, and that to the centre, which sees both relays
// and, through them, a forwarder that is in trouble. (That a silent one is seen, too, takes longer: see
// internal/fleet.)
func TestCentreSeesThreeTiers(t *testing.T) {
	t.Parallel()
	in := t.TempDir()
	centre := ink.Collect(t, t.TempDir(), bulk...)
	middle := relay(t, "middle", centre.Addr, "")
	edge := relay(t, "edge", middle.Addr, "<allow>\nfrom=127.0.0.1\ncategories=app\n</allow>\n")
	start := func(host, category string) *harness.Process {
		l := newLogger(t, filepath.Join(in, host+".log"), host)
		l.write(t, 10, false)
		return ink.Start(t, harness.Command{Args: []string{"forward", "--to", edge.Addr, "--state", t.TempDir(),
			"--host", host, category + "=" + l.path}})
	}
	well, bad := start("web1", "app"), start("web2", "other") // which is thrown away: it says so
	harness.Until(t, "the centre sees the tiers", func() bool {
		s := sees(t, centre.Addr)
		return s["middle"] == "sending" && s["web2"] == "trouble via middle edge"
	})
	r := ink.Run(t, "ctl", "status", "-v", centre.Addr)
	if !strings.Contains(r.Stdout, "4 senders: 1 trouble, 3 sending\n") ||
		!strings.Contains(r.Stdout, " via middle edge ") || !strings.Contains(r.Stdout, "relay "+filepath.Dir(middle.Dir)) {
		t.Errorf("status -v: %+v", r)
	}
	if n := centre.Counter(t, "senders in trouble"); n != 1 {
		t.Errorf("%d senders in trouble", n)
	}
	if page, _ := curl(t, "http://"+centre.Addr+"/"); !strings.Contains(page, "via middle edge") {
		t.Errorf("the page does not say through which relays\n%s", page)
	}
	well.Stop(t)
	bad.Stop(t)
	edge.Stop(t)
	middle.Stop(t)
	if f := fleetOf(t, centre.Addr); len(f) != 1 || f["middle "+filepath.Join(filepath.Dir(middle.Dir), "state", "scribed-"+middle.Port)] != "ended" {
		t.Errorf("after the end of the relays: %v", f)
	}
	centre.Stop(t)
}
