// Package feed is what those inputs of a forwarder have in common that are no files: the systemd journal, syslog.
//
//	input ── Put ──► Queue: a batch that is filled ── Ship ──► deliver ──► next hop, or the spool ──► acknowledged
//
// A Feed gives its entries their numbers (see store/stream) and is told what was acknowledged: deliver returns nil
// then.
package feed

import (
	"context"

	"inkwell/internal/faultfs"
	"inkwell/proto"
)

// Deliver brings a batch to the next hop or the spool, and tries again until that works. When ctx ends it is offered
// once more, to the spool. A nil error means that the batch is as durable as a spool makes it, or acknowledged by the
// next hop.
type Deliver func(ctx context.Context, b *proto.Batch) error

// Feed is an input that yields batches of numbered entries.
type Feed interface {
	// Open does everything that can fail. state is the directory of the forwarder's state, which outlives the feed.
	Open(state *faultfs.Dir) error
	// Run takes entries in until ctx ends, or the input if once is true, and delivers them. It returns when all of them
	// are delivered, or hard ends.
	Run(ctx, hard context.Context, deliver Deliver) error
	// Name says what the entries come from, as in journal:nginx.service.
	Name() string
	// Close releases what the feed holds, as far as it was opened. Run has returned.
	Close() error
}
