package store

import (
	"cmp"
	"errors"
	"iter"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/proto"
)

// Node is a store that is made of others, e.g. a bucket store. It hands entries on to them. Everything else is asked of
// each store of the tree by the functions below, which whoever owns the tree calls with the store at its top; that may
// be a single store as well.
//
// A tree is one goroutine's. Only Status, and so Children, may be called beside anything else.
type Node interface {
	Store
	// Children are the stores of which it is made, in the order in which they are asked.
	Children() []*Child
	// Shares says what each child is to get of b. It makes children that b needs and that are missing. The shares are
	// valid until the next call, or until b changes.
	Shares(b *proto.Batch) []Share
}

// Share is what one child gets of a batch.
type Share struct {
	Child *Child
	Batch *proto.Batch
}

// Prepare makes a tree ready for b, or, with nil, for its Check: it makes children that are missing, and opens those
// that are closed when it is time to. fresh is what Fresh says then: if it is true, nothing may be appended before a
// checkpoint has their marks: after a crash it would not be known how far the files went.
func Prepare(s Store, b *proto.Batch) (fresh bool) {
	prepare(s, b)
	return Fresh(s)
}

func prepare(s Store, b *proto.Batch) {
	n, ok := s.(Node)
	if !ok {
		return
	}
	var shares []Share
	if b != nil {
		shares = n.Shares(b)
	}
	var due []*Child
	for _, c := range n.Children() {
		if c.due() {
			due = append(due, c)
		}
	}
	openAll(due)
	for _, inner := range open(s) {
		prepare(inner, nil)
	}
	for _, share := range shares {
		inner, _ := share.Child.Now()
		prepare(inner, share.Batch)
	}
}

// Fresh says whether something in a tree was opened and not marked yet.
func Fresh(s Store) bool {
	for c, inner := range open(s) {
		if c.fresh || Fresh(inner) {
			return true
		}
	}
	return false
}

// maxOpening bounds how many stores are opened at once: each may wait for its peer.
const maxOpening = 64

// openAll opens stores, several of them at once.
func openAll(closed []*Child) {
	var work sync.WaitGroup
	room := make(chan struct{}, maxOpening)
	for _, c := range closed {
		room <- struct{}{}
		work.Go(func() {
			c.tryOpen()
			<-room
		})
	}
	work.Wait()
}

// open are the children of a Node that are open, and their stores.
func open(s Store) iter.Seq2[*Child, Store] {
	return func(yield func(*Child, Store) bool) {
		for _, c := range children(s) {
			if inner, _ := c.Now(); inner != nil && !yield(c, inner) {
				return
			}
		}
	}
}

// children are those of a Node; another store has none.
func children(s Store) []*Child {
	if n, ok := s.(Node); ok {
		return n.Children()
	}
	return nil
}

// ask calls do for the stores of a tree that are a T and open, each before those of which it is made. What goes wrong
// with one does not keep the others from being asked.
func ask[T any](s Store, do func(T) error) error {
	var errs []error
	if t, ok := s.(T); ok {
		errs = append(errs, do(t))
	}
	for _, inner := range open(s) {
		errs = append(errs, ask(inner, do))
	}
	return errors.Join(errs...)
}

// Keeps says whether there is a Keeper among the open stores of a tree.
func Keeps(s Store) bool {
	_, keeps := s.(Keeper)
	for _, inner := range open(s) {
		keeps = keeps || Keeps(inner)
	}
	return keeps
}

// Mark has every Keeper of a tree enter into m how its files stand.
func Mark(s Store, m *Marks) error {
	settle(s)
	return ask(s, func(k Keeper) error { return k.Mark(m) })
}

// settle says of everything in a tree that it is marked.
func settle(s Store) {
	for c, inner := range open(s) {
		c.fresh = false
		settle(inner)
	}
}

// Publish tells every Keeper of a tree that the marks of the last Mark were saved.
func Publish(s Store, later *faultfs.Later) error {
	return ask(s, func(k Keeper) error { return k.Publish(later) })
}

// Know tells disks of the directories in which the stores of a tree write.
func Know(s Store, disks *faultfs.Disks) error {
	return ask(s, func(k interface{ Dir() *faultfs.Dir }) error { return disks.Know(k.Dir()) })
}

// Owes says whether an Heir of a tree owes something.
func Owes(s Store) bool {
	h, ok := s.(Heir)
	owes := ok && h.Owes()
	for _, inner := range open(s) {
		owes = owes || Owes(inner)
	}
	return owes
}

// Seal finishes the files of a tree.
func Seal(s Store) error { return ask(s, Sealer.Seal) }

// Check gives every Checker of a tree its time. A Node that cannot go on keeps those of which it is made from it, and
// so does a failure after which a store is left alone.
func Check(s Store, now time.Time) error {
	if c, ok := s.(Checker); ok {
		if err := c.Check(now); err != nil {
			return err
		}
	}
	var errs []error
	for c, inner := range open(s) {
		if _, err := c.Now(); err == nil {
			errs = append(errs, Check(inner, now))
		}
	}
	return errors.Join(errs...)
}

// Status is the first thing that is wrong in a tree now, "" if nothing is. Safe for concurrent use.
func Status(s Store) (text string) {
	if r, ok := s.(Reporter); ok {
		text = r.Status()
	}
	for _, c := range children(s) {
		inner, err := c.Now()
		text = cmp.Or(text, StatusText(err))
		if text == "" {
			text = Status(inner)
		}
	}
	return text
}
