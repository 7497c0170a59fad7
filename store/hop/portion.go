package hop

import (
	"math"

	"inkwell/proto"
	"inkwell/store"
)

// portioner is a store that knows how much it takes in one piece.
type portioner interface {
	Portion() (entries, bytes int)
}

// taken is how many entries of a batch a store took whose Append ended with err.
func taken(b *proto.Batch, err error) int {
	if err == nil {
		return b.Count()
	}
	return b.Count() - store.Rest(b, err).Count()
}

// portion is what of b, behind a place, is offered to a primary at once.
func portion(primary store.Store, b *proto.Batch, from proto.Place) *proto.Batch {
	entries, bytes := math.MaxInt, math.MaxInt
	if p, ok := primary.(portioner); ok {
		entries, bytes = p.Portion()
	}
	some := new(proto.Batch)
	some.SetPart(b, from, b.PlaceBehind(from, entries, bytes))
	return some
}
