package collector

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

// intake is what happens to a Log call: look at each entry once, append the batch, count. Safe for concurrent use.
type intake struct {
	to    store.Store
	stats *stats.Set
	limit int // categories that are counted by name

	good, bytes    *atomic.Int64
	blank, refused *atomic.Int64
	unsafe         *atomic.Int64
	tallies        sync.Pool // *tally

	mu         sync.RWMutex
	categories map[string]*counters
}

// counters are those of one category.
type counters struct{ good, bytes *atomic.Int64 }

// tally is what one call brings: runs of entries of one category.
type tally struct {
	runs     []run
	blank    int
	filtered proto.Batch // the call without its blank entries
}

type run struct {
	c            *counters
	count, bytes int64
}

func newIntake(to store.Store, set *stats.Set, limit int) *intake {
	return &intake{to: to, stats: set, limit: limit,
		good: set.Overall("received good"), bytes: set.Overall("received good bytes"),
		blank: set.Overall("received blank category"), refused: set.Overall("denied for queue size"), unsafe: set.Overall("received unsafe category"),
		tallies: sync.Pool{New: func() any { return new(tally) }}, categories: make(map[string]*counters)}
}

// Log appends the entries of b and answers OK when they are durable, TRY_LATER when they cannot be now. It implements rpc.Handler.
func (i *intake) Log(ctx context.Context, b *proto.Batch) (proto.ResultCode, error) {
	t := i.tallies.Get().(*tally)
	defer i.tallies.Put(t)
	i.look(t, b)
	if t.blank > 0 {
		t.filter(b)
		b = &t.filtered
	}
	if err := i.to.Append(ctx, b); err != nil {
		if errors.Is(err, store.ErrTryLater) || errors.Is(err, store.ErrClosed) {
			i.refused.Add(1)
			return proto.TryLater, nil
		}
		return proto.TryLater, err
	}
	i.blank.Add(int64(t.blank))
	var count, size int64
	for _, r := range t.runs {
		r.c.good.Add(r.count)
		r.c.bytes.Add(r.bytes)
		count += r.count
		size += r.bytes
	}
	i.good.Add(count)
	i.bytes.Add(size)
	return proto.OK, nil
}

// look walks the entries of b once and leaves their sums in t.
func (i *intake) look(t *tally, b *proto.Batch) {
	t.runs, t.blank = t.runs[:0], 0
	var name []byte
	for cur := b.Cursor(); cur.Next(); {
		category := cur.Category()
		switch {
		case len(category) == 0:
			t.blank++
			continue
		case len(t.runs) == 0 || !bytes.Equal(category, name):
			name = category
			t.runs = append(t.runs, run{c: i.counters(name)})
		}
		r := &t.runs[len(t.runs)-1]
		r.count++
		r.bytes += int64(len(cur.Message()))
	}
}

// filter leaves in t.filtered the entries of b that have a category.
func (t *tally) filter(b *proto.Batch) {
	t.filtered.Reset()
	for cur := b.Cursor(); cur.Next(); {
		if len(cur.Category()) > 0 {
			t.filtered.Append(cur.Category(), cur.Message())
		}
	}
}

// counters returns those of a category, of UnsafeCategory for one that is no name, of OverflowCategory beyond the limit.
func (i *intake) counters(name []byte) *counters {
	i.mu.RLock()
	c := i.categories[string(name)]
	i.mu.RUnlock()
	if c != nil {
		return c
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	as := string(name)
	switch {
	case !store.SafeCategory(name):
		as = store.UnsafeCategory
		i.unsafe.Add(1)
	case len(i.categories) >= i.limit:
		as = store.OverflowCategory
	}
	if c = i.categories[as]; c == nil {
		c = &counters{good: i.stats.Category(as, "received good"), bytes: i.stats.Category(as, "received good bytes")}
		i.categories[as] = c
	}
	return c
}

// count is the number of categories seen.
func (i *intake) count() int {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return len(i.categories)
}
