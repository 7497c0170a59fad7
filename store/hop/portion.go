package hop

import (
	"math"

	"inkwell/proto"
	"inkwell/store"
)

// portioner is a store that knows how much it takes per call.
type portioner interface {
	Portion() (entries, bytes int)
}

// taken returns how many entries of b a store has taken when Append returned err.
func taken(b *proto.Batch, err error) int {
	if err == nil {
		return b.Count()
	}
	return b.Count() - store.Rest(b, err).Count()
}

// portion returns the part of b behind a place that is offered to a primary in one call.
func portion(primary store.Store, b *proto.Batch, from proto.Place) *proto.Batch {
	entries, bytes := math.MaxInt, math.MaxInt
	if p, ok := primary.(portioner); ok {
		entries, bytes = p.Portion()
	}
	some := new(proto.Batch)
	some.SetPart(b, from, b.PlaceBehind(from, entries, bytes))
	return some
}
