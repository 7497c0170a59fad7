package tree

import (
	"context"
	"slices"
	"sync"

	"inkwell/proto"
	"inkwell/store"
)

// ByCategory has a child for each category. Categories whose names are not safe as file names share one child, and so
// do the categories beyond the limit.
type ByCategory struct {
	o        ByCategoryOptions
	delivery delivery
	shares   map[string]*proto.Batch // by the name of a child

	mu       sync.Mutex // held while names and children are changed, or read by another goroutine than the owner
	names    []string   // in byte order
	children family     // in the order of names
}

// ByCategoryOptions configure the children of a ByCategory.
type ByCategoryOptions struct {
	Child func(name string) *store.Child // creates a child with the first entry of its category; ByCategory owns it
	Kept  []string                       // names whose children are created at the start
	Limit int                            // limit of the number of children, not counting _unsafe and _overflow
	Only  string                         // the name of a single child for everything; "" = a child for each category
}

// NewByCategory returns a ByCategory.
func NewByCategory(o ByCategoryOptions) *ByCategory {
	k := &ByCategory{o: o, shares: make(map[string]*proto.Batch)}
	for _, name := range o.Kept {
		k.add(name)
	}
	return k
}

// Append gives each child the entries of its category. The error is a *store.PartialError; children that took their
// share do not get it again when the same b is appended again.
func (k *ByCategory) Append(ctx context.Context, b *proto.Batch) error {
	k.Shares(b)
	return k.delivery.run(ctx)
}

// Shares distributes b by category, keeping the numbers, and creates children for new categories. The shares are in
// byte order of the names.
func (k *ByCategory) Shares(b *proto.Batch) []store.Share {
	if k.delivery.isFor(b) {
		return k.delivery.shares
	}
	for _, share := range k.shares {
		share.Reset()
	}
	for _, r := range b.AppendRuns(nil) {
		name := k.name(r.Category)
		k.add(name)
		k.shares[name].AppendRun(b, r)
	}
	var shares []store.Share
	for i, name := range k.names {
		if share := k.shares[name]; share.Count() > 0 {
			shares = append(shares, store.Share{Child: k.children[i], Batch: share})
		}
	}
	return k.delivery.start(b, shares)
}

// add creates the child of a name if there is none.
func (k *ByCategory) add(name string) {
	if k.shares[name] != nil {
		return
	}
	at, _ := slices.BinarySearch(k.names, name)
	c := k.o.Child(name)
	c.Name = name
	k.shares[name] = new(proto.Batch)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.names = slices.Insert(k.names, at, name)
	// cloned, because other goroutines may still read the old slice
	k.children = slices.Insert(slices.Clone(k.children), at, c)
}

// name returns the name of the child for a category.
func (k *ByCategory) name(category []byte) string {
	switch {
	case k.o.Only != "":
		return k.o.Only
	case !store.SafeCategory(category):
		return store.UnsafeCategory
	case k.shares[string(category)] == nil && k.named() >= k.o.Limit:
		return store.OverflowCategory
	}
	return string(category)
}

// named returns the number of children, not counting _unsafe and _overflow.
func (k *ByCategory) named() int {
	n := len(k.names)
	for _, own := range []string{store.UnsafeCategory, store.OverflowCategory} {
		if k.shares[own] != nil {
			n--
		}
	}
	return n
}

// Children returns the children in byte order of their names.
func (k *ByCategory) Children() []*store.Child {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.children
}

// Close closes the children.
func (k *ByCategory) Close() error { return k.children.Close() }
