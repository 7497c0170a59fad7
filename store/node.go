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

// Node is a store that is made of other stores, e.g. a bucket store. It only distributes entries among them. For
// everything else, such as Mark or Check, the owner of the tree calls the functions below with the store at the top,
// and they visit each store of the tree; a single store is a tree too.
//
// A tree belongs to one goroutine. Only Status, and with it Children, may be called concurrently.
type Node interface {
	Store
	// Children returns the stores of the node, in the order in which they are visited.
	Children() []*Child
	// Shares says which part of b goes to which child, and creates children that b needs, e.g. for a new category. The
	// shares are valid until the next call, or until b changes.
	Shares(b *proto.Batch) []Share
}

// Share is the part of a batch that goes to one child.
type Share struct {
	Child *Child
	Batch *proto.Batch
}

// Prepare makes a tree ready for b, or for Check if b is nil: it creates missing children and opens closed ones whose
// pause is over. The result is that of Fresh. If it is true, nothing may be appended before a checkpoint has recorded
// the newly opened stores: after a crash nobody would know how much of their files to keep.
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

// Fresh reports whether a store of the tree was opened since the last Mark.
func Fresh(s Store) bool {
	for c, inner := range open(s) {
		if c.fresh || Fresh(inner) {
			return true
		}
	}
	return false
}

// maxOpening bounds how many stores are opened at once: each may have to wait for its peer.
const maxOpening = 64

// openAll opens stores concurrently and waits for all of them.
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

// open iterates over the open children of a Node and their stores.
func open(s Store) iter.Seq2[*Child, Store] {
	return func(yield func(*Child, Store) bool) {
		for _, c := range children(s) {
			if inner, _ := c.Now(); inner != nil && !yield(c, inner) {
				return
			}
		}
	}
}

// children returns the children of a Node; a store that is no Node has none.
func children(s Store) []*Child {
	if n, ok := s.(Node); ok {
		return n.Children()
	}
	return nil
}

// ask calls do for each open store of the tree that implements T, parents before children. An error of one store does
// not keep the others from being called.
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

// Keeps reports whether an open store of the tree is a Keeper.
func Keeps(s Store) bool {
	_, keeps := s.(Keeper)
	for _, inner := range open(s) {
		keeps = keeps || Keeps(inner)
	}
	return keeps
}

// Mark has every Keeper of a tree report the states of its files in m.
func Mark(s Store, m *Marks) error {
	settle(s)
	return ask(s, func(k Keeper) error { return k.Mark(m) })
}

// settle records that every open store of the tree was marked.
func settle(s Store) {
	for c, inner := range open(s) {
		c.fresh = false
		settle(inner)
	}
}

// Publish tells every Keeper of a tree that the checkpoint with its last marks was saved.
func Publish(s Store, later *faultfs.Later) error {
	return ask(s, func(k Keeper) error { return k.Publish(later) })
}

// Know registers with disks the directories in which the stores of a tree write.
func Know(s Store, disks *faultfs.Disks) error {
	return ask(s, func(k interface{ Dir() *faultfs.Dir }) error { return disks.Know(k.Dir()) })
}

// Owes reports whether an Heir of the tree still has entries of a former server to deliver.
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

// Check calls every Checker of a tree. Below a Node that returns an error, and below a child that is paused after a
// failure, nothing is called.
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

// Status returns the first problem found in a tree, "" if there is none. Safe for concurrent use.
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
