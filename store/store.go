// Package store defines what a store is, a destination for entries, and the optional interfaces it may implement.
//
//	Store      takes batches
//	Keeper     makes entries durable with a checkpoint: the file outputs of a collector
//	Urgent     a Keeper that can ask for an early checkpoint
//	Dated      a Keeper with a file for each hour or day
//	Ahead      a Keeper that can do a part of its work in advance, e.g. compress
//	Exact      a Keeper that can tell that its files match the checkpoint exactly
//	Quiet      a Keeper that can tell that its last marks are still right
//	Sealer     a Keeper that finishes its files at the end of a run
//	Checker    has periodic work
//	Heir       delivers entries that a former server left, before it takes new ones
//	Reporter   reports problems
//	Connector  can check whether its peer is reachable
//	Node       is made of other stores, which makes a tree
//
// The implementations are in the packages below: store/series writes files, store/hop sends to the next inkwell or
// scribed, with a spool in front of it, and store/tree has the stores that are made of other stores.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/rotate"
)

// Store is a destination for entries.
type Store interface {
	// Append returns nil only when every entry of b is as durable as the store promises. After an error the caller must
	// not assume that any entry was stored, and may retry the whole batch. Append does not retain b. Safe for
	// concurrent use.
	Append(ctx context.Context, b *proto.Batch) error
	// Close waits for pending Appends and releases what the store holds.
	Close() error
}

// Keeper is a store whose entries become durable with the next checkpoint, not when Append returns. Whoever appends to
// it must be able to replay the entries, as a journal is, until a checkpoint with the marks of the Keeper was saved.
// After a crash the Keeper is opened with the states in that checkpoint, and everything behind it is appended again.
type Keeper interface {
	Store
	// Mark makes everything that was appended durable, or leaves the syncing to m.Later, and adds to m the state of
	// each file and what was written to it. It fails when a file is not where its readers look for it, e.g. because
	// somebody removed it. After an error the store must be closed, and reopened with the states that were saved last.
	Mark(m *Marks) error
	// Publish tells the Keeper that the marks of the last Mark were saved: it may give finished files their final
	// names. The names are durable on return, or when everything left to later was synced.
	Publish(later *faultfs.Later) error
}

// Urgent is a Keeper that can ask for a Mark before the regular time, e.g. because a finished file waits for its final
// name or because much was written.
type Urgent interface {
	Urgent() bool
}

// Dated is a Keeper that is told when the first entry of a batch was received. The batch goes into the file of that
// time, even if its period is over.
type Dated interface {
	AppendDated(ctx context.Context, b *proto.Batch, since time.Time) error
}

// Ahead is a Keeper that can do a part of its work before it is the turn of a batch, for several batches concurrently.
type Ahead interface {
	// Prepare does that part for b, and does not retain b. Safe for concurrent use with all other methods.
	Prepare(b *proto.Batch) (any, error)
	// Write is AppendDated for the batch from which Prepare made p.
	Write(p any, since time.Time) error
}

// Exact is a Keeper that can tell, when it was opened, that its files match exactly the states with which it was
// opened. Then entries can be appended without a checkpoint first.
type Exact interface {
	Exact() bool
}

// Sealer is a Keeper whose files are finished at the end of a run, before the last Mark.
type Sealer interface {
	Seal() error
}

// Checker is a store with periodic work, e.g. rotation or reconnecting.
type Checker interface {
	Check(now time.Time) error
}

// Quiet is a Keeper that can tell, after Check, whether another Mark would say the same as the last one. Thousands of
// stores are checked all the time and written to now and then.
type Quiet interface {
	Quiet() bool
}

// Heir is a store that first delivers, in Check, entries that a former server left behind. While one Heir of a tree
// owes entries, the whole tree gets no new ones: a tree cannot be marked while one part of it has taken a batch and
// another has not, and the stores that the Heir opens for the old entries must be marked before they take them.
type Heir interface {
	Owes() bool
}

// Reporter is a store that can have a problem even though Append works.
type Reporter interface {
	// Status describes the current problem, "" if there is none. Safe for concurrent use.
	Status() string
}

// Connector is a store that can check whether its peer is reachable.
type Connector interface {
	Connect(ctx context.Context) error
}

// Schedule determines when a failed operation is tried again. Not safe for concurrent use.
type Schedule interface {
	// Next is called after a failed attempt and returns the time to wait.
	Next() time.Duration
	// Reset is called after a successful attempt.
	Reset()
}

// ErrTryLater says that a store, or the peer behind it, cannot take entries now; the same batch may be offered again
// later.
var ErrTryLater = errors.New("try later")

// ErrClosed is returned by Append after Close.
var ErrClosed = errors.New("store is closed")

// ErrBroken is wrapped by the error of a Keeper that must be closed, and reopened with the marks that were saved last;
// see Broken.
var ErrBroken = errors.New("must be opened again from the last checkpoint")

// Broken wraps err so that it also is ErrBroken. The text stays that of err: that the store has to be reopened concerns
// its owner, not the readers of the log.
func Broken(err error) error { return brokenError{err} }

type brokenError struct{ error }

func (e brokenError) Unwrap() []error { return []error{e.error, ErrBroken} }

// ErrWaiting is wrapped by the error of a store that made no attempt because the time for the next one has not come.
var ErrWaiting = errors.New("waiting for the next attempt")

// StatusError is an error together with the words in which the original scribed reported it through fb303.
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

// StatusText returns the text to show for err: the words of the original if there are any, "" for nil.
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

// PartialError says that a store took only a part of a batch: Left entries are missing in at least one destination.
// When the same batch is appended again, the entries that were taken are skipped.
type PartialError struct {
	Left int
	// the last Left entries are missing and all others were taken, so that it is enough to append those again (see
	// Rest)
	InOrder bool
	Err     error
}

func (e *PartialError) Error() string {
	return fmt.Sprintf("%d entries were not taken: %v", e.Left, e.Err)
}

// Unwrap returns the cause.
func (e *PartialError) Unwrap() error { return e.Err }

// Rest returns the part of b that is still to be appended after Append of b returned err.
func Rest(b *proto.Batch, err error) *proto.Batch {
	var part *PartialError
	if !errors.As(err, &part) || !part.InOrder {
		return b
	}
	return b.Section(b.Count()-part.Left, part.Left)
}

// Categories that Inkwell creates itself. SafeCategory rejects them for senders, so everything in them was put there by
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
	return string(name) != UnsafeCategory && string(name) != OverflowCategory && !rotate.IsPartition(string(name))
}
