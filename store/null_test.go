package store

import (
	"errors"
	"testing"
)

func TestNull(t *testing.T) {
	if err := errors.Join(Null{}.Append(t.Context(), entries("c", "a")), Null{}.Close()); err != nil {
		t.Error(err)
	}
}
