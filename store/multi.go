package store

import (
	"context"
	"sync"
	"time"

	"inkwell/proto"
)

// Multi gives every batch to several stores.
type Multi struct {
	any   bool
	parts parts

	mu     sync.Mutex
	memory memory
}

// NewMulti returns a Multi that owns its children. Append succeeds when all of them took the batch, or, with any, when one did: then it
// is lost for the others.
func NewMulti(any bool, children []Store) *Multi { return &Multi{any: any, parts: children} }

// Append gives b to the children, in order. The error is a *PartialError; those that took b do not get it again with the next attempt.
func (m *Multi) Append(ctx context.Context, b *proto.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.parts.prepare() {
		return ErrOpened
	}
	done := m.memory.recall(b, len(m.parts))
	left, taken := 0, false
	var errs []error
	for i, s := range m.parts {
		if !done[i] {
			if err := s.Append(ctx, b); err != nil {
				left = max(left, missing(err, b.Count()))
				errs = append(errs, err)
				continue
			}
			done[i] = true
		}
		taken = true
	}
	if m.any && taken {
		errs = nil
	}
	return m.memory.keep(b, done, left, errs)
}

// Mark, Publish, Check, Status and Close ask the children.
func (m *Multi) Mark(to *Marks) error      { return m.parts.mark(to) }
func (m *Multi) Publish() error            { return m.parts.publish() }
func (m *Multi) Check(now time.Time) error { return m.parts.check(now) }
func (m *Multi) Status() string            { return m.parts.status() }
func (m *Multi) Close() error              { return m.parts.close() }
func (m *Multi) Seal() error               { return m.parts.seal() }
