package tree

import (
	"context"
	"slices"

	"inkwell/proto"
	"inkwell/store"
)

// Multi gives every batch to several stores.
type Multi struct {
	family
	any  bool
	hand delivery
}

// NewMulti returns a Multi that owns its children. Append succeeds when all of them took the batch, or, with any, when
// one did: then it is lost for the others.
func NewMulti(any bool, children []*store.Child) *Multi { return &Multi{family: children, any: any} }

// Append gives b to the children, in order. The error is a *store.PartialError; those that took b do not get it again
// with the next attempt.
func (m *Multi) Append(ctx context.Context, b *proto.Batch) error {
	m.hand.shares = m.Shares(b) // b may be in another place than at the last attempt
	if !m.hand.isFor(b) {
		m.hand.start(b, m.hand.shares)
	}
	err := m.hand.run(ctx)
	if err != nil && m.any && slices.Contains(m.hand.taken, true) {
		m.hand.taken = nil
		return nil
	}
	return err
}

// Shares says that each child gets b.
func (m *Multi) Shares(b *proto.Batch) []store.Share {
	shares := make([]store.Share, len(m.family))
	for i, c := range m.family {
		shares[i] = store.Share{Child: c, Batch: b}
	}
	return shares
}
