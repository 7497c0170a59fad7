package tree

import (
	"context"
	"slices"
	"sync"

	"inkwell/proto"
	"inkwell/store"
)

// ByCategory has a store for each category that it meets. Categories that are no safe names of files have one together,
// and so have those beyond the limit.
type ByCategory struct {
	o        ByCategoryOptions
	delivery delivery
	shares   map[string]*proto.Batch // by the name of a child

	mu       sync.Mutex // held while names and children are changed, or read beside the owner
	names    []string   // in byte order
	children family     // of these names
}

// ByCategoryOptions say which children a ByCategory has.
type ByCategoryOptions struct {
	Child func(name string) *store.Child // makes one, at the first entry of its category; ByCategory owns it
	Kept  []string                       // names whose child is there from the start
	Limit int                            // children at once, beside those of our own names
	Only  string                         // the name of the one child that there is; "" = one for each category
}

// NewByCategory returns a ByCategory.
func NewByCategory(o ByCategoryOptions) *ByCategory {
	k := &ByCategory{o: o, shares: make(map[string]*proto.Batch)}
	for _, name := range o.Kept {
		k.add(name)
	}
	return k
}

// Append gives each child the entries of its category. The error is a *store.PartialError; the children that took
// theirs do not get it again with the same b.
func (k *ByCategory) Append(ctx context.Context, b *proto.Batch) error {
	k.Shares(b)
	return k.delivery.run(ctx)
}

// Shares spreads b by its categories, with its numbers, and makes the children of those that are new. They come in byte
// order.
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

// add makes the child of a name, if there is none.
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
	k.children = slices.Insert(slices.Clone(k.children), at, c) // who has the former ones may go on reading them
}

// name is that of the child for a category.
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

// named is how many children there are beside those of our own names.
func (k *ByCategory) named() int {
	n := len(k.names)
	for _, own := range []string{store.UnsafeCategory, store.OverflowCategory} {
		if k.shares[own] != nil {
			n--
		}
	}
	return n
}

// Children are those of all categories, in byte order.
func (k *ByCategory) Children() []*store.Child {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.children
}

// Close closes the children.
func (k *ByCategory) Close() error { return k.children.Close() }
