package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inkwell/internal/stats"
)

// member is this collector's membership in the group. It drains the partitions that the group assigns to it.
type member struct {
	o      *Options
	adm    *kadm.Client
	health *stats.Health
	again  chan struct{} // signalled when the membership must be renewed

	buffers buffers
	slots   chan struct{} // of uploads

	mu      sync.Mutex
	workers map[int32]*worker
}

// worker is the goroutine that drains a partition.
type worker struct {
	partition *partition
	cancel    context.CancelFunc
	done      chan struct{}
}

func newMember(o *Options, adm *kadm.Client, health *stats.Health) *member {
	return &member{o: o, adm: adm, health: health, again: make(chan struct{}, 1), workers: make(map[int32]*worker),
		slots: make(chan struct{}, allUploads)}
}

// run is a member of the group until ctx ends.
func (m *member) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := m.join(ctx)
		m.health.Set("membership", err)
		pause(ctx, retryWait)
	}
}

// join is a member of the group until ctx ends or the membership must be renewed.
func (m *member) join(ctx context.Context) error {
	cl, err := m.o.Address.client(kgo.ConsumerGroup(m.o.Address.Group), kgo.InstanceID(m.o.Address.Member),
		kgo.ConsumeTopics(m.o.Address.Topic), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(m.o.Address.Session), kgo.HeartbeatInterval(m.o.Address.Session/15),
		kgo.DisableAutoCommit(), kgo.WithHooks(sessionHook{m}), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.OnPartitionsAssigned(func(_ context.Context, cl *kgo.Client, all map[string][]int32) {
			m.assigned(ctx, cl, all)
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, all map[string][]int32) { m.lost(all) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, all map[string][]int32) { m.lost(all) }))
	if err != nil {
		return err
	}
	cl.PauseFetchTopics(m.o.Address.Topic) // each partition has a client of its own that reads it
	select {
	case <-ctx.Done():
	case <-m.again:
		m.o.Logger.Warn("the membership in the group is renewed, because the outcome of a commit is unknown",
			"group", m.o.Address.Group)
	}
	m.lost(map[string][]int32{m.o.Address.Topic: m.owned()})
	cl.Close()
	return nil
}

// sessionHook learns why a session of the group has ended.
type sessionHook struct{ m *member }

// OnGroupManageError implements kgo.HookGroupManageError.
func (h sessionHook) OnGroupManageError(err error) {
	if errors.Is(err, kerr.FencedInstanceID) {
		err = fmt.Errorf("another collector is in group %s under the name %s (give each its own with member= in the "+
			"address): %w", h.m.o.Address.Group, h.m.o.Address.Member, err)
	}
	if !errors.Is(err, context.Canceled) {
		h.m.health.Set("membership", err)
	}
}

// rejoin asks for a new membership.
func (m *member) rejoin() {
	select {
	case m.again <- struct{}{}:
	default:
	}
}

// assigned starts to drain partitions. Their commits go through the client of this membership.
func (m *member) assigned(ctx context.Context, cl *kgo.Client, all map[string][]int32) {
	m.health.Set("membership", nil)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range all[m.o.Address.Topic] {
		if m.workers[n] != nil {
			continue
		}
		p := m.newPartition(n, cl)
		p.ledger.uploads = fileUploads
		p.ledger.depot = &uploader{Depot: m.o.Depot, slots: m.slots, tell: func(err error) { m.health.Set(p.part, err) }}
		one, cancel := context.WithCancel(ctx)
		w := &worker{partition: p, cancel: cancel, done: make(chan struct{})}
		m.workers[n] = w
		go func() {
			defer close(w.done)
			p.run(one)
		}()
	}
}

// lost stops to drain partitions, and returns when nothing of them is under way any more. Only then does the client
// join the group again: a commit after that would be accepted, also for a partition that another member owns.
func (m *member) lost(all map[string][]int32) {
	m.mu.Lock()
	var stopped []*worker
	for _, n := range all[m.o.Address.Topic] {
		if w := m.workers[n]; w != nil {
			w.cancel()
			stopped = append(stopped, w)
			delete(m.workers, n)
		}
	}
	m.mu.Unlock()
	for _, w := range stopped {
		<-w.done
		m.health.Set(w.partition.part, nil)
	}
}

// owned lists the partitions that are drained here.
func (m *member) owned() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.workers))
}

// status describes a problem of an engine, "" if there is none.
func (m *member) status() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.workers {
		if text := w.partition.status(); text != "" {
			return text
		}
	}
	return ""
}

// committed counts what an epoch has brought into the depot.
func (m *member) committed(files []File, entries int64) {
	m.o.Stats.Overall("kafka commits").Add(1)
	m.o.Stats.Overall("kafka entries").Add(entries)
	m.o.Stats.Overall("depot files").Add(int64(len(files)))
}
