package hop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/internal/rpc"
	"inkwell/proto"
	"inkwell/store/spool"
)

// replay delivers the content of the spool to the primary, in order. It belongs to one goroutine.
type replay struct {
	b        *Buffer
	reader   *spool.Reader
	trouble  rpc.Backoff // pauses after errors of the spool
	aside    *faultfs.Dir
	replayed *atomic.Int64
	lost     *atomic.Int64
	refused  *atomic.Int64

	read    uint64      // offset behind the last record that was read
	run     []record    // the records that are being delivered
	batch   proto.Batch // the entries of run
	done    proto.Place // the primary has the entries before this place
	next    proto.Batch // a record that was read but did not fit into run
	nextEnd uint64
}

// record is one record of a run.
type record struct {
	last int    // number of entries of the batch up to the end of the record
	end  uint64 // offset behind it in the spool
}

func newReplay(b *Buffer, o BufferOptions) *replay {
	acked, _ := b.spool.Bounds()
	return &replay{
		b:        b,
		reader:   b.spool.Reader(acked),
		aside:    o.Refused,
		replayed: o.Stats.Overall("replayed"),
		lost:     o.Stats.Overall("bytes lost"),
		refused:  o.Stats.Overall("refused"),
		read:     acked,
	}
}

// loop replays until life ends; calls is the context of calls of the primary. The error is that of closing the reader.
func (r *replay) loop(life, calls context.Context) error {
	for life.Err() == nil {
		if err := r.gather(life); err != nil {
			if life.Err() != nil || errors.Is(err, io.EOF) {
				break
			}
			r.b.health.Set("spool", fmt.Errorf("read: %w", err))
			r.reopen()
			r.pause(life)
			continue
		}
		if !r.deliver(life, calls) {
			break
		}
	}
	r.b.release()
	return r.reader.Close()
}

// gather waits for a record and starts a run with it and the records behind it, as far as they exist and fit.
func (r *replay) gather(ctx context.Context) error {
	r.batch.Reset()
	r.run, r.done = r.run[:0], proto.Place{}
	return r.fill(ctx)
}

// fill adds the next records to the run.
func (r *replay) fill(ctx context.Context) error {
	if r.next.Count() > 0 && len(r.run) == 0 {
		r.add(&r.next, r.nextEnd)
		r.next.Reset()
	}
	for r.batch.Size() < replayBytes && r.next.Count() == 0 {
		rec, ok, err := r.readOne(ctx)
		var corrupt *spool.CorruptError
		switch {
		case errors.As(err, &corrupt):
			r.skip(corrupt)
			continue
		case len(r.run) > 0 && (err != nil || !ok): // the next call returns the error again
			return nil
		case err != nil:
			return err
		}
		r.read = rec.End
		var b proto.Batch
		if err := canonical(&b, rec); err != nil {
			if !r.setAside(ctx, rec.Data, rec.Count, err) {
				return ctx.Err()
			}
			r.add(&proto.Batch{}, rec.End)
			continue
		}
		if r.batch.Count() > 0 && r.batch.Size()+b.Size() > replayBytes {
			r.next.AppendBatch(&b)
			r.nextEnd = rec.End
			return nil
		}
		r.add(&b, rec.End)
	}
	return nil
}

// readOne reads the next record. It waits for one only when the run is empty.
func (r *replay) readOne(ctx context.Context) (spool.Record, bool, error) {
	if len(r.run) > 0 {
		return r.reader.TryNext()
	}
	rec, err := r.reader.Next(ctx)
	return rec, err == nil, err
}

// add appends a record to the run.
func (r *replay) add(b *proto.Batch, end uint64) {
	r.batch.AppendBatch(b)
	r.run = append(r.run, record{last: r.batch.Count(), end: end})
}

// reopen opens a new reader behind the last record that was read.
func (r *replay) reopen() {
	if err := r.reader.Close(); err != nil {
		r.b.log.Warn("close spool reader", "error", err)
	}
	r.reader = r.b.spool.Reader(r.read)
}

// deliver sends the run to the primary, in portions that it takes, and acknowledges each record that the primary has.
// It returns false when the replay has to end. A record that was begun is sent to its end before that, unless the
// primary fails or calls ends: the next Buffer would send all of it again.
func (r *replay) deliver(life, calls context.Context) bool {
	var refusals rpc.Backoff
	for acked := 0; ; {
		whole := acked
		for whole < len(r.run) && r.run[whole].last <= r.done.Entries {
			whole++
		}
		if whole > acked && !r.ack(life, r.run[whole-1].end) {
			return false
		}
		if acked = whole; acked == len(r.run) {
			return true
		}
		if !r.due(life) && !r.begun(acked) {
			return false
		}
		part := portion(r.b.primary, &r.batch, r.done)
		err := r.b.primary.Append(calls, part)
		r.recordTaken(part, err)
		switch {
		case err == nil:
			refusals.Reset()
		case life.Err() != nil:
			return false
		case isRefusal(err):
			r.b.primaryRefused(err, refusals.Next())
		default:
			r.b.primaryFailed(err)
		}
		if err != nil && r.fill(life) != nil { // with more entries the primary can tell which one it refuses
			return false
		}
	}
}

// begun says whether the primary has entries of the run behind its first acked records.
func (r *replay) begun(acked int) bool {
	return acked == 0 && r.done.Entries > 0 || acked > 0 && r.done.Entries > r.run[acked-1].last
}

// recordTaken records what the primary took of part when Append returned err.
func (r *replay) recordTaken(part *proto.Batch, err error) {
	count := taken(part, err)
	if count == 0 {
		return
	}
	killpoint.Reach("replay.delivered")
	r.b.primaryWorked()
	r.replayed.Add(int64(count))
	r.done = r.batch.PlaceBehind(r.done, count, math.MaxInt)
}

// ack acknowledges everything below end in the spool. It returns false when the replay has to end before that was
// possible; the records are then replayed again by the next Buffer.
func (r *replay) ack(life context.Context, end uint64) bool {
	for {
		err := r.b.spool.Ack(end)
		r.b.health.Set("spool ack", err)
		if err == nil {
			break
		}
		if !r.pause(life) {
			return false
		}
	}
	killpoint.Reach("replay.acked")
	if r.b.empty() {
		r.b.release()
		r.b.wake()
	} else if bytes, _ := r.b.Backlog(); bytes <= replayBytes {
		r.b.hold()
	}
	return true
}

// due waits until the primary may be tried, and lets Appends continue meanwhile. It returns false when the replay has
// to end.
func (r *replay) due(life context.Context) bool {
	r.b.mu.Lock()
	until := r.b.until
	r.b.mu.Unlock()
	return r.wait(life, time.Until(until))
}

// pause waits after an error of the spool.
func (r *replay) pause(life context.Context) bool { return r.wait(life, r.trouble.Next()) }

// wait waits for d. It returns false when the replay has to end.
func (r *replay) wait(life context.Context, d time.Duration) bool {
	if d <= 0 {
		return life.Err() == nil
	}
	r.b.release()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.b.kick:
	case <-life.Done():
	}
	return life.Err() == nil
}

// hold makes Appends wait until release, because the replay is about to empty the spool.
func (b *Buffer) hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gate == nil && !b.closed {
		b.gate = make(chan struct{})
	}
}

// release lets Appends continue.
func (b *Buffer) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gate != nil {
		close(b.gate)
		b.gate = nil
	}
}

// wake makes Drain check the spool again.
func (b *Buffer) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.done)
	b.done = make(chan struct{})
}
