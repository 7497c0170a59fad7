package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"inkwell/proto"
	"inkwell/store"
)

// hand is the batch that a node has in hand, and which children have taken their share of it. When it failed in others
// it comes again: they do not get it twice. A batch is known again by its content; another one begins anew.
type delivery struct {
	sum    uint64 // of the batch
	count  int
	shares []store.Share
	taken  []bool // by share
}

// holds says whether b is in hand.
func (h *delivery) isFor(b *proto.Batch) bool {
	return h.taken != nil && h.count == b.Count() && h.sum == b.Fingerprint()
}

// take makes b, of which the children get shares, the batch in hand.
func (h *delivery) start(b *proto.Batch, shares []store.Share) []store.Share {
	h.sum, h.count, h.shares, h.taken = b.Fingerprint(), b.Count(), shares, make([]bool, len(shares))
	return shares
}

// deliver offers the children what they have not taken. When nothing is left the same content is another batch.
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
	// A child that only waits is not what is wrong.
	waits := func(err error) bool { return errors.Is(err, store.ErrWaiting) }
	if slices.ContainsFunc(errs, func(err error) bool { return !waits(err) }) {
		errs = slices.DeleteFunc(errs, waits)
	}
	return &store.PartialError{Left: min(left, h.count), Err: errors.Join(errs...)}
}

// missing is how many of count entries a child did not take.
func missing(err error, count int) int {
	var part *store.PartialError
	if errors.As(err, &part) {
		return part.Left
	}
	return count
}
