package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Marks is how files stand: path → state. A state is what the store that made it needs to continue the file after a crash.
type Marks map[string]json.RawMessage

// Keeper is a store whose entries are durable with the next checkpoint only, not when Append returns: whoever appends to it keeps
// the entries, as a journal does, until a checkpoint with its marks was saved. After a crash it is opened with those marks and
// everything that came behind them is appended again.
type Keeper interface {
	Store
	// Mark makes what was appended durable and enters the state of every file into m. After an error the store must be closed and
	// opened anew with the marks that were saved last.
	Mark(m Marks) error
	// Publish says that the marks of the last Mark were saved.
	Publish() error
}

// Sealer is a Keeper with files that are finished at the end of a run, before the last Mark.
type Sealer interface {
	Seal() error
}

// Checker is a store with something to do from time to time: rotate, connect again.
type Checker interface {
	Check(now time.Time) error
}

// Reporter is a store that can be unhappy although Append works.
type Reporter interface {
	// Status is what is wrong now, "" if nothing is. Safe for concurrent use.
	Status() string
}

// ErrBroken is in the error of a Keeper that must be closed and opened anew with the marks that were saved last.
var ErrBroken = errors.New("must be opened again from the last checkpoint")

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

// PartialError says that a store of several parts took some of a batch: Left entries are missing somewhere. When the same entries are
// appended again, the parts that have them are passed over.
type PartialError struct {
	Left int
	Err  error
}

func (e *PartialError) Error() string {
	return fmt.Sprintf("%d entries were not taken: %v", e.Left, e.Err)
}

// Unwrap returns the cause.
func (e *PartialError) Unwrap() error { return e.Err }
