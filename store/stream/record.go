package stream

import (
	"context"
	"math"

	"inkwell/proto"
	"inkwell/store/spool"
)

const (
	maxRecord = 8 << 20 // bytes of a batch that is one record
	maxPart   = 4 << 20 // bytes of entries in a record of one that is several
)

// Keep appends b to a log, with its spans. A large batch becomes several records, which are there together or not at
// all, so that whoever reads the log holds one of them at a time.
func Keep(ctx context.Context, l *spool.Log, b *proto.Batch) error {
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
