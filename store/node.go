package store

import (
	"errors"
	"sync"
	"time"

	"inkwell/proto"
)

// Node is a store that is made of others, e.g. a bucket store. It hands entries on to them. Everything else is asked of each store of
// the tree by the functions below, which whoever owns the tree calls with the store at its top; that may be a single store as well.
//
// A tree is one goroutine's. Only Status, and so Children, may be called beside anything else.
type Node interface {
	Store
	// Children are the stores of which it is made, in the order in which they are asked.
	Children() []*Child
	// Shares says what each child is to get of b. It makes children that b needs and that are missing. The shares are valid until the
	// next call, or until b changes.
	Shares(b *proto.Batch) []Share
}

// Share is what one child gets of a batch.
type Share struct {
	Child *Child
	Batch *proto.Batch
}

// Prepare makes a tree ready for b, or, with nil, for its Check: it makes children that are missing, and opens those that are closed
// when it is time to. fresh says that some were opened and not marked yet. Nothing may be appended before a checkpoint has their marks:
// after a crash it would not be known how far the files went.
func Prepare(s Store, b *proto.Batch) (fresh bool) {
	n, ok := s.(Node)
	if !ok {
		return false
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
	sideBySide(due, (*Child).tryOpen)
	for _, share := range shares {
		inner, _ := share.Child.Now()
		fresh = Prepare(inner, share.Batch) || fresh
	}
	for _, c := range n.Children() {
		inner, _ := c.Now()
		fresh = inner != nil && c.fresh || Prepare(inner, nil) || fresh
	}
	return fresh
}

// maxOpening bounds how many stores are opened at once: each may wait for its peer.
const maxOpening = 64

// sideBySide calls do for several children at once, and returns when all calls did.
func sideBySide(children []*Child, do func(*Child)) {
	var work sync.WaitGroup
	room := make(chan struct{}, maxOpening)
	for _, c := range children {
		room <- struct{}{}
		work.Go(func() {
			do(c)
			<-room
		})
	}
	work.Wait()
}

// walk calls do for the stores of a tree that are open, each before those of which it is made; c is the place of a store, nil at the top.
// What goes wrong with one does not keep the others from being asked.
func walk(s Store, c *Child, do func(s Store, c *Child) error) error {
	errs := []error{do(s, c)}
	for _, c := range children(s) {
		if inner, _ := c.Now(); inner != nil {
			errs = append(errs, walk(inner, c, do))
		}
	}
	return errors.Join(errs...)
}

// children are those of a Node.
func children(s Store) []*Child {
	if n, ok := s.(Node); ok {
		return n.Children()
	}
	return nil
}

// Keeps says whether there is a Keeper among the open stores of a tree.
func Keeps(s Store) bool {
	if _, ok := s.(Keeper); ok {
		return true
	}
	for _, c := range children(s) {
		if inner, _ := c.Now(); inner != nil && Keeps(inner) {
			return true
		}
	}
	return false
}

// Mark has every Keeper of a tree enter into m how its files stand.
func Mark(s Store, m *Marks) error {
	return walk(s, nil, func(s Store, c *Child) error {
		if c != nil {
			c.fresh = false
		}
		if k, ok := s.(Keeper); ok {
			return k.Mark(m)
		}
		return nil
	})
}

// Publish tells every Keeper of a tree that the marks of the last Mark were saved.
func Publish(s Store) error {
	return walk(s, nil, func(s Store, _ *Child) error {
		if k, ok := s.(Keeper); ok {
			return k.Publish()
		}
		return nil
	})
}

// Seal finishes the files of a tree.
func Seal(s Store) error {
	return walk(s, nil, func(s Store, _ *Child) error {
		if k, ok := s.(Sealer); ok {
			return k.Seal()
		}
		return nil
	})
}

// Check gives every Checker of a tree its time. A Node that cannot go on keeps those of which it is made from it, and so does a failure
// after which a store is left alone.
func Check(s Store, now time.Time) error {
	if c, ok := s.(Checker); ok {
		if err := c.Check(now); err != nil {
			return err
		}
	}
	var errs []error
	for _, c := range children(s) {
		if inner, err := c.Now(); inner != nil && err == nil {
			errs = append(errs, Check(inner, now))
		}
	}
	return errors.Join(errs...)
}

// Status is the first thing that is wrong in a tree now, "" if nothing is. Safe for concurrent use.
func Status(s Store) string {
	if r, ok := s.(Reporter); ok {
		if text := r.Status(); text != "" {
			return text
		}
	}
	for _, c := range children(s) {
		inner, err := c.Now()
		if text := StatusText(err); text != "" {
			return text
		}
		if inner != nil {
			if text := Status(inner); text != "" {
				return text
			}
		}
	}
	return ""
}
