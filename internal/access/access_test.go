package access

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestRules(t *testing.T) {
	at := func(addr string, names ...string) Identity {
		return Identity{Addr: netip.MustParseAddr(addr), Names: names}
	}
	unix := Identity{Unix: &Peer{UID: 33, GID: 34, PID: 7}}
	tests := []struct {
		from    string
		id      Identity
		matches bool
	}{
		{"*", at("203.0.113.9"), true},
		{"*", unix, true},
		{"loopback", at("127.0.0.9"), true},
		{"loopback", at("::1"), true},
		{"loopback", at("10.0.0.1"), false},
		{"loopback", unix, false},
		{"unix", unix, true},
		{"unix", at("127.0.0.1"), false},
		{"unix:uid=33", unix, true},
		{"unix:uid=34", unix, false},
		{"unix:gid=34", unix, true},
		{"10.0.0.0/8", at("10.200.3.4"), true},
		{"10.0.0.0/8", at("11.0.0.1"), false},
		{"10.0.0.0/8", unix, false},
		{"192.0.2.7", at("192.0.2.7"), true},
		{"192.0.2.7", at("192.0.2.8"), false},
		{"2001:db8::/32", at("2001:db8:1::5"), true},
		{"fe80::1", at("fe80::1%eth0"), true},
		{"web1.example.com", at("192.0.2.7", "web1.example.com"), true},
		{"WEB1.example.com", at("192.0.2.7", "web1.example.com"), true},
		{"*.example.com", at("192.0.2.7", "web1.example.com"), true},
		{"*.example.com", at("192.0.2.7", "example.com"), false},
		{"*.example.com", at("192.0.2.7", "web1.example.com.evil.net"), false},
		{"*.example.com", at("192.0.2.7"), false},
		{"web*.example.com", at("192.0.2.7", "mail.x", "web7.example.com"), true},
		{"spiffe://prod/ship/*", at("192.0.2.7", "spiffe://prod/ship/web1"), true},
		{"spiffe://prod/ship/*", at("192.0.2.7", "spiffe://prod/Ship/web1"), false},
		{"ops@example.com", at("192.0.2.7", "ops@example.com"), true},
		{"*.example.com", at("192.0.2.7", "a.b.example.com"), true},
		{"*.example.com", at("192.0.2.7", "joe@mail.example.com"), false},
		{"*.example.com", at("192.0.2.7", "https://evil.net/x.example.com"), false},
		{"*@example.com", at("192.0.2.7", "joe@example.com"), true},
		{"*@example.com", at("192.0.2.7", "https://evil.net/@example.com"), false},
		{"ops*", at("192.0.2.7", "ops@evil.net"), false},
		{"*:*", at("192.0.2.7", "web1.example.com"), false},
		{"*:*", at("192.0.2.7", "spiffe://prod/x"), true},
		{"urn:inkwell:*", at("192.0.2.7", "urn:inkwell:web1"), true},
		{"web1.example.com", at("192.0.2.7", "web1.example.com."), false},
		{"web1.example.com", at("192.0.2.7", "*.example.com"), false},
		{"xn--bcher-kva.example.com", at("192.0.2.7", "xn--bcher-kva.example.com"), true},
		{"::/0", at("192.0.2.7"), false},
		{"0.0.0.0/0", at("192.0.2.7"), true},
		{"::ffff:192.0.2.7", at("192.0.2.7"), true},
		{"fe80::/10", at("fe80::1%eth0"), true},
		{"a.b 10.0.0.0/8", at("10.1.1.1"), true},
		{"loopback", at("10.1.1.1", "loopback"), false},
		{"a*a", at("10.1.1.1", "a"), false},
	}
	for _, tt := range tests {
		r, err := Parse([]Rule{{From: tt.from, Categories: "c"}})
		if err != nil {
			t.Errorf("%s: %v", tt.from, err)
			continue
		}
		if got := r.Allows(&Caller{Identity: tt.id}, []byte("c")); got != tt.matches {
			t.Errorf("%s allows %s: %v", tt.from, tt.id.String(), got)
		}
	}
}

func TestCategoriesAndControl(t *testing.T) {
	r, err := Parse([]Rule{{From: "10.0.0.0/8", Categories: "apache.* exact"}, {From: "10.0.0.7", Categories: "more*", Control: true}, {From: "192.0.2.1", Control: true}})
	if err != nil {
		t.Fatal(err)
	}
	caller := func(addr string) *Caller { return &Caller{Identity: Identity{Addr: netip.MustParseAddr(addr)}} }
	plain, special, operator := caller("10.0.0.8"), caller("10.0.0.7"), caller("192.0.2.1")
	for category, want := range map[string][3]bool{
		"apache.access": {true, true, false}, "apache.": {true, true, false}, "apache": {false, false, false},
		"exact": {true, true, false}, "exactly": {false, false, false}, "more": {false, true, false}, "": {false, false, false},
	} {
		if got := [3]bool{r.Allows(plain, []byte(category)), r.Allows(special, []byte(category)), r.Allows(operator, []byte(category))}; got != want {
			t.Errorf("%q: %v, want %v", category, got, want)
		}
	}
	var none *Rules
	for _, tt := range []struct {
		rules *Rules
		c     *Caller
		want  bool
	}{{r, plain, false}, {r, special, true}, {r, operator, true}, {r, caller("127.0.0.1"), true}, {none, caller("127.0.0.1"), true}, {none, plain, false},
		{none, &Caller{Identity: Identity{Unix: &Peer{}}}, true}, {none, nil, false}, {r, nil, false}} {
		if got := tt.rules.MayControl(tt.c); got != tt.want {
			t.Errorf("%v controls: %v", tt.c, got)
		}
	}
	if !none.Allows(nil, []byte("x")) || r.Allows(nil, []byte("exact")) {
		t.Error("a caller that is not known: rules are passed over, or none are held to be some")
	}
	other, err := Parse([]Rule{{From: "*", Categories: "*"}})
	if err != nil {
		t.Fatal(err)
	}
	if !other.Allows(plain, []byte("new rules")) {
		t.Error("rules that changed are not asked again")
	}
	if n := testing.AllocsPerRun(100, func() { other.Allows(plain, []byte("exact")) }); n > 0 {
		t.Errorf("a verdict allocates %v times", n)
	}
}

func TestMistakes(t *testing.T) {
	for _, r := range []Rule{
		{From: "", Categories: "x"}, {From: "10.0.0.0/33", Categories: "x"}, {From: "10.0.0.300", Categories: "x"}, {From: "10.0.0.*", Categories: "x"}, {From: "unix:uid=www", Categories: "x"},
		{From: "unix:name=x", Categories: "x"}, {From: "*"}, {From: "*", Categories: "a*b"}, {From: "2001:db8::/129", Categories: "x"}, {From: "bücher.example.com", Categories: "x"}, {From: "a\x00b.example.com", Categories: "x"}, {From: "::ffff:10.0.0.0/104", Categories: "x"},
	} {
		if _, err := Parse([]Rule{r}); err == nil {
			t.Errorf("%+v is taken", r)
		}
	}
	for _, text := range []string{"", "x", "=x", "x=", "10.0.0.0/99=x"} {
		if _, err := ParseFlag(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	r, err := ParseFlag("unix:uid=33=apache.*,php")
	if err != nil || r.From != "unix:uid=33" || r.Categories != "apache.* php" || r.String() != "unix:uid=33=apache.*,php" {
		t.Errorf("%+v, %v", r, err)
	}
	if rules, err := Parse(nil); rules != nil || err != nil {
		t.Errorf("no rules: %v, %v", rules, err)
	}
}

func TestUnixPeer(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	id, err := Identify(nc)
	if err != nil || id.Unix == nil || int(id.Unix.UID) != os.Getuid() || int(id.Unix.GID) != os.Getgid() || int(id.Unix.PID) != os.Getpid() || !id.Local() {
		t.Errorf("%+v, %v", id, err)
	}
	if c := FromContext(NewContext(context.Background(), &Caller{Identity: id})); c == nil || c.Unix == nil {
		t.Error("the context has lost the caller")
	}
	if FromContext(context.Background()) != nil {
		t.Error("a context without a caller has one")
	}
}

// A name counts only as what the authority signed it as.
func TestNamesOfACertificate(t *testing.T) {
	uri := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	got := names(&x509.Certificate{
		DNSNames:       []string{"WEB1.example.com", "spiffe://prod/web1", "ops@example.com", "urn:x"},
		URIs:           []*url.URL{uri("spiffe://prod/web2"), uri("web2.example.com"), uri("urn:inkwell:web2")},
		EmailAddresses: []string{"joe@example.com", "web3.example.com", "spiffe://prod/web3"},
	})
	if want := []string{"web1.example.com", "spiffe://prod/web2", "urn:inkwell:web2", "joe@example.com"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestReading is apart from writing: a rule about nothing else leaves writing to everybody, and reading over HTTP is
// for nobody else.
func TestReading(t *testing.T) {
	rules := func(list ...Rule) *Rules {
		r, err := Parse(list)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	local, monitor, other := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8")
	reading := Rule{From: "192.0.2.7", Status: true}
	for _, x := range []struct {
		name          string
		rules         *Rules
		from          netip.Addr
		reads, writes bool
	}{
		{"no rules, this machine", nil, local, true, true},
		{"no rules, another", nil, other, false, true},
		{"a rule for reading, whom it names", rules(reading), monitor, true, true},
		{"a rule for reading, another", rules(reading), other, false, true},
		{"with one for writing, the reader", rules(reading, Rule{From: "192.0.2.8", Categories: "*"}), monitor, true, false},
		{"with one for writing, the writer", rules(reading, Rule{From: "192.0.2.8", Categories: "*"}), other, false, true},
		{"with one for control, another", rules(reading, Rule{From: "192.0.2.9", Control: true}), other, false, false},
	} {
		c := &Caller{Identity: Identity{Addr: x.from}}
		if reads, writes := x.rules.MayRead(c), x.rules.Allows(c, []byte("a")); reads != x.reads || writes != x.writes || x.rules.MayWrite(c) != x.writes {
			t.Errorf("%s: reads %v, writes %v", x.name, reads, writes)
		}
	}
	if rules(reading).MayRead(nil) {
		t.Error("who is not known reads")
	}
}
