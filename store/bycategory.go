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

// ByCategory has a store for each category that it meets.
type ByCategory struct {
	open func(category string) (Store, error)

	mu       sync.Mutex
	children map[string]*child
	memory   memory
}

type child struct {
	Store
	share proto.Batch
}

// NewByCategory returns a ByCategory that opens its children with open, each at the first entry of its category, and owns them.
func NewByCategory(open func(category string) (Store, error)) *ByCategory {
	return &ByCategory{open: open, children: make(map[string]*child)}
}

// Append gives each child the entries of its category. The error is ErrOpened when children were opened whose marks must be saved
// before they are written to, else a *PartialError; the children that took theirs do not get it again with the same b.
func (k *ByCategory) Append(ctx context.Context, b *proto.Batch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	names, failures, opened := k.spread(b)
	if opened {
		return ErrOpened
	}
	done := k.memory.recall(b, len(names))
	left := 0
	var errs []error
	for i, name := range names {
		c := k.children[name]
		if c == nil {
			errs = append(errs, failures[name].err)
			left += failures[name].count
			continue
		}
		if done[i] {
			continue
		}
		if err := c.Append(ctx, &c.share); err != nil {
			left += missing(err, c.share.Count())
			errs = append(errs, err)
			continue
		}
		done[i] = true
	}
	return k.memory.keep(b, done, left, errs)
}

// failure is a category whose store could not be opened.
type failure struct {
	err   error
	count int // its entries
}

// spread gives every child its share, with its numbers, and says which categories there are, in byte order, which have no child and whether there are new
// ones.
func (k *ByCategory) spread(b *proto.Batch) (names []string, failures map[string]*failure, opened bool) {
	for _, c := range k.children {
		c.share.Reset()
	}
	failures = make(map[string]*failure)
	seen := make(map[string]bool)
	var part proto.Batch
	p := proto.Part{}
	for _, r := range b.AppendRuns(nil) {
		p.From, p.First = p.From+p.Size, p.First+p.Count
		p.Size, p.Count = r.Count*(proto.EntryOverhead+len(r.Category))+int(r.Bytes), r.Count
		name := string(r.Category)
		if f := failures[name]; f != nil {
			f.count += r.Count
			continue
		}
		c := k.children[name]
		if c == nil {
			s, err := k.open(name)
			if err != nil {
				failures[name], seen[name] = &failure{err: fmt.Errorf("open store of %q: %w", name, err), count: r.Count}, true
				continue
			}
			_, keeps := s.(Keeper)
			opened = opened || keeps
			c = &child{Store: s}
			k.children[name] = c
		}
		seen[name] = true
		part.SetPart(b, p)
		c.share.AppendBatch(&part)
	}
	return slices.Sorted(maps.Keys(seen)), failures, opened
}

// all are the children in byte order of their categories.
func (k *ByCategory) all() parts {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list parts
	for _, name := range slices.Sorted(maps.Keys(k.children)) {
		list = append(list, k.children[name].Store)
	}
	return list
}

// Mark, Publish, Check, Status and Close ask the children.
func (k *ByCategory) Mark(m Marks) error        { return k.all().mark(m) }
func (k *ByCategory) Publish() error            { return k.all().publish() }
func (k *ByCategory) Check(now time.Time) error { return k.all().check(now) }
func (k *ByCategory) Status() string            { return k.all().status() }
func (k *ByCategory) Close() error              { return k.all().close() }
func (k *ByCategory) Seal() error               { return k.all().seal() }

// ErrOpened says that a store opened others whose marks have to be saved before the batch is offered again.
var ErrOpened = errors.New("new files were opened: they have to be marked first")
