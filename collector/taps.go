package collector

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/proto"
)

const (
	tapBytes = 256 << 10        // of messages that wait for one viewer
	tapPulse = 15 * time.Second // a viewer is called this often, to see whether it is still connected
)

// taps show incoming entries to viewers. A viewer never delays a call: what it does not read in time it does not see.
// Safe for concurrent use.
type taps struct {
	open atomic.Int64 // number of viewers, so that a call costs one load while there are none

	mu   sync.Mutex
	list map[*tap]struct{}
}

// tap is one viewer of a category.
type tap struct {
	category string
	more     chan struct{} // signalled when there is something

	mu       sync.Mutex
	messages [][]byte
	bytes    int
	skipped  int64 // messages that were dropped after those in messages
}

// show offers the accepted entries of v to the viewers of their categories.
func (t *taps) show(b *proto.Batch, v *visit) {
	if t.open.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, r := range v.runs {
		to := v.targets[i]
		if to == nil || !to.stored {
			continue
		}
		for one := range t.list {
			if one.category == to.name {
				one.take(b, r)
			}
		}
	}
}

// take keeps the messages of a run, as far as there is room.
func (t *tap) take(b *proto.Batch, r proto.Run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	cur := b.CursorAt(r.From)
	for range r.Count {
		cur.Next()
		message := cur.Message()
		if t.skipped > 0 || t.bytes+len(message) > tapBytes {
			t.skipped++
			continue
		}
		t.messages = append(t.messages, append(make([]byte, 0, len(message)+1), message...))
		t.bytes += len(message)
	}
	select {
	case t.more <- struct{}{}:
	default:
	}
}

// follow passes the messages of a category to each, until ctx ends or each fails.
func (t *taps) follow(ctx context.Context, category string, each func(message []byte, skipped int64) error) error {
	one := &tap{category: category, more: make(chan struct{}, 1)}
	t.mu.Lock()
	if t.list == nil {
		t.list = make(map[*tap]struct{})
	}
	t.list[one] = struct{}{}
	t.mu.Unlock()
	t.open.Add(1)
	defer func() {
		t.open.Add(-1)
		t.mu.Lock()
		delete(t.list, one)
		t.mu.Unlock()
	}()
	pulse := time.NewTicker(tapPulse)
	defer pulse.Stop()
	for {
		select {
		case <-one.more:
		case <-pulse.C:
			if err := each(nil, 0); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
		if err := one.hand(each); err != nil {
			return err
		}
	}
}

// hand passes on what was kept, and then how many messages were skipped.
func (t *tap) hand(each func(message []byte, skipped int64) error) error {
	t.mu.Lock()
	messages, skipped := t.messages, t.skipped
	t.messages, t.bytes, t.skipped = nil, 0, 0
	t.mu.Unlock()
	for _, m := range messages {
		if err := each(m, 0); err != nil {
			return err
		}
	}
	if skipped == 0 {
		return nil
	}
	return each(nil, skipped)
}
