package tree

import (
	"inkwell/proto"
	"inkwell/store/stream"
)

// entries makes a batch of one category.
func entries(category string, messages ...string) *proto.Batch {
	b := new(proto.Batch)
	for _, m := range messages {
		b.Append([]byte(category), []byte(m))
	}
	return b
}

// numbered returns entries with the numbers from first on in the stream of their category.
func numbered(category string, first int, messages ...string) *proto.Batch {
	b := entries(category, messages...)
	id := stream.ID{0: 1}
	copy(id[1:], category)
	b.Number(id, int64(first), len(messages))
	return b
}
