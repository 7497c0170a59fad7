// Package store says what a store is: a place where entries can go, and what may be asked of it.
//
//	Store      takes batches
//	Keeper     is durable only with a checkpoint: the outputs of a collector
//	Urgent     a Keeper that can be in a hurry for that
//	Dated      a Keeper with a file for each hour or day
//	Ahead      a Keeper that compresses
//	Exact      a Keeper whose files may stand as they were left
//	Sealer     finishes what it writes at the end of a run
//	Checker    has something to do from time to time
//	Heir       has something of a former server to do first
//	Reporter   can say what is wrong
//	Connector  can be asked whether its peer is there
//	Node       is made of others: a tree of stores
//
// The implementations stand in the packages below: store/series are files, store/hop is the next inkwell or scribed, with a spool before
// it, and store/tree are the stores that are made of stores.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"inkwell/internal/faultfs"
	"inkwell/proto"
)

// Store is a place where entries can go.
type Store interface {
	// Append returns nil only when every entry of b is as durable as the store promises. On error none may be assumed
	// stored; the caller may retry the whole batch. Append does not retain b. Safe for concurrent use.
	Append(ctx context.Context, b *proto.Batch) error
	// Close waits for pending Appends and releases what the store holds.
	Close() error
}

// Keeper is a store whose entries are durable with the next checkpoint only, not when Append returns: whoever appends
// to it keeps the entries, as a journal does, until a checkpoint with its marks was saved. After a crash it is opened
// with the states in them, and everything that came behind them is appended again.
type Keeper interface {
	Store
	// Mark makes what was appended durable, or leaves that to m.Later, and enters into m how every file stands, and what
	// was added to it. It fails when a file is not where its readers look for it. After an error the store must be closed and opened anew with
	// the states that were saved last.
	Mark(m *Marks) error
	// Publish says that the marks of the last Mark were saved. Names that it changes are durable on return, or when what it
	// leaves to later was synced.
	Publish(later *faultfs.Later) error
}

// Urgent is a Keeper that can want its next Mark before it is time for one: a file waits for its name, or there is much
// to be said.
type Urgent interface {
	Urgent() bool
}

// Dated is a Keeper that is told when the first entry of a batch came in: it goes into the file of that time, which may
// be over.
type Dated interface {
	AppendDated(ctx context.Context, b *proto.Batch, since time.Time) error
}

// Ahead is a Keeper of whose work a part can be done before it is a batch's turn, for several batches side by side.
type Ahead interface {
	// Prepare does that part for b, and does not retain b. Safe for concurrent use, beside all other methods.
	Prepare(b *proto.Batch) (any, error)
	// Write is AppendDated for the batch of which Prepare made p.
	Write(p any, since time.Time) error
}

// Exact is a Keeper that can say, when it was opened, that its files stand exactly as the states say with which it was
// opened. Then no checkpoint has to know of it before something is appended.
type Exact interface {
	Exact() bool
}

// Sealer is a Keeper with files that are finished at the end of a run, before the last Mark.
type Sealer interface {
	Seal() error
}

// Checker is a store with something to do from time to time: rotate, connect again.
type Checker interface {
	Check(now time.Time) error
}

// Heir is a store that has something of a former server to bring to its place, in Check, before it takes anything new.
// Nothing new is offered to a tree with one that owes: nothing can be marked while some parts of the tree have a batch
// and others wait, and what the Heir opens for the old entries has to be marked before it takes them.
type Heir interface {
	Owes() bool
}

// Reporter is a store that can be unhappy although Append works.
type Reporter interface {
	// Status is what is wrong now, "" if nothing is. Safe for concurrent use.
	Status() string
}

// Connector is a store that can be asked whether its peer is there.
type Connector interface {
	Connect(ctx context.Context) error
}

// Schedule says when something that failed is tried again. Not safe for concurrent use.
type Schedule interface {
	// Next is called after an attempt that failed.
	Next() time.Duration
	// Reset is called after one that worked.
	Reset()
}

// ErrTryLater says that a store, or the peer behind it, cannot take entries now; the same batch may be offered again
// later.
var ErrTryLater = errors.New("try later")

// ErrClosed is returned by Append after Close.
var ErrClosed = errors.New("store is closed")

// ErrBroken is what the error of a Keeper is that must be closed and opened anew with the marks that were saved last;
// see Broken.
var ErrBroken = errors.New("must be opened again from the last checkpoint")

// Broken is an error that is err and ErrBroken, and says what err says: opening the store again is its owner's business,
// not that of who reads the log.
func Broken(err error) error { return brokenError{err} }

type brokenError struct{ error }

func (e brokenError) Unwrap() []error { return []error{e.error, ErrBroken} }

// ErrWaiting is in the error of a store that did not even try, because the time for the next attempt has not come.
var ErrWaiting = errors.New("waiting for the next attempt")

// StatusError carries, beside the error, the words in which the original told it through fb303.
type StatusError struct {
	Text string // "Failed to connect"
	Err  error
}

func (e *StatusError) Error() string {
	if e.Text == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", e.Text, e.Err)
}

// Unwrap returns the cause.
func (e *StatusError) Unwrap() error { return e.Err }

// StatusText is what to show for err: the words of the original if it has any, "" for nil.
func StatusText(err error) string {
	var status *StatusError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &status):
		return status.Text
	}
	return err.Error()
}

// PartialError says that a store took some of a batch: Left entries are missing somewhere. When the same batch is
// appended again, what was taken is passed over.
type PartialError struct {
	Left    int
	InOrder bool // the Left last entries are missing, and all of the others were taken: whoever likes appends only those (Rest)
	Err     error
}

func (e *PartialError) Error() string {
	return fmt.Sprintf("%d entries were not taken: %v", e.Left, e.Err)
}

// Unwrap returns the cause.
func (e *PartialError) Unwrap() error { return e.Err }

// Rest is what is left of b after Append of it ended with err.
func Rest(b *proto.Batch, err error) *proto.Batch {
	var part *PartialError
	if !errors.As(err, &part) || !part.InOrder {
		return b
	}
	return b.Section(b.Count()-part.Left, part.Left)
}

// Categories of our own making. They are no legal names for a sender, so that what is found in them was put there by
// Inkwell.
const (
	UnsafeCategory   = "_unsafe"   // messages whose category is no safe file name
	OverflowCategory = "_overflow" // messages of categories beyond the limit
)

// MaxCategory is the longest category in bytes that becomes a file name.
const MaxCategory = 200

// SafeCategory says whether a category can be the name of a directory and of files in it, everywhere and for every
// reader: 1 to MaxCategory bytes of printable UTF-8 without slashes, no leading dot (hidden) and none of the names that
// Inkwell keeps for itself.
func SafeCategory(name []byte) bool {
	if len(name) == 0 || len(name) > MaxCategory || name[0] == '.' || !utf8.Valid(name) {
		return false
	}
	for _, c := range name {
		if c < 0x20 || c == 0x7f || c == '/' {
			return false
		}
	}
	return string(name) != UnsafeCategory && string(name) != OverflowCategory
}
