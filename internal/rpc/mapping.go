package rpc

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"inkwell/proto/gen/bucketupdater"
)

// maxMapping bounds the answer of a mapping service in bytes: a million buckets fit.
const maxMapping = 64 << 20

// Mapping asks the BucketStoreMapping service at addr for the servers of a category: HOST:PORT by the number of the bucket. What is no
// address is left out. timeout bounds connecting and each wait.
func Mapping(ctx context.Context, addr, category string, timeout time.Duration) (servers map[int]string, err error) {
	conf := configuration(maxMapping, timeout)
	framed := thrift.NewTFramedTransportConf(thrift.NewTSocketConf(addr, conf), conf)
	if err := framed.Open(); err != nil {
		return nil, fmt.Errorf("connect to mapping service %s: %w", addr, err)
	}
	defer framed.Close()
	p := thrift.NewTBinaryProtocolConf(framed, conf)
	answer, err := bucketupdater.NewBucketStoreMappingClient(thrift.NewTStandardClient(p, p)).GetMapping(ctx, category)
	if err != nil {
		return nil, fmt.Errorf("ask mapping service %s for %q: %w", addr, category, err)
	}
	servers = make(map[int]string, len(answer))
	for bucket, at := range answer {
		if at != nil && at.Host != "" && at.Port > 0 && at.Port < 1<<16 {
			servers[int(bucket)] = net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port)))
		}
	}
	return servers, nil
}
