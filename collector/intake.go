package collector

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

// intake looks at each entry of a call once, appends the batch, counts. Safe for concurrent use.
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

// tally is what one call brings.
type tally struct {
	runs     []proto.Run
	counters []*counters // of the runs; nil without a category
	blank    int64
	filtered proto.Batch     // the call without its blank entries
	dropped  []store.Refusal // those
}

// written is the destination that writes files.
type written struct {
	*intake
	files *store.Files
}

func openFiles(o Options) (destination, error) {
	files, err := store.OpenFiles(o.Files)
	if err != nil {
		return nil, err
	}
	return written{newIntake(files, o.Stats, o.Files.MaxCategories), files}, nil
}

func (w written) trouble() string { return w.files.Status() }

func (w written) figures() Status {
	backlog, _ := w.files.Backlog()
	return Status{Entries: w.good.Load(), Bytes: w.bytes.Load(), Backlog: backlog, Categories: w.count()}
}

// account has what was kept out counted for audits.
func (w written) account(list []store.Refusal) { account(w.files, list) }

func account(files *store.Files, list []store.Refusal) {
	for _, r := range list {
		files.Refused(r)
	}
}

// Close brings what was acknowledged into finished files.
func (w written) Close() error { return w.files.Close() }

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
	i.blank.Add(t.blank)
	if a, ok := i.to.(*store.Files); ok && t.blank > 0 {
		account(a, t.dropped)
	}
	var count, size int64
	for k, r := range t.runs {
		if c := t.counters[k]; c != nil {
			c.good.Add(int64(r.Count))
			c.bytes.Add(r.Bytes)
			count += int64(r.Count)
			size += r.Bytes
		}
	}
	i.good.Add(count)
	i.bytes.Add(size)
	return proto.OK, nil
}

// look leaves the sums of b in t.
func (i *intake) look(t *tally, b *proto.Batch) {
	t.runs, t.counters, t.blank = b.AppendRuns(t.runs[:0]), t.counters[:0], 0
	for _, r := range t.runs {
		var c *counters
		if len(r.Category) == 0 {
			t.blank += int64(r.Count)
		} else {
			c = i.counters(r.Category)
		}
		t.counters = append(t.counters, c)
	}
}

// filter leaves in t.filtered the entries of b that have a category.
func (t *tally) filter(b *proto.Batch) {
	t.filtered.Reset()
	t.dropped = t.dropped[:0]
	for cur := b.Cursor(); cur.Next(); {
		if len(cur.Category()) == 0 {
			t.dropped = drop(t.dropped, nil, cur.Number(), "no category")
			continue
		}
		t.filtered.AppendFrom(&cur, cur.Message())
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
