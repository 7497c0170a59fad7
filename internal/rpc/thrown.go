package rpc

import (
	"context"
	"sync/atomic"
)

// thrownKey is the context key of a call's counter of dropped entries.
type thrownKey struct{}

// Throw notes that entries of the call with the context ctx are dropped for good although it is answered OK, because
// they are not allowed or too long. The peer is told, if it is an Inkwell.
func Throw(ctx context.Context, entries int64) {
	if n, ok := ctx.Value(thrownKey{}).(*atomic.Int64); ok {
		n.Add(entries)
	}
}
