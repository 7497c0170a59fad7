package hop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

// DynamicOptions configure the mapping service that a Dynamic asks.
type DynamicOptions struct {
	Service      []string // HOST:PORT of the mapping service, the preferred first
	Bucket       int
	Category     string
	TTL, Timeout time.Duration  // how long an answer is valid, and how long to wait for one
	Network      NetworkOptions // for the connection to the server, without its address
}

// Dynamic sends to the server that a BucketStoreMapping service names for a bucket of a category, and follows changes.
// While the service is unreachable the last known server stays in use. Safe for concurrent use.
type Dynamic struct {
	o   DynamicOptions
	log *slog.Logger

	unreachable, empty, noMapping, updated *atomic.Int64

	mu      sync.Mutex
	addr    string    // the address of network
	network *Network  // nil: no server is known yet
	asked   time.Time // when the service was last asked
	err     error     // of the last request to the service
}

// NewDynamic returns a Dynamic that has not asked the service yet.
func NewDynamic(o DynamicOptions) (*Dynamic, error) {
	if len(o.Service) == 0 {
		return nil, errors.New("no mapping service: give HOST:PORT")
	}
	o.Network.Stats = cmp.Or(o.Network.Stats, stats.New())
	o.Network.Logger = cmp.Or(o.Network.Logger, slog.New(slog.DiscardHandler))
	count := func(name string) *atomic.Int64 { return o.Network.Stats.Overall("bucketupdater." + name) }
	return &Dynamic{o: o, log: o.Network.Logger, unreachable: count("err.thrift_call"),
		empty: count("err.empty_result"), noMapping: count("err.nobidmapping"), updated: count("bucket_updated")}, nil
}

// Append sends b to the current server of the bucket.
func (d *Dynamic) Append(ctx context.Context, b *proto.Batch) error {
	n, err := d.server(ctx)
	if err != nil {
		return err
	}
	return n.Append(ctx, b)
}

// Portion is Network.Portion of the current server.
func (d *Dynamic) Portion() (entries, bytes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.network == nil {
		return math.MaxInt, math.MaxInt
	}
	return d.network.Portion()
}

// server returns the connection to the current server of the bucket, after asking the service if its last answer is too
// old.
func (d *Dynamic) server(ctx context.Context) (*Network, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.asked) >= d.o.TTL {
		d.asked = time.Now()
		d.err = d.ask(ctx)
	}
	if d.network == nil {
		return nil, &store.StatusError{Text: "Could not get list of servers from service", Err: d.err}
	}
	return d.network, nil
}

// ask asks the service and switches to the server it names.
func (d *Dynamic) ask(ctx context.Context) error {
	var servers map[int]string
	var errs []error
	for _, service := range d.o.Service {
		answer, err := rpc.Mapping(ctx, service, d.o.Category, d.o.Timeout)
		if err == nil {
			servers, errs = answer, nil
			break
		}
		errs = append(errs, err)
	}
	addr := servers[d.o.Bucket]
	switch {
	case len(errs) > 0:
		d.unreachable.Add(1)
		return errors.Join(errs...)
	case len(servers) == 0:
		d.empty.Add(1)
		return fmt.Errorf("the mapping service knows no server of %q", d.o.Category)
	case addr == "":
		d.noMapping.Add(1)
		return fmt.Errorf("the mapping service knows no server of bucket %d of %q", d.o.Bucket, d.o.Category)
	case addr == d.addr:
		return nil
	}
	o := d.o.Network
	o.Addrs = []string{addr}
	n, err := NewNetwork(o)
	if err != nil {
		return err
	}
	d.log.Info("bucket goes to another server", "category", d.o.Category, "bucket", d.o.Bucket, "server", addr,
		"before", d.addr)
	d.updated.Add(1)
	old := d.network
	d.network, d.addr = n, addr
	if old == nil {
		return nil
	}
	return old.Close()
}

// Connect checks whether the server of the bucket is reachable.
func (d *Dynamic) Connect(ctx context.Context) error {
	n, err := d.server(ctx)
	if err != nil {
		return err
	}
	return n.Connect(ctx)
}

// Check asks the service if its last answer is too old.
func (d *Dynamic) Check(time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), d.o.Timeout)
	defer cancel()
	_, err := d.server(ctx)
	return err
}

// Close closes the connection.
func (d *Dynamic) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.network == nil {
		return nil
	}
	return d.network.Close()
}
