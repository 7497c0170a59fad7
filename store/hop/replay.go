package hop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/internal/rpc"
	"inkwell/proto"
	"inkwell/store/spool"
)

const (
	// maxRefusals is how often a single entry is offered to a primary that refuses it before it is set aside; with the pauses between
	// the attempts that is some twenty seconds. provedRefusals is how often if the primary takes others meanwhile.
	maxRefusals    = 10
	provedRefusals = 3
	// maxFailures is how often a run is offered before its halves are: a single refusal says that not all of it is good, but a
	// connection that breaks again and again may be too bad for so much at once. After a failure that lasts the replay starts small
	// and doubles with each success. A record is halved only when calls break that were begun: a peer that takes no frames so large
	// hangs up, and one behind a slow line does not get it in time; one that is away says nothing about it.
	maxFailures = 3
)

// replay brings what is in the spool to the primary, in order. It is one goroutine's.
type replay struct {
	b        *Buffer
	reader   *spool.Reader
	trouble  rpc.Backoff // with the spool itself
	aside    *faultfs.Dir
	replayed *atomic.Int64
	lost     *atomic.Int64
	refused  *atomic.Int64

	read    uint64      // offset behind what was read
	run     []record    // what is offered together
	batch   proto.Batch // the bytes of run
	proved  bool        // the primary has taken a part of the record that it refused
	next    proto.Batch // a record that was read but did not fit into run
	nextEnd uint64
}

// record is one record of a run.
type record struct {
	from, to int    // its bytes in the run's batch
	first    int    // its first entry there
	count    int    // entries; 0 for a place that was unreadable
	end      uint64 // offset behind it in the spool
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

// loop replays until life ends; calls bounds the call that is under way then. The error is that of giving up the reader.
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
		if !r.deliver(life, calls, r.run) {
			break
		}
	}
	r.b.release()
	return r.reader.Close()
}

// gather waits for a record and makes a run of it and of what stands behind it, as far as it is there and fits.
func (r *replay) gather(ctx context.Context) error {
	r.batch.Reset()
	r.run = r.run[:0]
	if r.next.Count() > 0 {
		r.add(&r.next, r.nextEnd)
		r.next.Reset()
	}
	for r.batch.Size() < replayBytes {
		rec, ok, err := r.readOne(ctx)
		var corrupt *spool.CorruptError
		switch {
		case errors.As(err, &corrupt):
			r.skip(corrupt)
			continue
		case len(r.run) > 0 && (err != nil || !ok): // an error comes again
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

// readOne reads the next record; it waits only when the run is empty.
func (r *replay) readOne(ctx context.Context) (spool.Record, bool, error) {
	if len(r.run) > 0 {
		return r.reader.TryNext()
	}
	rec, err := r.reader.Next(ctx)
	return rec, err == nil, err
}

// add puts a record at the end of the run.
func (r *replay) add(b *proto.Batch, end uint64) {
	from, first := r.batch.Size(), r.batch.Count()
	r.batch.AppendBatch(b)
	r.run = append(r.run, record{from: from, first: first, to: r.batch.Size(), count: b.Count(), end: end})
}

// reopen starts to read again behind what was read.
func (r *replay) reopen() {
	if err := r.reader.Close(); err != nil {
		r.b.log.Warn("close spool reader", "error", err)
	}
	r.reader = r.b.spool.Reader(r.read)
}

// deliver brings a run to the primary and acks it; a run that the primary does not take goes in halves. It returns false when the
// replay has to end.
func (r *replay) deliver(life, calls context.Context, run []record) bool {
	count := 0
	for _, rec := range run {
		count += rec.count
	}
	if count == 0 {
		return r.ack(life, run[len(run)-1].end)
	}
	var b proto.Batch
	b.SetPart(&r.batch, r.batch.Place(run[0].first, run[0].from), r.batch.Place(run[0].first+count, run[len(run)-1].to))
	err := r.offer(life, calls, &b, len(run) > 1)
	switch half := len(run) / 2; {
	case err == nil:
		return r.ack(life, run[len(run)-1].end)
	case life.Err() != nil:
		return false
	case half > 0:
		return r.deliver(life, calls, run[:half]) && r.deliver(life, calls, run[half:])
	}
	r.proved = false
	return r.sift(life, calls, &b, err) && r.ack(life, run[0].end)
}

// sift brings a record that the primary refused with err, or that its calls break on, to it in halves, down to single entries; those that
// are refused alone are set aside. It returns false when the replay has to end.
func (r *replay) sift(life, calls context.Context, b *proto.Batch, err error) bool {
	half := b.Count() / 2
	if half == 0 {
		return r.setAside(life, b.Entries(), b.Count(), err)
	}
	for _, part := range []*proto.Batch{section(b, 0, half), section(b, half, b.Count()-half)} {
		err := r.offer(life, calls, part, false)
		switch {
		case err == nil:
			r.proved = true
		case life.Err() != nil || !r.sift(life, calls, part, err):
			return false
		}
	}
	return true
}

// offer offers b until the primary takes it, there is reason to offer less at once, the primary has refused a single entry often
// enough, or the replay has to end. several says that b is of more than one record.
func (r *replay) offer(life, calls context.Context, b *proto.Batch, several bool) error {
	var pauses rpc.Backoff
	for failures, refused, broken := 1, 0, 0; ; failures++ {
		if !r.due(life) {
			return life.Err()
		}
		err := r.b.primary.Append(calls, b)
		if err == nil {
			killpoint.Reach("replay.delivered")
			r.b.there()
			r.replayed.Add(int64(b.Count()))
			return nil
		}
		if life.Err() != nil {
			return err
		}
		switch {
		case !isRefusal(err):
			r.b.away(err)
			if isBroken(err) {
				broken++
			}
			if several && failures == maxFailures || b.Count() > 1 && broken == maxFailures {
				return err
			}
		case b.Count() > 1:
			r.b.refused(err, 0)
			return err
		default:
			r.b.refused(err, pauses.Next())
			refused++
			if r.aside != nil && (refused >= maxRefusals || refused >= provedRefusals && r.proved) {
				return err
			}
		}
	}
}

// ack tells the spool that everything below end is done. It returns false when the replay has to end before that was possible; then
// the records are replayed again by the next Buffer.
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

// due waits until the primary may be tried; Appends need not wait for it. It returns false when the replay has to end.
func (r *replay) due(life context.Context) bool {
	r.b.mu.Lock()
	until := r.b.until
	r.b.mu.Unlock()
	return r.wait(life, time.Until(until))
}

// pause waits after a trouble with the spool.
func (r *replay) pause(life context.Context) bool { return r.wait(life, r.trouble.Next()) }

// wait returns false when the replay has to end.
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
