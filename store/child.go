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

// Child is a place in a Node for a store, which may be impossible to open without the others having to wait. Prepare
// opens it; until that works Append fails.
type Child struct {
	Name string // in errors; "" = none
	// Open opens the store, and again later if that failed; children of one Node are opened side by side.
	Open func() (Store, error)
	// Replaceable says that others stand in for the store. When it breaks (ErrBroken) it alone is closed, and opened
	// again. Otherwise the whole tree has to be opened anew.
	Replaceable bool
	Pause       func() time.Duration // how long the store is left alone after a failure; nil = a second

	fresh bool // the store was opened and has not been marked: a checkpoint has to know how it stands

	mu    sync.Mutex // never held for long: Status takes it
	store Store      // nil: not open
	err   error      // why it is not open, or left alone
	next  time.Time  // with err: it is not tried before
}

// OpenChild returns a Child with a store that was opened together with its Node.
func OpenChild(s Store) *Child { return &Child{store: s} }

// Now is the store, nil while it is not open, and why it is not or is left alone.
func (c *Child) Now() (Store, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store, c.err
}

// Alone says whether the store failed and is not to be tried yet.
func (c *Child) Alone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil && time.Now().Before(c.next)
}

// Leave has the store left alone for its pause because of err.
func (c *Child) Leave(err error) {
	pause := reopenWait
	if c.Pause != nil {
		pause = c.Pause()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.next = err, time.Now().Add(pause)
}

// Use says that the store works.
func (c *Child) Use() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = nil
}

// Append hands b on. The error of a replaceable store is never ErrBroken.
func (c *Child) Append(ctx context.Context, b *proto.Batch) error {
	s, err := c.Now()
	if s == nil {
		return cmp.Or(err, errNotOpen)
	}
	if err = s.Append(ctx, b); !c.Replaceable || !errors.Is(err, ErrBroken) {
		return err
	}
	_ = s.Close() // what is wrong with it is in err
	err = &StatusError{Text: StatusText(err), Err: errors.New(err.Error())}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store, c.err, c.next = nil, err, time.Now().Add(reopenWait)
	return err
}

// errNotOpen is of a store that nobody has tried to open.
var errNotOpen = fmt.Errorf("append to a store that was not opened: %w", ErrWaiting)

// due says whether the store is to be opened now.
func (c *Child) due() bool {
	s, _ := c.Now()
	return s == nil && !c.Alone()
}

// tryOpen opens the store, and what is below it.
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
