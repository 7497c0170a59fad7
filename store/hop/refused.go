package hop

import (
	"context"
	"errors"
	"fmt"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store/spool"
)

// refusedDir is the name of the spool of refused records, for `inkwell spool` to look into.
const refusedDir = "refused"

// setAside stores a record that cannot be delivered, durably, so that the replay can continue. It returns false when
// the replay has to end before that was possible.
func (r *replay) setAside(life context.Context, data []byte, count int, cause error) bool {
	if r.aside == nil {
		r.lost.Add(int64(len(data)))
		r.b.log.Error("record in the spool is no batch: it is skipped", "bytes", len(data), "error", cause)
		return true
	}
	for {
		err := keepRefused(r.aside, data, count)
		r.b.health.Set("spool of refused records", err)
		if err == nil {
			r.refused.Add(int64(count))
			r.b.log.Error("record cannot be delivered: set aside", "entries", count, "bytes", len(data), "directory",
				r.aside.Path()+"/"+refusedDir, "error", cause)
			return true
		}
		if !r.pause(life) {
			return false
		}
	}
}

// keepRefused appends a record to the spool of refused records in a directory. The spool is open only during the call,
// because it is rarely needed.
func keepRefused(in *faultfs.Dir, data []byte, count int) (err error) {
	dir, err := in.Sub(refusedDir)
	if err != nil {
		return fmt.Errorf("open spool of refused records: %w", err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	l, err := spool.Open(dir, spool.Options{})
	if err != nil {
		return fmt.Errorf("open spool of refused records: %w", err)
	}
	_, err = l.Append(context.Background(), data, count)
	return errors.Join(err, l.Close())
}

// skip skips a damaged range of the spool. The range is acknowledged together with the records before it.
func (r *replay) skip(c *spool.CorruptError) {
	r.lost.Add(int64(c.End - c.Start))
	r.b.log.Error("spool is damaged: the damaged place is skipped", "bytes", c.End-c.Start, "error", c)
	r.read = c.End
	r.add(&proto.Batch{}, c.End)
}

// canonical sets b to the content of a record, or returns why the record cannot be sent.
func canonical(b *proto.Batch, rec spool.Record) error {
	if err := b.SetRecord(rec.Data); err != nil {
		return err
	}
	if b.Count() != rec.Count || rec.Count == 0 {
		return fmt.Errorf("%d entries where the record says %d", b.Count(), rec.Count)
	}
	return nil
}
