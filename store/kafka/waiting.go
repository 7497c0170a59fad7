package kafka

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store/depot"
)

// Waiting is who learns of entries on their way through a topic.
type Waiting struct {
	Record func(*proto.Batch)      // entries that the topic has; the batch is valid until Record returns
	File   func(name, line []byte) // a file that gets its name soon, unless it has it: the name, and its line of a manifest
	Step   func(done, total int64) // records that were read; may be nil
}

// ReadWaiting reads which entries of a topic are not in published files. The collectors may be running: what they publish
// meanwhile is among the entries. So whoever wants to see every entry reads the depot afterwards.
func ReadWaiting(ctx context.Context, a Address, d depot.Depot, to Waiting) error {
	cl, err := a.client(kgo.RetryTimeout(askLimit))
	if err != nil {
		return err
	}
	defer cl.Close()
	log := slog.New(slog.DiscardHandler)
	m := newMember(&Options{Address: a, Depot: d, Logger: log, Stats: stats.New()}, kadm.NewClient(cl), stats.NewHealth(log))
	ends, err := m.adm.ListEndOffsets(ctx, a.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("read the ends of topic %s: %w", a.Topic, err)
	}
	r := &waitingReader{member: m, to: to, from: make(map[int32]int64)}
	for _, end := range ends.Offsets().Sorted() {
		if r.from[end.Partition], err = r.committed(ctx, end.Partition); err != nil {
			return err
		}
		r.total += end.At - r.from[end.Partition]
	}
	for _, end := range ends.Offsets().Sorted() {
		if err := r.records(ctx, end.Partition, end.At); err != nil {
			return err
		}
	}
	return nil
}

// waitingReader is the state of ReadWaiting.
type waitingReader struct {
	member      *member
	to          Waiting
	from        map[int32]int64 // where the entries begin that are not committed, by partition
	done, total int64           // records
}

// committed reports the files of the last commit of a partition, and returns the offset behind its entries. The files of
// earlier commits are published.
func (r *waitingReader) committed(ctx context.Context, partition int32) (int64, error) {
	p := r.member.newPartition(partition, nil)
	start, err := p.start(ctx)
	if err != nil {
		return 0, err
	}
	for {
		offset, name, err := committedAt(ctx, r.member.adm, &r.member.o.Address, partition)
		if err != nil {
			return 0, fmt.Errorf("read the committed offset of %s: %w", p.part, err)
		}
		if text, marked := strings.CutPrefix(name, p.ledger.dir+moving); marked {
			_, name, _ = strings.Cut(text, " ")
		}
		if offset < 0 || !strings.HasPrefix(name, p.ledger.dir+"/books/") {
			return max(offset, start), nil
		}
		c, err := p.ledger.load(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			if next, _, _ := committedAt(ctx, r.member.adm, &r.member.o.Address, partition); next != offset {
				continue // books are removed after the next commit
			}
		}
		if err != nil {
			return 0, err
		}
		for _, f := range c.Files {
			r.to.File([]byte(f.Name), f.Line)
		}
		return max(offset, start), nil
	}
}

// records reports the entries of a partition that are not committed.
func (r *waitingReader) records(ctx context.Context, partition int32, end int64) error {
	from := r.from[partition]
	if from >= end {
		return nil
	}
	_, err := r.member.newPartition(partition, nil).fillTo(ctx, reporter{r}, span{from, end})
	return err
}

// reporter is an engine that only reports what it is given.
type reporter struct{ *waitingReader }

// Append implements Engine.
func (r reporter) Append(_ context.Context, b *proto.Batch) error {
	r.to.Record(b)
	if r.done++; r.to.Step != nil {
		r.to.Step(r.done, r.total)
	}
	return nil
}

// Finish implements Engine.
func (reporter) Finish() (Product, error) { return Product{}, nil }

// Status implements Engine.
func (reporter) Status() string { return "" }

// Discard implements Engine.
func (reporter) Discard() error { return nil }
