package tree

import (
	"inkwell/internal/testkit"
	"inkwell/proto"
	"inkwell/store/stream"
)

// numbered returns entries with the numbers from first on in the stream of their category.
func numbered(category string, first int, messages ...string) *proto.Batch {
	b := testkit.Batch(category, messages...)
	id := stream.ID{0: 1}
	copy(id[1:], category)
	b.Number(id, int64(first), len(messages))
	return b
}
