package hop

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"inkwell/internal/stats"
	"inkwell/proto/gen/bucketupdater"
	"inkwell/store"
)

// mapping is a BucketStoreMapping service.
type mapping struct {
	mu      sync.Mutex
	servers map[int32]*bucketupdater.HostPort
	refuse  bool
}

func (m *mapping) GetMapping(_ context.Context, category string) (map[int32]*bucketupdater.HostPort, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse || category != "web" {
		text, code := "no such category", int32(7)
		return nil, &bucketupdater.BucketStoreMappingException{Message: text, Code: code}
	}
	return m.servers, nil
}

// point makes bucket go to addr.
func (m *mapping) point(t *testing.T, bucket int32, addr string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.servers = map[int32]*bucketupdater.HostPort{bucket: {Host: host, Port: int32(n)}, 99: {Host: "bad", Port: 99999}}
}

// serve starts the service and returns its address.
func (m *mapping) serve(t *testing.T) string {
	t.Helper()
	socket, err := thrift.NewTServerSocket("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.Listen(); err != nil {
		t.Fatal(err)
	}
	strict := &thrift.TConfiguration{TBinaryStrictRead: thrift.BoolPtr(false),
		TBinaryStrictWrite: thrift.BoolPtr(false)}
	server := thrift.NewTSimpleServer4(bucketupdater.NewBucketStoreMappingProcessor(m), socket,
		thrift.NewTFramedTransportFactoryConf(thrift.NewTTransportFactory(), strict),
		thrift.NewTBinaryProtocolFactoryConf(strict))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve()
	}()
	t.Cleanup(func() {
		_ = server.Stop()
		<-done
	})
	return socket.Addr().String()
}

func TestDynamicFollowsTheMapping(t *testing.T) {
	m := new(mapping)
	service := m.serve(t)
	one, two := new(inbox), new(inbox)
	first, second := startPeer(t, "", one).addr, startPeer(t, "", two).addr
	m.point(t, 3, first)
	set := stats.New()
	d, err := NewDynamic(DynamicOptions{Service: []string{service}, Bucket: 3, Category: "web", TTL: time.Nanosecond,
		Timeout: 5 * time.Second, Network: NetworkOptions{Stats: set}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	send := func(message string) {
		t.Helper()
		if err := d.Append(t.Context(), entriesOf("web", message)); err != nil {
			t.Fatal(err)
		}
	}
	send("1")
	m.point(t, 3, second)
	send("2")
	m.mu.Lock()
	m.refuse = true
	m.mu.Unlock()
	send("3") // to where it went before
	if got := one.got(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the first server has %q", got)
	}
	if got := two.got(); !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("the second server has %q", got)
	}
	for name, want := range map[string]int64{"bucket_updated": 2, "err.thrift_call": 1, "err.nobidmapping": 0} {
		if got := set.Get("scribe_overall:bucketupdater." + name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

func TestDynamicWithoutAServerSaysSo(t *testing.T) {
	m := new(mapping)
	service := m.serve(t)
	m.point(t, 1, "127.0.0.1:1")
	set := stats.New()
	for _, bucket := range []int{2, 99} { // not there, and no address
		d, err := NewDynamic(DynamicOptions{Service: []string{service}, Bucket: bucket, Category: "web",
			TTL: time.Minute, Timeout: 5 * time.Second, Network: NetworkOptions{Stats: set}})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Append(t.Context(), entriesOf("web", "x"))
		var status *store.StatusError
		if !errors.As(err, &status) || status.Text != "Could not get list of servers from service" {
			t.Errorf("bucket %d: error is %v", bucket, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := set.Get("scribe_overall:bucketupdater.err.nobidmapping"); got != 2 {
		t.Errorf("err.nobidmapping is %d", got)
	}
}
