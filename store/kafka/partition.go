package kafka

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inkwell/proto"
)

const (
	maxEpoch = 2 << 30 // bytes of an epoch: about what a successor has to read again
	// firstEpoch is the size of the first epoch of an owner. What waits after a take-over begins to arrive in the depot
	// within seconds, instead of after 2 GiB or at the next time by the clock.
	firstEpoch = 32 << 20
	fetchSize  = 8 << 20 // bytes that are fetched in advance
	retryWait  = 2 * time.Second
)

// partition drains one partition while this member owns it.
type partition struct {
	m      *member
	number int32
	ledger ledger
	part   string // the name of its trouble
	dir    string // scratch

	engine atomic.Pointer[Engine]
	batch  proto.Batch
	limit  int64 // bytes of the present epoch
}

func (m *member) newPartition(number int32, cl *kgo.Client) *partition {
	o := m.o
	dir := filepath.Join(o.Scratch, writer(number))
	p := &partition{m: m, number: number, dir: dir, part: fmt.Sprintf("partition %d of %s", number, o.Address.Topic)}
	p.ledger = ledger{depot: o.Depot, pointer: groupPointer{m, cl, number}, dir: directory(o.Address.Topic, number),
		scratch: dir, log: o.Logger}
	return p
}

// run drains the partition until ctx ends, or until a commit has an unknown outcome, which only a new membership makes
// certain.
func (p *partition) run(ctx context.Context) {
	for {
		err := p.own(ctx)
		if ctx.Err() != nil {
			return
		}
		p.m.health.Set(p.part, err)
		if errors.Is(err, errUnknown) {
			p.m.rejoin()
			return
		}
		if !pause(ctx, retryWait) {
			return
		}
	}
}

// own takes the partition over and drains it until something fails.
func (p *partition) own(ctx context.Context) (err error) {
	if err := clear(p.dir); err != nil {
		return err
	}
	start, err := p.start(ctx)
	if err != nil {
		return err
	}
	at, err := p.ledger.takeOver(ctx, start)
	if err != nil {
		return err
	}
	p.m.o.Logger.Info("draining a partition", "partition", p.part, "offset", at.offset)
	cl, err := p.consumer(at.offset)
	if err != nil {
		return err
	}
	defer cl.Close()
	for p.limit = firstEpoch; ; p.limit = maxEpoch {
		if at, err = p.epoch(ctx, cl, at); err != nil {
			return err
		}
		p.m.health.Set(p.part, nil)
	}
}

// start returns the first offset that the partition still has.
func (p *partition) start(ctx context.Context) (int64, error) {
	starts, err := p.m.adm.ListStartOffsets(ctx, p.m.o.Address.Topic)
	if err == nil {
		err = starts.Error()
	}
	start, ok := starts.Lookup(p.m.o.Address.Topic, p.number)
	if err == nil && !ok {
		err = errors.New("the brokers do not know it")
	}
	if err != nil {
		return 0, fmt.Errorf("find the beginning of %s: %w", p.part, err)
	}
	return start.Offset, nil
}

// consumer opens a client that reads the partition from an offset on. Without NoResetOffset it would skip records that
// retention has removed, without a word.
func (p *partition) consumer(from int64) (*kgo.Client, error) {
	topic := p.m.o.Address.Topic
	return p.m.o.Address.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p.number: kgo.NewOffset().At(from)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxBytes(fetchSize),
		kgo.FetchMaxPartitionBytes(fetchSize), kgo.DisableFetchSessions(), kgo.WithPools(&p.m.buffers))
}

// epoch reads from a mark on until the clock or the size ends the epoch, and commits it.
func (p *partition) epoch(ctx context.Context, cl *kgo.Client, at mark) (next mark, err error) {
	dir := filepath.Join(p.dir, "epoch")
	if err := clear(dir); err != nil {
		return at, err
	}
	e, err := p.m.o.Begin(Epoch{Dir: dir, Who: p.who(at.offset), Streams: at.streams})
	if err != nil {
		return at, fmt.Errorf("begin an epoch of %s: %w", p.part, err)
	}
	p.engine.Store(&e)
	defer func() {
		p.engine.Store(nil)
		err = errors.Join(err, e.Discard(), remove(dir))
	}()
	to, entries, err := p.fill(ctx, cl, e, at.offset)
	if err != nil {
		return at, err
	}
	made, err := e.Finish()
	if err != nil {
		return at, fmt.Errorf("finish the files of %s: %w", p.part, err)
	}
	written := made.Twice + made.Empty
	for _, f := range made.Files {
		written += f.Entries
	}
	if written != entries {
		return at, fmt.Errorf("finish the files of %s: %d entries were read from offset %d on, and %d are in files, "+
			"empty or were there before (do all collectors have the same stores? nothing is committed, and it is tried "+
			"again)", p.part, entries, at.offset, written)
	}
	if next, err = p.ledger.step(ctx, at, to, &made); err != nil {
		return next, err
	}
	p.m.committed(made.Files, entries)
	return next, nil
}

// who returns the name of the writer of an epoch. Its digits at random keep names apart when a topic is made anew, or an
// offset is set back.
func (p *partition) who(offset int64) string {
	return epochName(p.number, offset) + "-" + unique()[:4]
}

// epochName returns a name for the entries of a partition from an offset on.
func epochName(partition int32, offset int64) string {
	return fmt.Sprintf("%s-%012d", writer(partition), offset)
}

// fill gives the engine the entries of an epoch that begins at an offset, and returns the offset behind it. An epoch has
// at least one record.
func (p *partition) fill(ctx context.Context, cl *kgo.Client, e Engine, at int64) (to, entries int64, err error) {
	every := p.m.o.Address.Every
	end := time.Now().Truncate(every).Add(every)
	to = at
	for bytes := int64(0); bytes < p.limit; {
		now := time.Now()
		if !now.Before(end) {
			if to > at {
				break
			}
			end = now.Truncate(every).Add(every)
		}
		wait, cancel := context.WithDeadline(ctx, end)
		fetches := cl.PollFetches(wait)
		cancel()
		if ctx.Err() != nil {
			return to, entries, ctx.Err()
		}
		if err := p.fetchError(fetches, to); err != nil {
			return to, entries, err
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if r.Offset != to {
				return to, entries, p.gap(to, r.Offset)
			}
			size := int64(len(r.Value))
			n, err := p.take(ctx, e, r)
			if err != nil {
				return to, entries, err
			}
			to, entries, bytes = to+1, entries+n, bytes+size
		}
	}
	return to, entries, nil
}

// gap is the error of a partition that has no records between two offsets.
func (p *partition) gap(from, to int64) error {
	return fmt.Errorf("%w: offsets %d to %d of %s (find out what took them; then commit offset %d for the group with "+
		"kafka-consumer-groups.sh --reset-offsets)", errRemoved, from, to-1, p.part, to)
}

// take gives the entries of a record to the engine and returns their number. The record must not be used afterwards.
func (p *partition) take(ctx context.Context, e Engine, r *kgo.Record) (int64, error) {
	defer r.Recycle()
	if err := decode(r, &p.batch); err != nil {
		p.m.o.Stats.Overall("journal damaged").Add(1)
		p.m.o.Logger.Error("a record of the topic was not written by Inkwell, or is damaged: it is passed over and "+
			"stays there until the retention is over", "partition", p.part, "offset", r.Offset, "error", err)
		return 0, nil
	}
	if err := e.Append(ctx, &p.batch); err != nil {
		return 0, fmt.Errorf("drain %s: %w", p.part, err)
	}
	return int64(p.batch.Count()), nil
}

// fetchError returns the error of a fetch, nil if there is none or only the time was over.
func (p *partition) fetchError(fetches kgo.Fetches, at int64) error {
	for _, f := range fetches.Errors() {
		switch {
		case errors.Is(f.Err, context.DeadlineExceeded):
		case errors.Is(f.Err, kerr.OffsetOutOfRange):
			return fmt.Errorf("%w: offset %d of %s is not there any more", errRemoved, at, p.part)
		default:
			return fmt.Errorf("read %s at offset %d: %w", p.part, at, f.Err)
		}
	}
	return nil
}

// status describes a problem of the engine, "" if there is none.
func (p *partition) status() string {
	if e := p.engine.Load(); e != nil {
		return (*e).Status()
	}
	return ""
}
