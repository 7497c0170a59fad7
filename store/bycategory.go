package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"inkwell/proto"
)

// ByCategory has a store for each category that it meets. Categories that are no safe names of files have one together, and so have those
// beyond the limit.
type ByCategory struct {
	o ByCategoryOptions

	using  sync.Mutex // held while children are given entries, or opened
	memory memory

	mu       sync.Mutex        // never held for long: Status takes it
	children map[string]*child // changed with using held, too
}

// ByCategoryOptions say which children a ByCategory has.
type ByCategoryOptions struct {
	Open  func(name string) *Reopened // makes one, at the first entry of its category; ByCategory owns it
	Kept  []string                    // names whose child is there from the start
	Limit int                         // children at once, beside those of our own names
	Only  string                      // the name of the one child that there is; "" = one for each category
}

type child struct {
	*Reopened
	share proto.Batch
}

// NewByCategory returns a ByCategory.
func NewByCategory(o ByCategoryOptions) *ByCategory {
	k := &ByCategory{o: o, children: make(map[string]*child)}
	opened := make([]*Reopened, len(o.Kept))
	SideBySide(len(o.Kept), func(i int) { opened[i] = o.Open(o.Kept[i]) })
	for i, name := range o.Kept {
		k.children[name] = &child{Reopened: opened[i]}
	}
	return k
}

// sideBySide bounds how many stores are opened at once: each may wait for its peer.
const sideBySide = 64

// SideBySide calls open for 0 … n-1, for several of them at once, and returns when all calls did.
func SideBySide(n int, open func(i int)) {
	var work sync.WaitGroup
	room := make(chan struct{}, sideBySide)
	for i := range n {
		room <- struct{}{}
		work.Go(func() {
			open(i)
			<-room
		})
	}
	work.Wait()
}

// Append gives each child the entries of its category. The error is ErrOpened when children were opened whose marks must be saved
// before they are written to, else a *PartialError; the children that took theirs do not get it again with the same b.
func (k *ByCategory) Append(ctx context.Context, b *proto.Batch) error {
	k.using.Lock()
	defer k.using.Unlock()
	names, opened := k.spread(b)
	if opened {
		return ErrOpened
	}
	done := k.memory.recall(b, len(names))
	left := 0
	var errs []error
	for i, name := range names {
		if done[i] {
			continue
		}
		c := k.children[name]
		if err := c.Append(ctx, &c.share); err != nil {
			left += missing(err, c.share.Count())
			errs = append(errs, fmt.Errorf("store of %q: %w", name, err))
			continue
		}
		done[i] = true
	}
	return k.memory.keep(b, done, left, errs)
}

// spread gives every child its share, with its numbers, and says which children have one, in byte order, and whether some were opened that
// have to be marked first.
func (k *ByCategory) spread(b *proto.Batch) (names []string, opened bool) {
	for _, c := range k.children {
		c.share.Reset()
	}
	seen := make(map[string]bool)
	for _, r := range b.AppendRuns(nil) {
		name := k.name(r.Category)
		c := k.children[name]
		if c == nil {
			c = &child{Reopened: k.o.Open(name)}
			k.add(name, c)
			opened = opened || c.keeps()
		}
		if !seen[name] {
			seen[name] = true
			opened = c.prepare() || opened
		}
		c.share.AppendRun(b, r)
	}
	return slices.Sorted(maps.Keys(seen)), opened
}

// add makes c one of the children.
func (k *ByCategory) add(name string, c *child) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.children[name] = c
}

// name is that of the child for a category.
func (k *ByCategory) name(category []byte) string {
	switch {
	case k.o.Only != "":
		return k.o.Only
	case !SafeCategory(category):
		return UnsafeCategory
	case k.children[string(category)] == nil && k.named() >= k.o.Limit:
		return OverflowCategory
	}
	return string(category)
}

// named is how many children there are beside those of our own names.
func (k *ByCategory) named() int {
	n := len(k.children)
	for _, own := range []string{UnsafeCategory, OverflowCategory} {
		if k.children[own] != nil {
			n--
		}
	}
	return n
}

// all are the children in byte order of their categories.
func (k *ByCategory) all() parts {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list parts
	for _, name := range slices.Sorted(maps.Keys(k.children)) {
		list = append(list, k.children[name].Reopened)
	}
	return list
}

// Mark, Publish, Check, Status and Close ask the children.
func (k *ByCategory) Mark(m *Marks) error       { return k.all().mark(m) }
func (k *ByCategory) Publish() error            { return k.all().publish() }
func (k *ByCategory) Check(now time.Time) error { return k.all().check(now) }
func (k *ByCategory) Status() string            { return k.all().status() }
func (k *ByCategory) Close() error              { return k.all().close() }
func (k *ByCategory) Seal() error               { return k.all().seal() }

// ErrOpened says that a store opened others whose marks have to be saved before the batch is offered again.
var ErrOpened = errors.New("new files were opened: they have to be marked first")
