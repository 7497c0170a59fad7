package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/internal/status"
)

// telling starts a daemon that answers HTTP with a status, and returns its address. change makes the status differ from
// a good one.
func telling(t *testing.T, change func(*status.Status)) string {
	t.Helper()
	now := time.Now()
	ago := now.Add(-90 * time.Second)
	s := &status.Status{Format: status.Format, Now: now, Daemon: status.Daemon{Role: status.Collector, Host: "central", Ready: true, Uptime: 7200, Version: "1.2"},
		Received:   status.Flow{Entries: 1200, Bytes: 34000, EntriesPerSecond: 12.5, BytesPerSecond: 3400},
		Categories: []status.Category{{Name: "web\x1b[31m", Flow: status.Flow{Entries: 1000, Bytes: 30000, BytesPerSecond: 3000}, LastEntry: &ago, Oldest: 5}, {Name: "日本語"}},
		Senders:    []status.Sender{{Host: "web1", Path: "/var/log/a.log", Category: "web", Lag: 4096, Oldest: 61, LastSeen: &ago, Version: "1.1"}},
		Journal:    &status.Store{Dir: "/j", Bytes: 5000, Limit: 10000, Oldest: 7}, Disks: []status.Disk{{Path: "/j", Use: "journal", Free: 42, Total: 100}},
		Hops: []status.Hop{{Address: "next:1463", Up: true, Since: &ago}}, Refused: []status.Refusal{{Reason: "lost", Count: 3}}}
	if change != nil {
		change(s)
	}
	return serving(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status.json" || r.Host != "localhost" {
			http.NotFound(w, r)
			return
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(text) // who asked may have ended
	})
}

func serving(t *testing.T, answer http.HandlerFunc) string {
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// TestHealth has each condition of a daemon, with the exit code, the first word and a part of the text.
func TestHealth(t *testing.T) {
	hanging, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	closed := func(code int, path, text string) string {
		return serving(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/status.json" {
				http.Error(w, "not allowed: status=yes", http.StatusForbidden)
				return
			}
			w.WriteHeader(code)
			fmt.Fprintln(w, text)
		})
	}
	well, old := telling(t, nil), telling(t, func(s *status.Status) { s.Journal.Oldest = 600 })
	fb303 := startFake(t, alive())
	for name, c := range map[string]struct {
		args string
		code int
		want []string
	}{
		"well":              {well, 0, []string{"INKWELL OK - " + well + ": all is well | 'entries'=1200c 'bytes'=34000c 'backlog_age'=7.0s;300;3600 'journal'=50.0%;80;95 'journal_bytes'=5000B 'free /j'=42.0%;10:;3: 'refused'=3c\n"}},
		"behind":            {old, 1, []string{"INKWELL WARNING - ", "WARNING: " + old + ": the oldest entry of the journal has waited for 10m0s (see what"}},
		"behind, but may":   {"--backlog-age 20m " + old, 0, []string{"INKWELL OK", "'backlog_age'=600.0s;1200;3600"}},
		"behind, too far":   {"--backlog-age 1m,9m " + old, 2, []string{"INKWELL CRITICAL"}},
		"spool":             {"--spool 40% " + well, 1, []string{"INKWELL WARNING", "50% full"}},
		"disk":              {"--disk 50%,45% " + well, 2, []string{"INKWELL CRITICAL", "42.0%"}},
		"nobody":            {closedAddr, 2, []string{"INKWELL CRITICAL - " + closedAddr + ": it cannot be reached: connection refused\n", "(start it,"}},
		"one of two":        {well + " " + closedAddr, 2, []string{"INKWELL CRITICAL - 1 of 2 daemons: " + closedAddr + ": it cannot", "'" + well + " entries'=1200c"}},
		"two":               {well + " " + well, 0, []string{"INKWELL OK - 2 daemons, all is well | "}},
		"hangs":             {"--timeout 200ms " + hanging.Addr().String(), 2, []string{"it does not answer within 200ms"}},
		"not ours, well":    {closed(200, "/healthz", "good: all is well"), 0, []string{"INKWELL OK"}},
		"not ours, bad":     {closed(503, "/healthz", "critical: the journal | is full"), 2, []string{"INKWELL CRITICAL", "the journal / is full (ask it"}},
		"not ours, silent":  {closed(404, "/healthz", "what?"), 3, []string{"INKWELL UNKNOWN", "status=yes"}},
		"of a later format": {telling(t, func(s *status.Status) { s.Format = 99 }), 3, []string{"INKWELL UNKNOWN", "it has format 99"}},
		"no HTTP":           {"--timeout 2s " + fb303.addr, 0, []string{"INKWELL OK - " + fb303.addr + ": ALIVE\n"}},
		"wrong limit":       {"--disk lots " + well, 3, []string{"want a share"}},
		"limits that cross": {"--spool 90%,80% " + well, 3, []string{"before the warning"}},
		"no such flag":      {"--bogus", 3, []string{"--bogus"}},
		"no address":        {"host:x:y", 3, []string{"host:x:y"}},
		"TLS":               {"--timeout 2s " + alerting(t), 2, []string{"it cannot be asked without TLS (write tls:// before"}},
		"of a collector":    {t.TempDir(), 2, []string{"no such file", "a collector is asked by its HOST:PORT"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := inkwell(t, nil, append([]string{"health"}, strings.Fields(c.args)...)...)
			for _, want := range c.want {
				if r.code != c.code || !strings.Contains(r.stdout+r.stderr, want) {
					t.Errorf("%+v, want code %d and %q", r, c.code, want)
				}
			}
		})
	}
}

// alerting is a listener that answers as TLS does to whoever speaks without.
func alerting(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		served.Wait()
	})
	served.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			if _, err := nc.Write([]byte{0x15, 3, 1, 0, 2, 2, 70}); err != nil {
				t.Error(err)
			}
			_, _ = nc.Read(make([]byte, 100)) // an end with unread bytes would be a reset
			nc.Close()
		}
	})
	return ln.Addr().String()
}

func TestHealthAsJSON(t *testing.T) {
	well := telling(t, nil)
	r := inkwell(t, nil, "health", "--format", "json", well, closedAddr)
	var got healthDocument
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != 2 {
		t.Fatalf("%v: %+v", err, r)
	}
	if got.Level != status.Critical || len(got.Daemons) != 2 || got.Daemons[0].Level != status.Good || got.Daemons[0].Host != "central" ||
		got.Daemons[1].Level != status.Critical || len(got.Daemons[1].Reasons) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestMunin asks as munin-node does: by the names of links, by env.address, for config and for values.
func TestMunin(t *testing.T) {
	addr := telling(t, nil)
	link := strings.ReplaceAll(addr, ":", "_")
	for _, c := range []struct{ name, arg, want string }{
		{"inkwell_entries_" + link, "", "received.value 1200\nrefused.value 3\n"},
		{"inkwell_backlog_" + link, "", "journal.value 5000\n"},
		{"inkwell_age_" + link, "", "oldest.value 7\n"},
		{"inkwell_disk_" + link, "", "disk0.value 42\n"},
		{"inkwell_problems_" + link, "", "warning.value 0\ncritical.value 0\n"},
		{"inkwell_bytes_" + link, "autoconf", "yes\n"},
		{"inkwell_backlog_" + link, "config", "graph_title Inkwell backlog of " + addr + "\ngraph_category inkwell\ngraph_vlabel bytes that wait\ngraph_args --base 1024 -l 0\n" +
			"journal.label in the journal\njournal.warning 8000\njournal.critical 9500\n"},
	} {
		if r := tool(t, 0, "", c.name, strings.Fields(c.arg)...); r.code != 0 || r.stdout != c.want {
			t.Errorf("%s %s: %+v, want %q", c.name, c.arg, r, c.want)
		}
	}
	if r := tool(t, 0, "", "inkwell_entries_127.0.0.1_1", "autoconf"); r.code != 0 || !strings.HasPrefix(r.stdout, "no (") {
		t.Errorf("autoconf of nobody: %+v", r)
	}
	if r := tool(t, 0, "", "inkwell_entries_127.0.0.1_1"); r.code != 1 || r.stdout != "" {
		t.Errorf("values of nobody: %+v", r)
	}
	if r := tool(t, 0, "", "inkwell_nonsense"); r.code != 2 || !strings.Contains(r.stderr, "is no figure") {
		t.Errorf("no figure: %+v", r)
	}
	if r := inkwell(t, []string{"address=" + addr}, "munin", "age"); r.code != 1 {
		t.Errorf("a variable of munin is read by the command: %+v", r)
	}
}
