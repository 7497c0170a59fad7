// Package store holds the places where entries can go.
//
//	Files    journal ─ drainer ─ chunk per category ─ compress ─ rotate       the collector's
//	Buffer   network, or a spool on disk while the network is away            the forwarder's
//	Network  the next inkwell or scribed
//	Null     nowhere
//
// A Store composes: Buffer stands before any other.
package store

import (
	"context"
	"errors"

	"inkwell/proto"
)

// Store is a place where entries can go.
type Store interface {
	// Append returns nil only when every entry of b is as durable as the store promises. On error none may be assumed stored; the
	// caller may retry the whole batch. Append does not retain b. Safe for concurrent use.
	Append(ctx context.Context, b *proto.Batch) error
	// Close waits for pending Appends and releases what the store holds.
	Close() error
}

// ErrTryLater says that a store, or the peer behind it, cannot take entries now; the same batch may be offered again later.
var ErrTryLater = errors.New("try later")

// ErrClosed is returned by Append after Close.
var ErrClosed = errors.New("store is closed")
