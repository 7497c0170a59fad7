package store

import (
	"errors"
	"testing"

	"inkwell/proto"
)

func TestNull(t *testing.T) {
	if err := errors.Join(Null{}.Append(t.Context(), new(proto.Batch)), Null{}.Close()); err != nil {
		t.Error(err)
	}
}
