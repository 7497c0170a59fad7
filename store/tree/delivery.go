package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"inkwell/proto"
	"inkwell/store"
)

// delivery records which children of a node have taken their share of the current batch. When the batch is appended
// again because other children failed, they do not get it twice. A batch is recognized by its content; a different
// batch begins a new delivery.
type delivery struct {
	sum    uint64 // fingerprint of the batch
	count  int
	shares []store.Share
	taken  []bool // by share
}

// isFor reports whether b is the current batch.
func (h *delivery) isFor(b *proto.Batch) bool {
	return h.taken != nil && h.count == b.Count() && h.sum == b.Fingerprint()
}

// start makes b the current batch, divided into shares.
func (h *delivery) start(b *proto.Batch, shares []store.Share) []store.Share {
	h.sum, h.count, h.shares, h.taken = b.Fingerprint(), b.Count(), shares, make([]bool, len(shares))
	return shares
}

// run offers each child its share unless it has taken it. When all have, the delivery is over: the same content then
// counts as a new batch.
func (h *delivery) run(ctx context.Context) error {
	left := 0
	var errs []error
	for i, s := range h.shares {
		if h.taken[i] {
			continue
		}
		err := s.Child.Append(ctx, s.Batch)
		if h.taken[i] = err == nil; err != nil {
			if s.Child.Name != "" {
				err = fmt.Errorf("store of %q: %w", s.Child.Name, err)
			}
			left += missing(err, s.Batch.Count())
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		h.taken = nil
		return nil
	}
	// Children that only wait for their next attempt are not the cause: do not mention them beside real errors.
	waits := func(err error) bool { return errors.Is(err, store.ErrWaiting) }
	if slices.ContainsFunc(errs, func(err error) bool { return !waits(err) }) {
		errs = slices.DeleteFunc(errs, waits)
	}
	return &store.PartialError{Left: min(left, h.count), Err: errors.Join(errs...)}
}

// missing returns how many of count entries a child did not take.
func missing(err error, count int) int {
	var part *store.PartialError
	if errors.As(err, &part) {
		return part.Left
	}
	return count
}
