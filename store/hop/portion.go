package hop

import (
	"math"

	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"
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

// portionOf returns how much a store takes per call; one that does not say takes everything.
func portionOf(s store.Store) (entries, bytes int) {
	if p, ok := s.(portioner); ok {
		return p.Portion()
	}
	return math.MaxInt, math.MaxInt
}

// portion returns the part of b behind a place that is offered to a primary in one call.
func portion(primary store.Store, b *proto.Batch, from proto.Place) *proto.Batch {
	entries, bytes := portionOf(primary)
	some := new(proto.Batch)
	some.SetPart(b, from, b.PlaceBehind(from, entries, bytes))
	return some
}

const (
	// recordEntries and recordBytes bound a record of a spool. A record is acknowledged as a whole: when the process is
	// killed, the part of it that a slow peer has taken is sent again.
	recordEntries = 256
	recordBytes   = 64 << 10
)

// appendRecords appends the records by which b is kept in a spool.
func appendRecords(records []spool.Part, b *proto.Batch) []spool.Part {
	for r := range b.Parts(recordEntries, recordBytes) {
		records = append(records, spool.Part{Data: r.Entries(), Tail: r.AppendRecordTail(nil), Count: r.Count()})
	}
	return records
}
