package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"inkwell/internal/access"
)

func TestTLSOfStores(t *testing.T) {
	const top = "tls_cert=/c\ntls_key=/k\ntls_ca=/ca\n"
	for _, c := range []struct {
		name, text string
		addrs      []string
		tls        TLS
	}{
		{"plain", storeText("category=a", "type=network", "remote_host=h", "remote_port=1"), []string{"h:1"}, TLS{}},
		{"tls=yes", storeText("category=a", "type=network", "remote_host=h", "remote_port=1", "tls=yes", "tls_ca=/x"), []string{"tls://h:1"}, TLS{CA: "/x"}},
		{"the top's", top + storeText("category=a", "type=network", "remote_host=h", "remote_port=1", "tls=yes"), []string{"tls://h:1"}, TLS{Cert: "/c", Key: "/k", CA: "/ca"}},
		{"its own", top + storeText("category=a", "type=network", "remote_host=h", "remote_port=1", "tls=yes", "tls_cert=/1", "tls_key=/2", "tls_server_name=n"), []string{"tls://h:1"}, TLS{Cert: "/1", Key: "/2", CA: "/ca", ServerName: "n"}},
		{"a list", storeText("category=a", "type=network", "service_list=tls://a:1 b:2 tls://[::1]:3 tls://c unix:/s", "list_default_port=7"),
			[]string{"tls://a:1", "b:2", "tls://[::1]:3", "tls://c:7", "unix:/s"}, TLS{}},
		{"a list with tls=yes", storeText("category=a", "type=network", "service_list=tls://a:1 b:2 unix:/s", "tls=yes"), []string{"tls://a:1", "tls://b:2", "unix:/s"}, TLS{}},
		{"inherited", "network::tls=yes\nnetwork::tls_ca=/i\n" + storeText("category=a", "type=network", "remote_host=h", "remote_port=1"), []string{"tls://h:1"}, TLS{CA: "/i"}},
	} {
		loaded, problems := load(c.text)
		if len(problems) > 0 || loaded.Status != "" {
			t.Errorf("%s: %q %s", c.name, problems, loaded.Status)
			continue
		}
		n := loaded.Stores[0].Sink.(Network)
		if diff := cmp.Diff(c.addrs, n.Addrs) + cmp.Diff(c.tls, n.TLS); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestAllow(t *testing.T) {
	null := storeText("category=other", "type=null")
	c, problems := load("<allow>\nfrom=10.0.0.0/8 *.example.com\ncategories=web* mail\n</allow>\n<allow>\nfrom=unix:uid=0\ncontrol=yes\n</allow>\n" + null)
	want := []access.Rule{{From: "10.0.0.0/8 *.example.com", Categories: "web* mail"}, {From: "unix:uid=0", Control: true}}
	if diff := cmp.Diff(want, c.Allow.List()); diff != "" || len(problems) > 0 || len(c.Stores) != 1 {
		t.Errorf("%s%q", diff, problems)
	}
	// Ignoring a wrong rule would open the door: any mistake in one makes the file unusable, even one of the old style.
	for text, cause := range map[string]string{
		"<allow>\ncategories=x\n</allow>\n":                   "whom is it for",
		"<allow>\nfrom=*\n</allow>\n":                         "allows nothing",
		"<allow>\nfrom=10.0.0.0/99\ncategories=x\n</allow>\n": "neither an address",
		"<allow>\nfrom=*\ncategories=a*b\n</allow>\n":         "last character",
		"<Allow>\nfrom=loopback\ncategories=x\n</Allow>\n":    "is no <allow>",
		"<alow>\nfrom=loopback\ncategories=x\n</alow>\n":      "is no <allow>",
		"<allow1>\nfrom=loopback\ncategories=x\n</allow1>\n":  "is no <allow>",
		"<allow>\nfrm=loopback\ncategories=x\n</allow>\n":     "whom is it for",
		"listen=tls://h:1\n":                                  "has no certificate",
		"listen=tls://h\n":                                    "no address to listen on",
		"tls_cert=/x\n":                                       "need each other",
		"tls_key=/x\n":                                        "need each other",
	} {
		c, problems := load(text + null)
		if !strings.Contains(c.Status, cause) || c.Errors() == 0 || c.Allow != nil && len(c.Allow.List()) > 0 {
			t.Errorf("%s: status %q, %q", text, c.Status, problems)
		}
	}
	for text, cause := range map[string]string{
		"idle_timeout=5ms\n": "less than a second", "max_in_flight=7\n": "less than 1MiB", "header_timeout=soon\n": "header_timeout",
	} {
		if c, problems := load(text + null); c.Errors() != 1 || !strings.Contains(strings.Join(problems, " "), cause) {
			t.Errorf("%s: %q", text, problems)
		}
	}
	bad, _ := load(storeText("category=a", "type=network", "remote_host=h", "remote_port=1", "tls=yes", "tls_cert=/x"))
	if !strings.Contains(bad.Stores[0].Status, "need each other") || bad.Stores[0].Sink.String() != "nothing: "+bad.Stores[0].Status {
		t.Errorf("half a pair: %+v", bad.Stores[0])
	}
	bad, _ = load(storeText("category=a", "type=network", "remote_host=h", "remote_port=1", "tls_ca=/x"))
	if !strings.Contains(bad.Stores[0].Status, "without tls=yes") || bad.Stores[0].Sink.String() != "nothing: "+bad.Stores[0].Status {
		t.Errorf("a lock beside the door: %+v", bad.Stores[0])
	}
	bad, _ = load("listen=tls://127.0.0.1:9\ntls_cert=/c\ntls_key=/k\n" + storeText("category=a", "type=network", "remote_host=localhost", "remote_port=9", "tls=yes"))
	if !strings.Contains(bad.Status, "sends to this server itself") {
		t.Errorf("a loop over TLS: %q", bad.Status)
	}
}
