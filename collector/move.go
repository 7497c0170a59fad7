package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"

	"inkwell/internal/killpoint"
	"inkwell/proto"
	"inkwell/store/depot"
	"inkwell/store/journal"
	"inkwell/store/kafka"
	"inkwell/store/stream"
)

// MoveOptions say which entries are moved. No collector may use the journal meanwhile.
type MoveOptions struct {
	StateDir string // of the collector with the journal
	Address  kafka.Address
	Depot    string // address of the depot of the topic; for MoveFromTopic
	Logger   *slog.Logger
}

// Moved is what a move has found.
type Moved struct {
	Entries int64 // that were brought over; those that an interrupted attempt had brought are counted again
	Damaged int   // places in the journal that could not be read
}

// open opens the journal for a move.
func (o *MoveOptions) open(what string) (*journal.Journal, error) {
	return journal.Open(journal.Options{StateDir: o.StateDir, MaxBytes: math.MaxInt64, Move: what, Logger: o.Logger})
}

// MoveToTopic brings the entries of a journal that were acknowledged and not delivered into a topic. If it is
// interrupted, it must be called again, until it succeeds: meanwhile no collector opens the journal. Entries without
// numbers get some, so that what an interrupted attempt had brought is recognized when the topic is drained.
func MoveToTopic(ctx context.Context, o MoveOptions) (moved Moved, err error) {
	var j *journal.Journal
	w, err := kafka.OpenWriter(ctx, kafka.Options{Address: o.Address,
		Source: func(id [16]byte) (proto.Source, bool) { return j.Source(id) }})
	if err != nil {
		return moved, err
	}
	defer w.Close()
	if j, err = o.open("the journal to " + w.Identity()); err != nil {
		return moved, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	numbers := stream.NewSequence(j.MoveID())
	moved.Damaged, err = j.Rest(ctx, func(b *proto.Batch) error {
		if err := w.Append(ctx, numbers.Number(b)); err != nil {
			return err
		}
		killpoint.Reach("move.sent")
		moved.Entries += int64(b.Count())
		return nil
	})
	if err != nil {
		return moved, err
	}
	return moved, j.EndMove()
}

// MoveFromTopic brings the entries that a topic has, and that are not in the depot, into a journal. Like MoveToTopic,
// it is repeated after an interruption.
func MoveFromTopic(ctx context.Context, o MoveOptions) (moved Moved, err error) {
	d, err := depot.Open(o.Depot, depot.Options{Logger: o.Logger})
	if err != nil {
		return moved, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	w, err := kafka.OpenWithdrawal(ctx, kafka.Options{Address: o.Address, Depot: d, Logger: o.Logger,
		Scratch: filepath.Join(o.StateDir, "kafka")})
	if err != nil {
		return moved, err
	}
	defer w.Close()
	j, err := o.open(w.Identity() + " to the journal")
	if err != nil {
		return moved, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	moved.Entries, err = w.Run(ctx, j.MoveID(), func(e kafka.Epoch) (kafka.Engine, error) { return newArrival(j, e) })
	if err != nil {
		return moved, err
	}
	return moved, j.EndMove()
}

// arrival takes the entries of a partition into a journal. The numbers that the partition has stored stay with it, and
// the journal learns them; those of the entries that it gives away are only in the journal from then on. It implements
// kafka.Engine.
type arrival struct {
	journal *journal.Journal
	numbers *stream.Sequence
	stored  []byte // the table of streams of the partition
}

func newArrival(j *journal.Journal, e kafka.Epoch) (*arrival, error) {
	if err := j.Merge(e.Streams); err != nil {
		return nil, fmt.Errorf("take over which numbers the files have: %w", err)
	}
	return &arrival{journal: j, numbers: stream.NewSequence(j.MoveID() + " " + e.Who), stored: e.Streams}, nil
}

// Append implements kafka.Engine.
func (a *arrival) Append(ctx context.Context, b *proto.Batch) error {
	return a.journal.Append(ctx, a.numbers.Number(b))
}

// Finish implements kafka.Engine.
func (a *arrival) Finish() (kafka.Product, error) { return kafka.Product{Streams: a.stored}, nil }

// Status implements kafka.Engine.
func (a *arrival) Status() string { return a.journal.Status() }

// Discard implements kafka.Engine.
func (a *arrival) Discard() error { return nil }
