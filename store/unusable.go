package store

import (
	"context"
	"errors"

	"inkwell/proto"
)

// Unusable stands where a store was configured that cannot be. It takes nothing, so that entries wait for a better configuration.
type Unusable struct{ status, refusal string }

// NewUnusable returns an Unusable for the reason status; its errors tell refusal through fb303.
func NewUnusable(status, refusal string) Unusable {
	return Unusable{status: status, refusal: refusal}
}

// Append always fails.
func (u Unusable) Append(context.Context, *proto.Batch) error {
	return &StatusError{Text: u.refusal, Err: errors.New(u.status)}
}

// Status is what is wrong.
func (u Unusable) Status() string { return u.status }

// Close does nothing.
func (Unusable) Close() error { return nil }
