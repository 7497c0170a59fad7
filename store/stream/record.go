package stream

import (
	"context"
	"math"

	"inkwell/proto"
	"inkwell/store/spool"
)

const (
	maxRecord = 8 << 20 // bytes of a batch that is stored as one record
	maxPart   = 4 << 20 // bytes of entries in each record of a larger batch
)

// Append appends b to a log, together with its spans. A large batch is stored as several records, of which either all
// or none will be read, so that a reader needs to hold only one of them in memory.
func Append(ctx context.Context, l *spool.Log, b *proto.Batch) error {
	if b.Size() <= maxRecord {
		_, err := l.AppendJoined(ctx, b.Entries(), b.AppendRecordTail(nil), b.Count())
		return err
	}
	var parts []spool.Part
	for p := range b.Parts(math.MaxInt, maxPart) {
		parts = append(parts, spool.Part{Data: p.Entries(), Tail: p.AppendRecordTail(nil), Count: p.Count()})
	}
	_, err := l.AppendParts(ctx, parts)
	return err
}
