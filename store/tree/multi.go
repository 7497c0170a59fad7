package tree

import (
	"context"
	"slices"

	"inkwell/proto"
	"inkwell/store"
)

// Multi gives every batch to all of its children.
type Multi struct {
	family
	any      bool
	delivery delivery
}

// NewMulti returns a Multi that owns its children. Append succeeds when all of them took the batch; if any is true,
// when at least one did, and the batch is then lost for the others.
func NewMulti(any bool, children []*store.Child) *Multi { return &Multi{family: children, any: any} }

// Append gives b to the children, in order. The error is a *store.PartialError; children that took b do not get it
// again when the same b is appended again.
func (m *Multi) Append(ctx context.Context, b *proto.Batch) error {
	m.delivery.shares = m.Shares(b) // b may be another batch object with the same content
	if !m.delivery.isFor(b) {
		m.delivery.start(b, m.delivery.shares)
	}
	err := m.delivery.run(ctx)
	if err != nil && m.any && slices.Contains(m.delivery.taken, true) {
		m.delivery.taken = nil
		return nil
	}
	return err
}

// Shares gives b to each child.
func (m *Multi) Shares(b *proto.Batch) []store.Share {
	shares := make([]store.Share, len(m.family))
	for i, c := range m.family {
		shares[i] = store.Share{Child: c, Batch: b}
	}
	return shares
}
