package stream

import (
	"context"

	"inkwell/proto"
	"inkwell/store/spool"
)

const (
	maxRecord = 8 << 20 // bytes of a batch that is one record
	maxPart   = 4 << 20 // bytes of entries in a record of one that is several
)

// Keep appends b to a log, with its spans. A large batch becomes several records, which are there together or not at all, so that whoever
// reads the log holds one of them at a time.
func Keep(ctx context.Context, l *spool.Log, b *proto.Batch) error {
	if b.Size() <= maxRecord {
		_, err := l.AppendJoined(ctx, b.Entries(), b.AppendRecordTail(nil), b.Count())
		return err
	}
	var parts []spool.Part
	var p proto.Part
	var one proto.Batch
	add := func() {
		one.SetPart(b, p)
		parts = append(parts, spool.Part{Data: one.Entries(), Tail: one.AppendRecordTail(nil), Count: one.Count()})
		p = proto.Part{From: p.From + p.Size, First: p.First + p.Count}
	}
	for c := b.Cursor(); c.Next(); {
		if p.Count > 0 && c.End()-p.From > maxPart {
			add()
		}
		p.Size, p.Count = c.End()-p.From, p.Count+1
	}
	add()
	_, err := l.AppendParts(ctx, parts)
	return err
}
