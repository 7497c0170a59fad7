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

	mu    sync.Mutex
	store Store     // nil: not open
	next  time.Time // it is not opened before
	err   error     // why it is not open
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
		r.err, r.next = err, time.Now().Add(reopenWait)
		return
	}
	r.store, r.err = s, nil
}

// prepare opens the store if it is not, and says whether it was opened and has to be marked before anything is appended.
func (r *Reopened) prepare() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store != nil {
		return false
	}
	r.try(true)
	_, keeps := r.store.(Keeper)
	return keeps
}

// Append hands b on. The error is never ErrBroken, if others stand in: a store that broke is closed, to be opened again.
func (r *Reopened) Append(ctx context.Context, b *proto.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store == nil {
		return r.err
	}
	err := r.store.Append(ctx, b)
	if !errors.Is(err, ErrBroken) || r.whole {
		return err
	}
	r.broke(err)
	return r.err
}

// broke closes the store.
func (r *Reopened) broke(err error) {
	_ = r.store.Close() // what is wrong with it is in err
	r.store, r.next = nil, time.Now().Add(reopenWait)
	r.err = &StatusError{Text: StatusText(err), Err: errors.New(err.Error())}
}

// part is the store, if it is open.
func (r *Reopened) part() parts {
	if r.store == nil {
		return nil
	}
	return parts{r.store}
}

// does asks the store for something. An error is the whole's: everything is opened as the last checkpoint knows it.
func (r *Reopened) does(what func(parts) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return what(r.part())
}

// Mark makes durable what the store was given.
func (r *Reopened) Mark(m Marks) error { return r.does(func(p parts) error { return p.mark(m) }) }

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
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return StatusText(r.err)
	}
	return r.part().status()
}

// Close closes the store.
func (r *Reopened) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.part().close()
}
