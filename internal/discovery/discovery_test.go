package discovery

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"inkwell/internal/dnstest"
	"inkwell/internal/testkit"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Source{
		"srv:_inkwell._tcp.example.com":         {kind: "srv", name: "_inkwell._tcp.example.com", port: 1463},
		"srv:tls://_i._tcp.example.com":         {kind: "srv", name: "_i._tcp.example.com", port: 1463, secure: true},
		"srv:_i._tcp.consul@127.0.0.1:8600":     {kind: "srv", name: "_i._tcp.consul", port: 1463, server: "127.0.0.1:8600"},
		"dns:logs.example.com":                  {kind: "dns", name: "logs.example.com", port: 1463},
		"dns:logs.example.com:9000@10.0.0.1":    {kind: "dns", name: "logs.example.com", port: 9000, server: "10.0.0.1:53"},
		"dns:tls://logs.example.com:1464@[::1]": {kind: "dns", name: "logs.example.com", port: 1464, secure: true, server: "[::1]:53"},
		"file:/etc/inkwell/collectors":          {kind: "file", name: "/etc/inkwell/collectors", port: 1463},
	} {
		got, err := Parse(text)
		want.text = text
		if err != nil || *got != want || !IsSource(text) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"srv:", "srv:a:1", "srv:a b", "dns:", "dns:a:0", "dns:a:70000", "dns:a:b", "dns:a@",
		"dns:a@b:c", "file:", "file:relative", "srv:a/b", "dns:[::1]:1463"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
	for _, text := range []string{"localhost:1463", "tls://dns:1463", "unix:/run/x", "dns", "srv"} {
		if IsSource(text) {
			t.Errorf("%s is no source", text)
		}
	}
	if s := Secure("srv:x"); s != "srv:tls://x" || Secure(s) != s || !HasTLS(s) || HasTLS("srv:x") {
		t.Error(s)
	}
}

// looked is the answer of a lookup as text.
func looked(t *testing.T, text string) (list string, again time.Duration, err error) {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.lookup(t.Context())
	for _, one := range a.list {
		list += fmt.Sprintf("%s/%d ", one.Name, one.Priority)
	}
	if a.skipped != "" {
		list += a.skipped
	}
	return strings.TrimSpace(list), a.again, err
}

func TestLookup(t *testing.T) {
	d := dnstest.Start(t)
	srv, hosts := "srv:_i._tcp.test@"+d.Addr, "dns:c.test:7@"+d.Addr
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("c.test. 60 IN A 10.0.%d.%d", i/250, i%250)
	}
	for name, c := range map[string]struct {
		source  string
		records []string
		want    string // the list, or the beginning of the error behind "!"
		ttl     time.Duration
	}{
		"addresses":    {hosts, []string{"c.test. 60 IN A 10.0.0.2", "c.test. 30 IN A 10.0.0.1"}, "10.0.0.1:7/0 10.0.0.2:7/0", 30 * time.Second},
		"version 6":    {hosts, []string{"c.test. 60 IN AAAA fd00::1"}, "[fd00::1]:7/0", time.Minute},
		"both":         {hosts, []string{"c.test. 60 IN AAAA fd00::1", "c.test. 60 IN A 10.0.0.1"}, "10.0.0.1:7/0", time.Minute},
		"TTL 0":        {hosts, []string{"c.test. 0 IN A 10.0.0.1"}, "10.0.0.1:7/0", minTTL},
		"TTL of weeks": {hosts, []string{"c.test. 9999999 IN A 10.0.0.1"}, "10.0.0.1:7/0", maxTTL},
		"no name":      {hosts, nil, "!c.test has no A or AAAA records", 0},
		"no records":   {hosts, []string{"c.test. 60 IN TXT x"}, "!c.test has no A or AAAA records", 0},
		"services": {srv, []string{"_i._tcp.test. 60 IN SRV 1 0 9 b.test.", "_i._tcp.test. 60 IN SRV 0 5 8 a.test.",
			"a.test. 1 IN A 10.0.0.1", "b.test. 1 IN A 10.0.0.2"}, "10.0.0.1:8/0 10.0.0.2:9/1", time.Minute},
		"one points to nothing": {srv, []string{"_i._tcp.test. 60 IN SRV 0 0 8 a.test.", "_i._tcp.test. 60 IN SRV 0 0 8 gone.test.",
			"a.test. 1 IN A 10.0.0.1"}, "10.0.0.1:8/0 no address is known of gone.test", time.Minute},
		"all point to nothing": {srv, []string{"_i._tcp.test. 60 IN SRV 0 0 8 gone.test."},
			"!the SRV records of _i._tcp.test name no server; no address is known of gone.test", 0},
		"no such service": {srv, []string{"_i._tcp.test. 60 IN SRV 0 0 0 ."}, "!the SRV records of _i._tcp.test name no server", 0},
		"no services":     {srv, nil, "!_i._tcp.test has no SRV records", 0},
	} {
		d.Set(t, c.records...)
		got, again, err := looked(t, c.source)
		if why, bad := strings.CutPrefix(c.want, "!"); bad {
			if err == nil || !strings.HasPrefix(err.Error(), why) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
			continue
		}
		if err != nil || got != c.want || again != c.ttl {
			t.Errorf("%s: %q again in %v, %v; want %q", name, got, again, err, c.want)
		}
	}
	d.Set(t, many...) // which does not fit into a datagram
	if got, _, err := looked(t, hosts); err != nil || strings.Count(got, ":7/0") != 1000 {
		t.Errorf("1,000 records: %d, %v", strings.Count(got, ":7/0"), err)
	}
	d.Cut()
	if _, _, err := looked(t, hosts); err == nil || !strings.Contains(err.Error(), "cut off, over TCP, too") {
		t.Errorf("cut off: %v", err)
	}
	d.Set(t)
	d.Fail(dns.RcodeServerFailure)
	if _, _, err := looked(t, hosts); err == nil || !strings.Contains(err.Error(), "answers SERVFAIL") {
		t.Errorf("SERVFAIL: %v", err)
	}
	d.Silence()
	_, _, first := looked(t, hosts)
	_, _, second := looked(t, hosts)
	if first == nil || !strings.Contains(first.Error(), "does not answer over udp") || first.Error() != second.Error() {
		t.Errorf("silence: %v, then %v", first, second)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "collectors")
	for text, want := range map[string]string{
		"a\nb:9 c\n\n# d\ntls://e # f\nunix:/run/x\na:1463\n": "a:1463/0 b:9/0 c:1463/0 tls://e:1463/0 unix:/run/x/0",
		"fd00::1\n[fd00::2]:9\n":                              "[fd00::1]:1463/0 [fd00::2]:9/0",
		"a:1463\nb:14":                                        "!the last line of " + path + " has no end",
		"":                                                    "!" + path + " is empty",
		"# nothing\n":                                         "!" + path + " names no address",
		"a\nb:c\n":                                            "!" + path + ":2: ",
		"a/b\n":                                               "!" + path + ":1: ",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, _, err := looked(t, "file:"+path)
		if why, bad := strings.CutPrefix(want, "!"); bad {
			if err == nil || !strings.HasPrefix(err.Error(), why) {
				t.Errorf("%q: %q, %v", text, got, err)
			}
		} else if err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := looked(t, "file:"+path); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}

// await waits until the list of w has these names.
func await(t *testing.T, w *Watch, names ...string) {
	t.Helper()
	for {
		w.mu.Lock()
		var got []string
		for _, a := range w.list {
			got = append(got, a.Name)
		}
		changed := w.changed
		w.mu.Unlock()
		if slices.Equal(got, names) {
			return
		}
		select {
		case <-changed:
		case <-time.After(30 * time.Second):
			t.Fatalf("the list is %v, want %v", got, names)
		}
	}
}

// TestLastListStays: a file that is half written, bad or gone changes nothing, and is told once for each reason.
func TestLastListStays(t *testing.T) {
	path, log := filepath.Join(t.TempDir(), "collectors"), new(testkit.Log)
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a\nb\n")
	d := NewDirectory(log.Logger())
	w, err := d.Watch([]string{"file:" + path, "backup:1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.Watch([]string{"file:" + path, "backup:1"}, nil)
	if err != nil || other.watched != w.watched {
		t.Errorf("two lookups of one list: %v", err)
	}
	defer other.Close()
	defer w.Close()
	await(t, w, "a:1463", "b:1463", "backup:1")
	_, before := w.List()
	told := func(what string) {
		t.Helper()
		for until := time.Now().Add(30 * time.Second); !strings.Contains(w.Trouble(), what); {
			if time.Now().After(until) {
				t.Fatalf("%q is not told: %q", what, w.Trouble())
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	write("a\nb\nc")
	told("has no end")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	told("no such file")
	if list, now := w.List(); now != before || len(list) != 3 {
		t.Errorf("the list has changed: %v", list)
	}
	write("a\nc\n")
	await(t, w, "a:1463", "c:1463", "backup:1")
	told("")
	for what, want := range map[string]int{"has no end": 1, "no such file": 1, "looked up again": 1, "new=c:1463 gone=b:1463": 1} {
		if n := strings.Count(log.String(), what); n != want {
			t.Errorf("%q is logged %d times, want %d\n%s", what, n, want, log)
		}
	}
}

// TestFormerList: until a name was looked up, the addresses of an earlier process are used.
func TestFormerList(t *testing.T) {
	s := dnstest.Start(t)
	s.Silence()
	d := NewDirectory(nil)
	source := []string{"dns:c.test@" + s.Addr}
	w, err := d.Watch(source, []Address{{Name: "10.0.0.9:1463"}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	await(t, w, "10.0.0.9:1463")
	s.Set(t, "c.test. 60 IN A 10.0.0.1")
	await(t, w, "10.0.0.1:1463")
	none, err := d.Watch([]string{"dns:none.test@" + s.Addr}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	none.Wait(t.Context())
	if list, _ := none.List(); len(list) != 0 || none.Trouble() == "" {
		t.Errorf("%v, %q", list, none.Trouble())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Silence()
	if source, err := Parse("dns:c.test@" + s.Addr); err != nil {
		t.Error(err)
	} else if _, err := source.lookup(ctx); err == nil {
		t.Error(err)
	}
}
