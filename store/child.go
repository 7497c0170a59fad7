package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"inkwell/proto"
)

// reopenWait is how long a store that could not be opened is left alone.
const reopenWait = time.Second

// Child is a slot in a Node for one store. The store may fail to open without holding up its siblings: Prepare retries
// the opening, and until it succeeds Append fails.
type Child struct {
	Name string // for error messages; "" = unnamed
	// Open opens the store. It is called again after a failure; the children of one Node are opened concurrently.
	Open func() (Store, error)
	// Replaceable says that other children can take over for this store, as the secondary of a buffer does for its
	// primary. When it breaks (ErrBroken), only this store is closed and reopened; otherwise the whole tree has to be
	// reopened.
	Replaceable bool
	Pause       func() time.Duration // how long to wait after a failure; nil = one second

	fresh bool // the store was opened after the last Mark: the next checkpoint must record its state

	mu    sync.Mutex // never held for long: Status takes it
	store Store      // nil: not open
	err   error      // why the store is closed or paused
	next  time.Time  // with err: no attempt before this time
}

// OpenChild returns a Child with a store that was opened together with its Node.
func OpenChild(s Store) *Child { return &Child{store: s} }

// Now returns the store, nil while it is not open, and the error for which it is closed or paused.
func (c *Child) Now() (Store, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store, c.err
}

// Alone reports whether the store failed and its pause is not over yet.
func (c *Child) Alone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil && time.Now().Before(c.next)
}

// Leave pauses the store because of err: it is not tried again until Pause has passed.
func (c *Child) Leave(err error) {
	pause := reopenWait
	if c.Pause != nil {
		pause = c.Pause()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.next = err, time.Now().Add(pause)
}

// Use records that the store works again, which ends its pause.
func (c *Child) Use() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = nil
}

// Append passes b to the store. The error of a replaceable store is never ErrBroken, because the Child reopens it by
// itself.
func (c *Child) Append(ctx context.Context, b *proto.Batch) error {
	s, err := c.Now()
	if s == nil {
		return cmp.Or(err, errNotOpen)
	}
	if err = s.Append(ctx, b); !c.Replaceable || !errors.Is(err, ErrBroken) {
		return err
	}
	_ = s.Close() // err already says what is wrong with the store
	err = &StatusError{Text: StatusText(err), Err: errors.New(err.Error())}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store, c.err, c.next = nil, err, time.Now().Add(reopenWait)
	return err
}

// errNotOpen is the error of a store that has not been opened for the first time yet.
var errNotOpen = fmt.Errorf("append to a store that was not opened: %w", ErrWaiting)

// due reports whether the store is closed and may be opened now.
func (c *Child) due() bool {
	s, _ := c.Now()
	return s == nil && !c.Alone()
}

// tryOpen opens the store and the stores below it.
func (c *Child) tryOpen() {
	s, err := c.Open()
	if err != nil {
		c.Leave(err)
		return
	}
	prepare(s, nil)
	c.fresh = Keeps(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store, c.err = s, nil
}

// Close closes the store if it is open.
func (c *Child) Close() error {
	if s, _ := c.Now(); s != nil {
		return s.Close()
	}
	return nil
}
