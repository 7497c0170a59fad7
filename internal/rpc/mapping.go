package rpc

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"inkwell/proto/gen/bucketupdater"
)

// maxMapping bounds the answer of a mapping service in bytes: a million buckets fit.
const maxMapping = 64 << 20

// Mapping asks the BucketStoreMapping service at addr for the servers of a category. It returns HOST:PORT by bucket
// number, and leaves out invalid addresses. Everything must end within the timeout.
func Mapping(ctx context.Context, addr, category string, timeout time.Duration) (servers map[int]string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout) // Thrift repeats a read that timed out until the deadline
	defer cancel()
	client, closer, err := question(ctx, addr, maxMapping, dialOptions{timeout: timeout})
	if err != nil {
		return nil, fmt.Errorf("ask mapping service for %q: %w", category, err)
	}
	defer closer.Close()
	answer, err := bucketupdater.NewBucketStoreMappingClient(client).GetMapping(ctx, category)
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
