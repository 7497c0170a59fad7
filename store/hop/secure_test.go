package hop

import (
	"strings"
	"testing"

	"inkwell/internal/rpc"
	"inkwell/store"
)

func TestNetworkChecksAddressesAndFiles(t *testing.T) {
	none := rpc.TLSFiles{CA: "/none.pem"}
	for want, o := range map[string]NetworkOptions{
		"want HOST:PORT": {Addrs: []string{"h:1", "tls:/h:1"}},
		"no address":     {},
		"/none.pem":      {Addrs: []string{"h:1", "tls://h:1"}, TLS: none},
	} {
		if _, err := NewNetwork(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", o.Addrs, err)
		}
	}
	n, err := NewNetwork(NetworkOptions{Addrs: []string{"h:1", "unix:/s"}, TLS: none}) // of no use here: not read
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	pool := NewPool()
	var stores []store.Store
	for _, o := range []NetworkOptions{{Addrs: []string{"tls://h:1"}}, {Addrs: []string{"tls://h:1"}},
		{Addrs: []string{"tls://h:1"}, TLS: rpc.TLSFiles{ServerName: "n"}}, {Addrs: []string{"h:1"}}} {
		s, err := pool.Network(o)
		if err != nil {
			t.Fatal(err)
		}
		stores = append(stores, s)
	}
	if stores[0] != stores[1] || stores[0] == stores[2] || stores[0] == stores[3] {
		t.Error("connections are shared by stores with other ways to talk, or not by those with the same")
	}
	for _, s := range stores {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
