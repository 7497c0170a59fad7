// Package tree holds the stores that are made of stores:
//
//	Bucket      one of several for each message, by its key
//	Multi       several for every batch
//	ByCategory  one for each category
//	Failover    a second one for the time when the first one fails
//
// They only say who their children are and bring entries to them; whoever owns a tree walks it for the rest (see
// store.Node). One that cannot be opened, or fails, keeps entries from no other.
package tree

import (
	"context"
	"errors"
	"sync"
	"time"

	"inkwell/proto"
	"inkwell/store"
)

// family are the children of a node that has the same ones all its life.
type family []*store.Child

// Children are all of them.
func (f family) Children() []*store.Child { return f }

// Close closes all of them.
func (f family) Close() error {
	var errs []error
	for _, c := range f {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Sender owns a tree that stands behind a spool: several goroutines may use it, and no checkpoint knows of it.
type Sender struct {
	mu   sync.Mutex
	tree store.Store
}

// NewSender returns a Sender that owns a tree.
func NewSender(tree store.Store) *Sender { return &Sender{tree: tree} }

// Append makes the tree ready for b and hands it on.
func (s *Sender) Append(ctx context.Context, b *proto.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	store.Prepare(s.tree, b)
	return s.tree.Append(ctx, b)
}

// Check opens what could not be opened before, and gives the tree its time.
func (s *Sender) Check(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	store.Prepare(s.tree, nil)
	return store.Check(s.tree, now)
}

// Status is that of the tree.
func (s *Sender) Status() string { return store.Status(s.tree) }

// Close closes the tree.
func (s *Sender) Close() error { return s.tree.Close() }
