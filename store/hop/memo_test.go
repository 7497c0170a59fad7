package hop

import (
	"context"

	"inkwell/proto"
)

// memo is a store that remembers what it was given and fails on demand.
type memo struct {
	got  []string
	fail error
}

func (m *memo) Append(_ context.Context, b *proto.Batch) error {
	if m.fail != nil {
		return m.fail
	}
	for c := b.Cursor(); c.Next(); {
		m.got = append(m.got, string(c.Category())+"="+string(c.Message()))
	}
	return nil
}

func (m *memo) Close() error { return nil }

func entriesOf(category string, messages ...string) *proto.Batch {
	var b proto.Batch
	for _, m := range messages {
		b.Append([]byte(category), []byte(m))
	}
	return &b
}
