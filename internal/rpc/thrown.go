package rpc

import (
	"context"
	"sync/atomic"
)

// thrownKey is that of a counter in the context of a call.
type thrownKey struct{}

// Throw tells the peer, if it is an Inkwell, that so many entries of the call that ctx is of are thrown away for good
// although it is answered OK, because they are not allowed or too long.
func Throw(ctx context.Context, entries int64) {
	if n, ok := ctx.Value(thrownKey{}).(*atomic.Int64); ok {
		n.Add(entries)
	}
}
