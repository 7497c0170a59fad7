// Package feed has what the inputs of a forwarder have in common that are not files: the systemd journal and syslog.
//
//	input ── Put ──► Queue: a batch that is filled ── Ship ──► deliver ──► next hop, or the spool ──► acknowledged
//
// A Feed numbers its entries itself (see store/stream). A batch is acknowledged when deliver has returned nil for it.
package feed

import (
	"context"

	"inkwell/internal/faultfs"
	"inkwell/proto"
)

// Deliver sends a batch to the next hop or the spool, and retries until that works. When ctx ends, the batch is offered
// once more, to the spool. A nil error means that the next hop has acknowledged the batch, or that it is in the spool.
type Deliver func(ctx context.Context, b *proto.Batch) error

// Feed is an input that yields batches of numbered entries.
type Feed interface {
	// Open does everything that can fail. state is the directory of the forwarder's state, which outlives the feed.
	Open(state *faultfs.Dir) error
	// Run reads entries until ctx ends, or the input if it is read only once, and delivers them. It returns when all of
	// them are delivered, or when hard ends.
	Run(ctx, hard context.Context, deliver Deliver) error
	// Name is the source of the entries, as in journal:nginx.service.
	Name() string
	// Close releases what the feed holds, even if Open failed halfway. Run has returned by then.
	Close() error
}
