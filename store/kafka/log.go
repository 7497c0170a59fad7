package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

const (
	openLimit = 60 * time.Second // how long Open waits for the brokers
	askLimit  = 10 * time.Second // for another question to them
)

// Log is a topic in the place of a journal. It appends to the topic, and drains the partitions that the group assigns
// to this collector. Safe for concurrent use.
type Log struct {
	o        Options
	topic    Topic
	health   *stats.Health
	admin    *kgo.Client
	adm      *kadm.Client
	producer *producer
	member   *member
	lag      atomic.Pointer[Lag]

	end  context.CancelFunc
	work sync.WaitGroup
}

// Examine connects to the brokers and reads the settings of the topic. The error names everything that would lose
// entries, and the cure.
func Examine(ctx context.Context, a Address, maxMessage int) (Topic, error) {
	cl, err := a.client(kgo.RetryTimeout(openLimit))
	if err != nil {
		return Topic{}, err
	}
	defer cl.Close()
	return a.examine(ctx, kadm.NewClient(cl), maxMessage)
}

// Describe is Examine that also says how far the group has come. The Topic is complete, and the Lag not nil, also if
// there is something wrong with the settings.
func Describe(ctx context.Context, a Address, maxMessage int) (t Topic, lag *Lag, err error) {
	cl, err := a.client(kgo.RetryTimeout(openLimit))
	if err != nil {
		return t, nil, err
	}
	defer cl.Close()
	if t, err = a.examine(ctx, kadm.NewClient(cl), maxMessage); t.Partitions == 0 {
		return t, nil, err
	}
	for {
		lag, failed := look(ctx, &a, kadm.NewClient(cl), t.Retention)
		if !errors.Is(failed, kerr.CoordinatorNotAvailable) || !pause(ctx, retryWait) { // brokers of which nobody has asked yet
			return t, lag, errors.Join(err, failed)
		}
	}
}

// Open checks the topic, joins the group and begins to drain.
func Open(ctx context.Context, o Options) (_ *Log, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	l := &Log{o: o, health: stats.NewHealth(o.Logger)}
	l.lag.Store(new(Lag))
	if l.topic, err = o.examine(ctx); err != nil {
		return nil, err
	}
	if l.topic.Offsets != nil {
		o.Logger.Warn("commits can be lost", "error", l.topic.Offsets)
	}
	if err := clear(o.Scratch); err != nil {
		return nil, err
	}
	if l.admin, err = o.Address.client(kgo.RetryTimeout(askLimit)); err != nil {
		return nil, err
	}
	l.adm = kadm.NewClient(l.admin)
	if l.producer, err = newProducer(&l.o, l.topic.MaxRecord); err != nil {
		l.admin.Close()
		return nil, err
	}
	l.member = newMember(&l.o, l.adm, l.health)
	o.Stats.Gauge(stats.Overall+":kafka lag records", func() int64 { return l.lag.Load().Records })
	o.Stats.Gauge(stats.Overall+":kafka partitions", func() int64 { return int64(len(l.member.owned())) })
	running, end := context.WithCancel(context.Background())
	l.end = end
	l.work.Go(func() { l.member.run(running) })
	l.work.Go(func() { l.watch(running) })
	return l, nil
}

// examine waits for the brokers and examines the topic.
func (o *Options) examine(ctx context.Context) (Topic, error) {
	for {
		t, err := Examine(ctx, o.Address, o.MaxMessage)
		if err == nil || !unreachable(err) {
			return t, err
		}
		o.Logger.Warn("the brokers cannot be asked; it is tried again for a minute", "error", err)
		if !pause(ctx, retryWait) {
			return t, err
		}
	}
}

// unreachable reports whether an error comes from the network: brokers that start, or something before them that accepts
// connections for them, hang up.
func unreachable(err error) bool {
	var hungUp *kgo.ErrFirstReadEOF
	var network net.Error
	return errors.As(err, &hungUp) || errors.As(err, &network) || errors.Is(err, io.EOF)
}

// watch keeps the lag up to date.
func (l *Log) watch(ctx context.Context) {
	for failures := 0; ; {
		lag, err := look(ctx, &l.o.Address, l.adm, l.topic.Retention)
		if ctx.Err() != nil {
			return
		}
		if failures++; err == nil {
			failures = 0
		}
		if failures != 1 { // a broker that restarts, or a group that is new
			l.health.Set("brokers", err)
		}
		if lag != nil {
			l.lag.Store(lag)
			if slices.Contains(lag.Members, l.o.Address.Member) {
				l.health.Set("membership", nil)
			}
		}
		var late error
		if text := l.lag.Load().Warning; text != "" {
			late = errors.New(text)
		}
		l.health.Set("lag", late)
		if !pause(ctx, watchEvery) {
			return
		}
	}
}

// Append returns nil when all in-sync replicas have every entry. After an error, which wraps store.ErrTryLater, the
// caller may send b again: entries that were stored all the same are recognized if they have numbers.
func (l *Log) Append(ctx context.Context, b *proto.Batch) error {
	if text := l.lag.Load().Refusal; text != "" {
		return fmt.Errorf("%w: %s", store.ErrTryLater, text)
	}
	err := l.producer.append(ctx, b)
	if ctx.Err() == nil {
		l.health.Set("topic", err)
	}
	return err
}

// Takes reports whether Append would be tried.
func (l *Log) Takes() bool { return l.lag.Load().Refusal == "" }

// Lag returns how far behind the group was when the brokers were asked last.
func (l *Log) Lag() *Lag { return l.lag.Load() }

// Address returns the address of the topic.
func (l *Log) Address() Address { return l.o.Address }

// Status describes the current problem, "" if there is none.
func (l *Log) Status() string { return cmp.Or(l.health.Status(), l.member.status()) }

// Close ends draining: epochs that are not committed are drained again by the next owner. Nobody may call Append any
// more.
func (l *Log) Close() error {
	l.end()
	l.work.Wait()
	l.producer.close()
	l.admin.Close()
	return remove(l.o.Scratch)
}
