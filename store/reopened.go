package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"inkwell/proto"
)

// reopenWait is how long a store that could not be opened is left alone.
const reopenWait = time.Second

// Reopened is one of several stores: it may be impossible to open without the others having to wait. Until it works Append fails. If the
// stores stand in for each other it may break, too.
type Reopened struct {
	open  func(again bool) (Store, error)
	whole bool // when it breaks, all of them do

	using sync.Mutex // held while the store is used or opened
	next  time.Time  // it is not opened before

	mu    sync.Mutex // never held for long: Status takes it
	store Store      // nil: not open; changed with using held, too
	err   error      // why it is not open
}

// NewReopened returns a Reopened that opens its store with open: now, and again (with true: what was written since must not be cut off)
// when that failed or the store broke.
func NewReopened(open func(again bool) (Store, error)) *Reopened {
	r := &Reopened{open: open}
	r.try(false)
	return r
}

// NewLate returns a Reopened that opens its store with open: now, and again if that failed. A store that breaks does so for all.
func NewLate(open func() (Store, error)) *Reopened {
	r := &Reopened{open: func(bool) (Store, error) { return open() }, whole: true}
	r.try(false)
	return r
}

// try opens the store if it is time to.
func (r *Reopened) try(again bool) {
	if r.store != nil || time.Now().Before(r.next) {
		return
	}
	s, err := r.open(again)
	if err != nil {
		r.next = time.Now().Add(reopenWait)
		s = nil // it may be a pointer that is nil in an interface that is not
	}
	r.set(s, err)
}

// set changes the store.
func (r *Reopened) set(s Store, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store, r.err = s, err
}

// now is the store, and why it is not open.
func (r *Reopened) now() (Store, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store, r.err
}

// isOpen says whether the store is open.
func (r *Reopened) isOpen() bool {
	s, _ := r.now()
	return s != nil
}

// keeps says whether the store is open and is a Keeper.
func (r *Reopened) keeps() bool {
	s, _ := r.now()
	_, keeps := s.(Keeper)
	return keeps
}

// prepare opens the store if it is not, and says whether it was opened and has to be marked before anything is appended.
func (r *Reopened) prepare() bool {
	r.using.Lock()
	defer r.using.Unlock()
	if r.store != nil {
		return false
	}
	r.try(true)
	return r.keeps()
}

// Append hands b on. The error is never ErrBroken, if others stand in: a store that broke is closed, to be opened again.
func (r *Reopened) Append(ctx context.Context, b *proto.Batch) error {
	r.using.Lock()
	defer r.using.Unlock()
	if r.store == nil {
		return r.err
	}
	err := r.store.Append(ctx, b)
	if !errors.Is(err, ErrBroken) || r.whole {
		return err
	}
	return r.broke(err)
}

// broke closes the store, and returns why.
func (r *Reopened) broke(cause error) error {
	_ = r.store.Close() // what is wrong with it is in cause
	err := &StatusError{Text: StatusText(cause), Err: errors.New(cause.Error())}
	r.next = time.Now().Add(reopenWait)
	r.set(nil, err)
	return err
}

// connect finds out whether the store is there.
func (r *Reopened) connect(ctx context.Context) error {
	r.using.Lock()
	defer r.using.Unlock()
	if c, ok := r.store.(Connector); ok {
		return c.Connect(ctx)
	}
	return r.err
}

// does asks the store for something, if it is open. An error is the whole's: everything is opened as the last checkpoint knows it.
func (r *Reopened) does(what func(parts) error) error {
	r.using.Lock()
	defer r.using.Unlock()
	if r.store == nil {
		return nil
	}
	return what(parts{r.store})
}

// Mark makes durable what the store was given.
func (r *Reopened) Mark(m *Marks) error { return r.does(func(p parts) error { return p.mark(m) }) }

// Publish tells the store that its marks were saved.
func (r *Reopened) Publish() error { return r.does(parts.publish) }

// Check gives the store its time. The error is ErrOpened if all break with it, and it was opened only now.
func (r *Reopened) Check(now time.Time) error {
	if r.whole && r.prepare() {
		return ErrOpened
	}
	return r.does(func(p parts) error { return p.check(now) })
}

// Seal finishes what the store writes.
func (r *Reopened) Seal() error { return r.does(parts.seal) }

// Status is why the store is not open, or its own.
func (r *Reopened) Status() string {
	s, err := r.now()
	switch {
	case err != nil:
		return StatusText(err)
	case s == nil:
		return ""
	}
	return parts{s}.status()
}

// Close closes the store.
func (r *Reopened) Close() error { return r.does(parts.close) }
