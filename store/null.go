package store

import (
	"context"
	"sync/atomic"

	"inkwell/internal/stats"
	"inkwell/proto"
)

// Null accepts and discards everything. The zero value does not count what it discards.
type Null struct {
	ignored, overall *atomic.Int64
}

// NewNull returns a Null that counts discarded entries as "ignored", for the category name and overall.
func NewNull(set *stats.Set, name string) Null {
	return Null{ignored: set.Category(name, "ignored"), overall: set.Overall("ignored")}
}

// Append discards b.
func (n Null) Append(_ context.Context, b *proto.Batch) error {
	if n.ignored != nil {
		n.ignored.Add(int64(b.Count()))
		n.overall.Add(int64(b.Count()))
	}
	return nil
}

// Close does nothing.
func (Null) Close() error { return nil }
