package store

import (
	"context"
	"errors"

	"inkwell/proto"
)

// Unusable takes the place of a store that is configured wrongly. It refuses every entry, so that the entries wait
// until the configuration is corrected.
type Unusable struct{ status, refusal string }

// NewUnusable returns an Unusable with the problem status; its errors show refusal through fb303.
func NewUnusable(status, refusal string) Unusable {
	return Unusable{status: status, refusal: refusal}
}

// Append always fails.
func (u Unusable) Append(context.Context, *proto.Batch) error {
	return &StatusError{Text: u.refusal, Err: errors.New(u.status)}
}

// Status returns the problem of the configuration.
func (u Unusable) Status() string { return u.status }

// Close does nothing.
func (Unusable) Close() error { return nil }
