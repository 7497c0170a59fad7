package store

import (
	"context"

	"inkwell/proto"
)

// Null takes everything and keeps nothing. It counts nothing either: who chooses it does not want to know.
type Null struct{}

// Append throws b away.
func (Null) Append(context.Context, *proto.Batch) error { return nil }

// Close does nothing.
func (Null) Close() error { return nil }
