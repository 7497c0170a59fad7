// Package tree contains the stores that are made of other stores:
//
//	Bucket      chooses one of several stores for each message, by its key
//	Multi       gives every batch to several stores
//	ByCategory  has a store for each category
//	Failover    has a second store for the time while the first one fails
//
// They only name their children and distribute entries among them; the owner of a tree does the rest by walking it (see
// store.Node). A child that cannot be opened or fails does not keep entries from the others.
package tree

import (
	"context"
	"errors"
	"sync"
	"time"

	"inkwell/proto"
	"inkwell/store"
)

// family is the list of the children of a node whose children do not change.
type family []*store.Child

// Children returns all children.
func (f family) Children() []*store.Child { return f }

// Close closes all children.
func (f family) Close() error {
	var errs []error
	for _, c := range f {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Sender owns a tree behind a spool. Several goroutines may use it, and the tree takes part in no checkpoint.
type Sender struct {
	mu   sync.Mutex
	tree store.Store
}

// NewSender returns a Sender that owns a tree.
func NewSender(tree store.Store) *Sender { return &Sender{tree: tree} }

// Append prepares the tree for b and appends b to it.
func (s *Sender) Append(ctx context.Context, b *proto.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	store.Prepare(s.tree, b)
	return s.tree.Append(ctx, b)
}

// Check tries to open closed stores and calls the periodic work of the tree.
func (s *Sender) Check(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	store.Prepare(s.tree, nil)
	return store.Check(s.tree, now)
}

// Status returns the status of the tree.
func (s *Sender) Status() string { return store.Status(s.tree) }

// Close closes the tree.
func (s *Sender) Close() error { return s.tree.Close() }
