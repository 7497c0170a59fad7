package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inkwell/internal/killpoint"
	"inkwell/internal/stats"
)

// Withdrawal takes the entries that a topic has and that are not in the depot yet, for somebody who keeps them. Each
// partition is marked before the first entry is taken: while it is, collectors do not drain it, and only a withdrawal of
// the same ID does. When the engine has everything, the partition is committed, with books that have its numbers.
//
//	mark (committed offset, unchanged) ─► engine ─► books ─► commit
type Withdrawal struct {
	o        Options
	client   *kgo.Client
	adm      *kadm.Client
	identity string
}

// OpenWithdrawal connects to the brokers. Of o it uses Address, Depot, Scratch, Begin and Logger. Begin may be set
// later, before Run.
func OpenWithdrawal(ctx context.Context, o Options) (_ *Withdrawal, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	w := &Withdrawal{o: o}
	if w.client, err = o.Address.client(kgo.RetryTimeout(openLimit)); err != nil {
		return nil, err
	}
	w.adm = kadm.NewClient(w.client)
	if w.identity, err = o.Address.identity(ctx, w.adm); err != nil {
		w.client.Close()
		return nil, err
	}
	return w, nil
}

// Identity is like that of a Writer.
func (w *Withdrawal) Identity() string { return w.identity }

// Close releases the connections.
func (w *Withdrawal) Close() { w.client.Close() }

// Run takes what every partition has at this time, and gives it to the engines that begin opens. An engine makes no
// files: its Product has only Streams. Run returns the number of entries that it has read.
func (w *Withdrawal) Run(ctx context.Context, id string, begin func(Epoch) (Engine, error)) (entries int64, err error) {
	w.o.Begin = begin
	if err := w.alone(ctx); err != nil {
		return 0, err
	}
	ends, err := w.adm.ListEndOffsets(ctx, w.o.Address.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("read the ends of topic %s: %w", w.o.Address.Topic, err)
	}
	m := newMember(&w.o, w.adm, stats.NewHealth(w.o.Logger))
	for _, end := range ends.Offsets().Sorted() {
		p := m.newPartition(end.Partition, nil)
		p.ledger.pointer, p.ledger.mover = adminPointer{w.adm, &w.o.Address, end.Partition}, id
		n, err := p.withdraw(ctx, end.At)
		if entries += n; err != nil {
			return entries, err
		}
	}
	return entries, nil
}

// alone waits until the group has no members any more: those that have ended are members until their session is over.
func (w *Withdrawal) alone(ctx context.Context) error {
	a := &w.o.Address
	deadline := time.Now().Add(a.Session + 5*time.Second)
	for told := false; ; {
		_, members, err := ownersOf(ctx, a, w.adm)
		if err != nil || len(members) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("collectors drain topic %s: %s (stop them first)", a.Topic, strings.Join(members, ", "))
		}
		if !told {
			w.o.Logger.Info("waiting until the sessions of the collectors are over", "members", members)
			told = true
		}
		if !pause(ctx, time.Second) {
			return ctx.Err()
		}
	}
}

// withdraw takes the records of the partition from the committed offset up to end.
func (p *partition) withdraw(ctx context.Context, end int64) (entries int64, err error) {
	if err := clear(p.dir); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove(p.dir)) }()
	start, err := p.start(ctx)
	if err != nil {
		return 0, err
	}
	at, err := p.ledger.takeOver(ctx, start)
	if err != nil || at.offset >= end {
		return 0, err
	}
	if err := p.ledger.mark(ctx, at); err != nil {
		return 0, err
	}
	killpoint.Reach("move.marked")
	e, err := p.m.o.Begin(Epoch{Dir: filepath.Join(p.dir, "epoch"), Who: epochName(p.number, at.offset),
		Streams: at.streams})
	if err != nil {
		return 0, fmt.Errorf("begin to move %s: %w", p.part, err)
	}
	defer func() { err = errors.Join(err, e.Discard()) }()
	if entries, err = p.fillTo(ctx, e, span{at.offset, end}); err != nil {
		return entries, err
	}
	made, err := e.Finish()
	if err != nil {
		return entries, fmt.Errorf("finish moving %s: %w", p.part, err)
	}
	_, err = p.ledger.step(ctx, at, end, &made)
	killpoint.Reach("move.committed")
	return entries, err
}

// span is a range of offsets, with the one behind it.
type span struct{ from, end int64 }

// fillTo gives the engine the entries of a span.
func (p *partition) fillTo(ctx context.Context, e Engine, s span) (entries int64, err error) {
	cl, err := p.consumer(s.from)
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	for to := s.from; to < s.end; {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return entries, ctx.Err()
		}
		if err := p.fetchError(fetches, to); err != nil {
			return entries, err
		}
		for it := fetches.RecordIter(); !it.Done() && to < s.end; to++ {
			r := it.Next()
			if r.Offset != to {
				return entries, p.gap(to, r.Offset)
			}
			n, err := p.take(ctx, e, r)
			if entries += n; err != nil {
				return entries, err
			}
			killpoint.Reach("move.taken")
		}
	}
	return entries, nil
}

// adminPointer is the committed offset of a partition for a program outside of the group. Kafka accepts its commits
// only while the group has no members.
type adminPointer struct {
	adm       *kadm.Client
	address   *Address
	partition int32
}

// Read implements pointer.
func (g adminPointer) Read(ctx context.Context) (offset int64, books string, err error) {
	return committedAt(ctx, g.adm, g.address, g.partition)
}

// Move implements pointer.
func (g adminPointer) Move(ctx context.Context, offset int64, books string) error {
	all := make(kadm.Offsets)
	all.Add(kadm.Offset{Topic: g.address.Topic, Partition: g.partition, At: offset, LeaderEpoch: -1, Metadata: books})
	answers, err := g.adm.CommitOffsets(ctx, g.address.Group, all)
	if err == nil {
		err = answers.Error()
	}
	if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) {
		return fmt.Errorf("%w (a collector has joined group %s meanwhile: stop it): %w", errRefused, g.address.Group, err)
	}
	return err
}
